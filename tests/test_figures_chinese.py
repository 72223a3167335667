"""With LABKIT_LANG=zh figures speak Chinese where a font has it, and plain English where none has.

The font is made here, with a square for every character, so that no machine needs one for this.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
import nbformat
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg

from conftest import ROOT
from drawn import VECTORS, texts, words_of
from labkit.course.figures import chinese, shared
from labkit.course.figures.data_flow import data_flow
from labkit.course.figures.drawings import MONO, SANS, drawing, listed, text
from labkit.course.figures.style import STYLE, CourseFigure, use_style
from labkit.course.language import catalogue
from labkit.course.language import chinese as in_chinese
from test_figures import FIGURES

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HAN = re.compile(r"[\u4e00-\u9fff]")
FAMILY = "Squares for Tests"


def squares(path: Path, characters: set[str]) -> None:
    """Write a font in which each of the characters is a square."""
    names = {ord(c): f"u{ord(c):04X}" for c in characters}
    pen = TTGlyphPen(None)
    for step, point in ((pen.moveTo, (50, 0)), *((pen.lineTo, p) for p in ((50, 800), (850, 800)))):
        step(point)
    pen.closePath()
    square, order = pen.glyph(), [".notdef", *names.values()]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(order)
    font.setupCharacterMap(names)
    font.setupGlyf(dict.fromkeys(order, square))
    font.setupHorizontalMetrics(dict.fromkeys(order, (900, 50)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A reader of Chinese on a machine with matplotlib's own fonts and those in the list."""
    files: list[str] = []
    manager = font_manager.fontManager
    own = [entry for entry in manager.ttflist if entry.fname.startswith(mpl.get_data_path())]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    monkeypatch.setitem(STYLE, "font.family", ["DejaVu Sans"])
    monkeypatch.setenv("LABKIT_LANG", "zh")
    memories = (chinese.chinese_font, chinese.explain_missing_font)
    for memory in memories:
        memory.cache_clear()
    yield files
    for memory in memories:
        memory.cache_clear()


@pytest.fixture
def font(machine: list[str], tmp_path: Path) -> str:
    """The machine gets a font with all characters of the course."""
    path = tmp_path / "squares.ttf"
    squares(path, set("".join(catalogue().values())))
    machine.append(str(path))
    return FAMILY


def bars(title: str) -> CourseFigure:
    return shared.interval_bars(
        ["majority class", "mine"], [0.5, 0.8], [0.4, 0.7], [0.6, 0.9], 0.5, "majority class",
        title=title, xlabel="accuracy on 256 test sentences",
    )  # fmt: skip


def test_title_axes_names_and_notes_of_a_figure_are_chinese(font: str) -> None:
    figure = bars("One word costs 0.18 of accuracy")
    assert figure.alt == figure.get_suptitle() == "一个词使准确率降低 0.18"
    (ax,) = figure.axes
    assert ax.get_xlabel() == "256 个测试句子上的准确率，95 % 区间"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["多数类", "mine"]
    assert "多数类 0.50" in words_of(figure)
    assert figure._repr_mimebundle_()[1]["image/png"]["alt"] == figure.alt


@pytest.mark.parametrize("draw", FIGURES.values(), ids=list(FIGURES))
def test_no_word_of_the_course_s_own_stays_english(
    font: str, draw: Callable[[], CourseFigure]
) -> None:
    figure = draw()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.png(dpi=40)
    labels = {label for ax in figure.axes for label in (ax.get_xlabel(), ax.get_ylabel())}
    labels |= {figure.get_supylabel(), *(t.get_text() for g in legends(figure) for t in g)}
    names = {"a", "b", "trained", "negative", "positive", "bad0 / good0", "single", "blocks"}
    assert [label for label in labels - names - {""} if not HAN.search(label)] == []
    drawn = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    width, height = figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= 0 and drawn.x1 <= width and drawn.y1 <= height


def legends(figure: CourseFigure) -> list[list[mpl.text.Text]]:
    return [legend.get_texts() for legend in figure.findobj(mpl.legend.Legend)]


def test_every_glyph_of_a_chinese_figure_comes_from_a_font(font: str) -> None:
    figure = bars("One word costs 0.18 of accuracy")
    with mpl.rc_context({"font.family": ["DejaVu Sans", font]}), warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that no font has
        FigureCanvasAgg(figure).draw()


def test_pieces_of_a_text_are_no_words_of_the_course(font: str) -> None:
    pieces = [(word, 1, "word") for word in ("text", "model", "scores")]
    figure = data_flow("text", pieces, VECTORS[:3], {"place": 0.3, "x": 0.7}, "It is positive")
    words = words_of(figure)
    assert {"text", "model", "scores"} <= set(words) and "“text”" in words
    assert {"文本", "模型", "得分", "3 个位置"} <= set(words)
    assert "order" in text(0, 0, "order", MONO)
    assert "顺序" in text(0, 0, "order", SANS)


def test_pictures_of_sliders_are_chinese_without_a_font_of_matplotlib_s(
    machine: list[str],
) -> None:
    picture = drawing(50, "Order 3: 0.7 against 0.8; 2 of 9 flip", [], "Nothing differs.")
    assert texts(picture) == ["顺序 3：0.7，训练时的顺序 0.8；2 个答案改变（共 9 个）"]
    assert picture.alt.endswith("没有不同之处。")
    assert listed(["5", "trained prompt"]) == "5 和 训练好的提示"
    assert listed(["1", "5", "20"]) == "1、5 和 20"


def test_long_chinese_titles_are_broken_between_characters(font: str) -> None:
    english = (
        "Where order means nothing, the best of 200 gains 0.036 where it was chosen, 0.000 "
        "elsewhere; minilm's: 0.036 and -0.002"
    )
    first, second = bars(english).get_suptitle().split("\n")
    whole = (
        "在顺序毫无意义的地方，200 种中最好的在挑选它的样例上高 0.036，在别处高 0.000；"
        "minilm 的是 0.036 和 -0.002"
    )
    assert (first + second).replace(" ", "") == whole.replace(" ", "")
    assert 25 < len(first) < 45 and len(second) > 20
    assert not re.match("[，。、；：！？）]", second)


def test_without_a_font_figures_stay_english_and_one_line_says_why(
    machine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            figure = bars("One word costs 0.18 of accuracy")
            figure._repr_mimebundle_()
    assert figure.alt == "One word costs 0.18 of accuracy"
    assert not any(HAN.search(words) for words in words_of(figure))
    said = capsys.readouterr()
    assert said.err == "" and len(said.out.splitlines()) == 1
    assert "fonts-noto-cjk" in said.out and HAN.search(said.out)


def test_a_font_that_lacks_a_character_is_not_taken(machine: list[str], tmp_path: Path) -> None:
    squares(tmp_path / "few.ttf", set("中文"))
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    machine += [str(tmp_path / "few.ttf"), str(tmp_path / "broken.ttf")]
    assert chinese.chinese_font() is None
    assert bars("One word costs 0.18 of accuracy").alt.startswith("One word")


def test_a_reader_of_english_is_told_nothing_of_fonts(
    machine: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABKIT_LANG", "en")
    bars("One word costs 0.18 of accuracy")._repr_mimebundle_()
    assert capsys.readouterr().out == ""


def test_the_reader_s_own_figures_get_the_font_too(font: str) -> None:
    with mpl.rc_context():
        use_style()
        assert mpl.rcParams["font.family"][:2] == ["DejaVu Sans", font]


def titles(path: Path) -> set[str]:
    """What stands on the figures that a notebook keeps, those behind its widgets too."""
    lines = set()
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", ()):
            about = output.get("metadata", {})
            if "alt" in about.get("image/png", {}):
                lines.add(about["image/png"]["alt"])
            if "labkit" in about:
                packed = base64.b64decode(about["labkit"]["pictures"])
                pictures = json.loads(gzip.decompress(packed)).values()
                lines |= {p["alt"].partition(". ")[0] for p in pictures if "png" not in p}
                lines |= {p["alt"] for p in pictures if "png" in p}
    return lines


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_titles_of_all_stored_figures_have_their_chinese(path: Path) -> None:
    stored = titles(path)
    english = sorted(title for title in stored if not HAN.search(in_chinese(title)))
    assert stored and english == []
