"""The executed course as pages to read: `python -m labkit.course.pages.site FOLDER` (make site).

Every page stands alone: figures and style are in it, equations are MathML, and one small script
searches a file of the course's own text and unfolds the Chinese. So the folder opens from the file
system, with the network off.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
from nbconvert.filters import Highlight2HTML, markdown2html_mistune, strip_ansi
from nbformat import NotebookNode

from labkit.core.errors import LabError
from labkit.course.pages import translation

ROOT = Path(__file__).resolve().parents[3]

STYLE = """
body { font: 17px/1.55 Georgia, "Noto Serif CJK SC", serif; color: #222; margin: 0 auto;
  max-width: 860px; padding: 0 20px 80px; }
h1, h2, h3, nav, table, summary, input, .zh summary { font-family: system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.25; margin-top: 1.6em; }
a { color: #0060a0; }
nav { display: flex; gap: 20px; padding: 14px 0; border-bottom: 1px solid #ddd; font-size: 15px; }
nav input { margin-left: auto; font-size: 15px; padding: 2px 6px; }
pre { font-size: 13.5px; line-height: 1.4; overflow-x: auto; background: #f6f6f6;
  padding: 10px 12px; white-space: pre; }
.output pre { background: none; border-left: 3px solid #ddd; white-space: pre-wrap; }
code { font-size: 0.88em; }
img { max-width: 100%; display: block; margin: 10px 0; }
table { border-collapse: collapse; font-size: 15px; }
td, th { border-bottom: 1px solid #ddd; padding: 4px 14px 4px 0; text-align: left; }
details { margin: 8px 0; }
.zh { border-left: 3px solid #E69F00; padding-left: 14px; }
.found { background: #f6f6f6; padding: 4px 14px; }
.found:empty { display: none; }
math[display=block] { margin: 14px 0; }
.anchor-link { display: none; }
.k, .kn, .kc, .ow { color: #007020; font-weight: bold; } .s1, .s2, .sd, .sa { color: #a31515; }
.c1 { color: #60707a; font-style: italic; } .mi, .mf { color: #0060a0; } .nf { color: #6b2fa0; }
"""

SCRIPT = """\
const box = document.getElementById("search"), found = document.getElementById("found");
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  found.replaceChildren();
  if (!words.length) return;
  const hits = COURSE.filter(([, , text]) => words.every((w) => text.toLowerCase().includes(w)));
  const list = document.createElement("ul");
  for (const [address, title, text] of hits.slice(0, 12)) {
    const item = document.createElement("li"), link = document.createElement("a");
    const from = Math.max(0, text.toLowerCase().indexOf(words[0]) - 40);
    link.href = address;
    link.textContent = title;
    item.append(link, " … " + text.slice(from, from + 120) + " …");
    list.append(item);
  }
  found.append(hits.length ? list : "Nothing found.");
});

const unfold = document.getElementById("zh");
if (unfold) {
  const texts = [...document.querySelectorAll("details.zh")];
  const all = (open) => texts.forEach((text) => { text.open = open; });
  unfold.addEventListener("click", () => all(!texts.every((text) => text.open)));
  if (location.hash === "#zh") all(true);
}
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<nav><a href="index.html">Soft Prompt Lab</a><a href="glossary.html">Terms 术语</a>
<input id="search" type="search" placeholder="search the course" aria-label="search"></nav>
<div id="found" class="found"></div>
{body}
<script src="course.js"></script>
<script src="search.js"></script>
</body>
</html>
"""

# Above a page whose text cells have their translation folded below them.
UNFOLD = '<p><button id="zh" lang="zh">展开／收起全部中文</button></p>\n'

# What mathematics must not be looked for in: code, and tags with their attributes.
_VERBATIM = re.compile(r"(<pre.*?</pre>|<code.*?</code>|<[^>]+>)", re.DOTALL)
_MATH = re.compile(r"\$\$(.+?)\$\$|\$(\S(?:[^$]*?\S)?)\$", re.DOTALL)

# What a reader of the page has no use for: the tests kept for marking, and the marks of solutions.
_HIDDEN = re.compile(r"\n?### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", re.DOTALL)
_MARKERS = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)


def build(folder: Path, root: Path = ROOT) -> list[Path]:
    """Write the pages of the checkout's notebooks, its term list, the skeletons and the search.

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
    texts: list[tuple[str, str, str]] = []  # address, title, text
    pages, contents = [], []
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        title, claim = _title(notebook)
        chinese = translation.read(root / "docs/zh" / f"{path.stem}.md")
        body = "\n".join(_cell(cell, chinese) for cell in notebook.cells)
        skeleton = root / "assignments" / path.name
        link = ""
        if chinese:
            body = UNFOLD + body
            link += f'<p><a href="{path.stem}.html#zh" lang="zh">附中文</a></p>'
        if skeleton.exists():
            (folder / "assignments").mkdir(exist_ok=True)
            shutil.copyfile(skeleton, folder / "assignments" / path.name)
            link += f'<p><a href="assignments/{path.name}">with exercises to solve</a></p>'
        page = folder / f"{path.stem}.html"
        pages.append(_write(page, title, body))
        contents.append(f'<h3><a href="{page.name}">{title}</a></h3>\n{render(claim)}{link}')
        texts += [(f"{page.name}#{c.id}", title, _plain(c.source)) for c in notebook.cells]
        texts += [(f"{page.name}#zh-{name}", title, _plain(c.text)) for name, c in chinese.items()]
    pages.append(_write(folder / "index.html", "Soft Prompt Lab", _index(contents)))
    glossary = (root / "docs/glossary.md").read_text("utf-8")
    pages.append(_write(folder / "glossary.html", "Terms 术语", render(glossary)))
    course = f"const COURSE = {json.dumps(texts, ensure_ascii=False)};\n"
    (folder / "course.js").write_text(course, "utf-8")
    (folder / "search.js").write_text(SCRIPT, "utf-8")
    return pages


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


def _title(notebook: NotebookNode) -> tuple[str, str]:
    """The notebook's heading, and the sentence below it."""
    heading, claim, *_ = re.split(r"\n\s*\n", notebook.cells[0].source)
    return heading.lstrip("# "), claim


def _index(contents: list[str]) -> str:
    about = (
        "# Soft Prompt Lab\n\nHow a few trained vectors in front of a text steer a frozen language "
        "model: a course of notebooks, here as pages to read, with their results."
    )
    return "\n".join([render(about), *contents])


def _write(path: Path, title: str, body: str) -> Path:
    path.write_text(PAGE.format(title=html.escape(title), style=STYLE, body=body), "utf-8")
    return path


def _plain(source: str) -> str:
    return " ".join(re.sub(r"</?\w+>|[*#|`]", " ", source).split())


def _cell(cell: NotebookNode, chinese: dict[str, translation.Cell]) -> str:
    if cell.cell_type == "markdown":
        inner = render(cell.source)
        if cell.id in chinese:
            # a link to an element within a fold opens the fold
            text = f'<div id="zh-{cell.id}">{render(chinese[cell.id].text)}</div>'
            inner += f'<details class="zh" lang="zh"><summary>中文</summary>{text}</details>'
    else:
        outputs = "\n".join(map(_output, cell.outputs))
        source = _MARKERS.sub("", _HIDDEN.sub("", cell.source))
        inner = Highlight2HTML()(source) + f'<div class="output">{outputs}</div>'
    return f'<section id="{cell.id}">{inner}</section>'


def _output(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return f"<pre>{html.escape(strip_ansi(output.text))}</pre>"
    if output.output_type == "error":
        return f"<pre>{html.escape(strip_ansi(chr(10).join(output.traceback)))}</pre>"
    data = output.data
    if "image/png" in data:
        alt = html.escape(data.get("text/plain", "figure"), quote=True)
        return f'<img alt="{alt}" src="data:image/png;base64,{data["image/png"].strip()}">'
    return data.get("text/html") or f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"


if __name__ == "__main__":
    for written in build(Path(sys.argv[1])):
        print(f"{written}  {written.stat().st_size / 1e6:.2f} MB")
