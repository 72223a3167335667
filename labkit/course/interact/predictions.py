"""Predict, then run: a number and a range that the reader commits before the figure that tells it.

A range is meant to hold its number four times out of five. Afterwards it gets the *interval score*
(Winkler 1972; Gneiting and Raftery 2007, equation 43), its width and ten times the distance by
which it misses, as a share of all that the number can be: who says nothing (a range of everything)
scores 1, and less is better. Over the course the share of ranges that hold their number says how
well the reader is calibrated.

What is committed is kept in ``predictions.jsonl`` beside the notebooks, line by line: a prediction
that stands behind the line of its outcome was made by somebody who had seen it, and is not scored.
A number that nobody had predicted is known to its session only: it leaves no file.

Usage, in two cells::

    predict("spread of wordings", guess=0.3, low=0.2, high=0.5)
    outcome("spread of wordings", np.ptp(accuracies))
"""

from __future__ import annotations

import difflib
import json
import math
import numbers
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from types import EllipsisType
from typing import Any, NamedTuple

from labkit.core.errors import LabError
from labkit.core.statistics import accuracy_interval
from labkit.course.figures import predictions as figures
from labkit.course.figures.style import CourseFigure
from labkit.course.interact.recorded import recording
from labkit.course.language import in_language, translation

FILE = "predictions.jsonl"
CONFIDENCE = 0.8
"""How often a range is meant to hold its number."""

PENALTY = 2 / (1 - CONFIDENCE)
"""What a miss costs, in units of the distance by which it misses."""

OUTCOME = "labkit_outcome"
"""Key in the metadata of an output that holds a question's name and its number."""


class Question(NamedTuple):
    """What is asked, and the least and the most that the number can be."""

    notebook: str
    asks: str
    least: float
    most: float


QUESTIONS: dict[str, Question] = {
    "spread of wordings": Question(
        "01_hard_prompt", "validation accuracy of the best wording less that of the worst", 0, 1
    ),
    "gain by calibration": Question(
        "01_hard_prompt", "what calibration adds to the mean accuracy of the grid", -1, 1
    ),
    "soft over hard": Question(
        "02_soft_prompt", "test accuracy, the soft prompt less the best hard prompt", -1, 1
    ),
    "neighbours kept": Question(
        "02_soft_prompt", "of 20 trained vectors, those still nearest to the word they began as",
        0, 20,
    ),
    "spread of templates": Question(
        "03_p_tuning", "test accuracy of the best of ten templates less that of the worst", 0, 1
    ),
    "LoRA over nine vectors": Question(
        "03_p_tuning", "test accuracy of LoRA less that of nine free vectors", -1, 1
    ),
    "cost of a random order": Question(
        "04_shuffle_probe", "what a random order costs smollm2 in accuracy, mean of 200", -1, 1
    ),
    "luck of the best of 200": Question(
        "04_shuffle_probe",
        "where order means nothing, what the best of 200 gains where it was chosen", 0, 1,
    ),
    "place from distances": Question(
        "05_position_enhancement",
        "share of present places that relative positions alone tell, mean over seeds", 0, 1,
    ),
    "content in the sum": Question(
        "05_position_enhancement", "share of the variance of prompt and sinusoids that is prompt",
        0, 1,
    ),
    "order handed back": Question(
        "06_lstm_sorter",
        "Kendall's tau of the order that minilm's sorter with positions chose and the one given",
        -1, 1,
    ),
    "gain of the sorter": Question(
        "07_glue", "score with the learned order less that with the trained one, mean", -1, 1
    ),
    "same kind over no prompt": Question(
        "08_prompt_transfer", "accuracy with a prompt of the same kind less that with none", -1, 1
    ),
    "likeness and transfer": Question(
        "08_prompt_transfer", "Spearman's ρ of likeness and transfer within a kind", -1, 1
    ),
    "prompt abroad": Question(
        "09_prompt_pretraining",
        "accuracy on foreign text, the prompt less fine-tuning, mean over four sets", -1, 1,
    ),
}  # fmt: skip
"""Name → question, in the order of the course."""


class Prediction(NamedTuple):
    """A number and the range that is meant to hold the true one."""

    guess: float
    low: float
    high: float

    def missed_by(self, value: float) -> float:
        """The distance from the range to a number; 0 inside."""
        return max(self.low - value, value - self.high, 0.0)

    def score(self, value: float, question: Question) -> float:
        """Interval score as a share of what is possible: 0 is perfect, 1 is to say nothing."""
        width = self.high - self.low
        return (width + PENALTY * self.missed_by(value)) / (question.most - question.least)


class Known(NamedTuple):
    """What is kept of a question: the prediction that counts, and the number if it was shown."""

    prediction: Prediction | None = None
    late: bool = False
    """The prediction was committed after the number had been shown."""

    value: float | None = None


def prediction(name: str, guess: Any, low: Any, high: Any) -> Prediction | None:
    """What a reader typed; None as long as dots stand in the place of all three numbers.

    Raises:
        LabError: if there is no such question, or these are no number and range for it.
    """
    question = _question(name)
    given = {"guess": guess, "low": low, "high": high}
    if all(value is ... for value in given.values()):
        return None
    for word, value in given.items():
        written = "..." if value is ... else repr(value)
        if not _finite(value):
            reason = f"{word}={written} is no number; guess, low and high are three of them"
            raise LabError(in_language(f"{name}: {reason}"))
        if not question.least <= value <= question.most:
            reason = (
                f"{word}={written} can't be: choose from {question.least:g} to {question.most:g}"
            )
            raise LabError(in_language(f"{name}: {reason}"))
    if not low <= guess <= high:
        reason = f"{guess:g} does not lie between {low:g} and {high:g}; mind low <= guess <= high"
        raise LabError(in_language(f"{name}: {reason}"))
    return Prediction(float(guess), float(low), float(high))


def predict(
    name: str,
    *,
    guess: float | EllipsisType = ...,
    low: float | EllipsisType = ...,
    high: float | EllipsisType = ...,
) -> None:
    """Commit a prediction, and say so; it may be changed until its number is shown.

    Raises:
        LabError: as :func:`prediction` does, or if the file can't be read or written.
    """
    typed, question = prediction(name, guess, low, high), _question(name)
    known = _known().get(name, Known())
    counts = known.prediction is not None and known.value is not None and not known.late
    if typed not in (None, known.prediction) and not counts:
        if known.value is None and name in _shown_here:
            _keep({"shown": name, "value": _shown_here[name]})
        _keep({"predict": name, **typed._asdict()})
        known = _known().get(name, Known(typed))
    possible = f"from {question.least:g} to {question.most:g}"
    print(f"{name}: {in_language(question.asks)} ({in_language(possible)})")
    print(in_language(_where_it_stands(typed, known)))


def _where_it_stands(typed: Prediction | None, known: Known) -> str:
    if known.prediction is None:
        return "no prediction yet: put numbers in the place of the dots"
    if known.late:
        return "its number was shown before you predicted it: kept, and not scored"
    if typed not in (None, known.prediction):
        return "its number has been shown: what you predicted before that counts"
    guess, low, high = (f"{number:g}" for number in known.prediction)
    return f"committed: {guess}, between {low} and {high}"


class Outcome:
    """A question's number, and what became of the prediction; a notebook shows it as text."""

    def __init__(self, name: str, value: float, lines: list[str]) -> None:
        self.name, self.value, self.lines = name, value, lines

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        return {"text/plain": repr(self)}, {OUTCOME: {"name": self.name, "value": self.value}}


def outcome(name: str, value: float) -> Outcome:
    """Show a question's number, and score what was committed before.

    Raises:
        LabError: if there is no such question, or the file can't be read or written.
    """
    question, value = _question(name), float(value)
    _shown_here.setdefault(name, value)
    every = _known()
    known = every.get(name, Known())
    if known.prediction is not None and known.value is None:
        _keep({"shown": name, "value": value})
        every[name] = known._replace(value=value)
    counts = value if known.value is None else known.value  # as it was shown first
    lines = [f"{name}: {value:.3g}"]
    if known.prediction is None:
        lines.append(in_language("nothing was predicted"))
    elif known.late:
        lines.append(in_language(_where_it_stands(None, known)))
    else:
        lines.append(in_language(_verdict(known.prediction, counts, question)))
        lines.append(in_language(_so_far(every)))
    return Outcome(name, value, lines)


def _verdict(prediction: Prediction, value: float, question: Question) -> str:
    low, high, score = (
        f"{prediction.low:g}",
        f"{prediction.high:g}",
        f"{prediction.score(value, question):.2g}",
    )
    if missed := prediction.missed_by(value):
        return f"your range, {low} to {high}, misses it by {missed:.2g}: score {score}"
    return f"your range, {low} to {high}, holds it: score {score}"


def calibration() -> CourseFigure | None:
    """All ranges that were committed in time, around the numbers that came; None if there are none.

    Raises:
        LabError: if the file can't be read.
    """
    every = _known()
    scored = _scored(every)
    if not scored:
        print(in_language("no range has met its number yet: predict, then run"))
        return None
    around = {
        name: tuple((place - value) / (question.most - question.least) for place in prediction)
        for name, (prediction, value) in scored.items()
        for question in [QUESTIONS[name]]
    }
    return figures.ranges_around(around, _so_far(every))


def _scored(every: Mapping[str, Known]) -> dict[str, tuple[Prediction, float]]:
    """The predictions that count, with their numbers, in the order of the course."""
    known = {name: every[name] for name in QUESTIONS if name in every}
    return {
        name: (entry.prediction, entry.value)
        for name, entry in known.items()
        if entry.prediction is not None and entry.value is not None and not entry.late
    }


def _so_far(every: Mapping[str, Known]) -> str:
    scored = _scored(every)
    held = sum(prediction.missed_by(value) == 0 for prediction, value in scored.values())
    share = accuracy_interval((held, len(scored)))
    scores = [
        prediction.score(value, QUESTIONS[name]) for name, (prediction, value) in scored.items()
    ]
    return (
        f"{held} of {len(scored)} ranges hold their number, a share of [{share.low:.2f}, "
        f"{share.high:.2f}] where {CONFIDENCE:g} is meant; mean score {fmean(scores):.2g}"
    )


# ---- the file ----

_shown_here: dict[str, float] = {}
"""Numbers that this session has shown; the file has those that somebody had predicted."""


def _known() -> dict[str, Known]:
    """What the file says of each question, in the order of its lines."""
    known: dict[str, Known] = {}
    for line in _lines():
        if "shown" in line:
            before = known.get(line["shown"], Known())
            known[line["shown"]] = before._replace(value=line["value"])
        else:
            before = known.get(line["predict"], Known())
            prediction = Prediction(line["guess"], line["low"], line["high"])
            late = before.value is not None
            known[line["predict"]] = before._replace(prediction=prediction, late=late)
    return known


def _path() -> Path:
    """Beside the notebooks; translated ones share the file of the originals."""
    folder = Path.cwd()
    return (folder.parent if folder.name == translation.LANGUAGE else folder) / FILE


def _lines() -> Iterator[dict[str, Any]]:
    """The lines of the file; none where a master is executed, which predicts nothing."""
    path = _path()
    if recording() or not path.exists():
        return
    for number, text in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            line = json.loads(text)
            keys = ("shown", "value") if "shown" in line else ("predict", *Prediction._fields)
            if not all(_finite(line[key]) for key in keys[1:]) or line[keys[0]] not in QUESTIONS:
                raise ValueError(text)
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(
                in_language(f"{path}, line {number}, can't be read; delete this line")
            ) from error
        yield line


def _keep(line: Mapping[str, Any]) -> None:
    """One more line; a single write, so that two notebooks may do it at once."""
    if recording():
        return
    try:
        with _path().open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise LabError(
            in_language(f"{_path()} can't be written ({error.strerror}); open the notebooks from a "
                        "folder of yours")
        ) from error  # fmt: skip


# ---- parts ----


def _question(name: str) -> Question:
    if name not in QUESTIONS:
        close = difflib.get_close_matches(str(name), QUESTIONS, n=1)
        known = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(QUESTIONS)}"
        raise LabError(in_language(f"there is no question {name!r}; {known}"))
    return QUESTIONS[name]


def _finite(value: Any) -> bool:
    plain = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return plain and math.isfinite(value)
