"""The picture of attention shows every place, in proportion, and any text."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from drawn import SVG, bars, texts
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.templates import Verbalizer
from labkit.course.figures.attention import AnswerAttention, attention_map
from labkit.course.figures.data_flow import KINDS
from labkit.course.interact.trace import answer_attention
from labkit.soft_prompt import SoftPrompt


def look(pieces=("e1", "e2", " good", "?"), kinds=("soft", "soft", "word", "mask"), seed=0):
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(pieces)), size=(3, 2))
    named = [(piece, None, kind) for piece, kind in zip(pieces, kinds, strict=True)]
    return AnswerAttention(named, len(pieces) - 1, shares)


@pytest.mark.parametrize(("layer", "head"), [(None, None), (2, None), (None, 1), (3, 2)])
def test_bars_are_in_proportion_to_the_attention(layer, head):
    shown = {"trained": look(), "untrained": look(seed=1)}
    picture = attention_map(shown, layer, head)
    layers = slice(None) if layer is None else slice(layer - 1, layer)
    heads = slice(None) if head is None else slice(head - 1, head)
    expected = [one.shares[layers, heads].mean((0, 1)) for one in shown.values()]
    longest = max(shares.max() for shares in expected)
    soft = [share for shares in expected for share in shares[:2]]
    heights = np.array(bars(picture, KINDS["soft"][0]))
    assert heights / 46 == pytest.approx(np.array(soft) / longest, abs=0.002)
    numbers = {f"{100 * share:.0f}" for shares in expected for share in shares}
    assert numbers <= set(texts(picture))


def test_the_title_names_the_place_that_is_looked_at_most():
    one = look()
    one.shares[:] = [0.1, 0.2, 0.6, 0.1]
    (title, *_) = texts(attention_map({"trained": one}))
    assert title == (
        "The answer slot looks most at “␣good”, 60 % (trained, mean of 3 layers and 2 heads)"
    )
    assert "layer 2 of 3, mean of 2 heads" in texts(attention_map({"trained": one}, layer=2))[0]
    assert (
        "first place 10 %, other virtual tokens 20 %, words 60 %"
        in texts(attention_map({"trained": one}))[1]
    )


def test_virtual_tokens_are_marked_by_more_than_their_colour():
    root = ElementTree.fromstring(attention_map({"trained": look()}).svg)
    slanted = [t.text for t in root.iter(f"{SVG}text") if t.get("font-style") == "italic"]
    underlined = [t.text for t in root.iter(f"{SVG}text") if t.get("text-decoration")]
    outlined = {b.get("fill") for b in root.iter(f"{SVG}rect") if b.get("stroke")}
    assert (slanted, underlined, outlined) == (["e1", "e2"], ["?"], {KINDS["soft"][0]})


@pytest.mark.parametrize(
    "piece", ["</text><script>alert(1)</script>", "a & b", '"', "\x00\x1b", "\udce4", "电影"]
)
def test_any_piece_of_text_leaves_a_valid_picture(piece):
    picture = attention_map({'<b>"trained"': look(("e1", piece), ("soft", "word"))})
    elements = {element.tag for element in ElementTree.fromstring(picture.svg).iter()}
    assert elements == {SVG + name for name in ("svg", "title", "text", "rect", "path")}
    page = Page()
    page.feed(picture.html())
    assert page.tags == ["img"]
    assert page.images[0]["alt"] == picture.alt and '<b>"trained"' in picture.alt


def test_a_long_text_is_broken_into_lines_within_the_width():
    many = tuple(f"word{i}" for i in range(60))
    root = ElementTree.fromstring(attention_map({"a": look(many, ("word",) * 60)}).svg)
    places = [t for t in root.iter(f"{SVG}text") if (t.text or "").startswith("word")]
    assert len(places) == 60
    assert len({t.get("y") for t in places}) > 3
    assert max(float(t.get("x")) for t in places) < float(root.get("width"))


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))


def test_what_a_notebook_shows_needs_nothing_from_anywhere():
    picture = attention_map({"trained": look()})
    shown = picture._repr_mimebundle_()
    assert shown["text/plain"] == picture.alt
    page = Page()
    page.feed(shown["text/html"])
    data = page.images[0]["src"].removeprefix("data:image/svg+xml;base64,")
    assert base64.b64decode(data).decode() == picture.svg
    addresses = set(re.findall(r"\w+://[^\"]*", picture.svg))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, which nobody fetches


@pytest.mark.parametrize(("layer", "head"), [(0, None), (4, None), (None, 3)])
def test_a_layer_that_the_model_lacks_is_refused(layer, head):
    with pytest.raises(LabError, match="give one from 1 to"):
        attention_map({"trained": look()}, layer, head)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_attention_of_a_text_names_every_place(tiny_backbone, family):
    backbone = tiny_backbone(family)
    words = Verbalizer({"negative": "terrible", "positive": "great"})
    model = PromptedModel(backbone, "{soft}{text} It was {mask}", words)
    found = answer_attention(model, SoftPrompt.from_vocab(backbone, 3, common=20), "a funny film")
    kinds = [kind for _, _, kind in found.pieces]
    assert kinds[:3] == ["soft"] * 3
    assert found.shares.shape == (2, 4, len(found.pieces))
    assert found.shares.sum(-1) == pytest.approx(1)
    answer = found.pieces[found.answer]
    assert answer[2] == "mask" if family == "bert" else found.answer == len(kinds) - 1
    assert "".join(texts(attention_map({"trained": found}))).count("e3") == 1
