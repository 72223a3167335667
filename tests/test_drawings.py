"""The pictures made of strings, and the figures of prompt lengths, show what they were given."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from conftest import noisy_probe
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.templates import Verbalizer
from labkit.course.figures.attention_map import attention_map
from labkit.course.figures.data_flow import KINDS
from labkit.course.figures.order_map import BINS, PALE, order_map
from labkit.course.figures.prompt_plots import duels, length_duels, nearest_words
from labkit.course.figures.trace import AnswerAttention, answer_attention
from labkit.experiments.base.rows import as_digits
from labkit.soft_prompt import Neighbours, SoftPrompt

SVG = "{http://www.w3.org/2000/svg}"


def texts(drawing) -> list[str]:
    return [element.text for element in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


def bars(drawing, colour: str) -> list[float]:
    """Heights of the boxes of a colour, the legend's left out."""
    boxes = [b for b in ElementTree.fromstring(drawing.svg).iter(f"{SVG}rect") if b.get("x")]
    kept = [b for b in boxes if (b.get("width"), b.get("height")) != ("12.0", "12.0")]
    return [float(b.get("height")) for b in kept if b.get("fill") == colour]


# ---- attention ----


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


# ---- nearest entries ----


def neighbours(*rows: tuple[str, ...]) -> Neighbours:
    cosines = torch.linspace(0.9, 0.5, len(rows[0])).repeat(len(rows), 1)
    return Neighbours([list(row) for row in rows], cosines)


def test_the_neighbours_of_one_virtual_token_stand_beside_the_controls():
    found = {
        "trained": neighbours(("a", "b"), (" film", "<film>")),
        "start": neighbours(("a", "c"), (" film", "d")),
        "random": neighbours(("x", "y"), ("z", "w")),
    }
    picture = nearest_words(found, 1)
    title, *shown = texts(picture)
    assert title == "e2 is nearest to “␣film” (trained and start)"
    entries = [word for word in shown if not word.startswith("0.") and "cosine" not in word]
    assert entries == ["␣film", "<film>", "␣film", "d", "z", "w"]
    assert shown.count("0.90") == shown.count("0.50") == 3
    assert "random: z 0.90, w 0.50" in picture.alt


# ---- lengths ----


def rows(answers: dict[str, list[list[int]]]) -> list[dict]:
    return [
        {"setting": setting, "seed": seed, "correct": as_digits(right)}
        for setting, by_seed in answers.items()
        for seed, right in enumerate(by_seed)
    ]


def test_a_duel_counts_what_only_one_of_two_gets_right():
    found = duels(
        rows({"1": [[1, 1, 0, 0], [1, 0, 0, 0]], "20": [[1, 0, 1, 1], [1, 1, 1, 0]]}), ["1", "20"]
    )
    duel = found["20", "1"]
    assert (duel.gained, duel.lost) == (4 / 8, 1 / 8)
    assert duel.difference.value == pytest.approx(3 / 8)
    back = found["1", "20"]
    assert (back.gained, back.lost, back.difference.value) == (1 / 8, 4 / 8, pytest.approx(-3 / 8))
    assert (back.difference.low, back.difference.high) == pytest.approx(
        (-duel.difference.high, -duel.difference.low)
    )


def test_settings_without_a_common_seed_are_refused():
    one, other = rows({"1": [[1, 0]], "5": [[1, 1]]})
    with pytest.raises(LabError, match="no seed in common"):
        duels([one, other | {"seed": 7}], ["1", "5"])


def test_the_figure_of_lengths_tells_who_beats_whom():
    random = np.random.default_rng(0)
    shares = {"1": 0.5, "5": 0.75, "20": 0.75, "100": 0.98}
    answers = {
        name: (random.random((3, 300)) < share).astype(int) for name, share in shares.items()
    }
    found = duels(rows(answers), list(shares))
    figure = length_duels(found, "5")
    assert figure.get_suptitle() == "Length 5 beats 1, loses to 100, can't be told from 20"
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "against 1",
        "against 20",
        "against 100",
    ]
    drawn = [patch.get_width() for patch in ax.patches]
    against = [found["5", name] for name in ("1", "20", "100")]
    assert drawn == pytest.approx([width for d in against for width in (d.gained, -d.lost)])
    net = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"]
    assert net == pytest.approx([d.gained - d.lost for d in against])


# ---- one order ----


def test_an_order_stands_as_it_is_with_its_score():
    one = noisy_probe()
    picture = order_map(one, 7)
    score, flips = one.correct[7].mean(), (one.predictions[7] != one.trained).sum()
    title, *rest = texts(picture)
    assert f"Order 7: {score:.3f}" in title and f"{flips} of 64 flip" in title
    assert rest[:6] == [str(token) for token in one.orders[7]]
    assert {"trained order", "this order"} <= set(rest)


def test_the_histogram_of_orders_holds_every_order():
    one = noisy_probe()
    counts, _ = np.histogram(one.scores, bins=BINS)
    heights = np.array(bars(order_map(one, 0), PALE))
    assert heights / heights.max() == pytest.approx(counts / counts.max(), abs=0.002)


def test_lines_stand_where_the_scores_are():
    one = noisy_probe()
    best, worst = int(one.scores.argmax()), int(one.scores.argmin())

    def lines(index):
        paths = ElementTree.fromstring(order_map(one, index).svg).iter(f"{SVG}path")
        upright = [path.get("d").split() for path in paths if " V " in path.get("d")]
        return [float(d[1]) for d in upright]  # the trained order's, this order's

    trained, high = lines(best)
    again, low = lines(worst)
    assert trained == again and low < high
    by_place = (trained - low) / (high - low)
    by_score = (one.baseline - one.scores[worst]) / (one.scores[best] - one.scores[worst])
    assert by_place == pytest.approx(by_score, abs=0.002)


def test_a_long_prompt_carries_no_numbers_in_its_strip():
    assert "0" not in texts(order_map(noisy_probe(length=40), 0))
