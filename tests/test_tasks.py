"""Tasks: what is in them, how they are cut, and what is said when something is wrong."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import shutil
import sys
import types
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT
from labkit.core import assets
from labkit.core.errors import LabError
from labkit.core.tasks import (
    GLUE,
    MOST_VALIDATION,
    SHARED_SENTENCES,
    SPLITS,
    TASK_PROMPTS,
    TASKS,
    TRAINED_ON,
    Example,
    Task,
    are_seen,
    load_task,
    normalise,
    read_polarity_files,
    split_examples,
    without_overlap,
)
from labkit.core.templates import READOUTS

VALENCE = ("movie-valence", "amazon-valence", "editorials-valence", "tweets-valence")
PUBLISHED = tuple(name for name in TASKS if name != "rt-polarity" and name not in VALENCE)
GIVEN_DATA = os.environ.get("LABKIT_DATA")
SHARED = Path(GIVEN_DATA).parent if GIVEN_DATA else ROOT.parent / "shared" / "data"

needs_vader = pytest.mark.skipif(
    not assets.is_ready(assets.ASSETS["vader"]),
    reason="the default data are not in the cache: run `labkit assets fetch`",
)
needs_originals = pytest.mark.skipif(
    not (SHARED / "mr" / "rt-polarity.pos").is_file(),
    reason="the original rt-polarity files are absent: put them into mr/ beside LABKIT_DATA",
)
needs_published = pytest.mark.skipif(
    not (SHARED / "tasks" / "rte").is_dir(),
    reason="the published data sets are absent: set LABKIT_DATA to their folder",
)


def texts_of(examples: Iterable[Example]) -> set[str]:
    return {normalise(text) for example in examples for text in example.fields.values()}


def everything(task: Task) -> list[Example]:
    return [example for split in task.splits.values() for example in split]


def example(text: str, label: int = 0) -> Example:
    return Example(text, {"text": text}, label)


def write_jsonl(file: Path, rows: Iterable[object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# ---- rt-polarity ----


@needs_vader
def test_rt_polarity_sizes_and_balance() -> None:
    task = load_task("rt-polarity")
    assert {name: len(part) for name, part in task.splits.items()} == {
        "train": 8481,
        "validation": 1060,
        "test": 1060,
    }
    assert len({example.id for example in everything(task)}) == 10_601
    assert task.labels == ("negative", "positive")
    assert (task.kind, task.metric, task.range) == ("classification", "accuracy", None)
    assert all(0.5 <= task.majority(split) < 0.53 for split in SPLITS)


@needs_vader
@needs_originals
def test_rt_polarity_is_the_original_polarity() -> None:
    """Case and punctuation were restored, so letters and digits alone are compared."""

    def squeeze(text: str) -> str:
        return "".join(re.findall(r"\w", text.lower()))

    originals: dict[str, set[int]] = {}
    for label, ending in enumerate(("neg", "pos")):
        lines = (SHARED / "mr" / f"rt-polarity.{ending}").read_text("latin-1").split("\n")
        for line in lines:
            originals.setdefault(squeeze(line), set()).add(label)
    examples = everything(load_task("rt-polarity"))
    found = [e for e in examples if squeeze(e.text) in originals]
    assert len(found) >= 10_599
    assert all(originals[squeeze(e.text)] == {e.label} for e in found)


@needs_vader
def test_texts_are_clean() -> None:
    for name in ("rt-polarity", *VALENCE):
        for one in everything(load_task(name)):
            assert one.text == " ".join(one.text.split()) != ""
            assert not re.search(r"&(amp|quot|lt|gt|#\d+);", one.text)


@needs_originals
def test_original_files_as_a_task() -> None:
    task = load_task("rt-polarity", path=SHARED / "mr")
    examples = everything(task)
    assert 10_600 < len(examples) <= 10_662
    assert abs(len(task.split("test")) - 1066) <= 1
    assert len(texts_of(examples)) == len(examples)
    assert 0.5 <= task.majority() < 0.54


def test_original_files_are_cleaned(tmp_path: Path) -> None:
    neg = "dull  and\tlong . \n\ncaf\xe9 noir\ndull and long\n"
    (tmp_path / "rt-polarity.neg").write_bytes(neg.encode("latin-1"))
    (tmp_path / "rt-polarity.pos").write_bytes(b"a joy .\r\nA joy!\n")
    examples = read_polarity_files(tmp_path)
    assert [(e.id, e.text, e.label) for e in examples] == [
        ("neg-1", "dull and long .", 0),
        ("neg-3", "café noir", 0),
        ("pos-1", "a joy .", 1),
    ]


def test_original_files_missing(tmp_path: Path) -> None:
    (tmp_path / "rt-polarity.neg").write_text("bad\n")
    with pytest.raises(LabError, match=r"rt-polarity\.pos does not exist"):
        load_task("rt-polarity", path=tmp_path)


# ---- valence ----


@needs_vader
@pytest.mark.parametrize("name", VALENCE)
def test_valence_as_sign_and_as_rating(name: str) -> None:
    sign, rating = load_task(name), load_task(name, as_regression=True)
    assert (sign.kind, sign.labels) == ("classification", ("negative", "positive"))
    assert (rating.kind, rating.metric, rating.labels) == ("regression", "pearson", ())
    assert rating.range == (-4.0, 4.0)
    values = {example.id: example.label for example in everything(rating)}
    assert all(isinstance(given, str) and -4 <= value <= 4 for given, value in values.items())
    signs = {example.id: example.label for example in everything(sign)}
    assert signs == {given: int(value > 0) for given, value in values.items() if value}
    with pytest.raises(LabError, match="no majority class"):
        rating.majority()


@needs_vader
def test_sign_of_valence_agrees_with_polarity_where_published() -> None:
    gold = {example.id: example.label for example in everything(load_task("rt-polarity"))}
    sign = {example.id: example.label for example in everything(load_task("movie-valence"))}
    agreement = np.mean([gold[given] == sign[given] for given in gold.keys() & sign.keys()])
    assert agreement == pytest.approx(0.97, abs=0.005)


def test_without_the_asset_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[str]
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    with pytest.raises(LabError, match="labkit assets fetch"):
        load_task("rt-polarity")
    assert no_network == []


@needs_vader
def test_damaged_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = assets.locate("vader")
    shutil.copytree(ready, tmp_path / ready.name)
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    assert len(everything(load_task("tweets-valence", as_regression=True))) == 4200
    file = tmp_path / ready.name / "tweets_GroundTruth.txt"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))  # every line that is left is whole
    with pytest.raises(LabError, match=r"damaged \(tweets_GroundTruth.txt .*labkit assets fetch"):
        load_task("tweets-valence")


# ---- how they are cut ----


@needs_vader
@pytest.mark.parametrize("name", ["rt-polarity", *VALENCE])
def test_no_text_on_two_sides_of_default_data(name: str) -> None:
    task = load_task(name)
    sides = [texts_of(task.split(split)) for split in SPLITS]
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert load_task(name).splits == task.splits


def random_examples(generator: random.Random, count: int, words: str) -> list[Example]:
    """Two short texts each, out of few words: many examples share a text with another."""
    return [
        Example(
            str(i),
            {
                f: " ".join(generator.choices(words.split(), k=generator.randint(1, 4)))
                for f in "ab"
            },
            generator.randint(0, 1),
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("seed", range(10))
def test_no_text_on_two_sides_of_any_cut(seed: int) -> None:
    generator = random.Random(seed)
    examples = random_examples(generator, 150, " ".join(f"w{i}" for i in range(40)))
    parts = split_examples(examples, {"validation": 0.2, "test": 0.1}, seed=seed)
    assert list(parts) == list(SPLITS)
    assert sorted(e.id for part in parts.values() for e in part) == sorted(e.id for e in examples)
    sides = [texts_of(part) for part in parts.values()]
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert 0 < len(parts["validation"]) <= 30 and 0 < len(parts["test"]) <= 15


def test_case_and_punctuation_do_not_make_a_new_text() -> None:
    examples = [example(f"{'So so' if i % 2 else 'so, so!'} {i // 2}") for i in range(40)]
    parts = split_examples(examples, {"test": 0.5})
    assert len(parts["test"]) == 20
    assert not texts_of(parts["test"]) & texts_of(parts["train"])


def test_a_cut_is_repeatable_and_seeded() -> None:
    examples = [example(f"text {i}") for i in range(100)]
    once = split_examples(examples, {"test": 0.1}, seed=1)
    assert once == split_examples(examples, {"test": 0.1}, seed=1)
    assert once != split_examples(examples, {"test": 0.1}, seed=2)


def test_validation_of_a_published_train_set_is_a_tenth_but_at_most_1000() -> None:
    small, large = ([example(f"text {i}") for i in range(n)] for n in (500, 12_000))
    assert len(split_examples(small, {"validation": 0.1})["validation"]) == 50
    assert len(split_examples(large, {"validation": 0.1})["validation"]) == MOST_VALIDATION


# ---- what a task answers ----


def small_task() -> Task:
    rows = [example(f"text {i}", int(i < 3)) for i in range(10)]
    return Task("small", ("text",), ("no", "yes"), {"train": tuple(rows), "test": ()})


def test_majority() -> None:
    assert small_task().majority("train") == 0.7
    with pytest.raises(LabError, match="'test' of task 'small' is empty"):
        small_task().majority()


def test_an_empty_split_is_named_with_what_fills_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="'test' of task 'small' is empty; give more examples"):
        small_task().take("test", 5)
    rows = [{"text": f"text {i}", "label": "pq"[i % 2]} for i in range(4)]
    write_jsonl(tmp_path / "few" / "train.jsonl", rows)
    task = load_task(str(tmp_path / "few"))  # a tenth of four is none
    for ask in (task.split, task.majority, lambda name: task.take(name, 3)):
        for name in ("validation", "test"):
            with pytest.raises(LabError) as caught:
                ask(name)
            says = str(caught.value)
            assert f"split {name!r} of task 'few' is empty" in says
            assert f"its {name}.jsonl" in says and "train.jsonl" in says and "\n" not in says
    assert task.fingerprint("train", "test") == task.fingerprint("train", "test")
    assert task.fingerprint("train", "test") != task.fingerprint("test")


def test_take_is_a_seeded_sample() -> None:
    task = small_task()
    once = task.take("train", 5, seed=1)
    assert once == task.take("train", 5, seed=1) != task.take("train", 5, seed=2)
    assert len({e.id for e in once}) == 5
    assert len(task.take("train", 99)) == 10
    with pytest.raises(LabError, match="limit=0"):
        task.take("train", 0)


def test_unknown_split_names_those_there_are() -> None:
    with pytest.raises(LabError, match=r"'small' has no split 'dev'; it has train, test"):
        small_task().split("dev")


def test_the_text_of_a_pair_is_refused() -> None:
    pair = Example("7", {"premise": "a", "hypothesis": "b"}, 0)
    with pytest.raises(LabError, match=r"'7' has several texts \(premise, hypothesis\)"):
        _ = pair.text


def test_representation_is_short() -> None:
    assert len(repr(small_task())) < 200


def test_no_prompt_known_for_a_readout() -> None:
    with pytest.raises(LabError, match="no template for the causal readout"):
        small_task().prompt_for("causal")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_words_for_every_readout(name: str) -> None:
    prompts = TASK_PROMPTS[name]
    assert set(prompts) == {"mlm", "causal", "seq2seq", "encoder"}
    assert prompts["causal"].template.endswith("{mask}")
    assert prompts["mlm"].template.count("{mask}") == 1
    assert "{mask}" not in prompts["encoder"].template
    slots = [set(re.findall(r"{(\w+)}", p.template)) - {"mask"} for p in prompts.values()]
    assert all(slot == slots[0] for slot in slots)
    assert all(p.verbalizer.keys() == prompts["mlm"].verbalizer.keys() for p in prompts.values())


def test_the_words_the_figures_rest_on() -> None:
    prompt = TASK_PROMPTS["rt-polarity"]["causal"]
    assert prompt.template == "{text} It was {mask}"
    assert prompt.verbalizer == {"negative": "terrible", "positive": "great"}


def test_seen_pairs() -> None:
    assert are_seen("rt-polarity", "sst2") and are_seen("amazon-valence", "cr")
    assert not are_seen("rt-polarity", "rte") and not are_seen("sst2", "cr")
    assert not are_seen("sst2", "sst2")
    known = set(TASKS)
    assert all(group <= known for group in (*SHARED_SENTENCES, *TRAINED_ON.values()))
    assert TRAINED_ON["minilm"] == {"snli", "mnli", "qqp", "qnli"}


# ---- published data sets ----


def published_rows(name: str, count: int) -> list[dict]:
    fields = {
        "mrpc": ("sentence1", "sentence2"),
        "rte": ("sentence1", "sentence2"),
        "stsb": ("sentence1", "sentence2"),
        "qnli": ("question", "sentence"),
        "qqp": ("question1", "question2"),
        "mnli": ("premise", "hypothesis"),
        "snli": ("premise", "hypothesis"),
    }.get(name, ("sentence",))
    classes = 3 if name in ("mnli", "snli") else 2
    return [
        {
            **{field: f"{field} number {i}" for field in fields},
            "label": i % 6 * 1.0 if name == "stsb" else i % classes,
            "idx": i,
        }
        for i in range(count)
    ]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``LABKIT_DATA`` folder with twenty and ten examples of each published data set."""
    folder = tmp_path / "data"
    for name in PUBLISHED:
        write_jsonl(folder / name / "train.jsonl", published_rows(name, 20))
        write_jsonl(folder / name / "validation.jsonl", published_rows(name, 10))
    monkeypatch.setenv("LABKIT_DATA", str(folder))
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_task(data: Path, name: str, no_network: list[str]) -> None:
    task = load_task(name)
    rows = published_rows(name, 10)
    assert [dict(e.fields) for e in task.split("test")] == [
        {field: row[field] for field in task.fields} for row in rows
    ]
    assert [e.label for e in task.split("test")] == [row["label"] for row in rows]
    assert (len(task.split("train")), len(task.split("validation"))) == (18, 2)
    assert (task.metric == "pearson") == (name == "stsb")
    words = task.prompts["causal"].verbalizer
    assert set(words) == (set(task.labels) if task.labels else {"low", "high"})
    assert load_task(name).splits == task.splits
    assert no_network == []


TEST_SIZES = {
    "sst2": (872,),
    "mrpc": (408,),
    "rte": (277,),
    "stsb": (1500,),
    "qnli": (5463,),
    # as published, and the thousand that a smaller copy keeps
    "qqp": (40_430, 1000),
    "mnli": (9815, 1000),
    "snli": (9842, 1000),
    # published without a split of their own: a tenth
    "cr": (377,),
    "mpqa": (1061,),
    "subj": (1000,),
}


@needs_published
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_DATA", str(SHARED / "tasks"))
    task = load_task(name)
    train, validation = task.split("train"), task.split("validation")
    assert not texts_of(train) & texts_of(validation)
    assert abs(len(validation) - min(1000, 0.1 * (len(train) + len(validation)))) <= 1
    ids = [example.id for example in everything(task)]
    assert len(set(ids)) == len(ids)
    assert len(task.split("test")) in TEST_SIZES[name]
    shares = {"mrpc": 0.684, "rte": 0.527}
    if name in shares:
        assert task.majority() == pytest.approx(shares[name], abs=0.0005)


def test_label_outside_its_range(data: Path) -> None:
    write_jsonl(data / "rte" / "train.jsonl", [{**published_rows("rte", 1)[0], "label": -1}])
    with pytest.raises(LabError, match=r"'rte', train example 0: label -1 is none of the 2"):
        load_task("rte")
    write_jsonl(data / "stsb" / "validation.jsonl", [{**published_rows("stsb", 1)[0], "label": 6}])
    with pytest.raises(LabError, match=r"'stsb', test example 0: label 6 is not in 0\.0…5\.0"):
        load_task("stsb")


def test_field_missing_or_no_text(data: Path) -> None:
    write_jsonl(data / "rte" / "train.jsonl", [{"sentence1": "a", "label": 0, "idx": 9}])
    with pytest.raises(LabError, match=r"train example 9: the field 'sentence2' is missing"):
        load_task("rte")
    write_jsonl(data / "rte" / "train.jsonl", [{"sentence1": "a", "sentence2": None, "label": 0}])
    with pytest.raises(LabError, match=r"train example 0: the field 'sentence2' is None"):
        load_task("rte")


def test_empty_text(data: Path) -> None:
    rows = published_rows("qqp", 5)
    rows[2]["question2"] = ""
    write_jsonl(data / "qqp" / "train.jsonl", rows)
    kept = [e.id for e in everything(load_task("qqp")) if e.id.startswith("train")]
    assert sorted(kept) == ["train-0", "train-1", "train-3", "train-4"]
    write_jsonl(data / "qqp" / "validation.jsonl", rows)
    with pytest.raises(LabError, match=r"'qqp', test example 2: the field 'question2' is empty"):
        load_task("qqp")


def test_file_missing(data: Path) -> None:
    (data / "cr" / "validation.jsonl").unlink()
    with pytest.raises(LabError, match=r"validation\.jsonl does not exist"):
        load_task("cr")


def test_data_set_that_is_in_no_folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_DATA")
    with pytest.raises(LabError, match=r"'subj' is not here; set LABKIT_DATA .*subj/train\.jsonl"):
        load_task("subj")


class FakeHub(types.ModuleType):
    """Stands in for ``datasets``, with the Hub behind it."""

    def __init__(self, online: bool) -> None:
        super().__init__("datasets")
        self.online = online
        self.asked: list[tuple[str, str, str]] = []

    def disable_progress_bars(self) -> None:
        pass

    def load_dataset(
        self, repository: str, name: str, split: str, revision: str
    ) -> types.SimpleNamespace:
        assert re.fullmatch("[0-9a-f]{40}", revision)  # a commit, not a branch that moves
        self.asked.append((repository, name, split))
        if not self.online:
            raise ConnectionError("no route")
        rows = published_rows(name, 10)
        return types.SimpleNamespace(to_list=lambda: rows)


@pytest.mark.parametrize("name", GLUE)
def test_glue_from_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(online=True)
    monkeypatch.setitem(sys.modules, "datasets", hub)
    monkeypatch.delenv("LABKIT_DATA", raising=False)
    assert len(load_task(name).split("test")) == 10
    validation = "validation_matched" if name == "mnli" else "validation"
    assert hub.asked == [("nyu-mll/glue", name, "train"), ("nyu-mll/glue", name, validation)]


def test_glue_without_hub_and_folder_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", FakeHub(online=False))
    monkeypatch.delenv("LABKIT_DATA", raising=False)
    with pytest.raises(LabError, match=r"from the Hub .*network on, or set LABKIT_DATA"):
        load_task("rte")


# ---- a folder as a task ----


def test_folder_with_names_as_labels(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": "pqr"[i % 3], "id": f"x{i}"} for i in range(30)]
    write_jsonl(tmp_path / "mine" / "train.jsonl", rows)
    task = load_task(str(tmp_path / "mine"))
    assert (task.name, task.fields, task.labels) == ("mine", ("text",), ("p", "q", "r"))
    assert {name: len(part) for name, part in task.splits.items()} == {
        "train": 24,
        "validation": 3,
        "test": 3,
    }
    by_text = {e.text: task.labels[e.label] for e in everything(task)}
    assert by_text == {row["text"]: row["label"] for row in rows}


def test_folder_with_numbers_as_labels_and_all_splits(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("validation", 4), ("test", 2)):
        rows = [{"a": f"{split} {i}", "b": "same", "label": i % 2} for i in range(count)]
        write_jsonl(tmp_path / f"{split}.jsonl", rows)
    task = load_task(str(tmp_path))
    assert (task.fields, task.labels) == (("a", "b"), ("0", "1"))
    assert [len(task.split(split)) for split in SPLITS] == [6, 4, 2]
    assert [e.label for e in task.split("test")] == [0, 1]


def test_folder_with_a_test_split_only_cuts_validation(tmp_path: Path) -> None:
    for split, count in (("train", 40), ("test", 5)):
        rows = [{"text": f"{split} {i}", "label": i % 2} for i in range(count)]
        write_jsonl(tmp_path / f"{split}.jsonl", rows)
    task = load_task(str(tmp_path))
    assert [len(task.split(split)) for split in SPLITS] == [36, 4, 5]


def test_folder_with_floats_is_a_regression(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": i / 4} for i in range(21)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    task = load_task(str(tmp_path))
    assert (task.kind, task.metric, task.range) == ("regression", "pearson", (0.0, 5.0))


def test_folder_given_as_a_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "mine" / "train.jsonl", [{"text": "a", "label": 0}])
    monkeypatch.chdir(tmp_path / "mine")
    assert load_task(".").name == "mine"


BROKEN = {
    "empty folder": (None, "has no train.jsonl"),
    "empty file": (b"\n", r"train\.jsonl has no examples"),
    "not JSON": (b'{"text": "a", "label": 0}\n\n{"text": \n', r"train\.jsonl:3 is not JSON"),
    "not an object": (b"[1]\n", r"train\.jsonl:1 is not a JSON object"),
    "not UTF-8": (b'{"text": "a", "label": 0}\n{"text": "\xe9"}\n', r"train\.jsonl:2 is not JSON"),
    "no label": (b'{"text": "a"}\n', "every line needs a label"),
    "no text": (b'{"size": 3, "label": 0}\n', "at least one text"),
    "a text missing": (b'{"t": "a", "label": 0}\n{"label": 1}\n', "example 1: the field 't' is mi"),
    "an empty text": (
        b'{"t": "a", "label": 0}\n{"t": " ", "label": 1}\n',
        "the field 't' is empty",
    ),
    "a range of nothing": (b'{"t": "a", "label": 0.5}\n', "all labels are 0.5"),
    "kinds mixed": (b'{"t": "a", "label": 0}\n{"t": "b", "label": "yes"}\n', "several kinds"),
    "true among numbers": (b'{"t": "a", "label": true}\n{"t": "b", "label": 0}\n', "several kinds"),
    "true among fractions": (
        b'{"t": "a", "label": true}\n{"t": "b", "label": 0.5}\n',
        "several kinds",
    ),
    "a key twice": (
        b'{"t": "a", "label": 0}\n{"t": "b", "label": 1, "label": 0}\n',
        r"train\.jsonl:2 is not JSON \(the key 'label' stands twice\)",
    ),
    "brackets without end": (
        b'{"t": "a", "label": 0, "x": ' + 10**5 * b"[" + b"\n",
        r"train\.jsonl:1 is not JSON \(nested too deeply\)",
    ),
    "negative label": (b'{"t": "a", "label": -1}\n{"t": "b", "label": 1}\n', "label -1 is none"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folder(tmp_path: Path, case: str) -> None:
    content, message = BROKEN[case]
    if content is not None:
        (tmp_path / "train.jsonl").write_bytes(content)
    with pytest.raises(LabError, match=message) as caught:
        load_task(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl", "task.json"])
def test_what_is_no_file_is_not_passed_over(tmp_path: Path, name: str) -> None:
    """A folder of that name, or a link that leads nowhere or to itself."""
    if name != "train.jsonl":
        write_jsonl(tmp_path / "train.jsonl", good_rows())
    place = tmp_path / name
    place.mkdir()
    with pytest.raises(LabError, match=rf"{name} (is a folder|can't be read \(Is a directory\))"):
        load_task(str(tmp_path))
    place.rmdir()
    for target in ("nowhere", name):
        place.symlink_to(target)
        with pytest.raises(LabError, match=rf"{name} (is a link that leads|can't be read)"):
            load_task(str(tmp_path))
        place.unlink()


@pytest.mark.parametrize("name", ["", " "])
def test_a_name_of_nothing_is_not_the_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_jsonl(tmp_path / "train.jsonl", good_rows())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabError, match="name of a task is empty"):
        load_task(name)


def test_a_byte_order_mark_changes_nothing(tmp_path: Path) -> None:
    """As some editors write it, in front of the lines and of the settings."""
    lines = "".join(json.dumps(row) + "\r\n" for row in good_rows()) + "\r\n"
    settings = '{"labels": ["bad", "good"]}'
    read = []
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "train.jsonl").write_text(lines, encoding=encoding, newline="")
        (tmp_path / "task.json").write_text(settings, encoding=encoding)
        task = load_task(str(tmp_path))
        read.append((task.labels, [(e.text, e.label) for e in everything(task)]))
    assert read[0] == read[1] and read[0][0] == ("bad", "good")


def good_rows(count: int = 60, **more: object) -> list[dict]:
    return [
        {"text": f"film number {i}", "label": i % 2}
        | {name: value(i) if callable(value) else value for name, value in more.items()}
        for i in range(count)
    ]


EXTRA_COLUMNS = {
    "names of the labels": {"label_text": lambda i: ["negative", "positive"][i % 2]},
    "a constant": {"source": "imdb"},
    "few categories": {"genre": lambda i: ["fiction", "travel", "letters"][i % 3]},
    "an id": {"uid": lambda i: f"row-{i}"},
    "null at first": {"title": lambda i: None if i == 0 else f"title {i}"},
}


@pytest.mark.parametrize("case", EXTRA_COLUMNS)
def test_columns_that_no_template_uses_change_nothing(tmp_path: Path, case: str) -> None:
    write_jsonl(tmp_path / "plain" / "train.jsonl", good_rows())
    write_jsonl(tmp_path / "more" / "train.jsonl", good_rows(**EXTRA_COLUMNS[case]))
    plain, more = (load_task(str(tmp_path / name)) for name in ("plain", "more"))
    assert more.splits == plain.splits and more.fields == ("text",)
    assert [len(more.split(split)) for split in SPLITS] == [48, 6, 6]


def test_the_templates_fields_decide_what_may_stand_on_two_sides(tmp_path: Path) -> None:
    """Twenty films with three reviews each: a template that shows the title keeps films apart."""
    rows = good_rows(title=lambda i: f"film {i % 20}", source="imdb")
    write_jsonl(tmp_path / "train.jsonl", rows)
    task = load_task(str(tmp_path))
    shown = task.for_fields(("title", "text", "source"))
    assert set(shown.fields) == {"title", "text", "source"}
    titles = [{e.fields["title"] for e in shown.split(split)} for split in SPLITS]
    assert all(titles) and not titles[0] & titles[1] and not titles[0] & titles[2]
    of_test = {e.text for e in task.split("test")}
    assert len({row["title"] for row in rows if row["text"] in of_test}) > 2
    assert task.for_fields(("text",)) is task
    assert pickle.loads(pickle.dumps(shown)) == shown  # goes to worker processes


@pytest.mark.parametrize("name", ["dev", "valid", "val"])
def test_other_names_of_the_validation_file(tmp_path: Path, name: str) -> None:
    write_jsonl(tmp_path / "train.jsonl", good_rows())
    write_jsonl(tmp_path / f"{name}.jsonl", good_rows(7))
    assert len(load_task(str(tmp_path)).split("validation")) == 7
    write_jsonl(tmp_path / "validation.jsonl", good_rows(7))
    with pytest.raises(LabError, match="keep one of them"):
        load_task(str(tmp_path))


@pytest.mark.parametrize(
    ("label", "names"),
    [
        (lambda i: bool(i % 2), ("false", "true")),
        (lambda i: str(i % 2), ("0", "1")),
        (lambda i: 1 + i % 5, ("1", "2", "3", "4", "5")),
    ],
)
def test_classes_are_those_that_the_lines_have(tmp_path: Path, label, names) -> None:
    write_jsonl(tmp_path / "train.jsonl", good_rows(label=label))
    task = load_task(str(tmp_path))
    assert task.labels == names
    spoken = {f"film number {i}": json.dumps(label(i)).strip('"') for i in range(60)}
    assert {e.text: task.labels[e.label] for e in everything(task)} == spoken


UNCLEAR = {
    "whole floats": ({"label": lambda i: float(i % 2)}, r"0\.0, 1\.0.*\"range\": \[0, 1\]"),
    "null": ({"label": lambda i: None if i == 7 else 0}, "train example 7 has no label"),
    "NaN": ({"label": lambda i: float("nan") if i == 7 else 0.5}, "train example 7 .*NaN"),
    "infinite": ({"label": lambda i: float("inf") if i == 7 else 0.5}, "example 7 .*Infinity"),
    "too large": ({"label": lambda i: 10**400 if i == 7 else 0.5}, "example 7 has the label 1000"),
    "a list": ({"label": lambda i: [i % 2]}, r"train example 0 has the label \[0\]"),
    "case": ({"label": lambda i: ["Good", "good"][i % 2]}, "'Good' and 'good' differ in case"),
    "a space": ({"label": lambda i: ["good ", "good"][i % 2]}, "or spaces only"),
    "a text that is null": ({"text": lambda i: None if i == 3 else "a"}, "example 3.*'text'"),
    "half a character": ({"text": "film \ud83d"}, r"train\.jsonl:1 holds half a character"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_unclear_is_refused_by_name(tmp_path: Path, case: str) -> None:
    more, message = UNCLEAR[case]
    write_jsonl(tmp_path / "train.jsonl", good_rows(**more))
    with pytest.raises(LabError, match=message) as caught:
        load_task(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_class_that_train_lacks_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", good_rows())
    write_jsonl(tmp_path / "test.jsonl", good_rows(9, label=lambda i: i % 3))
    with pytest.raises(LabError, match=r"no line of train\.jsonl has the label 2"):
        load_task(str(tmp_path))
    (tmp_path / "task.json").write_text('{"labels": ["bad", "good", "mixed"]}')
    assert load_task(str(tmp_path)).labels == ("bad", "good", "mixed")


def test_other_encodings_are_named(tmp_path: Path) -> None:
    line = '{"text": "café", "label": 0}\n'
    (tmp_path / "train.jsonl").write_bytes(line.encode("utf-16"))
    with pytest.raises(LabError, match="UTF-16 text; save it as UTF-8"):
        load_task(str(tmp_path))
    (tmp_path / "train.jsonl").write_bytes(line.encode("latin-1"))
    with pytest.raises(LabError, match="save the file as UTF-8"):
        load_task(str(tmp_path))


# ---- task.json ----

SAYS = {
    "template": "{title}: {text} It was {mask}",
    "words": {"1": ["great", "good"], "0": "terrible"},
    "prompts": {"encoder": {"template": "{text}", "words": {"0": "a bad film", "1": "a good"}}},
}


def test_a_folder_says_how_to_ask(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", good_rows(title=lambda i: f"t{i}", source="imdb"))
    (tmp_path / "task.json").write_text(json.dumps(SAYS))
    task = load_task(str(tmp_path))
    assert set(task.fields) == {"title", "text"} and set(task.prompts) == set(READOUTS)
    causal, encoder = task.prompt_for("causal"), task.prompt_for("encoder")
    assert causal.template == SAYS["template"] and encoder.template == "{text}"
    assert causal.verbalizer == {"0": ("terrible",), "1": ("great", "good")}
    assert tuple(causal.verbalizer) == task.labels


def test_a_template_serves_the_readouts_that_can_take_it(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", good_rows())
    words = {"0": "terrible", "1": "great"}
    about = {"template": "{text} It was {mask}.", "words": words}
    (tmp_path / "task.json").write_text(json.dumps(about))
    task = load_task(str(tmp_path))
    assert "mlm" in task.prompts and "causal" not in task.prompts
    with pytest.raises(LabError, match="no template for the causal readout"):
        task.prompt_for("causal")


def test_a_range_makes_a_regression(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", good_rows(label=lambda i: float(i % 6)))
    (tmp_path / "task.json").write_text('{"range": [0, 5]}')
    task = load_task(str(tmp_path))
    assert (task.kind, task.range) == ("regression", (0.0, 5.0))


_AB = '"words": {"0": "a", "1": "b"}'
WRONG_SETTINGS = {
    "not JSON": ("{", "task.json is not JSON"),
    "a list": ("[]", "not a JSON object"),
    "an entry twice": (
        '{"labels": ["a", "b"], "labels": ["b", "a"]}',
        r"task.json is not JSON \(the key 'labels' stands twice\)",
    ),
    "brackets without end": (10**5 * "[", r"task.json is not JSON \(nested too deeply\)"),
    "an unknown entry": ('{"verbaliser": {}}', "'verbaliser' is no entry"),
    "another kind": ('{"template": 3}', "'template' is 3; give a text"),
    "words alone": ("{" + _AB + "}", "belong together"),
    "a class without words": (
        '{"template": "{text} {mask}", "words": {"0": "a", "2": "b"}}',
        "words are given for 0, 2; the task has 0, 1",
    ),
    "words that are numbers": (
        '{"template": "{text} {mask}", "words": {"0": 0, "1": 1}}',
        "the words of '0' are 0; give a text, or a list of texts",
    ),
    "a number among words": (
        '{"template": "{text} {mask}", "words": {"0": ["a", 3], "1": "b"}}',
        r'the words of .0. are \["a", 3\]; give',
    ),
    "words in two lists": (
        '{"template": "{text} {mask}", "words": {"0": [["a"]], "1": "b"}}',
        r'the words of .0. are \[\["a"\]\]; give',
    ),
    "words as an object": (
        '{"template": "{text} {mask}", "words": {"0": "a", "1": {"b": 1}}}',
        r'the words of .1. are {"b": 1}; give',
    ),
    "a broken template": ('{"template": "{text {mask}", ' + _AB + "}", "task.json: "),
    "virtual tokens": ('{"template": "{soft}{text} {mask}", ' + _AB + "}", "without {soft}"),
    "a field that no line has": ('{"template": "{title} {mask}", ' + _AB + "}", "field 'title'"),
    "an unknown readout": ('{"prompts": {"gpt": {}}}', "'gpt' is not one"),
    "a template for another readout": (
        '{"prompts": {"causal": {"template": "{text}", ' + _AB + "}}}",
        "causal: template",
    ),
    "labels twice": ('{"labels": ["a", "a"]}', "not distinct names"),
    "a range too large": ('{"range": [0, 1' + 400 * "0" + "]}", "no lower and higher number"),
    "too few labels": ('{"labels": ["a"]}', "label 1 is none of the classes"),
    "a range of nothing": ('{"range": [1, 1]}', "no lower and higher number"),
}


@pytest.mark.parametrize("case", WRONG_SETTINGS)
def test_settings_that_can_not_be_right(tmp_path: Path, case: str) -> None:
    content, message = WRONG_SETTINGS[case]
    write_jsonl(tmp_path / "train.jsonl", good_rows(source="imdb"))
    (tmp_path / "task.json").write_text(content)
    with pytest.raises(LabError, match=message) as caught:
        load_task(str(tmp_path))
    assert "\n" not in str(caught.value)


# ---- wrong calls ----


def test_unknown_task_suggests_a_close_one() -> None:
    with pytest.raises(LabError, match=r"no task 'rt-polarty' \(did you mean 'rt-polarity'\?\)"):
        load_task("rt-polarty")
    with pytest.raises(LabError, match=r"no task 'xyz'; there are rt-polarity, .*folder"):
        load_task("xyz")


def test_arguments_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is for rt-polarity"):
        load_task("sst2", path=tmp_path)
    with pytest.raises(LabError, match=r"'rte' has no valence .*movie-valence"):
        load_task("rte", as_regression=True)


# ---- overlaps ----


def test_normalise() -> None:
    assert normalise(' It\'s "FUN"…  really!') == "it s fun really"
    assert normalise("?!") == normalise("...") == ""


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("हिन्दी में लिखा", "हनद म लख"),  # vowel signs and the sign that there is none
        ("कि", "की"),
        ("น้ำ", "นำ"),
        ("ไม่", "ไม้"),
        ("كَتَبَ", "كُتُبٌ"),
        ("e\u0301te\u0301", "ete"),
        ("👍", "👎"),
        ("👍👍", "👍"),
        ("=)", "$$"),
    ],
)
def test_texts_that_differ_in_marks_or_symbols_are_different(text: str, other: str) -> None:
    assert normalise(text) != normalise(other)
    assert normalise(f" {text}\n") == normalise(text)
    letters = [c for c in text if unicodedata.category(c)[0] in "LNM"]
    if letters:  # each word stays one, and whole
        assert normalise(f"«{text}!»") == " ".join(text.split())
    pair = [Example(name, {"text": name}, 0) for name in (text, other)]
    assert without_overlap(pair[:1], pair[1:]) == pair[:1]
    assert without_overlap(pair[:1], pair[:1]) == []


def test_normalise_takes_english_for_the_same_as_words_alone_do() -> None:
    text = "A \u201cfun\u201d, naïve café — 1\ufe0f\u20e3 film_night \u2764\ufe0f at ½ price: £5!"
    for sample in (text, *("".join(random.Random(n).sample(text, len(text))) for n in range(200))):
        assert normalise(sample) == " ".join(re.findall(r"\w+", sample.lower()))


def contains(longer: str, shorter: str) -> bool:
    """Whether one text's words stand in a row in the other's; the slow and plain way."""
    long, short = normalise(longer).split(), normalise(shorter).split()
    return bool(short) and any(
        long[i : i + len(short)] == short for i in range(len(long) - len(short) + 1)
    )


@pytest.mark.parametrize("seed", range(20))
def test_without_overlap_is_what_brute_force_finds(seed: int) -> None:
    generator = random.Random(seed)
    words = "a b ab A, b! art party c d e"
    examples = random_examples(generator, 60, words)
    others = random_examples(generator, 4, words)
    expected = [
        one
        for one in examples
        if not any(
            contains(mine, theirs) or contains(theirs, mine)
            for mine in one.fields.values()
            for other in others
            for theirs in other.fields.values()
        )
    ]
    assert without_overlap(examples, others) == expected


def test_brute_force_cases_are_not_trivial() -> None:
    kept = [
        len(without_overlap(random_examples(g, 60, words), random_examples(g, 4, words)))
        for g, words in (
            (random.Random(seed), "a b ab A, b! art party c d e") for seed in range(20)
        )
    ]
    assert min(kept) < 20 and max(kept) > 0


@pytest.mark.parametrize(
    ("mine", "theirs", "overlap"),
    [
        ("A joy to watch!", "a joy, to watch", True),
        ("it was a joy to watch", "a joy", True),
        ("a joy", "it was a joy to watch", True),
        ("the party is on", "art", False),
        ("art", "the party is on", False),
        ("to watch a joy", "a joy to watch", False),
        ("?!", "a joy", False),
        ("a joy", "...", False),
    ],
)
def test_whole_words_count(mine: str, theirs: str, overlap: bool) -> None:
    kept = without_overlap([example(mine)], [example(theirs)])
    assert kept == ([] if overlap else [example(mine)])


def test_without_overlap_with_nothing() -> None:
    assert without_overlap([example("a")], []) == [example("a")]
    assert without_overlap([], [example("a")]) == []


@needs_vader
def test_without_overlap_finds_the_task_itself() -> None:
    task, movies = load_task("rt-polarity"), load_task("movie-valence")
    kept = without_overlap(movies.split("train"), task.split("test"))
    assert not texts_of(kept) & texts_of(task.split("test"))
    assert len(kept) < 0.95 * len(movies.split("train"))


# ---- what data/README.md says ----


def test_the_sizes_of_the_default_data_are_those_of_the_table() -> None:
    if not assets.is_ready(assets.ASSETS["vader"]):
        pytest.skip("vader is not in the cache; run `labkit assets fetch`")
    page = (ROOT / "data" / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| ([\d,]+) \| ([\d,]+) \|", page, re.MULTILINE)
    assert [name for name, *_ in rows] == [
        n for n in TASKS if n == "rt-polarity" or n.endswith("-valence")
    ]
    for name, whole, signed in rows:
        rated = load_task(name, as_regression=name.endswith("-valence"))
        sizes = [len(list(everything(task))) for task in (rated, load_task(name))]
        assert [f"{size:,}" for size in sizes] == [whole, signed]


def test_the_settings_of_the_page_ask_in_every_readout(tmp_path: Path) -> None:
    page = (ROOT / "data" / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    names = ("negative", "positive")
    write_jsonl(tmp_path / "train.jsonl", good_rows(label=lambda i: names[i % 2]))
    (tmp_path / "task.json").write_text(example)
    task = load_task(str(tmp_path))
    assert {task.prompt_for(readout).template for readout in ("mlm", "causal", "seq2seq")} == {
        "{text} It was {mask}"
    }
    assert task.prompt_for("encoder").template == "{text}"
    (tmp_path / "task.json").write_text('{"range": [0, 5]}')
    write_jsonl(tmp_path / "train.jsonl", good_rows(label=lambda i: i % 6))
    assert load_task(str(tmp_path)).kind == "regression"


@pytest.mark.parametrize("name", ["rte", "cr"])
def test_a_folder_of_data_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[str], name: str
) -> None:
    """And the Hub is not asked for what a folder was named for."""
    (tmp_path / "file").touch()
    for place in (tmp_path / "nowhere", tmp_path / "file"):
        monkeypatch.setenv("LABKIT_DATA", str(place))
        with pytest.raises(LabError, match=rf"LABKIT_DATA='{place}' is no folder; .* {name}"):
            load_task(name)
    assert not no_network
