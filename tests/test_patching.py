"""Patching keys and values, against Hugging Face's own cache, and the share that it restores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional as F

import plain
from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.statistics import Difference
from labkit.experiments import first_place
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import RECIPES
from labkit.shuffle_probe import Shuffle
from labkit.shuffle_probe.patching import Reader, restored_share
from labkit.soft_prompt import SoftPrompt, load_prompt

ORDER = [3, 0, 4, 1, 2]


def random_prompt(backbone, length=5) -> SoftPrompt:
    generator = torch.Generator().manual_seed(0)
    return SoftPrompt(torch.randn(length, backbone.hidden_size, generator=generator) * 0.5)


@pytest.fixture(params=["llama", "gpt2"])
def reading(request, tiny_backbone, tiny_task):
    """A reader of the test sentences, and keys and values of two orders."""
    backbone = tiny_backbone(request.param)
    model, prompt = PromptedModel.for_task(backbone, tiny_task), random_prompt(backbone)
    reader = Reader.of(model, prompt, tiny_task, tiny_task.split("test"))
    vectors = prompt().detach()
    return request.param, model, prompt, reader, reader.read(vectors), reader.read(vectors[ORDER])


def losses_of(model, prompt, task):
    targets = torch.tensor([example.label for example in task.split("test")])
    scores = model.scores(prompt, task.split("test"))
    return F.cross_entropy(scores, targets, reduction="none").numpy()


def test_unpatched_and_wholly_patched_are_the_two_orders(reading, tiny_task):
    _, model, prompt, reader, trained, shuffled = reading
    moved = SoftPrompt(prompt().detach()[ORDER])
    assert reader.losses(trained) == pytest.approx(losses_of(model, prompt, tiny_task), abs=1e-5)
    assert reader.losses(shuffled) == pytest.approx(losses_of(model, moved, tiny_task), abs=1e-5)
    whole = reader.patched(shuffled, trained, range(2), range(5))
    assert reader.losses(whole) == pytest.approx(reader.losses(trained), abs=1e-5)
    nothing = reader.patched(shuffled, trained, [], range(5))
    assert reader.losses(nothing) == pytest.approx(reader.losses(shuffled), abs=1e-7)


@pytest.mark.parametrize(("layers", "places"), [([0], [0]), ([1], [0, 3]), ([0, 1], [2])])
def test_a_patch_is_what_a_mixed_cache_gives(
    reading, tiny_backbone, tiny_folder, tiny_task, layers, places
):
    """The caches of two forward passes by Hugging Face, mixed entry by entry."""
    family, model, prompt, reader, trained, shuffled = reading
    hf, vectors = plain.load(family, tiny_folder(family)), prompt().detach()
    tokenizer, table = tiny_backbone(family).tokenizer, hf.get_input_embeddings().weight
    caches = []
    for rows in (vectors, vectors[ORDER]):
        caches.append(hf(inputs_embeds=rows[None], use_cache=True).past_key_values.layers)
    words = [pieces[0] for pieces in model.labels().words]
    theirs = []
    for example in tiny_task.split("test"):
        cache = transformers.DynamicCache()
        for layer, (own, other) in enumerate(zip(*caches, strict=True)):
            keys, values = other.keys.clone(), other.values.clone()
            for place in places if layer in layers else []:
                keys[0, :, place] = own.keys[0, :, place]
                values[0, :, place] = own.values[0, :, place]
            cache.update(keys, values, layer)
        ids = torch.tensor(tokenizer(f"{example.text} It was")["input_ids"])
        logits = hf(inputs_embeds=table[ids][None], past_key_values=cache).logits[0, -1]
        scores = logits.log_softmax(-1)[words]
        theirs.append(F.cross_entropy(scores, torch.tensor(example.label)).item())
    before = reader.losses(shuffled)
    ours = reader.losses(reader.patched(shuffled, trained, layers, places))
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert np.abs(ours - before).max() > 1e-3
    assert (reader.losses(shuffled) == before).all()  # the keys and values given stay as they were


def test_a_model_that_reads_everything_at_once_is_refused(tiny_backbone, tiny_task):
    backbone = tiny_backbone("bert")
    model = PromptedModel.for_task(backbone, tiny_task)
    with pytest.raises(LabError, match="takes a causal model"):
        Reader.of(model, random_prompt(backbone), tiny_task, tiny_task.split("test"))


# ---- the share ----


def test_all_is_one_and_nothing_is_zero():
    random = np.random.default_rng(0)
    trained = random.random((5, 40))
    shuffled = trained + random.random((5, 40))
    for patched, share in ((trained, 1.0), (shuffled, 0.0), ((trained + shuffled) / 2, 0.5)):
        assert list(restored_share(trained, shuffled, patched)) == pytest.approx([share] * 3)
    with pytest.raises(LabError, match="nothing to restore"):
        restored_share(shuffled, trained, trained)


def test_the_interval_covers_the_share_of_other_prompts_and_sentences():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        cost = np.clip(random.normal(1.0, 0.2, (6, 1)) + random.normal(0, 0.5, 60), 0.01, None)
        share = 0.4 + random.normal(0, 0.1, (6, 1)) + random.normal(0, 0.3, (6, 60))
        trained = random.random((6, 60))
        interval = restored_share(trained, trained + cost, trained + cost * (1 - share))
        covered += interval.low <= 0.4 <= interval.high
    assert covered / 300 > 0.92


# ---- the experiment ----


def test_the_share_of_a_row_is_what_its_patch_takes_back_of_the_cost(tmp_path):
    """Two prompts, three sentences: 1 nat dearer in another order, a quarter of it under a patch,
    more than all of it under another one."""

    def patch(place, loss):
        return {"layers": [0, 2], "place": place, "losses": [loss] * 3}

    row = {
        "n": 3,
        "layers": 2,
        "losses": {"trained": [0.0] * 3, "shuffled": [1.0] * 3, "first kept": [0.6] * 3},
        "patches": [patch(0, 0.25), patch(1, 1.5)],
    }
    lines = first_place.pool([row, row], tmp_path)
    assert [line["what"] for line in lines] == [
        "first virtual token kept in place",
        "place 1, all layers",
        "place 2, all layers",
    ]
    shares = [line["restored"] for line in lines]
    assert shares == [pytest.approx([share] * 3) for share in (0.4, 0.75, -0.5)]
    assert [line["verdict"]["verdict"] for line in lines] == ["agrees", "agrees", "disagrees"]
    assert {line["cost"] for line in lines} == {1.0}


def test_orders_that_cost_nothing_have_no_share_and_lose_no_row(monkeypatch, tmp_path):
    losses = {"trained": [0.6] * 3, "shuffled": [0.5] * 3, "first kept": [0.5] * 3}
    patch = {"layers": [0, 2], "place": 0, "losses": [0.5] * 3}
    rows = [
        {"seed": seed, "n": 3, "layers": 2, "value": 0.5, "losses": losses, "patches": [patch]}
        for seed in (0, 1)
    ]
    assert first_place.pool(rows, tmp_path) == []
    result = {"name": "first-place", "task": "t", "command": "labkit run first-place", "rows": rows}
    text = first_place.as_markdown(result | {"pooled": []})
    assert "orders that cost something" in text and text.count("| 0.600 | 0.500 |") == 2


@pytest.fixture
def result(monkeypatch, tiny_folder, tiny_task, tmp_path):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setattr(first_place, "GROUP", 1)
    # of random prompts, trained a little, one order costs what another gains
    monkeypatch.setattr(first_place, "costs_something", lambda *losses: True)
    monkeypatch.setattr(first_place, "restored_share", lambda *losses: Difference(0.5, 0.1, 0.9))
    recipe = replace(RECIPES["causal"], length=5, steps=2, warmup=0)
    monkeypatch.setitem(RECIPES, "causal", recipe)
    first_place.shared_backbone.cache_clear()
    folder = str(tiny_folder("llama"))
    return experiments.run("first-place", backbone=folder, out=tmp_path, seeds=(0, 1))


def test_each_patch_of_a_row_is_the_one_that_it_names(result, tiny_folder, tiny_task, tmp_path):
    row = result["rows"][1]
    (folder,) = (tmp_path / "prompts").glob("*-seed1")
    prompt, _ = load_prompt(folder)
    backbone = first_place.shared_backbone(str(tiny_folder("llama")))  # in the row's precision
    model = PromptedModel.for_task(backbone, tiny_task)
    examples = tiny_task.take("test", row["n"], seed=0)
    reader = Reader.of(model, prompt, tiny_task, examples)
    vectors = prompt().detach()
    orders = Shuffle().draw(5, row["orders"], 1).tolist()
    trained = reader.read(vectors)

    def mean_of(change):
        return np.mean([reader.losses(change(order)) for order in orders], axis=0)

    losses = row["losses"]
    assert losses["trained"] == pytest.approx(reader.losses(trained), abs=1e-6)
    assert losses["shuffled"] == pytest.approx(mean_of(lambda o: reader.read(vectors[o])), abs=1e-6)
    first_kept = mean_of(lambda o: reader.read(vectors[sorted(o, key=lambda t: t != 0)]))
    assert losses["first kept"] == pytest.approx(first_kept, abs=1e-6)
    assert len(row["patches"]) == 5 + 2 * 6
    for patch in row["patches"]:
        places = range(5) if patch["place"] is None else [patch["place"]]

        def change(order, layers=range(*patch["layers"]), places=places):
            return reader.patched(reader.read(vectors[order]), trained, layers, places)

        expected = mean_of(change)
        assert patch["losses"] == pytest.approx(expected, abs=1e-6)


def test_what_the_table_says_of_all_prompts(result, tmp_path):
    whats = [line["what"] for line in result["pooled"]]
    assert whats[:3] == [
        "first virtual token kept in place",
        "place 1, all layers",
        "place 2, all layers",
    ]
    assert whats[-1] == "every place, layers 1–1" and len(set(whats)) == len(whats) == 18
    text = (tmp_path / f"{result['file']}.md").read_text(encoding="utf-8")
    assert text.count("restores a part of the cost") == 6
