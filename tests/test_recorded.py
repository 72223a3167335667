"""What widgets keep for pages without a kernel: every choice, and only while recording."""

from __future__ import annotations

import base64
import io
import json
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from conftest import noisy_probe
from labkit.course.figures.shuffle_probe import order_map
from labkit.course.figures.style import CourseFigure
from labkit.course.interact import recorded, widgets
from labkit.course.interact.recorded import Choice, Recorded, record, recording, unpack
from labkit.course.language import translation
from labkit.course.pages import site


def letters(first: str, second: str) -> CourseFigure:
    return CourseFigure(1.0, first + second)


def kept(picture) -> dict:
    _, about = picture._repr_mimebundle_()
    return unpack(about["labkit"]["pictures"])


def options(names: str) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def test_every_combination_of_choices_is_kept_beside_the_first():
    picture = Recorded([Choice("one", options("ab")), Choice("two", options("xyz"), 1)], letters)
    data, about = picture._repr_mimebundle_()
    assert about["image/png"]["alt"] == "ay" and data["image/png"]
    alts = {place: each["alt"] for place, each in kept(picture).items()}
    assert alts == {"0,0": "ax", "0,1": "ay", "0,2": "az", "1,0": "bx", "1,1": "by", "1,2": "bz"}
    assert base64.b64decode(kept(picture)["1,2"]["png"]).startswith(b"\x89PNG")
    assert about["labkit"]["choices"][1] == {"name": "two", "options": list("xyz"), "start": 1}
    json.dumps(about)  # a notebook is JSON


def test_of_too_many_combinations_those_one_change_away_are_kept(monkeypatch):
    monkeypatch.setattr(recorded, "MOST_PICTURES", 5)
    picture = Recorded([Choice("one", options("abc")), Choice("two", options("xy"))], letters)
    assert sorted(kept(picture)) == ["0,0", "0,1", "1,0", "2,0"]


@pytest.mark.parametrize("count", [1, 2, 59, 60, 61, 500])
def test_a_long_slider_is_thinned_from_end_to_end(count):
    values = recorded.thinned(range(count))
    assert values[0] == 0 and values[-1] == count - 1
    assert len(values) == len(set(values)) == min(count, recorded.MOST_OPTIONS)


def test_a_slider_records_its_pictures_only_while_a_master_is_executed(monkeypatch):
    shown = []
    monkeypatch.setattr(
        widgets, "display", lambda thing, display_id=None: shown.append(thing) or None
    )
    widgets.order_slider(noisy_probe())
    assert not isinstance(shown[-1], Recorded)
    with record():
        assert recording()
        widgets.order_slider(noisy_probe())
    assert not recording()
    pictures = kept(shown[-1])
    assert len(pictures) == 30
    assert pictures["12"]["svg"] == order_map(noisy_probe(), 12).svg


def test_the_site_holds_what_was_recorded_and_the_script_that_moves_it(tmp_path):
    pytest.importorskip("latex2mathml", reason="make site installs it")
    with record():
        data, about = Recorded(
            [Choice("order", [(str(i), i) for i in range(3)])],
            lambda index: order_map(noisy_probe(), index),
        )._repr_mimebundle_()
    cells = [
        new_markdown_cell("# 04 </script> orders\n\nA claim.", id="title"),
        new_code_cell("1", id="play", outputs=[new_output("display_data", data, metadata=about)]),
    ]
    for folder in ("notebooks", "docs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "docs/glossary.md").write_text("# Terms")
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks/04_play.ipynb")
    site.build(tmp_path / "site", root=tmp_path)
    page = (tmp_path / "site/04_play.html").read_text("utf-8")
    (stored,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert json.loads(stored) == about["labkit"]
    assert "DecompressionStream" in page
    assert '<div class="play">\n<img alt="Order 0:' in page
    assert "DecompressionStream" not in (tmp_path / "site/index.html").read_text("utf-8")
    (words,) = re.findall(
        r'<script type="application/json" lang="zh">(.*?)</script>', page, re.DOTALL
    )
    spoken = json.loads(words)
    assert spoken["names"] == {"order": "顺序"}
    assert sorted(spoken["titles"]) == ["0", "1", "2"]
    for place, title in spoken["titles"].items():
        assert title.startswith(f"顺序 {place}：")
    assert f'<p class="title" lang="zh">{spoken["titles"]["0"]}</p>' in page


def stored_png(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")


@pytest.mark.parametrize("alpha", [255, 90])
def test_pictures_of_the_site_keep_every_pixel_in_fewer_bytes(alpha):
    image = Image.effect_noise((40, 30), 60).convert("RGBA")
    image.putalpha(alpha)
    stored = stored_png(image)
    compact = site._compact(stored)
    shown = Image.open(io.BytesIO(base64.b64decode(compact))).convert("RGBA")
    assert shown.tobytes() == image.tobytes()
    assert alpha != 255 or len(compact) < len(stored)


def test_a_figure_on_the_site_has_its_chinese_title_below_it(tmp_path):
    pytest.importorskip("latex2mathml", reason="make site installs it")
    picture = stored_png(Image.new("RGBA", (3, 2), "white"))
    figures = [
        new_output("display_data", {"image/png": picture, "text/plain": ""}, metadata=about)
        for about in ({"image/png": {"alt": alt}} for alt in ("The prompts disagree", "Mine"))
    ]
    cells = [
        new_markdown_cell("# 01 one\n\nA claim.", id="title"),
        new_code_cell("1", id="figure", outputs=figures),
    ]
    for folder in ("notebooks", "docs/zh"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "docs/glossary.md").write_text("# Terms")
    digest = translation.digest(cells[0].source)
    (tmp_path / "docs/zh/01_one.md").write_text(
        f"<!-- cell title {digest} -->\n\n# 01 一\n\n**论断。**\n", "utf-8"
    )
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks/01_one.ipynb")
    site.build(tmp_path / "site", root=tmp_path)
    page = (tmp_path / "site/01_one.html").read_text("utf-8")
    assert re.findall(r'<p class="title" lang="zh">(.*?)</p>', page) == ["各个提示意见不一"]
    first = (tmp_path / "site/index.html").read_text("utf-8")
    assert "01 一" in first and "<strong>论断。</strong>" in first
