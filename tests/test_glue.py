"""Methods over GLUE: what sorts leaves the tokens alone, budgets are kept, means are fair."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labkit import glue
from labkit.core.engines import LocalEngine
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import mean_interval
from labkit.core.tasks import GLUE, TASK_PROMPTS, Example, Task
from labkit.core.templates import Verbalizer
from labkit.core.tuning import NotFiniteError
from labkit.experiments import EXPERIMENTS, REFERENCE, glue_tables, order
from labkit.experiments import run as run_table
from labkit.experiments.base import runner
from labkit.experiments.base.origin import may_be_brought_over, origin_of
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.setting import Experiment, Place
from labkit.experiments.glue_tables import GlueSetting
from labkit.soft_prompt import SoftPrompt, initialise
from labkit.soft_prompt.decoder_side import DecoderSide
from zoo import FAMILIES

LENGTH = 5


@pytest.fixture
def setup(tiny_backbone, tiny_task, monkeypatch):
    monkeypatch.setattr(glue, "VALIDATION_EXAMPLES", 12)
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    generator = torch.Generator().manual_seed(5)
    prompt = SoftPrompt(torch.randn(LENGTH, backbone.hidden_size, generator=generator) * 0.5)
    return model, prompt, tiny_task


@pytest.mark.parametrize("method", glue.SORTING)
def test_sorting_gives_the_same_tokens_in_the_order_it_names(setup, method):
    model, prompt, task = setup
    budget = 20 * len(task.split("train"))
    found = glue.sort_prompt(model, prompt, task, method, budget=budget, seed=1)
    assert found.is_permutation and sorted(found.order) == list(range(LENGTH))
    assert torch.equal(found.prompt(), prompt()[list(found.order)])
    assert 0 < found.forward_passes <= budget
    again = glue.sort_prompt(model, prompt, task, method, budget=budget, seed=1)
    assert again.order == found.order


def test_the_best_of_n_is_the_best_on_validation(setup):
    model, prompt, task = setup
    found = glue.sort_prompt(model, prompt, task, "best of N", budget=12 * 30)
    chosen = evaluate(model, found.prompt, task, "validation").value
    assert chosen >= evaluate(model, prompt, task, "validation").value
    assert found.forward_passes == 12 * 30


def test_no_order_is_chosen_that_is_only_as_good(setup):
    """Of a prompt whose tokens are alike, every order is."""
    model, prompt, task = setup
    alike = SoftPrompt(prompt()[:1].detach().repeat(LENGTH, 1))
    found = glue.sort_prompt(model, alike, task, "best of N", budget=12 * 10)
    assert found.order == tuple(range(LENGTH))


def test_what_sorts_nothing_is_refused(setup):
    model, prompt, task = setup
    with pytest.raises(LabError, match="sorts nothing"):
        glue.sort_prompt(model, prompt, task, "prompt", budget=1000)
    with pytest.raises(LabError, match="too small"):
        glue.sort_prompt(model, prompt, task, "best of N", budget=13)


# ---- means ----


def test_the_mean_over_tasks_is_unweighted_and_by_seed():
    values = {task: [0.5 + i / 10, 0.6 + i / 10] for i, task in enumerate(("a", "b", "c"))}
    mean, interval = glue.mean_over_tasks(values, ("a", "b", "c"))
    assert mean == pytest.approx(np.mean([v for row in values.values() for v in row]))
    assert interval == pytest.approx(mean_interval([0.6, 0.7]))
    assert glue.mean_over_tasks({"a": [0.5], "b": [0.7]}, ("a", "b")) == (pytest.approx(0.6), None)


def test_no_mean_over_other_tasks_or_seeds():
    with pytest.raises(LabError, match="b missing"):
        glue.mean_over_tasks({"a": [0.5]}, ("a", "b"))
    with pytest.raises(LabError, match="seeds by task"):
        glue.mean_over_tasks({"a": [0.5], "b": [0.5, 0.6]}, ("a", "b"))


def test_seeds_are_paired_by_their_number_wherever_their_rows_stand():
    orders = {task: (1, 2, 0) if task in ("rte", "sst2") else (0, 1, 2) for task in GLUE}
    rows = [
        {"task": task, "method": "prompt", "seed": seed, "value": 0.5 + 0.05 * seed}
        for task, seeds in orders.items()
        for seed in seeds
    ]
    values = glue_tables.by_task({"rows": rows}, "prompt")
    assert values["rte"] == pytest.approx({0: 0.5, 1: 0.55, 2: 0.6})
    mean, interval = glue.mean_over_tasks(values)
    assert mean == pytest.approx(0.55)
    assert interval == pytest.approx(mean_interval([0.5, 0.55, 0.6]))
    with pytest.raises(LabError, match=r"\[0, 1\] and \[0, 2\] are the seeds by task"):
        glue.mean_over_tasks({"a": {0: 0.5, 1: 0.6}, "b": {0: 0.5, 2: 0.6}}, ("a", "b"))


# ---- numbers as text ----


@pytest.mark.parametrize(
    ("text", "number"),
    [("3.8", 3.8), (" 5 ", 5.0), ("-1", -1.0), ("3.8 3.8", None), ("", None), ("similar", None)],
)
def test_a_number_is_read_whole_or_not_at_all(text, number):
    seen = glue.number_in(text)
    assert np.isnan(seen) if number is None else seen == number


@pytest.fixture
def graded(tiny_task) -> Task:
    examples = tuple(
        Example(e.id, {"sentence1": e.text, "sentence2": e.text}, 5 * i / 11)
        for i, e in enumerate(tiny_task.split("test"))
    )
    splits = {"train": examples, "validation": examples, "test": examples}
    return Task(
        "graded",
        ("sentence1", "sentence2"),
        (),
        splits,
        range=(0.0, 5.0),
        prompts=TASK_PROMPTS["stsb"],
    )


def test_number_strings_are_t5s_steps(graded):
    task = glue.with_number_strings(graded)
    assert task.kind == "classification" and task.labels[:3] == ("0.0", "0.2", "0.4")
    assert len(task.labels) == 26 and task.labels[-1] == "5.0"
    for before, after in zip(graded.split("test"), task.split("test"), strict=True):
        assert abs(before.label - float(task.labels[after.label])) <= 0.1 + 1e-9
    with pytest.raises(LabError, match="no regression"):
        glue.with_number_strings(task)


def test_numbers_are_read_from_what_t5_writes(tiny_backbone, graded, monkeypatch):
    backbone = tiny_backbone("t5")
    task = glue.with_number_strings(graded)
    template = task.prompt_for("seq2seq").template
    model = PromptedModel(backbone, "{soft}" + template, Verbalizer({"a": "good", "b": "bad"}))
    prompt = SoftPrompt.from_vocab(backbone, 3, seed=0)
    examples = graded.split("test")
    values, unread = glue.read_numbers(model, prompt, examples, (0.0, 5.0))
    assert values.shape == (12,) and unread == 1.0  # a random model writes no number
    assert (values == 2.5).all()
    # the same texts, one by one, through Hugging Face's own generation
    written = []
    for sequence in model.encode(examples, prompt()):
        ids = torch.tensor(sequence.ids)
        table = backbone.model.get_input_embeddings().weight
        rows = torch.stack([prompt()[-1 - i] if i < 0 else table[i] for i in ids.tolist()])
        out = backbone.model.generate(inputs_embeds=rows[None], max_new_tokens=8, do_sample=False)
        written.append(backbone.tokenizer.decode(out[0], skip_special_tokens=True))
    answers = dict(zip(dict.fromkeys(written), ("4.2", "9", *["2.0"] * len(written)), strict=False))
    monkeypatch.setattr(
        backbone.tokenizer,
        "batch_decode",
        lambda ids, skip: [answers[backbone.tokenizer.decode(i, skip)] for i in ids],
        raising=False,
    )
    values, unread = glue.read_numbers(model, prompt, examples, (0.0, 5.0))
    expected = [float(answers[text]) for text in written]
    assert values.tolist() == [2.5 if value > 5 else value for value in expected]
    assert unread == np.mean([value > 5 for value in expected])


def test_answers_are_written_as_the_scores_are_read(tiny_backbone, tiny_task):
    """Where virtual tokens have no positions, their order changes neither scores nor texts."""
    backbone, examples = tiny_backbone("t5"), tiny_task.split("test")
    model = PromptedModel.for_task(backbone, tiny_task)
    bare = model.with_changes(positions=False)
    moved = []
    for seed in range(10):
        draw = torch.randn(4, backbone.hidden_size, generator=torch.Generator().manual_seed(seed))
        prompt, turned = SoftPrompt(2 * draw), SoftPrompt(2 * draw.flip(0))
        texts = glue.written_answers(bare, prompt, examples)
        assert texts == glue.written_answers(bare, turned, examples)
        texts = glue.written_answers(model, prompt, examples)
        moved.append(texts != glue.written_answers(model, turned, examples))
    assert any(moved)
    behind = model.with_changes(backbone=DecoderSide.of(backbone))
    with pytest.raises(LabError, match="on the encoder's side"):
        glue.written_answers(behind, prompt, examples)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_the_likeliest_piece_is_written_whatever_the_checkpoints_own_way(
    tmp_path, tiny_task, family
):
    """BART's files ask for beams, a least length and nothing twice."""
    folder = FAMILIES[family].build(tmp_path / "model")
    backbone = load_backbone(str(folder), device="cpu", dtype=torch.float32)
    own = backbone.model.generation_config
    own.update(num_beams=4, min_length=6, no_repeat_ngram_size=2, repetition_penalty=1.5)
    own.update(num_return_sequences=2, forced_eos_token_id=own.eos_token_id)
    own.update(return_dict_in_generate=True)
    model = PromptedModel.for_task(backbone, tiny_task, soft=False)
    examples = tiny_task.split("test")
    expected = []
    for sequence in model.encode(examples, None):
        begun, written = own.decoder_start_token_id, []  # BART begins with its end token
        while len(written) < 8 and own.eos_token_id not in written:
            laid = {"input_ids": [sequence.ids], "decoder_input_ids": [[begun, *written]]}
            with torch.no_grad():
                output = backbone.model(**{name: torch.tensor(ids) for name, ids in laid.items()})
            written.append(output.logits[0, -1].argmax().item())
        expected.append(backbone.tokenizer.decode(written, skip_special_tokens=True))
    assert glue.written_answers(model, None, examples) == expected
    assert len(set(expected)) > 1


def test_other_readouts_write_no_numbers(setup):
    model, prompt, task = setup
    with pytest.raises(LabError, match="writes no text"):
        glue.read_numbers(model, prompt, task.split("test"), (0.0, 5.0))


# ---- the tables ----


def test_a_table_of_methods_trains_each_prompt_once(tiny_folder, tiny_task, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "load_task", lambda name: replace(tiny_task, name=name))
    monkeypatch.setattr(order, "learns", lambda gate: True)
    monkeypatch.setattr(glue, "VALIDATION_EXAMPLES", 12)
    monkeypatch.setattr(glue_tables, "FINE_TUNING", replace(glue_tables.FINE_TUNING, batch_size=4))
    monkeypatch.setitem(glue_tables.FINE_TUNING_STEPS, "small", 2)
    monkeypatch.setattr(glue_tables, "budget_of", lambda task, limit: 300)
    order.shared_backbone.cache_clear()
    trained = []
    inner = order.fit
    monkeypatch.setattr(order, "fit", lambda *a, **o: trained.append(1) or inner(*a, **o))
    recipe = Recipe(length=LENGTH, steps=2, batch_size=4)
    settings = [
        GlueSetting(f"rte, {m}", str(tiny_folder("llama")), recipe, task="rte", method=m)
        for m in glue.METHODS
    ]
    experiment = Experiment(
        "table8", "", lambda b, p: settings, glue_tables.glue_row,
        report=glue_tables.methods_as_markdown,
    )  # fmt: skip
    result = runner.run_grid(
        experiment, profile="small", backbone=None, task=None, seeds=(0,), out=tmp_path,
        resume=False, limit=None, on_progress=None, engine=LocalEngine(workers=1),
    )  # fmt: skip
    assert [row["method"] for row in result["rows"]] == list(glue.METHODS)
    assert len(trained) == 1
    sorted_rows = [row for row in result["rows"] if row["method"] in glue.SORTING]
    assert all(sorted(row["order"]) == list(range(LENGTH)) for row in sorted_rows)
    text = next(tmp_path.glob("*.md")).read_text(encoding="utf-8")
    assert "| sorter | " in text and "59.0" in text and "54.7" in text


def test_the_rate_is_chosen_on_validation_once_for_all_seeds_and_methods(
    tiny_folder, tiny_task, tmp_path, monkeypatch
):
    monkeypatch.setattr(runner, "load_task", lambda name: replace(tiny_task, name=name))
    monkeypatch.setattr(order, "learns", lambda gate: False)
    order.shared_backbone.cache_clear()
    trained = []
    inner = order.fit

    def fit(model, prompt, task, recipe, **options):
        trained.append((recipe.lr, options["seed"]))
        if recipe.lr == rates[-1]:
            raise NotFiniteError("the loss is not finite at step 3")
        return inner(model, prompt, task, recipe, **options)

    monkeypatch.setattr(order, "fit", fit)
    folder = str(tiny_folder("llama"))
    recipe = Recipe(length=LENGTH, steps=4, batch_size=4)
    rates = (1e-4, 0.3, 5.0)
    settings = [
        GlueSetting(f"rte, {m}", folder, recipe, task="rte", method=m, rates=rates)
        for m in ("prompt", "swaps")
    ]
    experiment = Experiment(
        "table8", "", lambda b, p: settings, glue_tables.glue_row,
        report=glue_tables.methods_as_markdown,
    )  # fmt: skip
    rows = runner.run_grid(
        experiment, profile="small", backbone=None, task=None, seeds=(0, 1), out=tmp_path,
        resume=False, limit=None, on_progress=None, engine=LocalEngine(workers=1),
    )["rows"]  # fmt: skip
    task = replace(tiny_task, name="rte")
    model = PromptedModel.for_task(load_backbone(folder), task)
    by_hand = {}
    for rate in rates[:2]:
        prompt = initialise("vocab", model.backbone, LENGTH, model.verbalizer, 0)
        inner(model, prompt, task, recipe, lr=rate, seed=0, limit=len(task.split("train")))
        by_hand[rate] = evaluate(model, prompt, task, "validation").value
    best = max(by_hand, key=lambda rate: by_hand[rate])
    assert len(set(by_hand.values())) > 1
    assert [row["lr"] for row in rows] == [best] * 4
    assert rows[0]["rates_tried"] == [*map(list, by_hand.items()), [5.0, None]]
    assert sorted(trained) == sorted([*((rate, 0) for rate in rates), (best, 1)])
    assert f"chosen on validation with one seed: rte {best:g}." in next(
        tmp_path.glob("*.md")
    ).read_text(encoding="utf-8")


def test_a_rate_that_scores_nothing_is_above_one_below_zero_or_not_finite():
    """Correlations can be zero, and below."""
    assert glue_tables._best({0.1: -0.2, 0.2: 0.0, 0.3: None}) == 0.2
    assert glue_tables._best({0.1: None, 0.2: -0.3}) == 0.2


def test_the_settings_cover_every_method_and_task():
    settings = EXPERIMENTS["table8"].settings("minilm", "small")
    assert {(s.task, s.method) for s in settings} == {(t, m) for t in GLUE for m in glue.METHODS}
    assert len({s.name for s in settings}) == len(settings)
    assert {s.rates for s in settings if s.method != "fine-tuning"} == {(0.01, 0.003, 0.03)}
    assert {s.recipe.length for s in EXPERIMENTS["table8"].settings(None, "full")} == {100}


@pytest.mark.parametrize("table", ["table8", "glue-controls"])
def test_several_models_are_no_table_over_glue(table):
    """Its means and gains know rows by task, method and seed: the last would stand for all."""
    with pytest.raises(LabError, match=r"--backbone minilm,smollm2: .* about one model; run each"):
        EXPERIMENTS[table].settings("minilm,smollm2", "small")


def test_controls_ask_pairs_for_their_cosine_where_a_model_pools_texts():
    settings = EXPERIMENTS["glue-controls"].settings("minilm", "small")
    by_method = {m: {s.task for s in settings if s.method == m} for m in glue.CONTROLS}
    pairs = {"rte", "mrpc", "stsb", "qnli", "qqp"}
    assert by_method == {"hard prompt": set(GLUE), "cosine of the two texts": pairs}
    assert {s.method for s in EXPERIMENTS["glue-controls"].settings("smollm2", "small")} == {
        "hard prompt"
    }


def test_what_no_seed_changes_is_run_once(tiny_folder, tiny_task, tmp_path, monkeypatch):
    """Several rows of one number would have an interval without width."""
    monkeypatch.setattr(runner, "load_task", lambda name: replace(tiny_task, name=name))
    folder = str(tiny_folder("llama"))
    for table in ("glue-controls", "table7"):
        result = run_table(table, backbone=folder, seeds=(0, 1, 2), out=tmp_path)
        assert len(result["rows"]) == len(EXPERIMENTS[table].settings(folder, "small"))
        assert {row["seed"] for row in result["rows"]} == {0}
        assert {line["ci95"] for line in result["summary"]} == {None}


@pytest.mark.parametrize("name", ["glue-controls-minilm", "glue-controls-t5-titles", "table7-data"])
def test_stored_rows_that_no_seed_changes_are_still_known(name):
    """By the digests that they were stored with; table 7's are older than digests."""
    (file,) = REFERENCE.glob(f"{name}-*.json")
    result = json.loads(file.read_text(encoding="utf-8"))
    experiment, place = EXPERIMENTS[result["name"]], Place(file.parent, file.parent, "")
    settings = experiment.settings(result["rows"][0]["backbone"], "small")
    assert not any(setting.seeded for setting in settings)
    for setting, row in zip(settings, result["rows"], strict=True):
        made = row.get("made", dict.fromkeys(("model", "fingerprint", "data"), ""))
        ingredients = SimpleNamespace(
            model=lambda _, made=made: (made["model"], made["fingerprint"]),
            data=lambda *_, made=made: made["data"],
        )
        origin = origin_of(experiment, setting, 0, place, "small", setting.task, ingredients)
        if "digest" in row:
            assert row["digest"] == origin.digest
        else:
            assert may_be_brought_over(row, setting, result["command"], origin)


def test_the_report_gives_a_mean_only_over_all_tasks():
    rows = [
        {"task": task, "method": "prompt", "seed": seed, "value": 0.5 + seed / 10, "seen": False}
        for task in GLUE
        for seed in (0, 1)
    ]
    result = {"name": "table8", "task": "all", "command": "labkit run table8", "rows": rows}
    assert "| prompt | 0.550 |" in glue_tables.methods_as_markdown(result)
    assert "| 0.550 [" in glue_tables.methods_as_markdown(result)
    short = {**result, "rows": rows[:-1]}
    assert "| 0.550 [" not in glue_tables.methods_as_markdown(short)


def test_the_papers_names_lead_to_methods():
    assert set(glue.PRINTED.values()) == set(glue.PAPER_METHODS)


def test_gains_pair_the_same_seeds_and_examples():
    def row(method, seed, correct):
        value = correct.count("1") / len(correct)
        return {"task": "rte", "method": method, "seed": seed, "value": value, "correct": correct}

    stsb = [
        {"task": "stsb", "method": m, "seed": s, "value": v}
        for m, values in {"prompt": (0.50, 0.52), "sorter": (0.53, 0.53)}.items()
        for s, v in enumerate(values)
    ]
    rows = [row("prompt", 0, "1100"), row("sorter", 0, "1110"), row("sorter", 1, "0000"), *stsb]
    found = glue_tables.gains({"rows": rows}, "sorter")
    assert list(found) == [task for task in GLUE if task in ("rte", "stsb")]
    assert found["rte"].value == pytest.approx(0.25)  # seed 1 has no prompt to stand against
    assert found["rte"].low == 0.0
    assert found["stsb"].value == pytest.approx(0.02)
    assert found["stsb"][1:] == pytest.approx(mean_interval([0.03, 0.01]))
    one = glue_tables.gains({"rows": [r for r in rows if r["seed"] == 0]}, "sorter")["stsb"]
    assert one.value == pytest.approx(0.03) and np.isnan(one.low)


def test_a_prompt_that_failed_the_gate_is_missing_and_no_gain_of_zero():
    def row(method, seed, value, learns):
        return {"task": "qnli", "method": method, "seed": seed, "value": value,
                "learns": learns}  # fmt: skip

    rows = [row("prompt", s, 0.6, s == 1) for s in range(3)]
    rows += [row("sorter", s, 0.6 - 0.037 * (s == 1), s == 1) for s in range(3)]
    assert glue_tables.gains({"rows": rows}, "sorter")["qnli"].value == pytest.approx(-0.037)
    assert glue_tables.compared_seeds({"rows": rows}, "sorter") == {"qnli": [1]}


def test_the_mean_gain_is_over_the_same_tasks_for_every_seed():
    def rows(task, learns, gains):
        both = {"prompt": (0.6,) * 3, "sorter": tuple(0.6 + gain for gain in gains)}
        return [
            {"task": task, "method": method, "seed": seed, "value": value, "learns": learns[seed]}
            for method, values in both.items()
            for seed, value in enumerate(values)
        ]

    partly = rows("qnli", (False, True, False), (0, -0.3, 0))
    full = rows("sst2", (True,) * 3, (0.01, 0, 0.02)) + rows("mnli", (True,) * 3, (0.03, 0.02, 0))
    result = {"rows": partly + full}
    assert glue_tables.tasks_in_full(result, "sorter") == ["sst2", "mnli"]
    gain = glue_tables.mean_gain(result, "sorter")
    assert gain.value == pytest.approx(0.08 / 6)
    assert gain[1:] == pytest.approx(mean_interval([0.02, 0.01, 0.01]))
    with pytest.raises(LabError, match="no task has every seed's prompt sorted by 'sorter'"):
        glue_tables.mean_gain({"rows": partly}, "sorter")


@pytest.mark.parametrize("family", ["bert, body", "albert, body"])
def test_the_cosine_of_two_texts_is_that_of_their_mean_states(family, tiny_backbone, tmp_path):
    """Albert's states are wider than its word embeddings."""
    backbone = load_backbone(str(FAMILIES[family].build(tmp_path / "model")), device="cpu")
    pairs = [("a good film", "bad"), ("bad film", "a film that is good"), ("good", "good")]
    examples = [Example(str(i), {"a": a, "b": b}, 0) for i, (a, b) in enumerate(pairs)]
    expected = []
    for texts in pairs:
        states = []
        for text in texts:  # one by one, without padding
            ids = backbone.tokenizer(text, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                states.append(backbone.model(input_ids=ids).last_hidden_state[0].float().mean(0))
        expected.append(torch.cosine_similarity(*states, dim=0).item())
    assert glue.cosine_of_pairs(backbone, examples) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(LabError, match="two texts each"):
        glue.cosine_of_pairs(backbone, [Example("0", {"a": "good"}, 0)])
    with pytest.raises(LabError, match="pools no text"):
        glue.cosine_of_pairs(tiny_backbone("llama"), examples)


def test_the_threshold_is_the_best_of_all_cuts():
    random = np.random.default_rng(0)
    for _ in range(200):
        values = random.integers(0, 6, size=9).astype(float)
        labels = random.integers(0, 2, size=9)
        threshold, upper = glue.best_threshold(values, labels)
        right = (np.where(values > threshold, upper, 1 - upper) == labels).sum()
        cuts = [-1.0, *np.unique(values)]
        assert right == max((np.where(values > c, u, 1 - u) == labels).sum()
                            for c in cuts for u in (0, 1))  # fmt: skip


def test_a_task_that_the_paper_lacks_is_compared_all_the_same():
    rows = [
        {"task": task, "method": method, "seed": 0, "value": value, "correct": c, "seen": False}
        for task in ("sst2", "rt-polarity")
        for method, value, c in (("prompt", 0.5, "1100"), ("swaps", 0.75, "1110"))
    ]
    result = {"name": "table8", "task": "rt-polarity", "command": "labkit run", "rows": rows}
    text = glue_tables.methods_as_markdown(result)
    assert "| method | rt-polarity | sst2 |" in text
    assert "| swaps | 0.750 | 0.750 |" in text
    assert "| sorter | – | 91.5 |" in text
    assert list(glue_tables.gains(result, "swaps")) == ["rt-polarity", "sst2"]


def test_the_papers_gains_are_differences_of_its_rows():
    assert glue_tables.printed_gains("sorter")["rte"] == pytest.approx(0.043)
    assert glue_tables.printed_gains("fine-tuning")["stsb"] == pytest.approx(-0.006)
