"""The command line: what each verb prints, and how it ends."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch

from conftest import ROOT
from labkit import benchmarks, cli, experiments
from labkit.cli.folders import RUN_FOLDER, writing
from labkit.cli.incomplete import incomplete_lines
from labkit.cli.options import command_line, read_verbalizer
from labkit.core import assets, prompted_model, scoring, tuning
from labkit.core.engines import Engine
from labkit.core.errors import LabError
from labkit.core.files import write_text
from labkit.core.tasks import Task
from labkit.shuffle_probe import IncompleteProbe, Shuffle, incomplete_design, matrix
from labkit.soft_prompt import CARD, CONFIG, WEIGHTS

TEMPLATE = "{text} It was {mask}"
SOFT = "{soft}" + TEMPLATE
WORDS = "negative=terrible|bad,positive=great"
LENGTH = 3


class Outcome(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


Lab = Callable[..., Outcome]


@pytest.fixture
def lab(capfd: pytest.CaptureFixture[str]) -> Lab:
    """Runs a command in this process; what libraries write to the descriptors counts too."""

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        return Outcome(ended.value.code, *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def llama(tiny_folder: Callable[[str], Path]) -> Path:
    return tiny_folder("llama")


@pytest.fixture(scope="module")
def films(tiny_task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny task as a folder of jsonl files."""
    folder = tmp_path_factory.mktemp("tasks") / "films"
    folder.mkdir()
    for split, examples in tiny_task.splits.items():
        write_jsonl(
            folder / f"{split}.jsonl", [(e.text, tiny_task.labels[e.label]) for e in examples]
        )
    return folder


def write_jsonl(file: Path, rows: list[tuple[str, object]]) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    file.write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def evaluating(llama: Path, films: Path) -> list[object]:
    return ["evaluate", "--backbone", llama, "--task", films]


@pytest.fixture(scope="module")
def tuning_films(llama: Path, films: Path) -> list[object]:
    """A run of 60 steps: its state is saved after 25, 50 and 60."""
    return [
        *("tune", "--backbone", llama, "--task", films, "--template", SOFT),
        *("--verbalizer", WORDS, "--length", LENGTH, "--steps", 60, "--batch-size", 4),
    ]


@pytest.fixture(scope="module")
def trained(tuning_films: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prompt tuned without a break."""
    out = tmp_path_factory.mktemp("prompts") / "whole"
    with pytest.raises(SystemExit) as ended:
        cli.main([str(a) for a in (*tuning_films, "--out", out, "--json")])
    assert ended.value.code == 0
    return out


@pytest.fixture
def copy_of_trained(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()


def assert_refused(outcome: Outcome, *words: str) -> None:
    """One line on stderr that holds the words, nothing on stdout, exit code 2."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def interrupt_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the step that follows ``steps`` finished ones."""
    step = tuning._Run.step

    def interrupted(self: tuning._Run, on_step: tuning.OnStep) -> None:
        if self.history.steps == steps:
            raise KeyboardInterrupt
        step(self, on_step)

    monkeypatch.setattr(tuning._Run, "step", interrupted)


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for the finished prompt."""

    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", no_room)


# ---------------------------------------------------------------------------------- the whole line


def test_help_loads_no_model_library() -> None:
    code = (
        "import sys; from labkit.cli import main\n"
        "try: main(['tune', '--help'])\n"
        "finally: print(*sorted({'torch', 'transformers', 'numpy', 'peft'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "--evaluate-every" in done.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "gbk", "utf-8"])
def test_output_is_written_in_every_encoding(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """Into a file or a pipe Windows writes in the encoding of its region."""
    for options in (["audit"], ["audit", "--json"], ["run", "--help"]):
        written = io.BytesIO()
        stdout = io.TextIOWrapper(written, encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as ended:
            cli.main(options)
        stdout.flush()
        assert ended.value.code == 0
        text = written.getvalue().decode(encoding)
        if "--json" in options:
            assert "\u2212" in json.dumps(json.loads(text), ensure_ascii=False)
        else:
            assert ("\u2212" in text) == (encoding == "utf-8") != ("\\u2212" in text)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        verb = [sys.executable, "-m", "labkit", "assets", "list"]
        done = subprocess.run(verb, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert_refused(Outcome(done.returncode, "", done.stderr), "standard output", "No space left")


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "assets", "list", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    names = [asset["name"] for asset in json.loads(done.stdout)["assets"]]
    assert names == list(assets.ASSETS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "--fast"], ["--fast", "`labkit evaluate --help`"]),
        (["evaluate", "--task", "rt-polarity"], ["--backbone", "`labkit evaluate --help`"]),
        (["evaluate", "--limit", "0"], ["--limit", "`labkit evaluate --help`"]),
        (["tune", "--length", "many"], ["--length", "`labkit tune --help`"]),
        (["guess"], ["guess", "`labkit --help`"]),
        (["bench"], ["`labkit bench --help`"]),
        (["bench", "tune", "--lots"], ["--lots", "`labkit bench tune --help`"]),
        (["grade", ".", "--memory-gb", "1e300"], ["--memory-gb", "`labkit grade --help`"]),
        (["grade", ".", "--cell-seconds", "inf"], ["--cell-seconds", "`labkit grade --help`"]),
        (["assets", "steal"], ["steal", "`labkit assets --help`"]),
    ],
)
def test_wrong_usage_is_one_line(lab: Lab, arguments: list[str], words: list[str]) -> None:
    assert_refused(lab(*arguments), *words)


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--backbone", "minilm", "--task", ""],
        ["run", "table1", "--out", ""],
        ["run", "table1", "--out="],
        ["run", ""],
        ["run", "table1", "--only", " "],
        ["assets", "make", "minilm-mlm", "--out", "m", "--text", ""],
    ],
)
def test_a_value_of_nothing_is_no_value(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """A variable that the shell has not set must not mean the folder one stands in."""
    monkeypatch.chdir(tmp_path)
    assert_refused(lab(*arguments), "nothing is given", "leave the option out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["tune", "sort", "probe", "transfer retrieve", "assets make"])
def test_a_seed_has_an_end(lab: Lab, verb: str) -> None:
    """One that a random generator can't take is refused before the work, with the usage."""
    assert_refused(lab(*verb.split(), "--seed", 2**32), "--seed", f"`labkit {verb} --help`")


@pytest.mark.parametrize(
    "options", [["--out", "t" * 300], ["--task", "t" * 300], ["--backbone", "m" * 5000]]
)
def test_a_path_that_the_system_refuses_is_named(
    lab: Lab, tuning_films: list[object], tmp_path: Path, options: list[str]
) -> None:
    outcome = lab(*tuning_films, "--out", tmp_path / "p", *options)
    assert_refused(outcome, options[1])
    assert not list(tmp_path.iterdir())


def test_what_the_system_refuses_is_one_line_and_a_defect_is_not(
    lab: Lab, evaluating: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: OSError) -> None:
        def raises(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("labkit.core.tasks.load_task", raises)

    for number in (errno.EACCES, errno.EROFS, errno.EIO):
        fail(OSError(number, os.strerror(number), "/somewhere"))
        assert_refused(lab(*evaluating), "/somewhere", os.strerror(number), "give another path")
    for defect in (FileNotFoundError(errno.ENOENT, "gone", "/ours"), OSError(errno.EIO, "no path")):
        fail(defect)
        with pytest.raises(OSError):
            lab(*evaluating)


def test_assets_that_are_not_made_or_not_accepted(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    assert_refused(lab("assets", "make", "bert", "--out", tmp_path / "bert"), "bert", "minilm-mlm")
    assert_refused(lab("assets", "fetch", "gemma-270m"), "gemma/terms", "--accept-terms")


def test_no_arguments_print_the_help(lab: Lab) -> None:
    outcome = lab()
    assert (outcome.code, outcome.err) == (0, "")
    assert "doctor" in outcome.out


# ---------------------------------------------------------------------------------------- evaluate

EVALUATE_KEYS = {"metric", "value", "ci95", "majority", "n", "seconds", "shortened"}
TUNE_KEYS = {"value", "steps", "seconds", "out"}


def test_evaluate_prints_one_object(lab: Lab, evaluating: list[object]) -> None:
    command = [*evaluating, "--template", TEMPLATE, "--verbalizer", WORDS]
    outcome = lab(*command, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json.keys() >= EVALUATE_KEYS
    low, high = outcome.json["ci95"]
    assert low < outcome.json["value"] < high
    assert (outcome.json["n"], outcome.json["majority"]) == (12, 0.5)
    spoken = lab(*command).out
    assert f"{outcome.json['value']:.3f}" in spoken
    assert "majority class 0.500" in spoken


def test_evaluate_takes_split_and_limit(lab: Lab, evaluating: list[object]) -> None:
    command = [*evaluating, "--template", TEMPLATE, "--verbalizer", WORDS, "--json"]
    result = lab(*command, "--split", "train", "--limit", 5).json
    assert (result["split"], result["n"]) == ("train", 5)


def test_newline_in_a_template_can_be_spelt(lab: Lab, evaluating: list[object]) -> None:
    template = r"{text}\nIt was {mask}"
    outcome = lab(*evaluating, "--template", template, "--verbalizer", WORDS)
    assert repr(template.replace(r"\n", "\n")) in outcome.out


def test_texts_that_were_shortened_are_counted(lab: Lab, llama: Path, tmp_path: Path) -> None:
    rows = [("a great film " * 40, "positive"), ("a dull film", "negative")] * 3
    for split in ("train", "validation", "test"):
        write_jsonl(tmp_path / f"{split}.jsonl", rows)
    command = ["evaluate", "--backbone", llama, "--task", tmp_path, "--template", TEMPLATE]
    command += ["--verbalizer", WORDS]
    assert lab(*command, "--json").json["shortened"] == 3
    outcome = lab(*command)
    assert "3 of 6 texts were shortened" in outcome.out
    assert outcome.err == ""


def test_nothing_but_the_object_reaches_stdout(
    lab: Lab, evaluating: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = prompted_model.evaluate

    def talkative(*given: object, **named: object) -> prompted_model.Evaluation:
        print("a library's advertisement")
        return honest(*given, **named)

    monkeypatch.setattr(prompted_model, "evaluate", talkative)
    command = [*evaluating, "--template", TEMPLATE, "--verbalizer", WORDS, "--json"]
    assert lab(*command).json["n"] == 12


def test_a_score_that_is_not_a_number_is_null(lab: Lab, llama: Path, tmp_path: Path) -> None:
    texts = ["a dull film", "a great film", "very funny"]
    for split in ("train", "validation", "test"):
        write_jsonl(tmp_path / f"{split}.jsonl", [(t, i / 2) for i, t in enumerate(texts)])
    command = ["evaluate", "--backbone", llama, "--task", tmp_path, "--template", TEMPLATE]
    outcome = lab(*command, "--verbalizer", "low=bad,high=good", "--limit", 2, "--json")
    result = json.loads(outcome.out, parse_constant=pytest.fail)
    assert (result["metric"], result["majority"]) == ("pearson", None)


def test_evaluate_needs_no_network(
    lab: Lab, evaluating: list[object], no_network: list[str]
) -> None:
    outcome = lab(*evaluating, "--template", TEMPLATE, "--verbalizer", WORDS)
    assert (outcome.code, no_network) == (0, [])


# -------------------------------------------------------------------------------------------- tune


def test_tune_saves_a_prompt_that_evaluate_opens(
    lab: Lab, evaluating: list[object], tuning_films: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    outcome = lab(*tuning_films, "--seed", 3, "--out", out, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    tuned = outcome.json
    assert tuned.keys() >= EVALUATE_KEYS | TUNE_KEYS
    assert (tuned["steps"], tuned["out"]) == (60, str(out))
    assert {file.name for file in out.iterdir()} == {CARD, CONFIG, WEIGHTS}
    # template and label words come from the card
    assert lab(*evaluating, "--prompt", out, "--json").json["value"] == tuned["value"]


def test_card_tells_how_the_prompt_was_made(trained: Path) -> None:
    card = json.loads((trained / CARD).read_text("utf-8"))
    assert card["seed"] == 0
    assert card["scores"].keys() >= {"value", "ci95", "majority", "n", "steps"}
    assert f"--length {LENGTH} " in card["command"]
    assert "--lr 0.005 " in card["command"], "the default is spelt out: it may change"
    assert str(trained.parent) not in card["command"]


def test_the_recorded_command_makes_the_same_prompt(
    lab: Lab,
    trained: Path,
    llama: Path,
    films: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / llama.name).symlink_to(llama)
    (tmp_path / films.name).symlink_to(films)
    monkeypatch.chdir(tmp_path)
    verb = shlex.split(json.loads((trained / CARD).read_text())["command"])[1:]
    assert lab(*verb).code == 0
    assert weights(tmp_path / trained.name) == weights(trained)


def test_same_seed_same_prompt(
    lab: Lab, tuning_films: list[object], trained: Path, tmp_path: Path
) -> None:
    lab(*tuning_films, "--out", tmp_path / "again")
    lab(*tuning_films, "--out", tmp_path / "other", "--seed", 1)
    assert weights(tmp_path / "again") == weights(trained)
    assert weights(tmp_path / "other") != weights(trained)


@pytest.mark.parametrize("flag", ["--order-proof", "--as-set"])
def test_tune_without_leaning_on_an_order(
    lab: Lab, evaluating: list[object], tuning_films: list[object], trained: Path, tmp_path: Path,
    flag: str,
) -> None:  # fmt: skip
    """Trained otherwise, opened as it was trained, and alike in every order if it is a set."""
    out = tmp_path / "p"
    tuned = lab(*tuning_films, flag, "--out", out, "--json").json
    assert tuned["command"].endswith(flag) and weights(out) != weights(trained)
    assert lab(*evaluating, "--prompt", out, "--json").json["value"] == tuned["value"]
    again = lab(*tuning_films, flag, "--out", out, "--resume", "--json").json
    assert again["value"] == tuned["value"]
    if flag == "--as-set":
        probing = ("probe", "--prompt", out, "--backbone", evaluating[2], "--task", evaluating[4])
        probed = lab(*probing, "--permutations", 10, "--json").json
        assert (probed["flip_rate"], probed["no_positions"]) == (0, None)
        refused = lab(*probing, "--no-positions", "--permutations", 10)
        assert_refused(refused, "read as a set have no positions")


@pytest.mark.parametrize("init", ["uniform", "labels", "text:It was a film"])
def test_initialisations_by_name(
    lab: Lab, tuning_films: list[object], tmp_path: Path, init: str
) -> None:
    outcome = lab(*tuning_films, "--steps", 1, "--init", init, "--out", tmp_path / "p", "--json")
    assert outcome.code == 0
    assert f"--init {init}" in outcome.json["command"].replace("'", "")


def test_tune_keeps_the_best_step_and_stops_early(
    lab: Lab, tuning_films: list[object], tmp_path: Path
) -> None:
    early = ("--evaluate-every", 5, "--patience", 1)
    tuned = lab(*tuning_films, *early, "--out", tmp_path / "p", "--json").json
    assert tuned["best_step"] == tuned["steps"] - 5 < 55


@pytest.mark.parametrize("steps", [10, 40, 50])
def test_interrupted_run_goes_on_to_the_same_prompt(
    lab: Lab, tuning_films: list[object], trained: Path, tmp_path: Path, steps: int
) -> None:
    out = tmp_path / "whole"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(steps, patch)
        stopped = lab(*tuning_films, "--out", out)
    assert (stopped.code, stopped.out) == (130, "")
    (line,) = stopped.err.splitlines()
    assert "--resume" in line
    assert lab(*tuning_films, "--out", out, "--resume").code == 0
    assert weights(out) == weights(trained)
    assert not (out / RUN_FOLDER).exists()


def test_run_that_was_interrupted_is_not_trampled_on(
    lab: Lab, tuning_films: list[object], trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "whole"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(40, patch)
        lab(*tuning_films, "--out", out)
    assert_refused(lab(*tuning_films, "--out", out), str(out), "--resume")
    other = lab(*tuning_films, "--init", "uniform", "--out", out, "--resume")
    assert_refused(other, "--init vocab", "same options")
    assert lab(*tuning_films, "--out", out, "--resume").code == 0
    assert weights(out) == weights(trained)


def test_finished_run_is_not_trained_again(
    lab: Lab, tuning_films: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "p"
    first = lab(*tuning_films, "--out", out, "--json").json
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(0, patch)
        assert lab(*tuning_films, "--out", out, "--resume", "--json").json == first


def test_a_finished_prompt_is_not_taken_for_that_of_other_data(
    lab: Lab, llama: Path, films: Path, tmp_path: Path
) -> None:
    """A command says a folder's name, not what is in it."""
    folder = Path(shutil.copytree(films, tmp_path / "films"))
    tuning = [
        *("tune", "--backbone", llama, "--task", folder, "--template", SOFT),
        *("--verbalizer", WORDS, "--length", LENGTH, "--steps", 3, "--batch-size", 4),
    ]
    first = lab(*tuning, "--out", tmp_path / "p", "--json").json
    assert lab(*tuning, "--out", tmp_path / "p", "--resume", "--json").json == first
    before = weights(tmp_path / "p")
    train = folder / "train.jsonl"
    flipped = {"negative": "positive", "positive": "negative"}
    rows = [json.loads(line) for line in train.read_text().splitlines()]
    write_jsonl(train, [(row["text"], flipped[row["label"]]) for row in rows])
    again = lab(*tuning, "--out", tmp_path / "p", "--resume", "--json").json
    assert again["examples"] != first["examples"] and weights(tmp_path / "p") != before


def test_a_finished_prompt_is_not_taken_for_one_that_is_asked_otherwise(
    lab: Lab, llama: Path, films: Path, tmp_path: Path
) -> None:
    """Where the task says how to ask, the command doesn't."""
    folder = Path(shutil.copytree(films, tmp_path / "films"))
    others = {"words": {"negative": "poor", "positive": "great"}}, {"template": "{text} All {mask}"}
    tuning = [
        *("tune", "--backbone", llama, "--task", folder, "--length", LENGTH, "--json"),
        *("--steps", 3, "--batch-size", 4, "--out"),
    ]
    (folder / "task.json").write_text(json.dumps(SAYS_HOW))
    first = lab(*tuning, tmp_path / "p").json
    assert lab(*tuning, tmp_path / "p", "--resume").json == first
    for other in others:
        (folder / "task.json").write_text(json.dumps(SAYS_HOW | other))
        again = lab(*tuning, tmp_path / "p", "--resume").json
        fresh = lab(*tuning, tmp_path / "fresh").json
        assert (again["value"], again["loss"]) == (fresh["value"], fresh["loss"])
        assert again["loss"] != first["loss"]
        assert weights(tmp_path / "p") == weights(tmp_path / "fresh")


def test_full_disk_costs_neither_the_old_prompt_nor_the_new(
    lab: Lab, tuning_films: list[object], trained: Path, copy_of_trained: Path
) -> None:
    again = [*tuning_films, "--seed", 1, "--out", copy_of_trained]
    with pytest.MonkeyPatch.context() as patch:
        fill_disk(patch)
        assert_refused(lab(*again), str(copy_of_trained), "No space left", "make room")
    assert weights(copy_of_trained) == weights(trained)
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(0, patch)  # nothing is left to train
        assert lab(*again, "--resume").code == 0
    assert weights(copy_of_trained) != weights(trained)


def test_a_prompt_is_probed_on_the_task_that_it_was_trained_on(
    lab: Lab, llama: Path, films: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probing = ("probe", "--prompt", trained, "--backbone", llama, "--permutations", 2, "--json")
    assert_refused(lab(*probing[:-1]), "trained on the task 'films'", "--task")
    monkeypatch.chdir(films.parent)  # where its name says which folder
    assert lab(*probing).json["task"] == lab(*probing, "--task", films).json["task"] == "films"


@pytest.mark.parametrize("command", ["", "labkit tune --task", "labkit tune --task 'films --out p"])
def test_a_command_that_names_no_task_asks_for_one(
    lab: Lab, llama: Path, copy_of_trained: Path, command: str
) -> None:
    card = json.loads((copy_of_trained / CARD).read_text())
    (copy_of_trained / CARD).write_text(json.dumps(card | {"command": command}))
    outcome = lab("probe", "--prompt", copy_of_trained, "--backbone", llama)
    assert_refused(outcome, f"{copy_of_trained} does not say its task", "name it with --task")


def test_a_prompt_is_not_probed_on_another_task_of_the_same_name(
    lab: Lab,
    llama: Path,
    films: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sorting = ["sort", "--prompt", trained, "--backbone", llama]
    sorting += ["--method", "random", "--budget", 60]
    assert lab(*sorting, "--out", tmp_path / "sorted", "--task", films).code == 0
    other = tmp_path / "here" / "films"
    shutil.copytree(films, other)
    (other / "validation.jsonl").unlink()
    monkeypatch.chdir(other.parent)
    for prompt in (trained, tmp_path / "sorted"):
        probing = ("probe", "--prompt", prompt, "--backbone", llama, "--permutations", 2)
        outcome = lab(*probing)
        assert_refused(outcome, f"{prompt} was trained on a task 'films'", "has others", "--task")
        assert lab(*probing, "--task", other).code == 0
    monkeypatch.chdir(films.parent)
    assert lab(*probing).code == 0


def test_run_that_never_began_leaves_no_trace(
    lab: Lab, tuning_films: list[object], trained: Path, copy_of_trained: Path, tmp_path: Path
) -> None:
    assert_refused(lab(*tuning_films, "--lr", 0, "--out", copy_of_trained), "lr=0")
    assert_refused(lab(*tuning_films, "--lr", 0, "--out", tmp_path / "new"), "lr=0")
    assert weights(copy_of_trained) == weights(trained)
    assert not (copy_of_trained / RUN_FOLDER).exists()
    assert not (tmp_path / "new").exists()


def test_new_prompt_replaces_the_old_one(
    lab: Lab, tuning_films: list[object], trained: Path, copy_of_trained: Path
) -> None:
    assert lab(*tuning_films, "--seed", 1, "--out", copy_of_trained).code == 0
    assert weights(copy_of_trained) != weights(trained)


def test_an_out_that_is_a_link_stays_one(
    lab: Lab, tuning_films: list[object], trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk")
    for _ in range(2):  # an empty folder, and an earlier prompt
        assert lab(*tuning_films, "--out", link).code == 0
        assert link.is_symlink()
        assert weights(tmp_path / "disk") == weights(trained)
        assert {file.name for file in tmp_path.iterdir()} == {"disk", "link"}
        assert {file.name for file in link.iterdir()} == {CARD, CONFIG, WEIGHTS}
    file = tmp_path / "result.json"
    file.symlink_to(tmp_path / "disk/result.json")
    write_text(file, "{}")
    assert file.is_symlink() and (tmp_path / "disk/result.json").read_text() == "{}"


@pytest.mark.parametrize("why", ["mounted", "beside"])
def test_an_out_that_can_not_be_replaced_is_noticed_before_the_work(
    lab: Lab,
    tuning_films: list[object],
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    """A container's volume, and a folder of one's own in somebody else's."""
    out = tmp_path / "out"
    out.mkdir()
    if why == "mounted":
        monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == out)
    else:
        made = tempfile.TemporaryFile

        def refused(*, dir: Path) -> IO[bytes]:
            if dir == tmp_path:
                raise PermissionError(errno.EACCES, "Permission denied", str(dir))
            return made(dir=dir)

        monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    words = {"mounted": (str(out), "inside it"), "beside": (str(out), f"in {tmp_path}")}[why]
    for verb in (
        tuning_films,
        ["sort", "--prompt", tmp_path / "none"],
        ["transfer", "retrieve", "--task", "rt-polarity", "--library", tmp_path],
        ["transfer", "pretrain"],
        ["assets", "make", "minilm-mlm"],
    ):
        assert_refused(lab(*verb, "--out", out), *words)
    assert_refused(lab("export", trained, "--as-tokens", out), *words)
    assert not list(out.iterdir())


def test_folder_with_other_files_is_not_replaced(
    lab: Lab, tuning_films: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert_refused(lab(*tuning_films, "--out", tmp_path), "thesis.tex", "--out")
    monkeypatch.chdir(tmp_path)
    assert_refused(lab(*tuning_films, "--out", "."), "--out .")
    making = ("assets", "make", "minilm-mlm", "--steps", 1, "--out")
    assert_refused(lab(*making, "."), "--out .")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/notes.txt").write_text("kept")
    assert_refused(lab(*making, "model"), "notes.txt", "model's own")
    assert_refused(lab(*making, "thesis.tex"), "thesis.tex", "can't be written")
    assert (tmp_path / "model/notes.txt").read_text() == "kept"
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


# -------------------------------------------------------------------------------------- bad inputs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--task", "rt-polarty"], ["'rt-polarty'", "did you mean 'rt-polarity'"]),
        (["--split", "dev"], ["'dev'", "validation"]),
        (["--template", "It was {mask}"], ["'It was {mask}'", "{text}"]),
        (["--template", "{text} {mask} it was"], ["'{text} {mask} it was'", "put {mask} last"]),
        (["--template", "{title} It was {mask}"], ["'title'", "text"]),
        (["--template", "{text It was {mask}"], ["without its partner"]),
        (["--template", SOFT], [SOFT, "give a prompt"]),
        (["--template", "it was " * 60 + TEMPLATE], ["no room", "shorten the template"]),
        (["--verbalizer", "terrible,great"], ["'terrible'", "negative=terrible|awful"]),
        (["--verbalizer", "bad=terrible,good=great"], ["negative", "name exactly these"]),
        (["--verbalizer", "negative=,positive=great"], ["'negative'", "empty label word"]),
        (["--verbalizer", "negative=great,positive=great"], ["'great'", "one class only"]),
        (["--prompt", "nowhere"], ["nowhere", "no saved prompt"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_bad_input_is_named(
    lab: Lab, evaluating: list[object], options: list[str], words: list[str]
) -> None:
    good = ["--template", TEMPLATE, "--verbalizer", WORDS]
    assert_refused(lab(*evaluating, *good, *options), *words)
    assert_refused(lab(*evaluating, *good, *options, "--json"), *words)


def test_folder_task_asks_for_template_and_words(lab: Lab, evaluating: list[object]) -> None:
    assert_refused(lab(*evaluating), "'films'", "give a template and label words")


def test_label_missing_from_the_vocabulary(
    lab: Lab, films: Path, tiny_folder: Callable[[str], Path]
) -> None:
    command = ["evaluate", "--backbone", tiny_folder("bert"), "--task", films]
    command += ["--template", TEMPLATE + ".", "--verbalizer", "negative=terrible,positive=好"]
    assert_refused(lab(*command), "'好'", "not in the vocabulary")


@pytest.mark.parametrize(
    ("rows", "words"), [([("", "positive")], ["empty"]), ([], ["no examples"])]
)
def test_text_that_is_empty(
    lab: Lab, llama: Path, tmp_path: Path, rows: list[tuple[str, str]], words: list[str]
) -> None:
    write_jsonl(tmp_path / "train.jsonl", [("a film", "negative"), ("good", "positive")] * 10)
    write_jsonl(tmp_path / "test.jsonl", rows)
    command = ["evaluate", "--backbone", llama, "--task", tmp_path, "--template", TEMPLATE]
    assert_refused(lab(*command, "--verbalizer", WORDS), "test", *words)


def test_line_that_is_not_json(lab: Lab, llama: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "a film", "label": 1}\nquite good\n')
    assert_refused(lab("evaluate", "--backbone", llama, "--task", tmp_path), "train.jsonl:2")


def replace_vectors(folder: Path, vectors: torch.Tensor) -> None:
    """Another matrix in a saved prompt, as if PEFT had written it."""
    (folder / CARD).unlink()
    safetensors.torch.save_file({"prompt_embeddings": vectors}, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (torch.zeros(LENGTH, 16), ["(3, 16)", "width 32"]),
        (torch.full((LENGTH, 32), float("nan")), ["/copy is damaged", "NaN", "save it again"]),
    ],
)
def test_prompt_that_does_not_fit(
    lab: Lab, evaluating: list[object], copy_of_trained: Path, vectors: torch.Tensor, words: list
) -> None:
    replace_vectors(copy_of_trained, vectors)
    config = json.loads((copy_of_trained / CONFIG).read_text("utf-8"))
    config["base_model_name_or_path"] = str(evaluating[evaluating.index("--backbone") + 1])
    (copy_of_trained / CONFIG).write_text(json.dumps(config), "utf-8")
    how = ["--template", SOFT, "--verbalizer", WORDS]
    assert_refused(lab(*evaluating, *how, "--prompt", copy_of_trained), *words)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, CARD])
def test_damaged_prompt(
    lab: Lab, evaluating: list[object], copy_of_trained: Path, name: str
) -> None:
    content = (copy_of_trained / name).read_bytes()
    (copy_of_trained / name).write_bytes(content[: len(content) // 2])
    outcome = lab(*evaluating, "--prompt", copy_of_trained)
    assert_refused(outcome, str(copy_of_trained), "damaged")


def test_prompt_of_another_backbone(
    lab: Lab, films: Path, trained: Path, llama: Path, tiny_folder: Callable[[str], Path]
) -> None:
    command = ["evaluate", "--backbone", tiny_folder("gpt2"), "--task", films]
    assert_refused(lab(*command, "--prompt", trained), "llama", "gpt2")


def test_damaged_backbone(lab: Lab, films: Path, llama: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(llama, tmp_path / "broken"))
    with (broken / "model.safetensors").open("r+b") as file:
        file.truncate(4000)
    outcome = lab("evaluate", "--backbone", broken, "--task", films)
    assert_refused(outcome, "broken", "cannot be loaded")


@pytest.mark.parametrize(
    ("entry", "value"),
    [("hidden_size", "32"), ("num_hidden_layers", None), ("vocab_size", [1]), ("model_type", 3)],
)
def test_a_configuration_with_an_entry_of_another_kind(
    lab: Lab, films: Path, llama: Path, tmp_path: Path, entry: str, value: object
) -> None:
    broken = Path(shutil.copytree(llama, tmp_path / "broken"))
    said = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(said | {entry: value}))
    outcome = lab("evaluate", "--backbone", broken, "--task", films)
    assert_refused(outcome, "broken", "cannot be loaded")


def test_template_without_a_place_for_the_prompt(
    lab: Lab, tuning_films: list[object], tmp_path: Path
) -> None:
    outcome = lab(*tuning_films, "--template", TEMPLATE, "--out", tmp_path / "p")
    assert_refused(outcome, repr(TEMPLATE), "add {soft}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--template", "{soft:7}" + TEMPLATE], ["7 virtual tokens", "3"]),
        (["--length", 100], ["no room", "shorten the template or prompt"]),
        (["--init", "zeros"], ["'zeros'", "uniform"]),
        (["--init", "text:"], ["''", "give some words"]),
        (["--optimizer", "sgd"], ["'sgd'", "adafactor"]),
        (["--schedule", "steps"], ["'steps'", "cosine"]),
        (["--patience", 2], ["patience", "evaluate_every"]),
        (["--validation-limit", 3], ["--validation-limit", "--evaluate-every"]),
    ],
    ids=str,
)
def test_tune_names_a_wrong_setting(
    lab: Lab, tuning_films: list[object], tmp_path: Path, options: list, words: list[str]
) -> None:
    assert_refused(lab(*tuning_films, *options, "--out", tmp_path / "p"), *words)
    assert list(tmp_path.iterdir()) == []


def test_out_that_cannot_be_written(lab: Lab, tuning_films: list[object], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")  # root may write everywhere, but not below a file
    assert_refused(lab(*tuning_films, "--out", tmp_path / "file/p"), "file/p", "another --out")
    outcome = lab("run", "lester-init", "--out", tmp_path / "file/p")
    assert_refused(outcome, "file/p", "another --out")


@pytest.mark.parametrize("more", [[], ["--encoder", "lstm"]], ids=str)
def test_a_prompt_is_kept_when_scoring_it_fails(
    lab: Lab,
    tuning_films: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
) -> None:
    tuning_films = [*tuning_films, *more, "--steps", 6]

    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    whole = lab(*tuning_films, "--out", tmp_path / "whole", "--json").json
    with monkeypatch.context() as during:
        during.setattr(prompted_model, "evaluate", broken)
        lab(*tuning_films, "--out", tmp_path / "p")
    assert (tmp_path / "p" / WEIGHTS).is_file()
    monkeypatch.setattr(tuning, "fit", broken)  # it isn't trained again
    again = lab(*tuning_films, "--out", tmp_path / "p", "--resume", "--json").json
    assert again["value"] == whole["value"] and again["loss"] == whole["loss"]
    cards = [json.loads((tmp_path / each / CARD).read_text("utf-8")) for each in ("whole", "p")]
    for card in cards:
        del card["scores"]["seconds"]
        card["command"] = card["command"].replace("--out whole", "--out p")
    assert cards[0] == cards[1]


def test_what_can_not_be_scored_is_noticed_before_training(
    lab: Lab, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for split, count in (("train", 12), ("validation", 4), ("test", 4)):
        rows = [{"text": f"a film {i}", "title": "t", "label": i % 2} for i in range(count)]
        if split == "test":
            rows[2]["title"] = None
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    monkeypatch.setattr(tuning, "fit", None)  # would fail if it were called
    outcome = lab(
        *("tune", "--backbone", llama, "--task", folder, "--length", LENGTH),
        *("--template", "{soft}{title}: {text} It was {mask}", "--verbalizer", "0=bad,1=good"),
        *("--out", tmp_path / "p"),
    )
    assert_refused(outcome, "test example 2", "'title'")


SAYS_HOW = {
    "template": "{text} It was {mask}",
    "words": {"negative": "terrible", "positive": "great"},
}


def test_a_folder_that_says_how_to_ask_is_enough_for_every_verb(
    lab: Lab, llama: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(experiments.RECIPES["causal"], steps=2)
    monkeypatch.setitem(experiments.RECIPES, "causal", recipe)
    folder = shutil.copytree(films, tmp_path / "own")
    (folder / "task.json").write_text(json.dumps(SAYS_HOW))
    about = ("--backbone", llama, "--task", folder)
    assert "value" in lab("evaluate", *about, "--json").json
    saved = tmp_path / "p"
    settings = ("--length", 3, "--steps", 2, "--batch-size", 4)
    assert "value" in lab("tune", *about, *settings, "--out", saved, "--json").json
    probing = ("--permutations", 2, "--limit", 8)
    assert "worst" in lab("probe", "--prompt", saved, *about, *probing, "--json").json
    sorting = ("--budget", 400, "--out", tmp_path / "q", "--json")
    assert "after" in lab("sort", "--prompt", saved, *about, *sorting).json
    running = ("--seeds", 0, "--out", tmp_path / "r", "--json")
    table = lab("run", "lester-init", *about, *running).json
    assert {row["setting"] for row in table["rows"]} == {"vocab", "labels", "uniform"}


def test_tune_follows_the_recipe_where_nothing_is_given(
    lab: Lab, llama: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(experiments.RECIPES["causal"], steps=2)
    monkeypatch.setitem(experiments.RECIPES, "causal", recipe)
    plain = [
        *("tune", "--backbone", llama, "--task", films, "--template", SOFT),
        *("--verbalizer", WORDS, "--length", LENGTH, "--json"),
    ]
    command = lab(*plain, "--out", tmp_path / "p").json["command"]
    for name, value in recipe.training_fields().items():
        assert value is None or f"--{name.replace('_', '-')} {value}" in command
    other = lab(*plain, "--schedule", "cosine", "--out", tmp_path / "q").json["command"]
    assert "--schedule cosine" in other


def run_for_a_log(*arguments: object) -> Outcome:
    """The command in a process without a terminal, with a plain line at every step."""
    code = "from labkit.cli import main, progress; progress.EVERY = 0; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def test_without_a_terminal_plain_lines_tell_of_the_steps(
    tuning_films: list[object], tmp_path: Path
) -> None:
    log = tmp_path / "curve.jsonl"
    outcome = run_for_a_log(*tuning_films, "--out", tmp_path / "p", "--log", log, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["steps"] == 60  # nothing else on standard output
    lines = [line for line in outcome.err.splitlines() if "training" in line]
    assert len(lines) == 60 and "\x1b" not in outcome.err
    pattern = r"\d\d:\d\d:\d\d training, loss \d+\.\d{3}; 31 of 60, [\d.,]+ a \w+, 0:\d\d:\d\d left"
    assert re.fullmatch(pattern, lines[30])
    objects = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [line for line in objects if line["what"] == "training"]
    assert [(line["done"], line["total"]) for line in steps] == [(n, 60) for n in range(1, 61)]
    assert steps[-1]["loss"] == pytest.approx(outcome.json["loss"])
    assert [line["seconds"] for line in objects] == sorted(line["seconds"] for line in objects)


def test_every_long_verb_keeps_its_curve(
    lab: Lab, trained: Path, llama: Path, films: Path, tmp_path: Path, monkeypatch
) -> None:
    def objects(*arguments: object) -> list[dict]:
        file = tmp_path / "log.jsonl"
        file.unlink(missing_ok=True)
        outcome = lab(*arguments, "--backbone", llama, "--log", file)
        assert (outcome.code, outcome.err) == (0, "")  # lines are for work of more than a minute
        return [json.loads(line) for line in file.read_text().splitlines()]

    probed = objects("probe", "--prompt", trained, "--task", films)
    assert [line["done"] for line in probed] == list(range(7))  # the trained order, five others
    sorting = ("sort", "--prompt", trained, "--task", films, "--out", tmp_path / "s")
    best = [line["loss"] for line in objects(*sorting) if "loss" in line]
    assert best and best == sorted(best, reverse=True)
    small = dataclasses.replace(experiments.RECIPES["causal"], steps=3, batch_size=2)
    monkeypatch.setitem(experiments.RECIPES, "causal", small)
    running = ("run", "lester-init", "--seeds", 0, "--only", "vocab", "--limit", 8)
    table = objects(*running, "--workers", 1, "--out", tmp_path / "r")
    steps = [line["what"] for line in table if "loss" in line]
    assert len(steps) == 3 and all(f"training {n}, " in steps[n - 1] for n in (1, 2, 3))


def test_a_log_that_can_not_be_kept_is_noticed_before_the_work(
    lab: Lab, tuning_films: list[object], trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p"
    nowhere = tmp_path / "none" / "log.jsonl"
    assert_refused(lab(*tuning_films, "--out", out, "--log", nowhere), "--log", str(nowhere))
    before = {file.name for file in trained.iterdir()}
    assert_refused(lab(*tuning_films, "--out", trained, "--log", trained / "l"), "--log", "--out")
    assert {file.name for file in trained.iterdir()} == before and not out.exists()


def test_a_log_is_added_to_logs_only(
    lab: Lab, tuning_films: list[object], films: Path, tmp_path: Path
) -> None:
    """Another file stays as it was, and nothing is trained."""
    card = tmp_path / "labkit.json"
    card.write_text('{\n  "backbone": "minilm"\n}\n')
    for file in (films / "train.jsonl", card):
        before = file.read_bytes()
        outcome = lab(*tuning_films, "--out", tmp_path / "p", "--log", file)
        assert_refused(outcome, str(file), "something else than steps", "name a new file")
        assert file.read_bytes() == before and not (tmp_path / "p").exists()
    log = tmp_path / "log.jsonl"
    log.touch()
    for times in (1, 2):
        assert lab(*tuning_films, "--out", tmp_path / "p", "--log", log).code == 0
        starts = [json.loads(line)["done"] for line in log.read_text().splitlines()]
        assert starts.count(1) == times


@pytest.mark.parametrize("target", ["nowhere", "loop"])
def test_an_out_that_leads_nowhere_is_noticed_before_the_work(
    lab: Lab, trained: Path, llama: Path, films: Path, tmp_path: Path, target: str
) -> None:
    link = tmp_path / "loop"
    link.symlink_to(tmp_path / target)
    of_a_prompt = ["--prompt", trained, "--backbone", llama, "--task", films]
    verbs = (
        ["run", "lester-init", "--backbone", llama, "--task", films, "--out"],
        ["sort", *of_a_prompt, "--log", tmp_path / "log.jsonl", "--out"],
        ["tune", "--backbone", llama, "--task", "rt-polarity", "--out"],
        ["export", trained, "--backbone", llama, "--as-tokens"],
        ["assets", "make", "minilm-mlm", "--out"],
    )
    for verb in verbs:
        for out in (link, link / "inside"):
            assert_refused(lab(*verb, out), str(link), "leads nowhere", "another")


# ---------------------------------------------------------------------------------------- probe

PROBE_KEYS = {
    *("baseline", "worst", "best", "worse", "better", "equal", "flip_rate", "no_positions"),
    *("permutations", "seconds"),
}


@pytest.fixture
def probing(llama: Path, films: Path, trained: Path) -> list[object]:
    return ["probe", "--prompt", trained, "--backbone", llama, "--task", films]


def test_probe_tells_what_its_matrix_says(
    lab: Lab, probing: list[object], evaluating: list[object], trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "probe"
    outcome = lab(*probing, "--limit", 12, "--out", out, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    told = outcome.json
    assert told.keys() >= PROBE_KEYS
    assert told["permutations"] == 5  # 3! − 1: fewer than the 200 asked for
    rows = np.load(out / "predictions.npy")
    assert rows.shape == (6, 12)
    plain = lab(*evaluating, "--prompt", trained, "--json").json
    assert told["baseline"] == plain["value"]
    assert told["flip_rate"] == pytest.approx((rows[1:] != rows[0]).mean())
    assert "5 orders: single virtual tokens" in lab(*probing).out


def test_probe_measures_the_mean_effect_by_an_incomplete_design(
    lab: Lab, probing: list, tmp_path: Path
) -> None:
    full = lab(*probing, "--limit", 12, "--json").json
    options = ["--design", "incomplete", "--limit", 12]
    all_of_it = [*options, "--per-sentence", 5, "--per-order", 2]  # all 5 orders of each sentence
    told = lab(*probing, *all_of_it, "--out", tmp_path / "out", "--json").json
    assert told["mean_difference"][0] == pytest.approx(full["mean_difference"][0])
    assert (told["scorings"], told["scorings_of_full_matrix"]) == (72, 72)
    kept = np.load(tmp_path / "out" / "incomplete.npz")
    assert kept["right"].mean() - kept["trained_right"].mean() == pytest.approx(
        told["mean_difference"][0]
    )
    outcome = lab(*probing, *options)
    assert "36 of the full matrix's" in outcome.out and "random order minus" in outcome.out
    told = lab(*probing, *options, "--json").json
    low, high = told["mean_difference"][1:]
    undecided = f"can't tell (an effect of {told['detectable']:.3f} would have shown)"
    assert (undecided in outcome.out) is (low <= 0 <= high)
    assert_refused(lab(*probing, *options, "--out", tmp_path / "out"), "exists", "--out")
    (tmp_path / "file").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "scores_under_each", None)  # nothing is scored before that is known
        outcome = lab(*probing, *options, "--out", tmp_path / "file/p")
    assert_refused(outcome, "file/p can't be written", "another --out")
    assert_refused(lab(*probing, "--design", "half"), "'half'", "full or incomplete")
    assert_refused(lab(*probing, "--per-order", 3), "--per-order", "--design incomplete")
    assert_refused(lab(*probing, *options, "--orders", "swaps"), "--orders")
    assert_refused(lab(*probing, *options, "--per-sentence", 6), "5 other orders")


def test_a_stopped_incomplete_probe_promises_nothing_that_it_does_not_keep(
    lab: Lab, probing: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*probing, "--design", "incomplete", "--out", tmp_path / "out"]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "scores_under_each", stop)
        outcome = lab(*command)
    assert outcome.code == 130 and "run the same command again" in outcome.err
    assert "--resume" not in outcome.err
    assert_refused(lab(*command, "--resume"), "--resume", "full matrix")
    assert lab(*command).code == 0
    assert (tmp_path / "out" / "incomplete.npz").is_file()


def test_an_incomplete_probe_that_changed_no_answer_claims_no_power() -> None:
    design = incomplete_design(Shuffle(), 5, 16)
    trained = np.arange(16) % 3 > 0
    alike = IncompleteProbe(design, trained[design.sentence], trained).summary()
    assert alike["mean_difference"] == [0, 0, 0] and alike["detectable"] is None
    assert incomplete_lines(alike, Shuffle())[-1] == "nothing changed"
    worse = IncompleteProbe(design, np.zeros(32, bool), trained).summary()
    assert worse["mean_difference"][2] < 0
    assert incomplete_lines(worse, Shuffle())[-1].startswith("scorings")


def test_power_plans_from_stored_matrices(lab: Lab, tmp_path: Path, llama: str) -> None:
    assert_refused(lab("power", "table7"), "table7", "table1")
    assert_refused(lab("power", "table2", "--stored", tmp_path), "--stored", "pilot")
    assert_refused(lab("power", "table1", "--backbone", llama, "--only", "nobody"), "nobody")


def test_probe_goes_on_where_it_was_stopped(
    lab: Lab, probing: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lab(*probing, "--json").json
    put = matrix.PredictionMatrix.put

    def stop(self: matrix.PredictionMatrix, row: int, *rest: object) -> None:
        if row == 3:
            raise KeyboardInterrupt
        put(self, row, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(matrix.PredictionMatrix, "put", stop)
        outcome = lab(*probing, "--out", tmp_path / "p")
    assert outcome.code == 130 and "--resume" in outcome.err
    assert_refused(lab(*probing, "--out", tmp_path / "p"), "--resume")
    again = lab(*probing, "--out", tmp_path / "p", "--resume", "--json").json
    assert again["scores"] == whole["scores"]


def test_probe_takes_named_orders_blocks_and_fixed_parts(lab: Lab, probing: list[object]) -> None:
    assert lab(*probing, "--orders", "swaps", "--json").json["permutations"] == 3
    assert lab(*probing, "--orders", "rotations", "--json").json["permutations"] == 2
    assert lab(*probing, "--unit", 2, "--json").json["permutations"] == 1
    assert lab(*probing, "--fixed", "0-0", "--json").json["permutations"] == 1
    bare = lab(*probing, "--no-positions", "--json").json
    assert bare["baseline"] == bare["no_positions"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fixed", "2"], ["'2'", "0-50"]),
        (["--fixed", "1-3"], ["1-3", "0-2"]),
        (["--unit", 3], ["no other order"]),
        (["--orders", "sorted"], ["'sorted'", "reversal"]),
        (["--resume"], ["--out"]),
        (["--orders", "reversal", "--fixed", "0-0"], ["--fixed", "--orders"]),
        (["--orders", "reversal", "--unit", 1], ["--unit", "--orders"]),
        (["--orders", "reversal", "--permutations", 3], ["--permutations", "--orders"]),
        (["--design", "incomplete", "--permutations", 3], ["--permutations", "full matrix"]),
    ],
)
def test_probe_names_a_wrong_option(
    lab: Lab, probing: list[object], options: list[object], words: list[str]
) -> None:
    assert_refused(lab(*probing, *options), *words)


@pytest.mark.parametrize(
    "command",
    [
        ["probe", "--permutations", 2],
        ["probe", "--design", "incomplete"],
        ["run", "table1"],
        ["transfer", "matrix"],
    ],
)
def test_results_stay_out_of_a_prompts_folder(
    lab: Lab, llama: Path, films: Path, copy_of_trained: Path, command: list[object]
) -> None:
    before = sorted(copy_of_trained.iterdir())
    if command[0] == "probe":
        command = [*command, "--prompt", copy_of_trained, "--backbone", llama, "--task", films]
    refused = lab(*command, "--out", copy_of_trained)
    assert_refused(refused, f"--out {copy_of_trained} is the folder of a prompt", "another")
    assert sorted(copy_of_trained.iterdir()) == before


# ------------------------------------------------------------------------- verbs that pass it on


def test_assets_list_and_verify(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    states = {a["name"]: a["state"] for a in lab("assets", "list", "--json").json["assets"]}
    assert states.pop("gemma-270m") == "optional"
    assert set(states.values()) == {"missing"}
    outcome = lab("assets", "verify", "minilm", "--json")
    assert outcome.code == 1
    assert [asset["name"] for asset in outcome.json["assets"]] == ["minilm"]
    assert_refused(lab("assets", "verify", "gpt5"), "'gpt5'", "smollm2")


def test_assets_fetch_says_what_it_brought(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(names, report, terms_accepted=False):
        report("fetching minilm", 1, 2)

    monkeypatch.setattr(assets, "fetch", fetch)
    monkeypatch.setattr(assets, "verify", lambda names: dict.fromkeys(names, "ok"))
    outcome = lab("assets", "fetch", "minilm", "--json")
    assert [(a["name"], a["state"]) for a in outcome.json["assets"]] == [("minilm", "ok")]
    assert outcome.err == ""


def test_missing_asset_says_how_to_fetch_it(
    lab: Lab, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    outcome = lab("evaluate", "--backbone", "minilm", "--task", films)
    assert_refused(outcome, "minilm", "labkit assets fetch")


RESULT = {
    "name": "lester-init",
    "task": "rt-polarity",
    "command": "labkit run lester-init",
    "rows": [{"setting": "vocab", "seed": 0, "value": 0.8, "n": 10}],
    "summary": [{"setting": "vocab", "mean": 0.8, "ci95": [0.7, 0.9], "seeds": 2}],
    "verdict": [],
    "file": "lester-init-smollm2-rt-polarity",
}


def test_run_passes_its_options_on(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict = {}
    engines: list[Engine] = []

    def run(
        name: str,
        *,
        on_progress: experiments.Tell,
        note: experiments.Note,
        engine: Engine,
        **options: object,
    ) -> dict:
        on_progress(0, 1, "vocab, seed 0")
        note("labels, seed 2: made again")
        given.update(options, name=name)
        engines.append(engine)
        return RESULT

    monkeypatch.setattr(experiments, "run", run)
    monkeypatch.setattr(experiments, "estimate", lambda name, **given: "about 3 hours")
    monkeypatch.setenv("LABKIT_PROFILE", "full")
    outcome = lab("run", "lester-init", "--seeds", "2,3", "--out", tmp_path, "--resume", "--json")
    assert (outcome.code, outcome.json["rows"]) == (0, RESULT["rows"])
    assert "about 3 hours" in outcome.err and "made again" in outcome.err
    assert given == {
        **{"name": "lester-init", "profile": "full", "backbone": None, "task": None},
        **{"seeds": (2, 3), "out": tmp_path, "resume": True, "only": (), "limit": None},
    }
    assert (tmp_path / f"{RESULT['file']}.png").read_bytes().startswith(b"\x89PNG")
    small = lab("run", "lester-init", "--profile", "small", "--out", tmp_path)
    assert "| vocab | 0.800 |" in small.out
    assert given["profile"] == "small"
    lab("run", "lester-init", "--prompts", 3, "--only", "vocab", "--limit", 9, "--out", tmp_path)
    assert (given["seeds"], list(given["only"]), given["limit"]) == ((0, 1, 2), ["vocab"], 9)
    lab("run", "lester-init", "--seeds", "0..2,5", "--out", tmp_path)
    assert given["seeds"] == (0, 1, 2, 5)
    lab("run", "lester-init", "--workers", 3, "--threads", 2, "--out", tmp_path)
    assert (engines[-1].workers, engines[-1].threads) == (3, 2)
    lab("run", "lester-init", "--engine", "ray", "--address", "host:6379", "--gpus", 0.5)
    assert (engines[-1].address, engines[-1].gpus) == ("host:6379", 0.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["lester-depth"], ["'lester-depth'", "lester-init"]),
        (["lester-init", "--profile", "huge"], ["'huge'", "small or full"]),
        (["lester-init", "--seeds", "0,x"], ["'0,x'", "0,1,2"]),
        (["lester-init", "--seeds", "0..x"], ["'0..x'", "0..2"]),
        (["lester-init", "--seeds", "2..0"], ["'2..0'", "0..2"]),
        (["lester-init", "--seeds", "0.."], ["'0..'", "0..2"]),
        (["lester-init", "--seeds", "0,0"], ["'0,0'", "distinct"]),
        (["lester-init", "--seeds", str(2**32)], [f"'{2**32}'", f"at most {2**32 - 1:,}"]),
        (["lester-init", "--seeds", "0..10000"], ["'0..10000'", "at most 10,000"]),
        (["lester-init", "--prompts", "10001"], ["--prompts"]),
        (["lester-init", "--seeds", "0", "--prompts", "2"], ["--seeds", "--prompts"]),
        (["lester-init", "--engine", "slurm"], ["'slurm'", "local or ray"]),
        (["lester-init", "--address", "host:1"], ["--engine ray"]),
        (["lester-init", "--gpus", "2"], ["--gpus", "--engine ray"]),
        (["lester-init", "--engine", "ray", "--workers", "2"], ["--workers", "--engine local"]),
    ],
)
def test_run_names_a_wrong_option(
    lab: Lab, tmp_path: Path, options: list[str], words: list[str]
) -> None:
    assert_refused(lab("run", *options, "--out", tmp_path), *words)


@pytest.mark.parametrize(
    ("verb", "options", "expected"),
    [
        ("tune", [], {"backbone": "smollm2", "length": 20, "device": None}),
        (
            "evaluate",
            ["--limit", "64", "--device", "cpu"],
            {"backbone": "smollm2", "length": 100, "limit": 64, "device": "cpu"},
        ),
        (
            "probe",
            ["--limit", "64"],
            {
                **{"backbone": "smollm2", "length": 100, "limit": 64, "permutations": 2},
                "device": None,
            },
        ),
    ],
)
def test_bench_passes_its_options_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, verb: str, options: list[str], expected: dict
) -> None:
    given: dict = {}

    def bench(*, on_progress: benchmarks.OnProgress, **options: object) -> dict:
        on_progress(0, 9, "peft")
        given.update(options)
        return {"ratio": 6.0, "agreement": {"fp32": 1.0}}

    monkeypatch.setattr(benchmarks, f"bench_{verb}", bench)
    length = ["--length", str(expected["length"])]
    assert lab("bench", verb, *length, *options, "--json").json["ratio"] == 6.0
    assert given == expected
    assert "6.000" in lab("bench", verb).out


# ----------------------------------------------------------------------------------- small pieces


def test_verbalizer_line() -> None:
    assert read_verbalizer(None) is None
    assert read_verbalizer("neg=a bad film|awful, pos = great") == {
        "neg": ("a bad film", "awful"),
        "pos": ("great",),
    }
    with pytest.raises(LabError, match="neg=bad"):
        read_verbalizer("neg=awful,neg=bad")


def test_recorded_command_is_a_command_without_folders_of_this_machine(tmp_path: Path) -> None:
    options = {"backbone": str(tmp_path / "model"), "template": "{text} It's", "limit": None}
    command = command_line("tune", {**options, "batch_size": 4, "out": tmp_path / "a/p"})
    slash = {"template": "/imagine {text}", "task": "/home/me/sst2", "init": "text:/a/b"}
    assert command_line("tune", slash) == (
        "labkit tune --template '/imagine {text}' --task sst2 --init text:/a/b"
    )
    assert command == (
        """labkit tune --backbone model --template '{text} It'"'"'s' --batch-size 4 --out p"""
    )


def test_a_recorded_command_names_a_repeated_option_each_time() -> None:
    targets = {"target": ["sst2", "/home/me/my films"], "steps": None}
    command = command_line("transfer pretrain", targets)
    assert command == "labkit transfer pretrain --target sst2 --target 'my films'"


def test_a_prompt_of_a_table_knows_its_task_whatever_that_is_called(
    lab: Lab, llama: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, name in ((llama, "my llama"), (films, "影评 films")):
        (tmp_path / name).mkdir()
        shutil.copytree(folder, tmp_path / name, dirs_exist_ok=True)
    prompts = {"causal": {"template": TEMPLATE, "words": {"negative": "bad", "positive": "good"}}}
    (tmp_path / "影评 films/task.json").write_text(json.dumps({"prompts": prompts}))
    monkeypatch.chdir(tmp_path)
    running = ["run", "lester-init", "--backbone", "my llama", "--task", "影评 films"]
    ran = lab(*running, "--only", "uniform", "--seeds", 0, "--workers", 1, "--json").json
    words = shlex.split(ran["command"])
    assert words[words.index("--backbone") + 1 :][:3] == ["my llama", "--task", "影评 films"]
    (card,) = (tmp_path / "results").rglob(CARD)
    probing = ["probe", "--backbone", "my llama", "--prompt", card.parent, "--permutations", 3]
    assert lab(*probing, "--json").json["task"] == "影评 films"


def test_a_file_that_is_not_the_outs_is_not_said_to_be(tmp_path):
    out = tmp_path / "results"
    for file in (out / "table.json", out, tmp_path):  # below it, itself, and what it stands in
        with pytest.raises(LabError, match="results can't be written"), writing(out):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
    with pytest.raises(PermissionError, match=r"train\.jsonl"), writing(out):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "train.jsonl"))
