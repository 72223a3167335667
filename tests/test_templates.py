"""Templates and verbalizers: what a line means, what is refused, and what the refusal says."""

from __future__ import annotations

import pytest

from labkit.core.errors import LabError
from labkit.core.templates import Field, Mask, Soft, Template, Verbalizer, Words, escape


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("{text}", [Field("text")]),
        (
            "{soft}{text} It was {mask}",
            [Soft(None), Field("text"), Words(" It was "), Mask()],
        ),
        (
            "{soft:3}{text}{soft:12} It was {mask}.",
            [Soft(3), Field("text"), Soft(12), Words(" It was "), Mask(), Words(".")],
        ),
        (
            "{premise} Question: {hypothesis_2} Answer: {mask}",
            [
                Field("premise"),
                Words(" Question: "),
                Field("hypothesis_2"),
                Words(" Answer: "),
                Mask(),
            ],
        ),
        ("{text}\n{{soft}}", [Field("text"), Words("\n{soft}")]),
        ("{{{text}}}", [Words("{"), Field("text"), Words("}")]),
        ("a {{}} b{text}", [Words("a {} b"), Field("text")]),
    ],
)
def test_parts(line, parts):
    assert list(Template(line).parts) == parts


@pytest.mark.parametrize("words", ["", "plain", "{", "}}", "{text}", "{{soft:3}}", "a {mask} b {"])
def test_escaped_words_stay_words(words):
    parts = Template(escape(words) + "{text}").parts
    assert parts == ((Words(words),) if words else ()) + (Field("text"),)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("It was {mask}", "no text field"),
        ("", "no text field"),
        ("{text", "'{' without its partner"),
        ("text}", "'}' without its partner"),
        ("{text} {a {mask}", "without its partner"),
        ("{text} {mask} or {mask}", "two {mask} slots"),
        ("{soft}{text}{soft}", "{soft} beside other soft slots"),
        ("{soft}{text}{soft:2}", "{soft} beside other soft slots"),
        ("{soft:0}{text}", "{soft:0}"),
        ("{soft:-1}{text}", "unknown slot {soft:-1}"),
        ("{soft:x}{text}", "unknown slot {soft:x}"),
        ("{}{text}", "unknown slot {}"),
        ("{two words}{text}", "unknown slot {two words}"),
        ("{1st}{text}", "unknown slot {1st}"),
    ],
)
def test_a_wrong_line_is_refused_with_the_template_and_the_fault_in_one_line(line, says):
    with pytest.raises(LabError) as caught:
        Template(line)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert repr(line) in message


@pytest.mark.parametrize(
    ("line", "length", "counts"),
    [
        ("{soft}{text}", 20, [20]),
        ("{soft:3}{text}{soft:4} x {soft:1}", 8, [3, 4, 1]),
        ("{text}", 0, []),
    ],
)
def test_soft_counts_add_up_to_the_prompt(line, length, counts):
    assert Template(line).soft_counts(length) == counts


@pytest.mark.parametrize("length", [6, 8, 0])
def test_soft_counts_refuse_a_prompt_of_another_length(length):
    with pytest.raises(LabError, match=f"slots for 7 virtual tokens, the prompt has {length}"):
        Template("{soft:3}{text}{soft:4}").soft_counts(length)


@pytest.mark.parametrize(
    ("line", "leads"),
    [
        ("{soft}{text}", True),
        ("{soft:4}{text}", True),
        ("{text}{soft}", False),
        ("Review: {soft}{text}", False),
        ("{soft:2}{text}{soft:2}", False),
        ("{text}", False),
    ],
)
def test_one_leading_block(line, leads):
    assert Template(line).leads_with_soft is leads


@pytest.mark.parametrize(
    ("line", "follows"),
    [
        ("{text} It was {mask}", True),
        ("{text} {mask}.", True),
        ("{text}\n{mask}", False),
        ("{text}{mask}", False),
        ("{text} {soft}{mask}", False),
        ("{text} ", False),
    ],
)
def test_space_before_the_mask(line, follows):
    assert Template(line).mask_follows_space is follows


def test_soft_slots_come_and_go():
    hard = Template("{{a}} {text} It was {mask}")
    soft = hard.with_soft()
    assert soft == Template("{soft}{{a}} {text} It was {mask}")
    assert soft.has_soft and not hard.has_soft
    assert soft.with_soft("{soft:3}") is soft  # virtual tokens that are there already stay
    assert hard.with_soft("{soft:3}").soft_counts(3) == [3]
    assert soft.without_soft() == hard
    assert Template("{soft:1}{text}{soft:2} x").without_soft() == Template("{text} x")


def test_equal_templates_are_one_key():
    assert {Template("{text} a"), Template("{text} a")} == {Template("{text} a")}
    assert Template("{text}") != Template("{text} ")
    assert Template("{text}") != "{text}"


def test_verbalizer_takes_one_word_or_several():
    verbalizer = Verbalizer({"negative": "terrible", "positive": ["great", "good"]})
    assert verbalizer.words == {"negative": ("terrible",), "positive": ("great", "good")}
    assert verbalizer.labels == ("negative", "positive")


def test_spaces_around_label_words_and_repeated_words_are_taken_off():
    plain = Verbalizer({"negative": "terrible", "positive": ("great", "very good")})
    spaced = Verbalizer(
        {"negative": " terrible", "positive": ["great ", "\tvery good", "great", "very good\n"]}
    )
    assert spaced == plain and spaced.words["positive"] == ("great", "very good")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({}, "at least two classes"),
        ({"positive": "great"}, "at least two classes"),
        ({"negative": "", "positive": "great"}, "'negative' has an empty label word"),
        ({"negative": " ", "positive": "great"}, "'negative' has an empty label word"),
        ({"negative": "bad", "positive": []}, "'positive' has an empty label word"),
        ({"negative": ["bad", ""], "positive": "great"}, "'negative' has an empty label word"),
        ({"negative": "so", "positive": ["great", "so"]}, "'so' stands for both"),
        ({"negative": "so", "positive": ["great", " so"]}, "'so' stands for both"),
    ],
)
def test_wrong_label_words_are_refused(words, says):
    with pytest.raises(LabError, match=says) as caught:
        Verbalizer(words)
    assert "\n" not in str(caught.value)


def test_reordering_moves_the_words_with_their_classes():
    verbalizer = Verbalizer({"a": "x", "b": ("y", "z")})
    swapped = verbalizer.reordered(["b", "a"])
    assert list(swapped.words.items()) == [("b", ("y", "z")), ("a", ("x",))]
    assert swapped != verbalizer  # the order of the score columns is part of it
    assert swapped.reordered(["a", "b"]) == verbalizer


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "c"], ["a", "c"]])
def test_reordering_refuses_other_classes(labels):
    with pytest.raises(LabError, match="name exactly these"):
        Verbalizer({"a": "x", "b": "y"}).reordered(labels)
