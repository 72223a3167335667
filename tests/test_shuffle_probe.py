"""The shuffle probe: orders that are what they say, and scores that are those of the order."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from labkit.core import scoring
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import Example, Task
from labkit.core.templates import Verbalizer
from labkit.shuffle_probe import (
    NAMED,
    Probe,
    Shuffle,
    matrix,
    probe_order,
    reversal,
    rotations,
    swaps,
)
from labkit.soft_prompt import SoftPrompt

# ---- orders ----


@pytest.mark.parametrize(
    ("shuffle", "length"),
    [
        (Shuffle(), 5),
        (Shuffle(), 20),
        (Shuffle(unit=2), 8),
        (Shuffle(unit=3), 8),  # a shorter last block
        (Shuffle(fixed=(0, 0)), 6),
        (Shuffle(fixed=(2, 3)), 8),  # a part in the middle
        (Shuffle(unit=2, fixed=(0, 2)), 9),
    ],
)
def test_orders_are_distinct_permutations_and_never_the_trained_one(shuffle, length):
    orders = shuffle.draw(length, 150, seed=3)
    assert (np.sort(orders, axis=1) == np.arange(length)).all()
    assert len(np.unique(orders, axis=0)) == len(orders)
    assert not (orders == np.arange(length)).all(axis=1).any()
    assert len(orders) == min(150, shuffle.available(length))


@pytest.mark.parametrize(
    ("shuffle", "length"),
    [(Shuffle(), 4), (Shuffle(unit=2), 8), (Shuffle(unit=2), 7), (Shuffle(fixed=(1, 2)), 6)],
)
def test_all_orders_are_those_that_brute_force_finds(shuffle, length):
    """Every permutation that keeps the fixed part and leaves blocks whole, found by trying all."""
    first, last = shuffle.fixed or (length, length)
    moving = [i for i in range(length) if not first <= i <= last]
    blocks = [tuple(moving[i : i + shuffle.unit]) for i in range(0, len(moving), shuffle.unit)]

    def fits(order):
        rest = [token for place, token in enumerate(order) if not first <= place <= last]
        kept = all(order[i] == i for i in range(length) if first <= i <= last)
        while rest and kept:
            block = next((b for b in blocks if tuple(rest[: len(b)]) == b), None)
            if block is None:
                return False
            rest = rest[len(block) :]
        return kept

    allowed = {p for p in itertools.permutations(range(length)) if fits(p)} - {tuple(range(length))}
    drawn = {tuple(order) for order in shuffle.draw(length, 10**6).tolist()}
    assert drawn == allowed
    assert shuffle.available(length) == len(allowed)


def test_the_papers_cases_count_as_facts_say():
    assert Shuffle(unit=20).available(100) == 119 == Shuffle().available(5)
    assert len(Shuffle(unit=20).draw(100, 200)) == 119
    orders = Shuffle(fixed=(0, 80)).draw(100, 10)
    assert (orders[:, :81] == np.arange(81)).all()  # "the first 80" are 81
    assert (Shuffle(fixed=(10, 99)).draw(100, 10)[:, 10:] == np.arange(10, 100)).all()


def test_orders_follow_from_the_seed():
    assert (Shuffle().draw(20, 5, seed=1) == Shuffle().draw(20, 5, seed=1)).all()
    assert not (Shuffle().draw(20, 5, seed=1) == Shuffle().draw(20, 5, seed=2)).all()


def test_every_order_is_drawn_about_equally_often():
    """Of the 23 others of four tokens one is drawn: chi-square over 2,300 seeds."""
    drawn = [tuple(Shuffle().draw(4, 1, seed=seed)[0].tolist()) for seed in range(2300)]
    counts = [drawn.count(order) for order in set(drawn)]
    assert len(counts) == 23
    assert stats.chisquare(counts).pvalue > 1e-3


def test_named_orders():
    assert reversal(4).tolist() == [[3, 2, 1, 0]]
    assert sorted(rotations(4).tolist()) == [[1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]
    exchanged = swaps(5)
    assert len(exchanged) == math.comb(5, 2)
    assert {tuple(np.flatnonzero(row != np.arange(5))) for row in exchanged} == set(
        itertools.combinations(range(5), 2)
    )


@pytest.mark.parametrize("make", [*NAMED.values(), lambda length: Shuffle().draw(length, 5)])
def test_a_single_virtual_token_has_no_other_order_and_two_have_one(make):
    with pytest.raises(LabError, match=r"length=1: .* no other order; take a longer prompt"):
        make(1)
    assert make(2).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("shuffle", "length", "words"),
    [
        (Shuffle(unit=20), 20, "no other order"),
        (Shuffle(fixed=(0, 18)), 20, "no other order"),
        (Shuffle(fixed=(5, 20)), 20, "0-19"),
        (Shuffle(unit=0), 20, "at least one"),
    ],
)
def test_a_shuffle_that_leaves_nothing_to_do_says_so(shuffle, length, words):
    with pytest.raises(LabError, match=words):
        shuffle.draw(length, 5)


def test_orders_may_come_as_numbers_of_any_kind(setup):
    model, prompt, task = setup("llama")
    orders = Shuffle().draw(LENGTH, 3)
    as_floats = probe_order(model, prompt, task, orders.astype(float)).predictions
    assert (as_floats == probe_order(model, prompt, task, orders).predictions).all()


# ---- probing ----

LENGTH = 6


@pytest.fixture
def setup(tiny_backbone, tiny_task):
    def make(family="llama", **settings):
        backbone = tiny_backbone(family)
        model = PromptedModel.for_task(backbone, tiny_task).with_changes(**settings)
        generator = torch.Generator().manual_seed(5)
        prompt = SoftPrompt(torch.randn(LENGTH, backbone.hidden_size, generator=generator) * 0.5)
        return model, prompt, tiny_task

    return make


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "bert-encoder", "t5"])
def test_a_row_holds_the_predictions_of_the_shuffled_prompt(setup, family):
    model, prompt, task = setup(family)
    orders = Shuffle().draw(LENGTH, 6)
    probe = probe_order(model, prompt, task, orders, limit=None)
    for order, predicted, score in zip(orders, probe.predictions, probe.scores, strict=True):
        shuffled = SoftPrompt(torch.stack([prompt()[i].detach() for i in order.tolist()]))
        seen = evaluate(model, shuffled, task)
        assert (predicted == seen.predictions).all() and score == pytest.approx(seen.value)
    plain = evaluate(model, prompt, task)
    assert (probe.trained == plain.predictions).all()
    assert probe.baseline == plain.value and probe.baseline_interval == plain.ci95


def test_a_regression_is_scored_with_its_own_metric(setup):
    model, prompt, task = setup()
    examples = tuple(
        Example(e.id, e.fields, float(i) / 2) for i, e in enumerate(task.split("test"))
    )
    graded = Task("graded", ("text",), (), {"test": examples}, range=(0.0, 6.0))
    model = model.with_changes(verbalizer=Verbalizer({"low": "terrible", "high": "great"}))
    orders = Shuffle().draw(LENGTH, 4)
    probe = probe_order(model, prompt, graded, orders)
    for order, score in zip(orders, probe.scores, strict=True):
        seen = evaluate(model, SoftPrompt(prompt()[order].detach()), graded)
        assert score == pytest.approx(seen.value, abs=1e-6)
    told = probe.summary()
    assert told["metric"] == "pearson" and "flip_rate" not in told


def test_an_encoder_without_positions_knows_no_order(setup):
    model, prompt, task = setup("bert-encoder", positions=False)
    probe = probe_order(model, prompt, task, Shuffle().draw(LENGTH, 8))
    assert (probe.predictions == probe.trained).all()
    assert probe.counts == (0, 0, 8)


def test_a_stopped_probe_goes_on_to_the_uninterrupted_one(setup, tmp_path, monkeypatch):
    model, prompt, task = setup()
    orders = Shuffle().draw(LENGTH, 7)
    whole = probe_order(model, prompt, task, orders)
    scored, inner = [], scoring.Scorer.__call__

    def spy(scorer, vectors):
        scored.append(vectors)
        return inner(scorer, vectors)

    monkeypatch.setattr(scoring.Scorer, "__call__", spy)
    for stop_at in (0, 1, 5):
        folder = tmp_path / str(stop_at)

        def stop(done, total, stop_at=stop_at):
            if done == stop_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            probe_order(model, prompt, task, orders, out=folder, progress=stop)
        scored.clear()
        again = probe_order(model, prompt, task, orders, out=folder, resume=True)
        assert len(scored) == 8 - stop_at  # the trained order is the first of eight
        assert (again.predictions == whole.predictions).all()
        assert (again.trained == whole.trained).all()


def test_rows_are_scored_once(setup, tmp_path, monkeypatch):
    model, prompt, task = setup()
    orders = Shuffle().draw(LENGTH, 3)
    probe_order(model, prompt, task, orders, out=tmp_path)
    monkeypatch.setattr(scoring.Scorer, "__call__", None)  # would fail if used
    again = probe_order(model, prompt, task, orders, out=tmp_path, resume=True)
    assert again.predictions.shape == (3, len(task.split("test")))


def test_a_row_torn_by_a_kill_is_scored_again(setup, tmp_path):
    model, prompt, task = setup()
    orders = Shuffle().draw(LENGTH, 3)
    whole = probe_order(model, prompt, task, orders, out=tmp_path)
    rows = np.load(tmp_path / "predictions.npy", mmap_mode="r+")
    rows[2, 5:] = -1
    rows.flush()
    again = probe_order(model, prompt, task, orders, out=tmp_path, resume=True)
    assert (again.predictions == np.array(whole.predictions)).all()


def with_first_example(task, **changes):
    """The task with another first test example of the same id."""
    first, *others = task.split("test")
    return task.with_splits(test=(replace(first, **changes), *others))


CHANGES = {
    "prompt": lambda model, prompt, task: (model, SoftPrompt(prompt().detach() + 0.1), task),
    "positions": lambda model, prompt, task: (model.with_changes(positions=False), prompt, task),
    "max_length": lambda model, prompt, task: (model.with_changes(max_length=40), prompt, task),
    "texts": lambda model, prompt, task: (
        model,
        prompt,
        with_first_example(task, fields={"text": "another text"}),
    ),
    "labels": lambda model, prompt, task: (
        model,
        prompt,
        with_first_example(task, label=1 - task.split("test")[0].label),
    ),
}


def assert_refused_and_kept(folder, words, *probe, **options):
    """A LabError of these words, and every file of the folder as it was."""
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(LabError, match=words):
        probe_order(*probe, out=folder, **options)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("change", CHANGES)
def test_another_probe_is_never_continued(setup, tmp_path, change):
    model, prompt, task = setup()
    orders = Shuffle().draw(LENGTH, 3)
    probe_order(model, prompt, task, orders, out=tmp_path)
    other = CHANGES[change](model, prompt, task)
    assert_refused_and_kept(tmp_path, "another probe", *other, orders, resume=True)


def test_other_orders_and_t5s_other_target_are_another_probe(setup, tmp_path):
    model, prompt, task = setup("t5")
    orders = Shuffle().draw(LENGTH, 3)
    probe_order(model, prompt, task, orders, out=tmp_path)
    others = Shuffle().draw(LENGTH, 3, seed=1)
    assert_refused_and_kept(tmp_path, r"same: orders\)", model, prompt, task, others, resume=True)
    model = model.with_changes(sentinel=not model.sentinel)
    assert_refused_and_kept(tmp_path, "same: sentinel", model, prompt, task, orders, resume=True)


def test_a_model_that_was_trained_on_in_its_folder_is_another_one(
    setup, tiny_folder, tiny_task, tmp_path
):
    """Its name, its precision and the prompt are those of the stopped probe."""
    _, prompt, _ = setup("bert-encoder")
    own, out = tmp_path / "model", tmp_path / "probe"
    shutil.copytree(tiny_folder("bert-encoder"), own)
    orders = Shuffle().draw(LENGTH, 3)
    model = PromptedModel.for_task(load_backbone(str(own)), tiny_task)
    probe_order(model, prompt, tiny_task, orders, out=out)
    with torch.no_grad():
        next(model.backbone.model.parameters()).add_(0.5)
    model.backbone.model.save_pretrained(own)
    later = PromptedModel.for_task(load_backbone(str(own)), tiny_task)
    assert_refused_and_kept(out, r"same: revision\)", later, prompt, tiny_task, orders, resume=True)


@pytest.mark.parametrize("left", [0, 100, 128, -1])
def test_a_matrix_that_was_cut_short_is_not_filled_up(setup, tmp_path, left):
    """Nothing, half a header, a header alone, all but the last byte."""
    model, prompt, task = setup()
    orders = Shuffle().draw(LENGTH, 3)
    probe_order(model, prompt, task, orders, out=tmp_path)
    file = tmp_path / "predictions.npy"
    file.write_bytes(file.read_bytes()[:left])
    words = r"predictions\.npy is damaged: .* 4 × \d+ .* delete it"
    assert_refused_and_kept(tmp_path, words, model, prompt, task, orders, resume=True)


@pytest.mark.parametrize(
    "changed", [lambda rows: rows[:-1], lambda rows: rows.T, lambda rows: rows.astype(np.float32)]
)
def test_a_matrix_of_another_shape_or_type_is_not_taken_for_the_probes(setup, tmp_path, changed):
    model, prompt, task = setup()
    orders = Shuffle().draw(LENGTH, 3)
    probe_order(model, prompt, task, orders, out=tmp_path)
    np.save(tmp_path / "predictions.npy", changed(np.load(tmp_path / "predictions.npy")))
    assert_refused_and_kept(tmp_path, "is damaged", model, prompt, task, orders, resume=True)


@pytest.mark.parametrize(
    ("name", "missing"), [("predictions.npy", "probe.json"), ("probe.json", "predictions.npy")]
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_file_of_the_users_is_not_written_over(setup, tmp_path, name, missing, resume):
    model, prompt, task = setup()
    (tmp_path / name).write_bytes(b"a year of work")
    orders = Shuffle().draw(LENGTH, 3)
    words = f"{name} stands there without {missing}"
    assert_refused_and_kept(tmp_path, words, model, prompt, task, orders, resume=resume)


@pytest.mark.parametrize("text", ["[]", "{", '{"about": 3, "seconds": 0}', '{"about": {}}'])
def test_notes_that_tell_of_no_probe_are_named(setup, tmp_path, text):
    model, prompt, task = setup()
    orders = Shuffle().draw(LENGTH, 3)
    probe_order(model, prompt, task, orders, out=tmp_path)
    (tmp_path / "probe.json").write_text(text, encoding="utf-8")
    assert_refused_and_kept(
        tmp_path, r"probe\.json is damaged", model, prompt, task, orders, resume=True
    )


def test_a_probe_that_could_not_begin_leaves_nothing_to_stumble_over(setup, tmp_path, monkeypatch):
    model, prompt, task = setup()
    orders = Shuffle().draw(LENGTH, 3)

    def no_room(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(matrix, "write_text", no_room)
        with pytest.raises(OSError, match="No space"):
            probe_order(model, prompt, task, orders, out=tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(probe_order(model, prompt, task, orders, out=tmp_path).predictions) == 3


def test_a_finished_probe_is_not_overwritten(setup, tmp_path):
    model, prompt, task = setup()
    orders = Shuffle().draw(LENGTH, 2)
    probe_order(model, prompt, task, orders, out=tmp_path)
    with pytest.raises(LabError, match="--resume"):
        probe_order(model, prompt, task, orders, out=tmp_path)


@pytest.mark.parametrize(
    "orders", [[[0, 1, 2]], [[0, 0, 1, 2, 3, 4]], [], [[1, 2, 3, 4, 5, 6]], [0, 1, 2, 3, 4, 5]]
)
def test_what_is_no_order_is_refused(setup, orders):
    model, prompt, task = setup()
    with pytest.raises(LabError, match="order"):
        probe_order(model, prompt, task, np.array(orders))


# ---- what a probe says ----


def probe_of(right: np.ndarray, trained: np.ndarray) -> Probe:
    """A probe with the given right answers (R, N) and (N,), all targets 1."""
    return Probe(
        orders=np.zeros((len(right), 2), dtype=int),
        predictions=right.astype(int),
        trained=trained.astype(int),
        targets=np.ones(right.shape[1], dtype=int),
        metric="accuracy",
    )


def test_counts_flips_and_p_values_by_hand():
    trained = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0])
    worse = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    better = np.array([1, 1, 1, 1, 1, 1, 1, 0, 0, 0])
    equal = np.array([1, 1, 1, 1, 1, 0, 1, 0, 0, 0])
    probe = probe_of(np.stack([worse, better, equal]), trained)
    assert probe.counts == (1, 1, 1)
    assert probe.flip_rates == pytest.approx([0.6, 0.1, 0.2])
    # six discordant pairs, all one way: 2 · 0.5⁶
    assert probe.p_values() == pytest.approx([2 * 0.5**6, 1.0, 1.0])
    # Benjamini and Hochberg with three tests: 3 · 0.03125 is over 0.05, under 0.1
    assert probe.significant() == (0, 0, 3)
    assert probe.significant(rate=0.1) == (1, 0, 2)


def test_the_summary_is_plain_and_agrees_with_the_matrix():
    random = np.random.default_rng(0)
    probe = probe_of(random.random((30, 64)) < 0.7, random.random(64) < 0.8)
    told = json.loads(json.dumps(probe.summary()))
    right = probe.correct
    assert told["worst"] == right.mean(1).min() and told["best"] == right.mean(1).max()
    assert told["worse"] + told["better"] + told["equal"] == 30 == told["permutations"]
    assert told["spread"][0] == pytest.approx(told["best"] - told["worst"])
    assert told["mean_difference"][0] == pytest.approx(told["mean"] - told["baseline"])


def test_a_kept_probe_opens_as_it_was(tmp_path):
    random = np.random.default_rng(0)
    probe = probe_of(random.random((5, 32)) < 0.7, random.random(32) < 0.8)
    probe.save(tmp_path / "probe.npz")
    assert Probe.load(tmp_path / "probe.npz").summary() == probe.summary()
    assert [file.name for file in tmp_path.iterdir()] == ["probe.npz"]


def test_a_damaged_probe_is_refused(tmp_path):
    (tmp_path / "probe.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(LabError, match="no whole probe"):
        Probe.load(tmp_path / "probe.npz")


def test_each_name_of_the_command_line_gives_the_orders_that_it_says():
    found = {name: sorted(make(3).tolist()) for name, make in NAMED.items()}
    assert found == {
        "reversal": [[2, 1, 0]],
        "rotations": [[1, 2, 0], [2, 0, 1]],
        "swaps": [[0, 2, 1], [1, 0, 2], [2, 1, 0]],
    }
