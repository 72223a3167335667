"""Encoding: where everything stands, and what is cut when a text is longer than the model.

The layouts are spelt out as strings of pieces, so that a reader can check them by eye; ids come
from calling the tokenizer on the words alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

import tiny
from labkit.core.encoding import ExampleEncoder, sentinel_id
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.sequences import Encoded
from labkit.core.tasks import Example
from labkit.core.templates import Template
from zoo import FAMILIES

FILM = Example("1", {"text": "a great film"}, 1)
READOUTS = {"bert": "mlm", "roberta": "mlm", "gpt2": "causal", "llama": "causal", "t5": "seq2seq"}


def encode(backbone, line, examples, length=0, bos="text", max_length=None) -> list[Encoded]:
    encoder = ExampleEncoder(
        backbone, Template(line), length, bos=bos, max_length=max_length or backbone.max_length
    )
    return encoder.encode(examples)


def spelt(backbone, ids) -> list[str]:
    """Pieces, with v0, v1, ... for the rows of the prompt."""
    tokens = backbone.tokenizer.convert_ids_to_tokens
    return [f"v{-1 - i}" if i < 0 else tokens(i) for i in ids]


def cut(backbone, text) -> list[int]:
    return backbone.tokenizer(text, add_special_tokens=False)["input_ids"]


LAYOUTS = [
    # (family, template, prompt rows, bos, pieces, index of the answer)
    ("bert", "{soft}{text} It was {mask}.", 2, "text",
     "v0 v1 [CLS] a great film it was [MASK] . [SEP]", 8),
    ("bert", "{soft}{text} It was {mask}.", 2, "first",
     "[CLS] v0 v1 a great film it was [MASK] . [SEP]", 8),
    ("bert", "{soft:1}{text}{soft:2} It was {mask}.", 3, "text",
     "v0 [CLS] a great film v1 v2 it was [MASK] . [SEP]", 9),
    ("bert", "It was {mask}. {soft}{text}", 1, "text",
     "[CLS] it was [MASK] . v0 a great film [SEP]", 3),
    ("roberta", "{soft}{text} It was {mask}.", 1, "text",
     "v0 <s> a Ġgreat Ġfilm ĠIt Ġwas <mask> . </s>", 7),
    ("gpt2", "{soft}{text} It was {mask}", 2, "text",
     "v0 v1 a Ġgreat Ġfilm ĠIt Ġwas", 6),
    ("gpt2", "{soft}{text} It was {mask}", 2, "first",
     "<|endoftext|> v0 v1 a Ġgreat Ġfilm ĠIt Ġwas", 7),
    ("gpt2", "{text} It was{soft}{mask}", 2, "text",
     "a Ġgreat Ġfilm ĠIt Ġwas v0 v1", 6),
    ("llama", "{soft}{text} It was {mask}", 2, "text",
     "v0 v1 <s> a Ġgreat Ġfilm ĠIt Ġwas", 7),
    ("llama", "{soft}{text} It was {mask}", 2, "first",
     "<s> v0 v1 a Ġgreat Ġfilm ĠIt Ġwas", 7),
    ("llama", "{soft:1}{text}{soft:1} It was {mask}", 2, "text",
     "v0 <s> a Ġgreat Ġfilm v1 ĠIt Ġwas", 7),
    ("llama", "a {soft:1}{text}{mask}", 1, "text",
     "<s> a Ġ v0 a Ġgreat Ġfilm", 6),
    ("t5", "{soft}{text} was {mask}", 1, "text",
     "v0 ▁a ▁great ▁film ▁was <extra_id_0> </s>", 5),
    ("t5", "{soft}{text}", 2, "text",
     "v0 v1 ▁a ▁great ▁film </s>", -1),
    ("bert-encoder", "{soft}{text}", 2, "text",
     "v0 v1 [CLS] a great film [SEP]", -1),
    ("bert-encoder", "{soft}{text}", 2, "first",
     "[CLS] v0 v1 a great film [SEP]", -1),
]  # fmt: skip


@pytest.mark.parametrize(("family", "line", "rows", "bos", "pieces", "answer"), LAYOUTS)
def test_layout(tiny_backbone, family, line, rows, bos, pieces, answer):
    backbone = tiny_backbone(family)
    (encoded,) = encode(backbone, line, [FILM], rows, bos)
    assert spelt(backbone, encoded.ids) == pieces.split()
    assert encoded.answer == answer
    assert not encoded.shortened


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "t5", "bert-encoder"])
def test_without_slots_the_ids_are_the_tokenizers_own(tiny_backbone, family):
    """A stretch is tokenised once, as a whole, because pieces depend on their neighbours."""
    backbone = tiny_backbone(family)
    mask = "" if backbone.readout in ("encoder", "seq2seq") else "{mask}"
    (encoded,) = encode(backbone, "Review: {text}.Not terrible" + mask, [FILM])
    own = backbone.tokenizer("Review: a great film.Not terrible")["input_ids"]
    if backbone.readout == "mlm":
        own = [*own[:-1], backbone.tokenizer.mask_token_id, own[-1]]
    assert list(encoded.ids) == own


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "t5"])
def test_no_lone_space_is_tokenised_before_the_mask(tiny_backbone, family):
    backbone = tiny_backbone(family)
    (with_space,) = encode(backbone, "{text} It was {mask}", [FILM])
    (without,) = encode(backbone, "{text} It was{mask}", [FILM])
    assert with_space == without


def test_the_mask_alone_after_a_space_leaves_no_words(tiny_backbone):
    backbone = tiny_backbone("gpt2")
    (encoded,) = encode(backbone, "{text}{soft} {mask}", [FILM], 1)
    assert spelt(backbone, encoded.ids) == ["a", "Ġgreat", "Ġfilm", "v0"]
    assert encoded.answer == 3


def test_literal_braces_are_words(tiny_backbone):
    backbone = tiny_backbone("gpt2")
    (encoded,) = encode(backbone, "{{{text}}}{mask}", [FILM])
    assert list(encoded.ids) == cut(backbone, "{a great film}")


def test_braces_in_an_example_are_not_slots(tiny_backbone):
    backbone = tiny_backbone("gpt2")
    (encoded,) = encode(backbone, "{text}{mask}", [Example("1", {"text": "{mask} {soft"}, 0)])
    assert list(encoded.ids) == cut(backbone, "{mask} {soft")


def test_several_fields_and_the_only_field_as_text(tiny_backbone):
    backbone = tiny_backbone("gpt2")
    pair = Example("1", {"premise": "a film", "hypothesis": "a story"}, 0)
    (encoded,) = encode(backbone, "{hypothesis}? {premise} {mask}", [pair])
    assert list(encoded.ids) == cut(backbone, "a story? a film")
    (encoded,) = encode(backbone, "{text} {mask}", [Example("1", {"sentence": "a film"}, 0)])
    assert list(encoded.ids) == cut(backbone, "a film")


# ---- texts longer than the model ----


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "t5", "bert-encoder"])
def test_shortening_cuts_the_text_at_its_end_and_nothing_else(tiny_backbone, family):
    backbone = tiny_backbone(family)
    lines = {
        "mlm": "{soft:2}good: {text}{soft:1} It was {mask}.",
        "causal": "{soft:2}good: {text}{soft:1} It was {mask}",
        "seq2seq": "{soft:2}good: {text}{soft:1} It was {mask}.",
        "encoder": "{soft:2}good: {text}{soft:1} It was.",
    }
    line = lines[backbone.readout]
    text = " ".join(f"a great{' very' * (i % 3)} film" for i in range(25))
    (long,) = encode(backbone, line, [Example("1", {"text": text}, 0)], 3)
    assert long.shortened
    assert backbone.max_length - 2 <= len(long.ids) <= backbone.max_length
    # undo it: some beginning of the text, laid out whole, gives exactly these ids
    beginnings = [Example("1", {"text": text[:end]}, 0) for end in range(1, len(text))]
    kept = [whole for whole in encode(backbone, line, beginnings, 3) if whole.ids == long.ids]
    assert kept and kept[0].answer == long.answer


def test_shortening_takes_from_the_longest_field(tiny_backbone):
    backbone = tiny_backbone("llama")
    pair = Example("1", {"a": "a great film " * 30, "b": "the plot is dull"}, 0)
    (encoded,) = encode(backbone, "{a} Question: {b} Answer: {mask}", [pair])
    text = backbone.tokenizer.decode(encoded.ids, skip_special_tokens=True)
    assert encoded.shortened and len(encoded.ids) <= 64
    assert text.startswith("a great film")
    assert text.endswith("Question: the plot is dull Answer:")


def test_two_long_fields_are_both_cut_but_stay(tiny_backbone):
    backbone = tiny_backbone("llama")
    pair = Example("1", {"a": "a great film " * 30, "b": "the plot is dull " * 30}, 0)
    (encoded,) = encode(backbone, "{a} Question: {b} Answer: {mask}", [pair])
    text = backbone.tokenizer.decode(encoded.ids, skip_special_tokens=True)
    first, second = text.removesuffix(" Answer:").split(" Question: ")
    assert len(encoded.ids) <= 64
    assert ("a great film " * 30).startswith(first) and len(cut(backbone, first)) > 15
    assert ("the plot is dull " * 30).startswith(second) and len(cut(backbone, second)) > 15


@pytest.mark.parametrize("most", [20, 33, 48, 64])
@pytest.mark.parametrize(
    ("family", "line", "times"),
    [
        ("gpt2", "{text} Again: {text} It was {mask}", 2),
        ("llama", "{soft:2}{text}, {text}{soft:1} and {text} {mask}", 3),
        ("bert", "{text} It was {mask}. {text}", 2),
        ("roberta", "{text}{text} It was {mask}.", 2),
        ("t5", "{text} Again: {text}", 2),
    ],
)
def test_a_text_that_stands_there_twice_is_cut_alike_and_by_what_is_too_much(
    tiny_backbone, family, line, times, most
):
    backbone, rows = tiny_backbone(family), line.count("soft:2") * 3
    for count in (6, 12, 40):
        text = " ".join(f"a great{' very' * (i % 3)} film" for i in range(count))
        example = Example("1", {"text": text}, 0)
        ends = [end for end in range(1, len(text) + 1) if text[end : end + 1] in (" ", "")]
        beginnings = [Example("1", {"text": text[:end]}, 0) for end in ends]
        whole = encode(backbone, line, beginnings, rows, max_length=10**4)
        (cut_to_fit,) = encode(backbone, line, [example], rows, max_length=most)
        fitting = [e.ids for e in whole if len(e.ids) <= most]
        # the longest that fits, or one word less where a space takes the room of the next
        assert cut_to_fit.ids in fitting[-2:]
        assert cut_to_fit.shortened == (len(fitting) < len(whole))


def test_a_text_that_fits_exactly_is_left_alone(tiny_backbone):
    backbone = tiny_backbone("gpt2")
    ids = cut(backbone, "a great film")
    (exact,) = encode(backbone, "{soft}{text}{mask}", [FILM], 3, max_length=3 + len(ids))
    assert not exact.shortened and list(exact.ids) == [-1, -2, -3, *ids]
    (cut_by_one,) = encode(backbone, "{soft}{text}{mask}", [FILM], 3, max_length=2 + len(ids))
    assert cut_by_one.shortened and list(cut_by_one.ids) == [-1, -2, -3, *ids[:-1]]


def test_each_example_is_encoded_as_if_alone(tiny_backbone):
    backbone = tiny_backbone("roberta")
    texts = ["a film", "a great film " * 40, "dull"]
    examples = [Example(str(i), {"text": text}, 0) for i, text in enumerate(texts)]
    line = "{soft:1}{text}{soft:1} It was {mask}."
    together = encode(backbone, line, examples, 2)
    assert together == [encode(backbone, line, [e], 2)[0] for e in examples]
    assert [e.shortened for e in together] == [False, True, False]


@pytest.mark.parametrize("family", ["gpt2", "bert", "t5"])
@pytest.mark.parametrize("text", ["a great film", "   a great film", "\U0001f600"])
@pytest.mark.parametrize("rows", [62, 64, 200])
def test_a_template_without_room_for_the_text_is_refused(tiny_backbone, family, text, rows):
    with pytest.raises(LabError, match="no room for 'text' in the 64 positions"):
        example = Example("1", {"text": text}, 0)
        encode(tiny_backbone(family), "{soft}{text} It was a film: {mask}", [example], rows)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("family", "line", "says"),
    [
        ("bert", "{text} It was good", "has no {mask}"),
        ("gpt2", "{text} It was {mask}.", "does not end in {mask}"),
        ("llama", "{mask} {text}", "does not end in {mask}"),
        ("llama", "{text}", "does not end in {mask}"),
        ("bert-encoder", "{text} It was {mask}", "no answer slot"),
    ],
)
def test_a_template_that_the_readout_cannot_take(tiny_backbone, family, line, says):
    with pytest.raises(LabError) as caught:
        encode(tiny_backbone(family), line, [FILM])
    assert says in str(caught.value) and repr(line) in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "line", "says"),
    [
        ({"text": ""}, "{text}{mask}", "'odd' has an empty text"),
        ({"text": " \n"}, "{text}{mask}", "'odd' has an empty text"),
        ({"a": "x", "b": ""}, "{a}{b}{mask}", "'odd' has an empty b"),
        ({"a": "x", "b": "y"}, "{text}{mask}", "has several texts"),
        ({"a": "x", "b": "y"}, "{a}{c}{mask}", "asks for the field 'c'; the task has a, b"),
    ],
)
def test_an_example_without_the_text(tiny_backbone, fields, line, says):
    with pytest.raises(LabError, match=says):
        encode(tiny_backbone("gpt2"), line, [Example("odd", fields, 0)])


def test_no_examples(tiny_backbone):
    with pytest.raises(LabError, match="no examples"):
        encode(tiny_backbone("gpt2"), "{text}{mask}", [])


def test_slots_that_do_not_add_up(tiny_backbone):
    with pytest.raises(LabError, match="slots for 3 virtual tokens, the prompt has 5"):
        encode(tiny_backbone("gpt2"), "{soft:1}{text}{soft:2}{mask}", [FILM], 5)


def test_a_tokenizer_without_the_special_token(tiny_folder):
    backbone = load_backbone(str(tiny_folder("gpt2")), device="cpu", dtype=torch.float32)
    backbone.tokenizer.bos_token = None
    with pytest.raises(LabError, match="has no BOS token"):
        encode(backbone, "{soft}{text}{mask}", [FILM], 1, bos="first")
    with pytest.raises(LabError, match="no sentinel"):
        sentinel_id(backbone)


# ---- pieces in the middle of a text ----


def _llama_2(folder: Path) -> Path:
    """Its tokenizer puts a mark in front of every text, and knows no words to split it by."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    marks = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(marks)
    words = [word for line in tiny.CORPUS for word in f" {line}".replace(" ", " ▁").split(" ")]
    special = ["<unk>", "<s>", "</s>"]
    tokenizer.train_from_iterator(words, trainers.BpeTrainer(special_tokens=special))
    tiny.wrap(tokenizer, "<s>", None)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=64,
    )
    tiny.build("llama", folder)
    model = transformers.LlamaForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(fast))
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_words_behind_virtual_tokens_are_cut_as_the_whole_text_cuts_them(tmp_path):
    backbone = load_backbone(str(_llama_2(tmp_path)), device="cpu", dtype=torch.float32)
    assert spelt(backbone, cut(backbone, " It was")) != spelt(backbone, cut(backbone, "It was"))
    text = Example("1", {"text": "a great film"}, 1)
    line = "{soft:1}{text}{soft:2} It was{soft:1} a film. It was {mask}"
    (encoded,) = encode(backbone, line, [text], 4)
    whole = cut(backbone, "a great film It was a film. It was")
    words = [i for i in encoded.ids if i >= 0]
    assert words == [backbone.tokenizer.bos_token_id, *whole]
    assert encoded.ids.index(-2) == len([-1, "<s>"]) + len(cut(backbone, "a great film"))
    (long,) = encode(backbone, line, [Example("1", {"text": "a great film " * 40}, 0)], 4)
    behind = encoded.ids.index(-2)
    assert long.shortened and long.ids[-len(encoded.ids[behind:]) :] == encoded.ids[behind:]


def test_a_mark_behind_virtual_tokens_is_not_swallowed(tiny_folder, tmp_path):
    """By a tokenizer that takes a run of marks for one word, which it does not know."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<unk>", "<s>", "</s>"]
    tokenizer.train_from_iterator(tiny.CORPUS, trainers.WordLevelTrainer(special_tokens=special))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    folder = shutil.copytree(tiny_folder("llama"), tmp_path / "words")
    fast.save_pretrained(folder)
    backbone = load_backbone(str(folder), device="cpu", dtype=torch.float32)
    (encoded,) = encode(backbone, "{text}{soft:1}. It was{soft:1}, very {mask}", [FILM], 2)
    expected = "a great film v0 . It was v1 , very"
    assert spelt(backbone, encoded.ids) == expected.split()


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "albert", "bert"])
def test_words_behind_the_mask_are_those_of_the_tokenizers_own_text(tmp_path, family):
    backbone = load_backbone(str(FAMILIES[family].build(tmp_path)), device="cpu")
    (encoded,) = encode(backbone, "{text} It was {mask}, very good.", [FILM])
    own = backbone.tokenizer(f"a great film It was{backbone.tokenizer.mask_token}, very good.")
    assert list(encoded.ids) == own["input_ids"]
