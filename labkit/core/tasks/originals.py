"""rt-polarity and the valence domains: the default data, which need no account and no network."""

from __future__ import annotations

import csv
import html
from pathlib import Path

from labkit.core import assets
from labkit.core.errors import LabError
from labkit.core.tasks.prompts import SENTIMENT, TASK_PROMPTS
from labkit.core.tasks.splits import normalise, split_examples
from labkit.core.tasks.task import POLES, Example, Task, TaskPrompt

VALENCE_FILES = {
    "movie-valence": "movieReviewSnippets_GroundTruth.txt",
    "amazon-valence": "amazonReviewSnippets_GroundTruth.txt",
    "editorials-valence": "nytEditorialSnippets_GroundTruth.txt",
    "tweets-valence": "tweets_GroundTruth.txt",
}
VALENCE_RANGE = (-4.0, 4.0)

_LEFT_OUT = {4140, 4543, 9454, 10604}  # without one unambiguous sentence in the original files
_POSITIVE_IDS = ((1, 5152), (10313, 10347), (10379, 10481))


def rt_polarity(path: str | Path | None) -> Task:
    if path is None:
        rows = _valence_rows("movie-valence")
        examples = [
            Example(str(row), {"text": text}, _gold_polarity(int(row)))
            for row, _, text in rows
            if row not in _LEFT_OUT
        ]
        source = "Pang and Lee 2005, sentences as restored by Hutto and Gilbert 2014"
    else:
        examples = read_polarity_files(Path(path))
        source = "Pang and Lee 2005, the original files"
    return Task(
        name="rt-polarity",
        fields=("text",),
        labels=SENTIMENT,
        splits=split_examples(examples, {"validation": 0.1, "test": 0.1}),
        source=source,
        prompts=TASK_PROMPTS["rt-polarity"],
    )


def _gold_polarity(row: int) -> int:
    """Polarity by id, found by matching every sentence with the original files."""
    return int(any(first <= row <= last for first, last in _POSITIVE_IDS))


def read_polarity_files(folder: Path) -> list[Example]:
    """Read and clean ``rt-polarity.neg`` and ``rt-polarity.pos``: latin-1, one sentence a line.

    White space is collapsed, and empty lines and repeated sentences are dropped.
    """
    examples, seen = [], set()
    for label, ending in enumerate(("neg", "pos")):
        file = folder / f"rt-polarity.{ending}"
        if not file.is_file():
            raise LabError(
                f"{file} does not exist; give the folder that holds rt-polarity.pos and .neg"
            )
        for number, line in enumerate(file.read_text(encoding="latin-1").split("\n"), start=1):
            text = " ".join(line.split())
            if text and normalise(text) not in seen:
                seen.add(normalise(text))
                examples.append(Example(f"{ending}-{number}", {"text": text}, label))
    return examples


def valence_task(name: str, as_regression: bool) -> Task:
    rows = _valence_rows(name)
    if as_regression:
        examples = [Example(str(row), {"text": text}, value) for row, value, text in rows]
    else:
        examples = [
            Example(str(row), {"text": text}, int(value > 0)) for row, value, text in rows if value
        ]
    prompts = TASK_PROMPTS[name]
    if as_regression:
        poles = dict(zip(POLES, SENTIMENT, strict=True))
        prompts = {
            readout: TaskPrompt(
                prompt.template, {pole: prompt.verbalizer[end] for pole, end in poles.items()}
            )
            for readout, prompt in prompts.items()
        }
    return Task(
        name=name,
        fields=("text",),
        labels=() if as_regression else SENTIMENT,
        splits=split_examples(examples, {"validation": 0.1, "test": 0.1}),
        source="Hutto and Gilbert 2014",
        range=VALENCE_RANGE if as_regression else None,
        prompts=prompts,
    )


def _valence_rows(name: str) -> list[tuple[int | str, float, str]]:
    """(id, mean valence, text) of each row; the editorials' ids are ``article_sentence``."""
    file = assets.locate("vader") / VALENCE_FILES[name]
    rows = []
    with file.open(encoding="utf-8", newline="") as lines:
        for given, value, text in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            row = int(given) if given.isdigit() else given
            plain = html.unescape(html.unescape(text))  # some reviews were escaped twice: &amp;#38;
            rows.append((row, float(value), " ".join(plain.split())))
    return rows
