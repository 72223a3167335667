"""The executed course as pages to read: `python -m labkit.course.pages.site FOLDER` (make site).

Every page stands alone: figures and style are in it, equations are MathML, and one small script
searches a file of the course's own text, unfolds the Chinese and moves what a notebook's widgets
have recorded. So the folder opens from the file system, with the network off. What the pages look
like stands in ``templates/``.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from nbconvert.filters import Highlight2HTML, markdown2html_mistune, strip_ansi
from nbformat import NotebookNode
from PIL import Image

from labkit.core.errors import LabError
from labkit.course import language
from labkit.course.interact import recorded
from labkit.course.language import translation

ROOT = Path(__file__).resolve().parents[3]

# What mathematics must not be looked for in: code, and tags with their attributes.
_VERBATIM = re.compile(r"(<pre.*?</pre>|<code.*?</code>|<[^>]+>)", re.DOTALL)
_MATH = re.compile(r"\$\$(.+?)\$\$|\$(\S(?:[^$]*?\S)?)\$", re.DOTALL)

# What a reader of the page has no use for: the tests kept for marking, and the marks of solutions.
_HIDDEN = re.compile(r"\n?### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", re.DOTALL)
_MARKERS = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)


class Heading(NamedTuple):
    """The first line of a notebook, and the sentence below it."""

    title: str
    claim: str


class Page(NamedTuple):
    """What the contents say of a notebook: its heading, and what goes with it."""

    name: str
    title: str
    claim: str
    chinese: Heading | None
    skeleton: bool


def build(folder: Path, root: Path = ROOT) -> list[Path]:
    """Write the pages of the checkout's notebooks, its term list, the skeletons and the search.

    Where the folder holds labkit's reference already, the first page leads to it.

    Args:
        folder: where to; it is made, and pages of an earlier call are overwritten.
        root: the checkout: its ``notebooks/``, ``assignments/`` and ``docs/``.

    Returns:
        The pages.

    Raises:
        LabError: if there are no notebooks, or the equations' library is not installed.
    """
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    if not notebooks:
        raise LabError(f"no notebooks in {root / 'notebooks'}: give a checkout of the course")
    folder.mkdir(parents=True, exist_ok=True)
    templates = _templates()
    texts: list[tuple[str, str, str]] = []  # address, title, text
    written, pages = [], []
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        title, claim = _heading(notebook.cells[0].source)
        chinese = translation.read(root / "docs/zh" / f"{path.stem}.md")
        skeleton = root / "assignments" / path.name
        if skeleton.exists():
            (folder / "assignments").mkdir(exist_ok=True)
            shutil.copyfile(skeleton, folder / "assignments" / path.name)
        page = folder / f"{path.stem}.html"
        text = templates.get_template("notebook.html").render(
            title=title, cells=notebook.cells, chinese=chinese, recorded=_recorded(notebook)
        )
        page.write_text(text, "utf-8")
        written.append(page)
        first = chinese.get(notebook.cells[0].id)
        in_chinese = _heading(first.text) if first else None
        pages.append(Page(path.stem, title, claim, in_chinese, skeleton.exists()))
        texts += [(f"{page.name}#{c.id}", title, _words(c.source)) for c in notebook.cells]
        texts += [(f"{page.name}#zh-{name}", title, _words(c.text)) for name, c in chinese.items()]
    glossary = (root / "docs/glossary.md").read_text("utf-8")
    others = {
        "index.html": templates.get_template("index.html").render(
            title="Soft Prompt Lab",
            pages=pages,
            reference=(folder / "reference/labkit.html").is_file(),
        ),
        "glossary.html": templates.get_template("page.html").render(
            title="Terms 术语", body=render(glossary)
        ),
        "course.js": f"const COURSE = {json.dumps(texts, ensure_ascii=False)};\n",
        "search.js": templates.get_template("search.js").render(),
    }
    for name, text in others.items():
        (folder / name).write_text(text, "utf-8")
    return [*written, folder / "index.html", folder / "glossary.html"]


def _templates() -> Environment:
    """The templates beside this module; a name that one of them misses is an error."""
    templates = Environment(
        loader=PackageLoader("labkit.course.pages"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {
        "markdown": lambda source: Markup(render(source)),
        "highlighted": lambda source: Markup(Highlight2HTML()(source)),
        "as_read": lambda source: _MARKERS.sub("", _HIDDEN.sub("", source)),
        "plain": strip_ansi,
        "compact": _compact,
        "title": _chinese_title,
        "spoken": _spoken,
    }
    return templates


def render(markdown: str) -> str:
    """Markdown → HTML, with the equations as MathML."""
    parts = _VERBATIM.split(markdown2html_mistune(markdown))
    parts[::2] = [_MATH.sub(_mathml, text) for text in parts[::2]]
    return "".join(parts)


def _mathml(match: re.Match[str]) -> str:
    try:
        from latex2mathml.converter import convert
    except ImportError as error:
        raise LabError('equations need latex2mathml: run pip install -e ".[site]"') from error
    block, inline = match.groups()
    latex = html.unescape(block or inline).replace("<br>", "")
    # commands that latex2mathml lays out badly or does not know, in its own terms
    latex = latex.replace(r"\operatorname", r"\mathrm").replace(r"\textstyle", "")
    latex = latex.replace(r"\arg", r"\mathrm{arg}\,")
    return convert(latex, display="block" if block else "inline")


def _heading(source: str) -> Heading:
    """What a notebook's first cell begins with."""
    heading, claim, *_ = re.split(r"\n\s*\n", source)
    return Heading(heading.lstrip("# "), claim)


def _compact(image: str) -> str:
    """A stored PNG, base64, in fewer bytes with the same pixels: no alpha where all is opaque."""
    picture = Image.open(io.BytesIO(base64.b64decode(image)))
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")
    smaller = io.BytesIO()
    picture.save(smaller, "PNG", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode("ascii")


def _chinese_title(output: NotebookNode) -> str:
    """The Chinese of a figure's title; empty where there is none."""
    return _translation(output.get("metadata", {}).get("image/png", {}).get("alt", ""))


def _spoken(widget: Mapping[str, Any]) -> dict[str, Any]:
    """The Chinese of what a recorded widget says: of its controls, and of its pictures' titles."""
    controls = widget["choices"]
    words = {word for c in controls for word in (c["name"], *map(str, c["options"]))}
    pictures = recorded.unpack(widget["pictures"])
    return {
        "names": {word: _translation(word) for word in words if _translation(word)},
        "titles": {
            # a drawing's alternative text goes on behind its title
            place: _translation(picture["alt"]) or _translation(picture["alt"].partition(". ")[0])
            for place, picture in pictures.items()
        },
        "start": ",".join(str(c["start"]) for c in controls),
    }


def _translation(english: str) -> str:
    translated = language.chinese(english)
    return "" if translated == english else translated


def _recorded(notebook: NotebookNode) -> bool:
    """Whether a widget has kept its pictures in an output, see `interact.recorded`."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return any("labkit" in output.get("metadata", {}) for output in outputs)


def _words(source: str) -> str:
    """A cell without marks and line breaks, to search in."""
    return " ".join(re.sub(r"</?\w+>|[*#|`]", " ", source).split())


if __name__ == "__main__":
    for page in build(Path(sys.argv[1])):
        print(f"{page}  {page.stat().st_size / 1e6:.2f} MB")
