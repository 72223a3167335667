"""Published data sets: the GLUE tasks and four more, from ``LABKIT_DATA`` or the Hub."""

from __future__ import annotations

from labkit.core import assets
from labkit.core.errors import LabError
from labkit.core.tasks.prompts import SENTIMENT, TASK_PROMPTS
from labkit.core.tasks.rows import Layout, as_example, read_jsonl
from labkit.core.tasks.splits import split_examples
from labkit.core.tasks.task import Task

PUBLISHED = {
    "sst2": Layout(("sentence",), SENTIMENT),
    "mrpc": Layout(("sentence1", "sentence2"), ("not_equivalent", "equivalent")),
    "rte": Layout(("sentence1", "sentence2"), ("entailment", "not_entailment")),
    "stsb": Layout(("sentence1", "sentence2"), range=(0.0, 5.0)),
    "qnli": Layout(("question", "sentence"), ("entailment", "not_entailment")),
    "qqp": Layout(("question1", "question2"), ("not_equivalent", "equivalent")),
    "mnli": Layout(("premise", "hypothesis"), ("entailment", "neutral", "contradiction")),
    "snli": Layout(("premise", "hypothesis"), ("entailment", "neutral", "contradiction")),
    "cr": Layout(("sentence",), SENTIMENT),
    "mpqa": Layout(("sentence",), SENTIMENT),
    "subj": Layout(("sentence",), ("objective", "subjective")),
}
GLUE = ("rte", "mrpc", "stsb", "sst2", "qnli", "qqp", "mnli")
GLUE_REPOSITORY = "nyu-mll/glue"
GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"


def published_task(name: str) -> Task:
    known = PUBLISHED[name]
    rows, source = _published_rows(name)
    # An empty text teaches nothing. In the test set it is an error: leaving it out moves the score.
    full = [row for row in rows["train"] if all(row.get(f) != "" for f in known.fields)]
    train = [as_example(name, row, known, "train") for row in full]
    test = tuple(as_example(name, row, known, "test") for row in rows["validation"])
    return Task(
        name=name,
        fields=known.fields,
        labels=known.labels,
        splits={**split_examples(train, {"validation": 0.1}), "test": test},
        source=source,
        range=known.range,
        prompts=TASK_PROMPTS[name],
    )


def _published_rows(name: str) -> tuple[dict[str, list[dict]], str]:
    folder = assets.data_dir()
    if folder is not None and not folder.is_dir():
        raise LabError(f"LABKIT_DATA={str(folder)!r} is no folder; set it to one that holds {name}")
    if folder is not None and (folder / name).is_dir():
        files = {split: folder / name / f"{split}.jsonl" for split in ("train", "validation")}
        return {split: read_jsonl(file) for split, file in files.items()}, f"{folder.name}/{name}"
    if name in GLUE:
        return _hub_rows(name), f"{GLUE_REPOSITORY} ({name}, {GLUE_REVISION[:7]})"
    raise LabError(
        f"task {name!r} is not here; set LABKIT_DATA to a folder that holds "
        f"{name}/train.jsonl and {name}/validation.jsonl"
    )


def _hub_rows(name: str) -> dict[str, list[dict]]:
    import datasets  # slow to import, and needed for the Hub only

    datasets.disable_progress_bars()
    splits = {"train": "train", "validation": "validation"}
    if name == "mnli":
        splits["validation"] = "validation_matched"
    try:
        return {
            split: datasets.load_dataset(
                GLUE_REPOSITORY, name, split=published, revision=GLUE_REVISION
            ).to_list()
            for split, published in splits.items()
        }
    except Exception as error:  # the Hub's client raises many kinds for one cause
        raise LabError(
            f"task {name!r} can't be had from the Hub ({type(error).__name__}); switch the network "
            f"on, or set LABKIT_DATA to a folder that holds {name}/train.jsonl and "
            f"{name}/validation.jsonl"
        ) from error
