"""The ledger of claims: it says what the stored results say, and so do the notebooks."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pytest

from conftest import ROOT
from labkit.audit.findings import audit
from labkit.core.errors import LabError
from labkit.experiments import ledger, transfer_starts
from labkit.experiments.evidence import READERS, Result
from labkit.experiments.template_family import TEMPLATES, cost_of_a_word
from labkit.shuffle_probe import Probe
from numbers_apart import numbers_in, without_numbers

LEDGER = ledger.read()
CLAIMS = {claim["id"]: claim for claim in LEDGER["claims"]}
UNDECIDED = "can't tell"


# ------------------------------------------------------------------------------ the stored ledger


def test_the_ledger_says_what_the_stored_results_say():
    again = ledger.renewed(LEDGER)
    assert without_numbers(again) == without_numbers(LEDGER), "run `make ledger`"
    assert numbers_in(again) == pytest.approx(numbers_in(LEDGER), abs=2e-6), "run `make ledger`"


def test_the_pages_show_the_ledger():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert ledger.with_summary(readme, ledger.summary(LEDGER)) == readme, "run `make ledger`"
    page = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    assert page == ledger.as_markdown(LEDGER), "run `make ledger`"
    for claim in LEDGER["claims"]:
        assert claim["says"] in page


def test_what_is_written_by_hand_is_whole():
    assert len(CLAIMS) == len(LEDGER["claims"])
    papers = [paper["id"] for paper in LEDGER["papers"]]
    findings = {finding.id for finding in audit()}
    for claim in LEDGER["claims"]:
        assert claim["paper"] in papers and claim["id"].startswith(claim["paper"] + "-")
        assert ("evidence" in claim) != bool(claim.get("not_examined")), claim["id"]
        assert ("evidence" in claim) == (claim.get("expects") in ("above zero", "below zero"))
        assert findings.issuperset(claim.get("findings", ())), claim["id"]
        for pointer in claim.get("evidence", ()):
            assert pointer["read"] in READERS and pointer["models"] and pointer["of"]
    assert {claim["paper"] for claim in LEDGER["claims"]} == set(papers)


def test_a_verdict_is_what_its_interval_says():
    for claim in LEDGER["claims"]:
        for entry in claim["results"]:
            if "ci95" not in entry:
                assert entry["verdict"] in (ledger.NOT_RUN, ledger.NOT_LEARNED)
                continue
            low, high = entry["ci95"]
            assert low <= entry["difference"] <= high
            decided = low > 0 or high < 0
            agrees = (low > 0) == (claim["expects"] == "above zero")
            right = ("agrees" if agrees else "disagrees") if decided else UNDECIDED
            if low == high == 0.0:  # the same answers: there is no effect that could have shown
                right = "nothing changed"
            assert entry["verdict"] == right, f"{claim['id']}, {entry}"
            assert ("detectable" in entry) == (right == UNDECIDED)
            assert entry["seeds"] >= 1 and entry["n"] >= 2
            assert (ROOT / f"data/reference/{entry['file']}.json").is_file()


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("lester2021-length-20", ("20", "1")),
        ("lester2021-prompt-design", ("soft prompt", "best hard prompt")),
        ("lester2021-small-models", ("{}, fine-tuning", "{}, prompt")),
        ("gu2022-over-fine-tuning", ("pre-trained prompt, {}", "fine-tuning, {}")),
    ],
)
def test_a_difference_is_that_of_the_mean_scores(name, names):
    for entry in CLAIMS[name]["results"]:
        if entry["verdict"] == ledger.NOT_RUN:
            continue
        file = ROOT / f"data/reference/{entry['file']}.json"
        values = defaultdict(list)
        for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
            values[row["setting"]].append(row["value"])
        better, worse = (values[setting.format(entry.get("about"))] for setting in names)
        assert entry["difference"] == pytest.approx(np.mean(better) - np.mean(worse), abs=2e-6)
        assert entry["seeds"] == max(len(better), len(worse))


def outdone() -> set[str]:
    """Files of pointers before which another one has rows of the same model."""
    weaker = set()
    for claim in LEDGER["claims"]:
        used = {(entry["model"], entry.get("file")) for entry in claim["results"]}
        for i, pointer in enumerate(claim.get("evidence", ())):
            for model in pointer["models"]:
                before = {p["file"].format(model=model) for p in claim["evidence"][:i]}
                if any((model, file) in used for file in before):
                    weaker.add(pointer["file"].format(model=model))
    return weaker


def test_no_result_is_left_aside():
    """Stored rows of an experiment that pointers name stand in the ledger, or stronger ones do."""
    pointers = [p["file"] for claim in LEDGER["claims"] for p in claim.get("evidence", ())]
    used = {e["file"] for claim in LEDGER["claims"] for e in claim["results"] if "file" in e}
    used |= outdone()
    for file in (ROOT / "data/reference").glob("*.json"):
        name = json.loads(file.read_text(encoding="utf-8"))["name"]
        is_pointed_at = any(pointer.startswith(f"{name}-") for pointer in pointers)
        if is_pointed_at and name not in ("table1", "table2", "table3"):  # or order-effect instead
            assert file.stem in used, f"{file.stem}: point to it in data/claims.json"


# ---------------------------------------------------------------------------- taken up as they come


def order_effects(losses: list[int], model: str = "tiny", learns: bool = True) -> dict:
    """Two prompts on ten sentences, right in the trained order, some wrong in others."""
    rows = [
        {
            "setting": model,
            "backbone": f"some/{model}",
            "seed": seed,
            "learns": learns,
            "correct": "1" * 10,
            "n": 10,
            "effects": {
                "all tokens move": {"per_sentence": 2, "right": "2" * (10 - lost) + "0" * lost},
                "blocks of 5": {"per_sentence": 1, "right": "1" * 10},
            },
        }
        for seed, lost in enumerate(losses)
    ]
    line = {"kind": "all tokens move", "prompts": 2, "n": 10, "mean_difference": [-0.4, -0.6, -0.2]}
    return {"command": "labkit run order-effect", "rows": rows, "pooled": [line] * learns}


def claim_about(**more) -> dict:
    better = {
        "file": "order-effect-{model}-x",
        "read": "order kind",
        "of": [["all tokens move"]],
        "models": ["tiny", "other"],
    }
    weaker = better | {"file": "table1-{model}-x", "read": "order row", "models": ["tiny"]}
    weaker["of"] = [["{model}", "mean_difference"]]
    return {"says": "it falls", "expects": "below zero", "evidence": [better, weaker]} | more


def table1(*ends: float) -> dict:
    row = {"setting": "tiny", "backbone": "some/tiny", "seed": 0, "learns": True, "n": 8}
    return {"command": "labkit run table1", "rows": [row | {"mean_difference": list(ends)}]}


def test_a_claim_takes_up_stronger_evidence_when_it_comes(tmp_path):
    def write(name: str, content: dict) -> dict[str, str]:
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        entries = ledger.results(claim_about(), tmp_path)
        return {entry["model"]: entry["verdict"] for entry in entries}

    first = ledger.results(claim_about(), tmp_path)
    command = "labkit run order-effect --backbone tiny --task x"
    assert first[0] == {"model": "tiny", "command": command, "verdict": ledger.NOT_RUN}
    assert write("table1-tiny-x", table1(0.01, -0.1, 0.1)) == {
        "tiny": UNDECIDED,
        "other": ledger.NOT_RUN,
    }
    alone = order_effects([2], "other") | {"pooled": []}  # a run that was stopped early
    assert write("order-effect-other-x", alone)["other"] == ledger.NOT_RUN
    one = order_effects([2], "other")
    one["rows"].append(one["rows"][0] | {"seed": 1, "learns": False})
    assert write("order-effect-other-x", one | {"pooled": []})["other"] == ledger.TOO_FEW
    assert write("order-effect-tiny-x", order_effects([2, 6]))["tiny"] == "agrees"
    assert write("order-effect-other-x", order_effects([2, 6], "other", learns=False)) == {
        "tiny": "agrees",
        "other": ledger.NOT_LEARNED,
    }
    entry = ledger.results(claim_about(), tmp_path)[0]
    assert (entry["seeds"], entry["n"], entry["file"]) == (2, 10, "order-effect-tiny-x")
    (upwards, _) = ledger.results(claim_about(expects="above zero"), tmp_path)
    assert upwards["verdict"] == "disagrees"


def test_several_prompts_decide_together_and_never_one_by_one(tmp_path):
    ends = {"best_held_out": [0.02, 0.01, 0.03], "no_positions": [-0.01, -0.03, 0.01]}
    one = {"mean_difference": [-0.1, -0.2, -0.05], "best_held_out": [-0.1, -0.2, -0.01]}
    one |= {"no_positions": {"difference": [-0.1, -0.2, -0.01]}, "setting": "tiny"}
    one |= {"backbone": "some/tiny", "n": 8, "learns": True}
    rows = [one | {"seed": seed} for seed in (0, 1)] + [
        {"setting": "tiny", "backbone": "some/tiny", "seed": 2, "learns": False, "n": 8}
    ]
    line = {"setting": "tiny", "prompts": 2, "n": 8, "mean_difference": [-0.1, -0.3, 0.1], **ends}
    content = {"command": "labkit run table1", "rows": rows, "pooled": [line]}
    file = tmp_path / "table1-tiny-x.json"
    for pooled, fields in (([line], ("mean_difference", *ends)), ([], ("best_held_out",))):
        file.write_text(json.dumps(content | {"pooled": pooled}), encoding="utf-8")
        for field in fields:
            readings = list(READERS["order row"](Result.read(file), "tiny", field))
            if pooled:
                (reading,) = readings
                assert [*reading.difference] == line[field] and reading.seeds == 2
            else:  # left apart: the rows one by one, by the seeds that passed
                assert [r.about for r in readings] == ["tiny, seed 0", "tiny, seed 1"]


def test_a_setting_that_no_prompt_learned_is_shown_and_not_counted(tmp_path):
    content = table1(-0.2, -0.3, -0.1)
    stuck = {"setting": "hard", "backbone": "some/tiny", "seed": 0, "learns": False, "n": 8}
    content["rows"].append(stuck)
    (tmp_path / "table1-tiny-x.json").write_text(json.dumps(content), encoding="utf-8")
    claim = claim_about()
    claim["evidence"][1]["of"] = [["{model}", "mean_difference"], ["hard", "mean_difference"]]
    claim["results"] = ledger.results(claim, tmp_path)
    learned, other = (e for e in claim["results"] if e["model"] == "tiny")
    assert learned["verdict"] == "agrees"
    assert (other["about"], other["verdict"]) == ("hard", ledger.NOT_LEARNED)
    assert "difference" not in other
    assert ledger.by_model(claim)["tiny"] == "agrees"


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ((ledger.NOT_LEARNED, ledger.TOO_FEW), ledger.TOO_FEW),
        ((ledger.NOT_LEARNED, ledger.NOT_LEARNED), ledger.NOT_LEARNED),
        ((ledger.TOO_FEW, ledger.TOO_FEW), ledger.TOO_FEW),
        ((ledger.NOT_LEARNED, ledger.TOO_FEW, "agrees"), "agrees"),
        ((ledger.TOO_FEW, "agrees", "disagrees"), "of 2: 1 agree, 1 disagree"),
    ],
)
def test_a_model_of_which_all_stopped_at_the_gate_says_so(verdicts, says):
    entries = [{"model": "tiny", "command": "c", "verdict": each} for each in verdicts]
    assert ledger.by_model({"results": entries}) == {"tiny": says}


def test_a_pointer_that_can_not_be_read_is_named(tmp_path):
    (tmp_path / "table1-tiny-x.json").write_text(json.dumps(table1(0, -1, 1)), encoding="utf-8")
    claim = claim_about()
    claim["evidence"][1]["read"] = "tea leaves"
    with pytest.raises(LabError, match=r"table1-\{model\}-x is read by 'tea leaves'.* order row"):
        ledger.results(claim, tmp_path)


def test_a_file_of_a_model_whose_name_goes_on_is_not_taken(tmp_path):
    claim = claim_about()
    for pointer in claim["evidence"]:
        pointer["file"] = pointer["file"].replace("-x", "-*")
    content = json.dumps(order_effects([2, 6], "tiny-mlm"))
    (tmp_path / "order-effect-tiny-mlm-x.json").write_text(content, encoding="utf-8")
    assert [e["verdict"] for e in ledger.results(claim, tmp_path)] == [ledger.NOT_RUN] * 2


def test_two_kinds_of_shuffling_are_compared_on_the_same_sentences(tmp_path):
    file = tmp_path / "order-effect-tiny-x.json"
    file.write_text(json.dumps(order_effects([2, 6])), encoding="utf-8")
    (reading,) = READERS["order kinds"](Result.read(file), "blocks of 5", "all tokens move")
    assert reading.difference.value == pytest.approx(0.4)  # of twenty answers, eight were lost
    assert (reading.seeds, reading.n) == (2, 10)


def test_prompts_scored_on_different_sentences_are_not_averaged(tmp_path):
    content = order_effects([2, 6])
    for row in order_effects([1, 3])["rows"]:
        longer = {
            kind: effect | {"right": effect["right"] + effect["right"][:2]}
            for kind, effect in row["effects"].items()
        }
        content["rows"].append(
            row | {"seed": row["seed"] + 2, "n": 12, "correct": "1" * 12, "effects": longer}
        )
    file = tmp_path / "order-effect-tiny-x.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    readings = list(READERS["order kinds"](Result.read(file), "blocks of 5", "all tokens move"))
    assert [(r.seeds, r.n) for r in readings] == [(2, 10), (2, 12)]
    assert [r.about.split(", ")[1] for r in readings] == ["n = 10", "n = 12"]


def test_two_settings_are_compared_over_the_prompts_that_both_have(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "t").mkdir()
    rows, rights = [], {}
    for setting, seeds in (("a", (0, 1, 2)), ("b", (1, 2, 3))):
        for seed in seeds:
            n = 40 if seed < 2 else 60
            right = (random.random((4, n)) < 0.7).astype(int)
            ones = np.ones(n, dtype=int)
            matrix = f"t/{setting}-{seed}.npz"
            probe = Probe(np.tile(np.arange(4), (4, 1)), right, ones, ones, "accuracy")
            probe.save(tmp_path / matrix)
            about = {"setting": setting, "seed": seed, "learns": True, "matrix": matrix}
            rows.append(about | probe.summary())
            rights[setting, seed] = right.mean()
    file = tmp_path / "table2-tiny-x.json"
    for same in (True, False):
        kept = [r for r in rows if not same or r["seed"] != 2]
        file.write_text(json.dumps({"rows": kept}), encoding="utf-8")
        readings = list(READERS["order settings"](Result.read(file), "a", "b"))
        assert [r.seeds for r in readings] == [1] * len(readings) == ([1] if same else [1, 1])
        for seed, reading in zip((1, 2), readings, strict=False):
            gap = rights["a", seed] - rights["b", seed]
            assert reading.difference.value == pytest.approx(gap)


def test_rows_of_several_devices_say_so(tmp_path):
    content = order_effects([2, 6])
    file = tmp_path / "order-effect-tiny-x.json"
    for devices, more in ((("cpu", "cpu"), {}), (("cuda", "cpu"), {"devices": ["cpu", "cuda"]})):
        for row, device in zip(content["rows"], devices, strict=True):
            row["device"] = device
        file.write_text(json.dumps(content), encoding="utf-8")
        entry = ledger.results(claim_about(), tmp_path)[0]
        assert {k: entry[k] for k in entry if k == "devices"} == more
        assert ("rows of cpu and cuda" in ledger._numbers(entry)) == bool(more)


def test_a_lead_shrinks_where_it_is_larger_with_few_examples(tmp_path):
    right = {("new", 8): 9, ("old", 8): 4, ("new", 16): 8, ("old", 16): 7, ("new", 64): 10}
    right["old", 64] = 8
    rows = [
        {
            "setting": f"{method}, {size} examples",
            "examples": size,
            "seed": seed,
            "correct": "1" * count + "0" * (10 - count),
        }
        for (method, size), count in right.items()
        for seed in (0, 1)
    ]
    file = tmp_path / "few-shot-tiny-x.json"
    file.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    (reading,) = READERS["lead shrinks"](Result.read(file), "new", "old")
    assert reading.difference.value == pytest.approx((9 - 4 - (10 - 8)) / 10)
    assert (reading.seeds, reading.n, reading.about) == (2, 10, "8 − 64 examples")


def test_a_draw_that_some_size_lacks_is_paired_with_no_other(tmp_path):
    """Draw 0 has its few examples only, draw 2 its many; the middle one alone has both."""
    right = {0: {8: 10}, 1: {8: 6, 64: 5}, 2: {64: 0}}
    rows = [
        {
            "setting": f"{method}, {size} examples",
            "examples": size,
            "seed": seed,
            "n": 10,
            "correct": "1" * count + "0" * (10 - count) if method == "new" else "0" * 10,
        }
        for seed, sizes in right.items()
        for size, count in sizes.items()
        for method in ("new", "old")
    ]
    file = tmp_path / "few-shot-tiny-x.json"
    file.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    (reading,) = READERS["lead shrinks"](Result.read(file), "new", "old")
    assert (reading.difference.value, reading.seeds) == (pytest.approx(0.1), 1)
    few, many = READERS["methods by examples"](Result.read(file), "new", "old")
    assert (few.seeds, many.seeds) == (2, 2)  # of three in the file


def test_the_seeds_of_a_start_are_those_that_have_it_and_the_plain_one(tmp_path):
    values = {("plain", seed): 0.5 for seed in range(3)}
    values |= {("oracle", 0): 0.6, ("oracle", 1): 0.6, ("oracle", 3): 0.6}
    plain = transfer_starts.PLAIN
    rows = [
        {"task": task, "start": plain if start == "plain" else start, "seed": seed, "value": value}
        for (start, seed), value in values.items()
        for task in ("a", "b")
    ]
    file = tmp_path / "transfer-starts-tiny-x.json"
    file.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    (reading,) = READERS["starts"](Result.read(file), "oracle")
    assert (reading.seeds, reading.n) == (2, 2)


def test_the_cost_of_a_word_is_not_that_of_the_worst_by_chance():
    names = list(TEMPLATES)

    def family(right: np.ndarray) -> dict:
        rows = [
            {"method": "hard", "member": name, "correct": "".join(map(str, row))}
            for name, row in zip(names, right.astype(int), strict=False)
        ]
        return {"rows": rows}

    coins = np.random.default_rng(0).random((len(names), 400)) < 0.8
    by_chance = cost_of_a_word(family(coins)).reported
    assert by_chance.low < 0 < by_chance.high
    coins[3] = np.random.default_rng(1).random(400) < 0.5
    cost = cost_of_a_word(family(coins)).reported
    assert cost.value == pytest.approx(coins[0].mean() - coins[3].mean())
    assert cost.low > 0.1


def test_a_damaged_ledger_says_what_to_restore(tmp_path):
    (tmp_path / "claims.json").write_text("{", encoding="utf-8")
    with pytest.raises(LabError, match=r"claims\.json can't be read .* restore it"):
        ledger.read(tmp_path / "claims.json")


def test_lines_for_people_hold_every_claim_and_its_commands():
    lines = ledger.as_lines(LEDGER)
    assert max(map(len, lines)) <= 100
    text = " ".join(" ".join(lines).split())
    for claim in LEDGER["claims"]:
        assert f"[{claim['id']}]" in text and claim["says"] in text
        assert all(entry["command"] in text for entry in claim["results"])


# ------------------------------------------------------------------------------------ the notebooks


def notebook_text(name: str) -> str:
    """What a notebook says: its text cells, and what its code cells print."""
    cells = json.loads((ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    parts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return " ".join(" ".join(parts).replace("*", "").split())


def test_the_notebooks_say_of_claims_what_the_ledger_says():
    texts: dict[str, str] = {}
    notebooks = set()
    for claim in LEDGER["claims"]:
        verdicts = defaultdict(set)
        for entry in claim["results"]:
            verdicts[entry["model"]].add(entry["verdict"])
        for sentence in claim.get("sentences", ()):
            name = sentence["notebook"]
            text = texts.setdefault(name, notebook_text(name))
            assert sentence["quote"] in text, f"{name} no longer says {sentence['quote']!r}"
            for model, read in sentence["reads"].items():
                assert verdicts[model] == set(read), (
                    f"{name} says {sentence['quote']!r}, but {claim['id']} on {model}: "
                    f"{', '.join(sorted(verdicts[model]))}; write the sentence anew"
                )
            notebooks.add(name)
    assert notebooks == {path.stem for path in (ROOT / "notebooks").glob("0[2-46-9]_*.ipynb")}


@pytest.mark.parametrize("reader", ["settings", "settings over prompts"])
def test_prompts_that_did_not_learn_decide_no_claim(tmp_path, reader):
    def rows(seed: int, learns: bool, better: str) -> list[dict]:
        of_seed = {"seed": seed, "learns": learns, "n": 4, "backbone": "tiny"}
        pair = {"a": better, "b": "0000"}
        return [of_seed | {"setting": name, "correct": right} for name, right in pair.items()]

    file = tmp_path / "order-search-prompts-tiny-x.json"

    def readings(*seeds: tuple[bool, str]) -> list:
        every = [row for k, (learns, right) in enumerate(seeds) for row in rows(k, learns, right)]
        file.write_text(json.dumps({"command": "labkit run", "rows": every}), encoding="utf-8")
        return list(READERS[reader](Result.read(file), "a", "b"))

    (reading,) = readings((True, "0001"), (True, "0010"), (False, "1111"))
    assert reading.difference.value == pytest.approx(0.25) and reading.seeds == 2
    (reading,) = readings((False, "1111"), (False, "1111"))
    assert reading.difference is None and reading.passed == 0
    assert not list(READERS[reader](Result.read(file), "a", "c"))  # not run is another thing
