"""Masked heads: what they are trained on, how, and that what is loaded is what was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch.nn import functional as F

from labkit.core import assets, tasks
from labkit.core.downloads import sha256
from labkit.core.errors import LabError
from labkit.core.fingerprints import known_revision
from labkit.core.loading import load_backbone
from labkit.core.masked_head import BUNDLED, load_masked_lm
from labkit.core.masked_head.batches import FEWEST_PIECES, batches, cut, mask_pieces
from labkit.core.masked_head.measure import measure
from labkit.core.masked_head.texts import FEW_WORDS, gather_texts
from labkit.core.masked_head.training import MaskedRecipe, train_masked_head
from labkit.core.tasks import Example, Task, load_task, normalise

needs_minilm = pytest.mark.skipif(
    not assets.is_ready(assets.ASSETS["minilm"]), reason="run `labkit assets fetch`"
)
FOLDER = BUNDLED["minilm-mlm"]

# ---- texts ----

SPLITS = {
    "films": {
        "train": ["a fine film with a fine cast", "a long and slow afternoon", "quite good"],
        "validation": ["the music of the last scene"],
        "test": ["nobody will ever like this film at all", "very good"],
    },
    "songs": {
        "train": ["the music of the last scene, again and again", "a song about rain in june"],
        "validation": ["song after song after song"],
        "test": ["it is a Long and slow afternoon!"],
    },
    "others": {  # its test texts are protected though it is not trained on
        "train": ["a text that nobody asked for"],
        "validation": ["of rain"],
        "test": ["a song about rain in june and july"],
    },
}


@pytest.fixture
def three_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Task:
        splits = {
            split: tuple(Example(f"{split}-{i}", {"text": t}, 0) for i, t in enumerate(texts))
            for split, texts in SPLITS[name].items()
        }
        return Task(name=name, fields=("text",), labels=("a", "b"), splits=splits)

    monkeypatch.setattr(tasks, "load_task", load)
    monkeypatch.setattr(tasks, "TASKS", tuple(SPLITS))


def test_texts_that_are_scored_anywhere_are_left_out(three_tasks: None) -> None:
    texts = gather_texts(["films", "songs"])
    assert texts.training == ["a fine film with a fine cast", "quite good"]
    assert texts.held_out == ["the music of the last scene", "song after song after song"]


def test_lines_of_a_folder_are_held_against_them_too(three_tasks: None, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.txt").write_text(
        "A line of its own.\n\nNobody will ever LIKE this film at all, she said.\n"
        "very good\nvery good, and then some\nA line of its own\n"
    )
    texts = gather_texts(["films"], tmp_path).training
    # a short protected text is kept out as a whole text, but not looked for inside others
    assert texts[-2:] == ["A line of its own.", "very good, and then some"]
    with pytest.raises(LabError, match=r"no \.txt file"):
        gather_texts(["films"], tmp_path / "nothing")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    with pytest.raises(LabError, match=r"b\.txt cannot be read as UTF-8"):
        gather_texts(["films"], tmp_path)


@needs_minilm
def test_default_texts_share_nothing_with_a_test_split() -> None:
    """By brute force, on a sample: neither contains the other, as whole words."""
    names = ["rt-polarity", "tweets-valence"]
    training = gather_texts(names).training
    sample = np.random.default_rng(0).permutation(len(training))[:300]
    ours = [f" {normalise(training[i])} " for i in sample]
    theirs = [
        f" {normalise(example.text)} "
        for name in ("rt-polarity", "movie-valence", "tweets-valence", "editorials-valence")
        for split in ("validation", "test")
        for example in load_task(name).split(split)
    ]
    for text in theirs:
        assert text not in ours
        if len(text.split()) >= FEW_WORDS:
            assert not [own for own in ours if text in own or own in text]


# ---- batches ----


def test_gaps_leave_the_ends_and_the_rest_as_they_were() -> None:
    rng = np.random.default_rng(0)
    rows = [[101, *rng.integers(1000, 2000, n), 102] for n in (4, 9, 40)]
    for share in (0.0, 0.15, 0.5):
        batch = mask_pieces(rows, share, 103, np.random.default_rng(1))
        for row, ids, mask in zip(rows, batch.ids, batch.mask, strict=True):
            gaps = (ids == 103).nonzero()[:, 0].tolist()
            assert mask.sum() == len(row)
            assert gaps and min(gaps) >= 1 and max(gaps) <= len(row) - 2
            assert max(1, int(share * (len(row) - 2))) <= len(gaps) <= share * len(row) + 1
        restored = batch.ids.flatten().clone()
        restored[batch.places] = batch.targets
        for row, ids in zip(rows, restored.view(batch.ids.shape), strict=True):
            assert ids[: len(row)].tolist() == row


def test_every_text_is_in_one_batch_of_an_epoch() -> None:
    lengths = np.random.default_rng(0).integers(6, 64, 500).tolist()
    first, again, second = (batches(lengths, 256, 3, epoch) for epoch in (0, 0, 1))
    for epoch in (first, second):
        assert sorted(i for batch in epoch for i in batch) == list(range(500))
        assert all(len(b) * max(lengths[i] for i in b) <= 256 for b in epoch)
    assert [b.tolist() for b in first] == [b.tolist() for b in again]
    assert [b.tolist() for b in first] != [b.tolist() for b in second]


def test_recipe_begins_and_ends_as_it_says() -> None:
    recipe = MaskedRecipe(steps=100, lr=1.0, warmup=10, decay=0.5)
    rates = [recipe.lr_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(0.5) and rates[-1] == pytest.approx(0.02)
    assert recipe.masked_at(0) == 0.3 and recipe.masked_at(10_000) == 0.15


# ---- training ----

TINY = MaskedRecipe(steps=4, rank=2, batch_pieces=96, warmup=1)


@pytest.fixture
def few_texts(three_tasks: None) -> Callable[[], object]:
    from labkit.core.masked_head.texts import Texts

    lines = [f"{a} {b} was {c} in the {d}" for a in ("the", "a") for b in ("dog", "film", "song")
             for c in ("slow", "loud", "good") for d in ("rain", "end")]  # fmt: skip
    return Texts(lines[:30], lines[30:], ["lines"])


@needs_minilm
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    few_texts: object, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int, loss: float) -> None:
        if done == 3:
            raise Stop

    losses: list[float] = []
    card = train_masked_head(
        tmp_path / "whole", few_texts, TINY, on_step=lambda *step: losses.append(step[2])
    )
    with pytest.raises(Stop):
        train_masked_head(tmp_path / "parts", few_texts, TINY, every=2, on_step=stop)
    assert not (tmp_path / "parts").exists()
    other = MaskedRecipe(steps=4, rank=2, batch_pieces=96, warmup=1, lr=1e-3)
    with pytest.raises(LabError, match=r"another lr; give the same settings"):
        train_masked_head(tmp_path / "parts", few_texts, other, resume=True)
    again = train_masked_head(tmp_path / "parts", few_texts, TINY, resume=True)
    assert again["sha256"] == card["sha256"]
    assert len(losses) == 4 and np.isfinite(losses).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "whole"]
    assert load_backbone(str(tmp_path / "whole"), device="cpu").readout == "mlm"


# ---- minilm-mlm, which comes with labkit ----


@needs_minilm
def test_it_is_the_encoder_with_pefts_adapter_and_berts_head(no_network: list[str]) -> None:
    """PEFT reads the adapter; the head is computed step by step with the tied table."""
    from peft import PeftModel

    backbone = load_backbone("minilm-mlm", device="cpu", dtype=torch.float32)
    assert no_network == [] and backbone.readout == "mlm"
    assert backbone.revision == known_revision("minilm-mlm") != ""
    base = transformers.AutoModel.from_pretrained(assets.locate("minilm"), dtype=torch.float32)
    table = base.embeddings.word_embeddings.weight.detach().clone()
    body = PeftModel.from_pretrained(base, str(FOLDER)).eval()
    head = {name: value.float() for name, value in load_file(FOLDER / "head.safetensors").items()}
    tokenizer = backbone.tokenizer
    batch = tokenizer(
        ["The film was [MASK].", "It is [MASK] and nobody [MASK] why."],
        return_tensors="pt",
        padding=True,
    )
    vectors = table[batch.input_ids]
    vectors[batch.input_ids == tokenizer.mask_token_id] = head["mask_vector"]
    with torch.no_grad():
        hidden = body(inputs_embeds=vectors, attention_mask=batch.attention_mask).last_hidden_state
        hidden = F.gelu(hidden @ head["dense.weight"].T + head["dense.bias"])
        hidden = F.layer_norm(hidden, (384,), head["norm.weight"], head["norm.bias"], 1e-12)
        expected = hidden @ head["output.weight"].T @ table.T + head["bias"]
        logits = backbone.model(**batch).logits
    places = batch.attention_mask.bool()
    torch.testing.assert_close(logits[places], expected[places], atol=2e-3, rtol=1e-4)


@needs_minilm
def test_it_names_missing_words_as_well_as_its_card_says() -> None:
    card = json.loads((FOLDER / "labkit.json").read_text("utf-8"))
    assert card["held_out"]["masked_accuracy"] >= 0.30
    assert card["sha256"] == {n: sha256(FOLDER / n) for n in card["sha256"]}
    texts = [e.text for e in load_task("rt-polarity").split("validation")[:150]]
    here = measure(FOLDER, texts)
    assert here.texts > 140 and here.ci95[1] > 0.25  # longer texts than the card's, and films only


def _delete(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def _cut_off(folder: Path) -> None:
    file = folder / "head.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def _spoil(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


@needs_minilm
@pytest.mark.parametrize("damage", [_delete, _cut_off, _spoil])
def test_a_damaged_folder_is_refused_in_one_line(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(FOLDER, folder)
    damage(folder)
    with pytest.raises(LabError, match="mine") as caught:
        load_masked_lm(folder, torch.float32)
    assert "\n" not in str(caught.value)


def test_without_its_encoder_it_says_what_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    with pytest.raises(LabError, match=r"minilm is not in the cache.*labkit assets fetch"):
        load_backbone("minilm-mlm")


def test_short_texts_are_no_riddles(tiny_folder: Callable[[str], Path]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_folder("bert"))
    rows = cut(["the film", "the film was slow and good", "the film " * 50], tokenizer, 16)
    assert [len(row) >= FEWEST_PIECES for row in rows] == [True, True]
    assert len(rows[1]) == 16
