"""Soft prompts: initialisations, neighbours, the ledger, and files that PEFT reads and writes."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import peft
import pytest
import safetensors.torch
import torch
import transformers
from scipy.spatial.distance import cdist
from torch.nn import functional as F

import plain
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Example
from labkit.core.templates import Verbalizer
from labkit.core.tuning import fit
from labkit.soft_prompt import (
    CARD,
    CONFIG,
    WEIGHTS,
    SoftPrompt,
    common_entries,
    initialise,
    ledger,
    load_for,
    load_prompt,
    nearest_tokens,
    neighbour_counts,
    random_vectors,
    save_prompt,
)
from labkit.soft_prompt.vocabulary import Neighbours
from tiny import FAMILIES

# PEFT's own
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

WORDS = Verbalizer({"negative": "terrible", "positive": ("great", "marvellous")})
SOFT = "{soft}{text} It was {mask}"


def table(backbone) -> torch.Tensor:
    return backbone.model.get_input_embeddings().weight


def rows_of(backbone, prompt) -> list[int]:
    """The vocabulary entry that each virtual token is, exactly."""
    matches = (prompt()[:, None] == table(backbone)[None]).all(-1)  # (P, V)
    assert (matches.sum(-1) == 1).all()
    return matches.int().argmax(-1).tolist()


def cut(backbone, text) -> list[int]:
    return backbone.tokenizer(text, add_special_tokens=False)["input_ids"]


# ---- initialisations ----


@pytest.mark.parametrize("bound", [0.5, 0.05])
def test_uniform_fills_its_bounds_evenly(tiny_backbone, bound):
    prompt = SoftPrompt.from_uniform(tiny_backbone("gpt2"), 200, seed=3, bound=bound)
    values = prompt().detach().flatten()
    assert prompt().shape == (200, 32)
    assert -bound <= values.min() < -0.99 * bound and 0.99 * bound < values.max() <= bound
    counts = torch.histc(values, bins=4, min=-bound, max=bound) / len(values)
    assert (counts - 0.25).abs().max() < 0.02


@pytest.mark.parametrize("family", FAMILIES)
def test_sampled_rows_are_different_common_entries(tiny_backbone, family):
    backbone = tiny_backbone(family)
    common = common_entries(backbone, 15)
    assert len(set(common)) == 15
    rows = rows_of(backbone, SoftPrompt.from_vocab(backbone, 10, seed=0, common=15))
    assert len(set(rows)) == 10 and set(rows) <= set(common)
    everything = rows_of(backbone, SoftPrompt.from_vocab(backbone, 15, seed=1, common=15))
    assert sorted(everything) == sorted(common)


@pytest.mark.parametrize("family", FAMILIES)
def test_common_entries_are_the_first_words_of_the_vocabulary(tiny_backbone, family):
    backbone = tiny_backbone(family)
    tokenizer = backbone.tokenizer
    found = common_entries(backbone, 20)
    assert found == sorted(found)
    for index in range(found[-1] + 1):
        token = tokenizer.convert_ids_to_tokens(index)
        is_word = re.fullmatch(r"(##|Ġ|▁)?[A-Za-z]{2,}", token) is not None
        assert (index in found) == (is_word and index not in tokenizer.all_special_ids), token


def vocabulary_of(*entries: str) -> SimpleNamespace:
    """As much of a backbone as its vocabulary is."""
    tokenizer = SimpleNamespace(
        all_special_ids=[0],
        convert_ids_to_tokens=lambda ids: [entries[index] for index in ids],
    )
    return SimpleNamespace(tokenizer=tokenizer, known_ids=lambda: list(range(len(entries))))


def test_single_characters_are_words_only_where_the_vocabulary_is_made_of_them():
    english = vocabulary_of("[PAD]", "a", "中", "国", "the", "##ing", "film")
    assert common_entries(english) == [4, 5, 6]  # as BERT's: its characters come before its words
    chinese = vocabulary_of("[PAD]", "a", "中", "##国", "好", "film")
    assert common_entries(chinese) == [2, 3, 4, 5]
    assert common_entries(chinese, 2) == [2, 3]
    assert common_entries(vocabulary_of("[PAD]", "a", "film", "b"), at_least=3) == [2, 1, 3]


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_come_first_as_the_mean_of_their_pieces(tiny_backbone, family):
    backbone = tiny_backbone(family)
    prompt = SoftPrompt.from_labels(backbone, 6, WORDS, seed=4)()
    for row, word in enumerate(["terrible", "great", "marvellous"]):
        mean = sum(table(backbone)[piece] for piece in cut(backbone, f" {word}"))
        mean = mean / len(cut(backbone, f" {word}"))
        torch.testing.assert_close(prompt[row], mean)
    sampled = SoftPrompt.from_vocab(backbone, 6, seed=4)()
    assert torch.equal(prompt[3:], sampled[3:])  # the paper's fallback for the rest
    short = SoftPrompt.from_labels(backbone, 2, WORDS)()
    assert torch.equal(short, prompt[:2])


def test_a_text_is_repeated_or_cut(tiny_backbone):
    backbone = tiny_backbone("gpt2")
    ids = cut(backbone, "a great film")
    assert rows_of(backbone, SoftPrompt.from_text(backbone, "a great film")) == ids
    longer = SoftPrompt.from_text(backbone, "a great film", len(ids) + 2)
    assert rows_of(backbone, longer) == ids + ids[:2]
    assert rows_of(backbone, SoftPrompt.from_text(backbone, "a great film", 2)) == ids[:2]


def test_initialisations_by_name(tiny_backbone):
    backbone = tiny_backbone("llama")
    by_name = {
        "uniform": SoftPrompt.from_uniform(backbone, 5, 7),
        "vocab": SoftPrompt.from_vocab(backbone, 5, 7),
        "labels": SoftPrompt.from_labels(backbone, 5, WORDS, 7),
        "text:a great film": SoftPrompt.from_text(backbone, "a great film", 5),
    }
    for how, expected in by_name.items():
        assert torch.equal(initialise(how, backbone, 5, WORDS, 7)(), expected())
    for how in ("uniform", "vocab", "labels"):
        other = initialise(how, backbone, 5, WORDS, 8)
        assert not torch.equal(other(), by_name[how]())  # the seed matters
    with pytest.raises(LabError, match="choose one of uniform, vocab, labels or text"):
        initialise("zeros", backbone, 5, WORDS)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda b: SoftPrompt.from_uniform(b, 0), "length=0"),
        (lambda b: SoftPrompt.from_vocab(b, -1), "length=-1"),
        (lambda b: SoftPrompt.from_labels(b, 0, WORDS), "length=0"),
        (lambda b: SoftPrompt.from_text(b, "a film", 0), "length=0"),
        (lambda b: SoftPrompt.from_text(b, ""), "has no pieces"),
        (lambda b: SoftPrompt.from_vocab(b, 6, common=5), "more than the 5 entries"),
        (lambda b: SoftPrompt(torch.zeros(3)), "matrix of at least one virtual token"),
        (lambda b: SoftPrompt(torch.zeros(0, 3)), "matrix of at least one virtual token"),
    ],
)
def test_a_prompt_that_cannot_be(tiny_backbone, make, says):
    with pytest.raises(LabError, match=says):
        make(tiny_backbone("gpt2"))


def test_a_prompt_is_its_own_fp32_copy(tiny_folder):
    backbone = load_backbone(str(tiny_folder("llama")), device="cpu", dtype=torch.bfloat16)
    before = table(backbone).clone()
    prompt = SoftPrompt.from_vocab(backbone, 4)
    with torch.no_grad():
        prompt.weight.add_(1)
    assert prompt().dtype == torch.float32 and prompt.weight.requires_grad
    assert torch.equal(table(backbone), before)
    copy = SoftPrompt.from_prompt(prompt)
    with torch.no_grad():
        copy.weight.add_(1)
    assert torch.equal(copy(), prompt() + 1) and len(copy) == 4


# ---- the vocabulary's side ----


@pytest.mark.parametrize("family", FAMILIES)
def test_nearest_tokens_against_brute_force(tiny_backbone, family):
    backbone = tiny_backbone(family)
    vectors = torch.randn(6, 32, generator=torch.Generator().manual_seed(0))
    found = nearest_tokens(backbone, vectors, k=4)
    cosines = 1 - cdist(vectors.numpy(), table(backbone).numpy(), "cosine")
    order = np.argsort(-cosines, axis=1)[:, :4]
    assert found.tokens == [[backbone.tokenizer.decode([i]) for i in row] for row in order]
    np.testing.assert_allclose(found.cosines, np.take_along_axis(cosines, order, axis=1), atol=1e-5)


def test_an_entry_is_its_own_nearest_whatever_its_length(tiny_backbone):
    backbone = tiny_backbone("gpt2")
    prompt = SoftPrompt.from_text(backbone, " great film")
    found = nearest_tokens(backbone, prompt() * 7, k=1)
    assert found.tokens == [[" great"], [" film"]]
    assert found.cosines.flatten().tolist() == pytest.approx([1, 1])
    for k in (0, 10**6):
        with pytest.raises(LabError, match=f"k={k}"):
            nearest_tokens(backbone, prompt(), k=k)


def test_neighbours_are_counted():
    near = [
        [" Great", " film"],  # a label word, and the same nearest token as the third
        [" film", " the"],  # as the last
        ["great", " great"],  # a label word, twice
        [" plot", " marvellous"],  # a label word, but not the nearest
        [" dull", " film"],
        ["FILM", " cast"],
    ]
    assert neighbour_counts(Neighbours(near, torch.zeros(6, 2)), WORDS) == {
        "virtual tokens": 6,
        "near a label word": 3,
        "sharing their nearest token": 4,
    }


def test_random_vectors_have_the_tables_mean_and_spread(tiny_backbone):
    backbone = tiny_backbone("gpt2")
    draw = random_vectors(backbone, 20_000, seed=1)
    entries = table(backbone)
    torch.testing.assert_close(draw.mean(0), entries.mean(0), rtol=0, atol=0.02)
    torch.testing.assert_close(draw.std(0), entries.std(0), rtol=0.05, atol=0)
    assert not torch.equal(random_vectors(backbone, 3, 0), random_vectors(backbone, 3, 1))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_ledger_counts_what_is_trained(tiny_backbone, tiny_folder, tiny_task, family):
    total = plain.load(family, tiny_folder(family)).num_parameters()
    model = PromptedModel.for_task(tiny_backbone(family), tiny_task)
    counts = ledger(model, SoftPrompt(torch.zeros(5, 32)))
    assert counts == {"prompt": (160, 160), "head": (0, 0), "backbone": (0, total)}
    trainable = load_backbone(str(tiny_folder(family)), trainable=True, device="cpu")
    counts = ledger(PromptedModel.for_task(trainable, tiny_task, soft=False), None)
    assert counts == {"prompt": (0, 0), "head": (0, 0), "backbone": (total, total)}


# ---- files ----


@pytest.fixture
def made(tiny_backbone, tiny_task, tmp_path):
    """A saved prompt: (folder, prompt, model)."""
    backbone = tiny_backbone("llama")
    model, prompt = PromptedModel.for_task(backbone, tiny_task), random_prompt(backbone)
    save_prompt(tmp_path / "prompt", prompt, model)
    return tmp_path / "prompt", prompt, model


def random_prompt(backbone, length=4, seed=2) -> SoftPrompt:
    return SoftPrompt.from_uniform(backbone, length, seed)


def contents(folder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_is_saved_comes_back_exactly(tiny_backbone, tiny_task, tmp_path):
    backbone = tiny_backbone("llama")
    model = PromptedModel(backbone, "{soft:1}{text}{soft:2} It was {mask}", WORDS, bos="first")
    prompt = random_prompt(backbone, 3)
    save_prompt(
        tmp_path / "a" / "b", prompt, model, command="labkit tune", seed=3, scores={"test": 0.5}
    )
    again, card = load_prompt(tmp_path / "a" / "b")
    assert torch.equal(again(), prompt()) and again.weight.requires_grad
    assert (card.backbone, card.revision) == (backbone.name, backbone.revision)
    assert (card.command, card.seed, card.scores) == ("labkit tune", 3, {"test": 0.5})
    rebuilt = card.model(backbone)
    assert rebuilt.template == model.template and rebuilt.bos == "first"
    assert rebuilt.verbalizer == WORDS
    examples = tiny_task.split("test")
    assert torch.equal(rebuilt.scores(again, examples), model.scores(prompt, examples))


def test_a_prompt_for_fewer_positions_keeps_their_number(tiny_backbone, tiny_task, tmp_path):
    backbone = tiny_backbone("gpt2")
    model, prompt = PromptedModel.for_task(backbone, tiny_task), random_prompt(backbone)
    short = model.with_changes(max_length=24)
    long = [Example("1", {"text": "a great film and a slow cast and " * 4}, 1)]
    for each in (model, short):
        save_prompt(tmp_path / str(each.max_length), prompt, each)
        again, card = load_for(backbone, tmp_path / str(each.max_length))
        rebuilt = card.model(backbone)
        assert rebuilt.layout() == each.layout()
        assert torch.equal(rebuilt.scores(again, long), each.scores(prompt, long))
    assert not torch.equal(model.scores(prompt, long), short.scores(prompt, long))
    cards = [json.loads((tmp_path / n / CARD).read_text(encoding="utf-8")) for n in ("64", "24")]
    assert "max_length" not in cards[0] and cards[1]["max_length"] == 24


def test_a_later_save_replaces_the_earlier_one_as_a_whole(made):
    folder, prompt, model = made
    (folder / "left over").write_text("from before")
    with torch.no_grad():
        prompt.weight.add_(1)
    save_prompt(folder, prompt, model)
    assert set(contents(folder)) == {WEIGHTS, CONFIG, CARD}
    assert torch.equal(load_prompt(folder)[0](), prompt())
    assert [path.name for path in folder.parent.iterdir()] == ["prompt"]


@pytest.mark.parametrize("where", ["weights", "card", "moving"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_earlier_prompt_intact(monkeypatch, made, where, error):
    folder, prompt, model = made
    before = contents(folder)

    def fail(*_, **__):
        raise error

    if where == "weights":
        monkeypatch.setattr(safetensors.torch, "save_file", fail)
    elif where == "card":
        monkeypatch.setattr(Path, "write_text", fail)
    else:
        real = os.replace

        def fail_into_place(source, target):
            if target == folder and not str(source).endswith("-old"):
                raise error
            real(source, target)

        monkeypatch.setattr(os, "replace", fail_into_place)
    expected = LabError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        save_prompt(folder, prompt, model)
    monkeypatch.undo()
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["prompt"]


def test_a_place_that_cannot_be_written_is_named(made, tmp_path):
    _, prompt, model = made
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LabError, match="cannot be written"):
        save_prompt(tmp_path / "file" / "prompt", prompt, model)


def test_a_prompt_with_nan_is_not_saved(made):
    folder, prompt, model = made
    before = contents(folder)
    with torch.no_grad():
        prompt.weight[0, 0] = torch.nan
    with pytest.raises(LabError, match="NaN"):
        save_prompt(folder, prompt, model)
    assert contents(folder) == before


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, CARD])
@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "another"])
def test_a_damaged_file_is_refused_in_one_line(made, name, damage):
    folder, _, _ = made
    file = folder / name
    whole = file.read_bytes()
    another = safetensors.torch.save({"prompt_embeddings": torch.zeros(2, 32)})
    file.write_bytes(
        {
            "empty": b"",
            "cut": whole[: len(whole) // 2],
            "garbage": b"\xff\xfe not this",
            "another": another if name == WEIGHTS else b'{"peft_type": "PROMPT_TUNING"}',
        }[damage]
    )
    with pytest.raises(LabError, match="is damaged") as caught:
        load_prompt(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "entry", "value"),
    [
        *((CONFIG, "num_virtual_tokens", value) for value in ("4", None, 4.0, True, 0, -1, [4])),
        *((CARD, "template", value) for value in (5, None, ["{text}"])),
        *((CARD, "verbalizer", value) for value in ("great", None, ["a"], {"a": "great"})),
        (CARD, "verbalizer", {"negative": [1], "positive": ["great"]}),
        (CARD, "backbone", 3),
        (CARD, "bos", None),
        (CARD, "seed", "three"),
        (CARD, "max_length", "24"),
        # of the right kind, and nothing that labkit writes
        (CARD, "template", "{soft}{text"),
        (CARD, "verbalizer", {"negative": ["poor"], "positive": ["poor"]}),
        (CARD, "bos", "middle"),
        (CARD, "sentinel", 9),
        *((CARD, "positions", value) for value in (7, "sideways")),
        (CARD, "side", "left"),
        *((CARD, "max_length", value) for value in (0, -5)),
        (CARD, "colour", "red"),
    ],
)
def test_an_entry_of_another_kind_is_damage(made, name, entry, value):
    folder, _, _ = made
    said = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps(said | {entry: value}), encoding="utf-8")
    with pytest.raises(LabError, match=f"is damaged .*{name}.*; save it again") as caught:
        load_prompt(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


@pytest.mark.parametrize("said", ["[]", "null", "3", '"card"', "{}", "[" * 10**5])
def test_a_card_that_is_no_card_is_damage(made, said):
    folder, _, _ = made
    (folder / CARD).write_text(said, encoding="utf-8")
    with pytest.raises(LabError, match="is damaged") as caught:
        load_prompt(folder)
    text = str(caught.value)
    assert str(folder) in text and "attribute" not in text and "__init__" not in text


def test_a_card_that_can_not_be_read_is_not_taken_for_none(made):
    folder, _, _ = made
    (folder / CARD).unlink()
    assert load_prompt(folder)[1] is None
    (folder / CARD).symlink_to(CARD)
    with pytest.raises(LabError, match="is damaged"):
        load_prompt(folder)


def test_files_that_an_editor_began_with_a_byte_order_mark_open(made):
    folder, _, _ = made
    before = load_prompt(folder)[1]
    for name in (CARD, CONFIG):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text, encoding="utf-8-sig")
    assert load_prompt(folder)[1] == before


VECTORS = {
    "whole numbers": lambda rows: rows.long(),
    "truth values": lambda rows: rows > 0,
    "one row": lambda rows: rows.flatten(),
    "a batch of prompts": lambda rows: rows[None],
    "a row too few": lambda rows: rows[:-1].contiguous(),
    "rows too many": lambda rows: torch.cat([rows, rows[:1]]),
    "another prompt behind it": lambda rows: torch.cat([rows, rows]),
    "not a number": lambda rows: rows * float("nan"),
    "infinite": lambda rows: rows.clone().index_fill(0, torch.tensor([0]), float("inf")),
}


@pytest.mark.parametrize("case", VECTORS)
def test_vectors_that_are_no_prompt_are_damage(made, case):
    folder, _, _ = made
    rows = safetensors.torch.load_file(folder / WEIGHTS)["prompt_embeddings"]
    other = VECTORS[case](rows)
    safetensors.torch.save_file({"prompt_embeddings": other}, folder / WEIGHTS)
    with pytest.raises(LabError, match="is damaged") as caught:
        load_prompt(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("said", ['"peft_type"', '["peft_type"]', "5", "null"])
def test_a_configuration_that_is_no_object_is_damage(made, said):
    folder, _, _ = made
    (folder / CONFIG).write_text(said, encoding="utf-8")
    with pytest.raises(LabError, match="is damaged"):
        load_prompt(folder)


@pytest.mark.parametrize("missing", [WEIGHTS, CONFIG])
def test_a_folder_without_a_prompt(made, missing):
    folder, _, _ = made
    (folder / missing).unlink()
    with pytest.raises(LabError, match="holds no saved prompt"):
        load_prompt(folder)
    shutil.rmtree(folder)
    with pytest.raises(LabError, match="holds no saved prompt"):
        load_prompt(folder)


def test_another_backbones_prompt_is_refused(made, tiny_backbone):
    folder, _, model = made
    assert load_for(model.backbone, folder)[1].backbone == model.backbone.name
    with pytest.raises(LabError, match=f"was made for {model.backbone.name}, not for"):
        load_for(tiny_backbone("gpt2"), folder)


@pytest.fixture
def two_checkpoints(tiny_folder, tmp_path):
    """Two models of one width, in folders of one name."""
    folders = [
        shutil.copytree(tiny_folder(family), tmp_path / owner / "checkpoint-500")
        for owner, family in (("a", "llama"), ("b", "gpt2"))
    ]
    return [load_backbone(str(f), device="cpu", dtype=torch.float32) for f in folders]


def test_models_in_folders_of_one_name_do_not_exchange_prompts(two_checkpoints, tmp_path):
    mine, other = two_checkpoints
    save_prompt(tmp_path / "p", random_prompt(mine), PromptedModel(mine, SOFT, WORDS))
    assert load_for(mine, tmp_path / "p")[1].revision == mine.revision
    with pytest.raises(LabError, match=r"made for checkpoint-500 .* not for checkpoint-500"):
        load_for(other, tmp_path / "p")
    with pytest.raises(LabError, match="name that folder"):
        load_prompt(tmp_path / "p")[1].load_backbone()


def test_a_model_that_was_moved_keeps_its_prompts(two_checkpoints, tmp_path):
    mine, _ = two_checkpoints
    save_prompt(tmp_path / "p", random_prompt(mine), PromptedModel(mine, SOFT, WORDS))
    moved = (tmp_path / "a" / "checkpoint-500").rename(tmp_path / "final")
    backbone = load_backbone(str(moved), device="cpu", dtype=torch.float32)
    assert torch.equal(load_for(backbone, tmp_path / "p")[0](), random_prompt(mine)())


def test_a_prompt_of_a_tuned_model_is_not_used_with_the_hubs_of_that_name(
    two_checkpoints, tmp_path
):
    mine, _ = two_checkpoints
    save_prompt(tmp_path / "p", random_prompt(mine), PromptedModel(mine, SOFT, WORDS))
    published = copy.copy(mine)
    published.revision = "0" * 40  # a commit
    with pytest.raises(LabError, match=f"made for checkpoint-500 .{mine.revision}"):
        load_for(published, tmp_path / "p")


def test_a_card_from_before_fingerprints_says_how_to_go_on(two_checkpoints, tmp_path):
    mine, _ = two_checkpoints
    save_prompt(tmp_path / "p", random_prompt(mine), PromptedModel(mine, SOFT, WORDS))
    card = json.loads((tmp_path / "p" / CARD).read_text("utf-8"))
    (tmp_path / "p" / CARD).write_text(json.dumps(card | {"revision": ""}))
    with pytest.raises(LabError, match=f'write "revision": "{mine.revision}"'):
        load_for(mine, tmp_path / "p")


def test_words_of_a_model_that_scales_its_embeddings(tiny_backbone):
    """Gemma's module multiplies the table's rows by √D: prompts start from what the model reads."""
    backbone = copy.deepcopy(tiny_backbone("llama"))
    entries = backbone.model.get_input_embeddings()
    entries.register_forward_hook(lambda _module, _inputs, output: output * 7)
    ids = backbone.tokenizer(" great film", add_special_tokens=False)["input_ids"]
    expected = 7 * entries.weight[ids]
    assert torch.equal(SoftPrompt.from_text(backbone, " great film")(), expected)
    assert nearest_tokens(backbone, expected, k=1).tokens == [
        [backbone.tokenizer.decode([i])] for i in ids
    ]
    drawn = SoftPrompt.from_vocab(backbone, 4, seed=3)()
    assert torch.equal(drawn, 7 * SoftPrompt.from_vocab(tiny_backbone("llama"), 4, seed=3)())


class Sampling(SoftPrompt):
    """A prompt that adds noise while it is trained, as a sorter that samples orders does."""

    def forward(self):
        return self.weight + torch.randn_like(self.weight) if self.training else self.weight


def test_a_sampling_prompt_is_saved_as_it_is_scored(tiny_backbone, tmp_path):
    backbone = tiny_backbone("llama")
    prompt = Sampling(random_prompt(backbone).weight)
    save_prompt(tmp_path / "p", prompt, PromptedModel(backbone, SOFT, WORDS))
    assert torch.equal(load_prompt(tmp_path / "p")[0](), prompt.weight) and prompt.training


# ---- exchange with PEFT ----

EXCHANGED = ("gpt2", "llama", "t5", "bert-encoder", "bert", "roberta")
TASK_TYPES = {"gpt2": "CAUSAL_LM", "llama": "CAUSAL_LM", "t5": "SEQ_2_SEQ_LM"}
PLAIN_WORDS = ("terrible", "great", "marvellous")


def peft_scores(family, model, tokenizer, texts, length) -> torch.Tensor:
    """Label scores by PEFT's own forward pass on token ids, one text at a time: (N, W)."""

    def cut(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    def forward(ids, **more):
        ids = torch.tensor([ids])
        return model(input_ids=ids, attention_mask=torch.ones_like(ids), **more)

    def one(text, word):
        if family in TASK_TYPES and family != "t5":
            ids, total = tokenizer(f"{text} It was")["input_ids"], 0.0
            for piece in cut(f" {word}"):
                total += forward(ids).logits[0, -1].log_softmax(-1)[piece]
                ids.append(piece)
            return total
        if family == "t5":
            target = torch.tensor([[*cut(word), tokenizer.eos_token_id]])
            logits = forward(tokenizer(text)["input_ids"], labels=target).logits
            return -F.cross_entropy(logits[0], target[0], reduction="sum")
        if family == "bert-encoder":
            hidden = forward(tokenizer(text)["input_ids"]).last_hidden_state[0, length:]
            label = model.get_base_model()(**tokenizer(word, return_tensors="pt"))
            label = label.last_hidden_state[0].mean(0)
            return 20 * F.cosine_similarity(hidden.mean(0), label, dim=0)
        ids = tokenizer(f"{text} It was{tokenizer.mask_token}.")["input_ids"]
        logits = forward(ids).logits[0, length + ids.index(tokenizer.mask_token_id)]
        return logits[cut(f" {word}")].mean()

    with torch.no_grad():
        return torch.stack([torch.stack([one(t, w) for w in PLAIN_WORDS]) for t in texts])


def exchanged(backbone, family) -> PromptedModel:
    template = "{soft}" + plain.TEMPLATES[family]
    return PromptedModel(backbone, template, Verbalizer({w: w for w in PLAIN_WORDS}))


@pytest.mark.parametrize("family", EXCHANGED)
def test_peft_opens_what_is_saved_here_and_scores_the_same(
    tiny_backbone, tiny_folder, tiny_task, tmp_path, family
):
    backbone = tiny_backbone(family)
    model, prompt = exchanged(backbone, family), random_prompt(backbone)
    assert save_prompt(tmp_path / "prompt", prompt, model) == []
    theirs = peft.PeftModel.from_pretrained(
        plain.load(family, tiny_folder(family)), str(tmp_path / "prompt")
    ).eval()
    assert theirs.peft_config["default"].num_virtual_tokens == 4
    texts = [example.text for example in tiny_task.split("test")]
    ours = model.scores(prompt, tiny_task.split("test"))
    scores = peft_scores(family, theirs, backbone.tokenizer, texts, 4)
    torch.testing.assert_close(ours, scores, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "submodules"), [(f, 1) for f in EXCHANGED] + [("t5", None), ("t5", 2)]
)
def test_what_peft_trained_opens_here_and_scores_the_same(
    tiny_backbone, tiny_folder, tiny_task, tmp_path, family, submodules
):
    """PEFT's default gives T5 a second block of rows, for a decoder that never sees it."""
    config = peft.PromptTuningConfig(
        task_type=TASK_TYPES.get(family, "FEATURE_EXTRACTION"),
        num_virtual_tokens=4,
        num_transformer_submodules=submodules,
        num_attention_heads=4,  # T5's encoder alone does not say
        num_layers=2,
        token_dim=32,
    )
    torch.manual_seed(0)
    theirs = peft.get_peft_model(plain.load(family, tiny_folder(family)), config).eval()
    embedding = theirs.prompt_encoder["default"].embedding
    assert len(embedding.weight) == (8 if family == "t5" and submodules != 1 else 4)
    backbone = tiny_backbone(family)
    ids = backbone.tokenizer("a great film", return_tensors="pt")["input_ids"]
    labels = {"labels": ids} if family == "t5" else {}
    optimizer = torch.optim.Adam(embedding.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        output = theirs(input_ids=ids, attention_mask=torch.ones_like(ids), **labels)
        output[0].square().mean().backward()
        optimizer.step()
    theirs.save_pretrained(str(tmp_path / "theirs"))
    prompt, card = load_prompt(tmp_path / "theirs")
    assert card is None and len(prompt) == 4
    assert torch.equal(prompt(), embedding.weight[:4])
    texts = [example.text for example in tiny_task.split("test")]
    ours = exchanged(backbone, family).scores(prompt, tiny_task.split("test"))
    scores = peft_scores(family, theirs, backbone.tokenizer, texts, 4)
    torch.testing.assert_close(ours, scores, rtol=1e-6, atol=1e-5)
    # and on it goes: trained further here
    fit(PromptedModel.for_task(backbone, tiny_task), prompt, tiny_task, steps=1)


@pytest.mark.parametrize(
    ("template", "bos", "warns"),
    [
        ("{soft}{text} It was {mask}", "text", False),
        ("{soft:4}{text} It was {mask}", "text", False),
        ("{soft}{text} It was {mask}", "first", True),
        ("{soft:2}{text}{soft:2} It was {mask}", "text", True),
        ("{text}{soft} It was {mask}", "text", True),
        ("Review: {soft}{text} It was {mask}", "text", True),
    ],
)
def test_layouts_that_peft_cannot_express_warn(tiny_backbone, tmp_path, template, bos, warns):
    backbone = tiny_backbone("llama")
    model = PromptedModel(backbone, template, WORDS, bos=bos)
    warnings = save_prompt(tmp_path / "prompt", random_prompt(backbone), model)
    assert len(warnings) == warns
    assert not warns or (template in warnings[0] and CARD in warnings[0])
    assert load_prompt(tmp_path / "prompt")[1].template == template


ADAPTERS = {
    "lora": (lambda: peft.LoraConfig(task_type="CAUSAL_LM", r=2), "merge_and_unload"),
    "prefix": (
        lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        "keys and values for every layer",
    ),
    "multitask": (
        lambda: peft.MultitaskPromptTuningConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=3, num_tasks=2, num_ranks=1
        ),
        "for one task",
    ),
}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_other_adapters_get_the_word_that_fits(tiny_folder, tmp_path, kind):
    config, says = ADAPTERS[kind]
    model = peft.get_peft_model(plain.load("gpt2", tiny_folder("gpt2")), config())
    model.save_pretrained(str(tmp_path))
    with pytest.raises(LabError, match=says) as caught:
        load_prompt(tmp_path)
    assert f" holds a {config().peft_type.value} adapter, not a soft prompt: " in str(caught.value)
    assert "\n" not in str(caught.value) and "damaged" not in str(caught.value)


def test_a_prompt_with_a_trained_head_is_refused(tiny_folder, tmp_path):
    body = transformers.AutoModelForSequenceClassification.from_pretrained(tiny_folder("bert"))
    config = peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)
    peft.get_peft_model(body, config).save_pretrained(str(tmp_path))
    with pytest.raises(LabError, match=r"classifier.*head"):
        load_prompt(tmp_path)


def test_what_pefts_p_tuning_saved_scores_as_there(tiny_folder, tiny_backbone, tiny_task, tmp_path):
    torch.manual_seed(0)
    hf = plain.load("gpt2", tiny_folder("gpt2"))
    config = peft.PromptEncoderConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=3, encoder_hidden_size=8
    )
    peft.get_peft_model(hf, config).eval().save_pretrained(str(tmp_path))
    backbone = tiny_backbone("gpt2")
    prompt, _ = load_for(backbone, tmp_path)
    opened = peft.PeftModel.from_pretrained(
        plain.load("gpt2", tiny_folder("gpt2")), str(tmp_path)
    ).eval()
    example = tiny_task.split("test")[0]
    ids = backbone.tokenizer(f"{example.text} It was")["input_ids"]
    with torch.no_grad():
        logits = opened(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    (first,), (second,) = (
        backbone.tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
        for word in ("terrible", "great")
    )
    words = Verbalizer({"negative": "terrible", "positive": "great"})
    scores = PromptedModel(backbone, SOFT, words).scores(prompt, [example])[0]
    torch.testing.assert_close(scores, logits[[first, second]], rtol=0, atol=1e-5)


def test_a_prompt_in_torchs_own_format_opens_too(made, tiny_backbone):
    folder, prompt, _ = made
    torch.save({"prompt_embeddings": prompt().detach()}, folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    assert torch.equal(load_prompt(folder)[0](), prompt())


def test_the_model_that_peft_names_is_compared(tiny_folder, tiny_backbone, tmp_path):
    named = transformers.AutoModelForCausalLM.from_pretrained(tiny_folder("gpt2"))
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    peft.get_peft_model(named, config).save_pretrained(str(tmp_path))
    assert len(load_for(tiny_backbone("gpt2"), tmp_path)[0]) == 3
    with pytest.raises(LabError, match=r"gpt2.* not for llama"):
        load_for(tiny_backbone("llama"), tmp_path)
    about = json.loads((tmp_path / CONFIG).read_text("utf-8"))
    elsewhere = about | {"base_model_name_or_path": "somebody/gpt2"}
    (tmp_path / CONFIG).write_text(json.dumps(elsewhere))
    with pytest.raises(LabError, match="base_model_name_or_path"):
        load_for(tiny_backbone("gpt2"), tmp_path)


def test_the_card_is_readable_json(made):
    folder, _, model = made
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    assert card["template"] == model.template.text
    assert card["verbalizer"] == {"negative": ["terrible"], "positive": ["great"]}
