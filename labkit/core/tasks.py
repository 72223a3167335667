"""Tasks: examples with labels, in three splits, and the words to ask with.

The default data need no account and no network (``data/README.md`` says more of each):

- ``rt-polarity``, the course's data set (Pang and Lee 2005), 10,601 sentences of movie reviews;
- ``movie-valence``, ``amazon-valence``, ``editorials-valence``, ``tweets-valence`` (Hutto and
  Gilbert 2014): the sign of a mean human rating, or the rating itself with ``as_regression=True``.

The seven GLUE tasks come from ``LABKIT_DATA`` or the Hub, four more (snli, cr, subj, mpqa) from
``LABKIT_DATA``, and any folder of ``<split>.jsonl`` files is a task too.

Public GLUE has no test labels. Here ``test`` is the published validation set, and ``validation`` is
a seeded tenth (at most 1,000) of train: choose on validation, report on test. Examples that share a
text stand on the same side of a cut.

Usage::

    task = load_task("rt-polarity")
    task.split("test")[0].text
"""

from __future__ import annotations

import csv
import difflib
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from labkit.core import assets
from labkit.core.errors import LabError

SPLITS = ("train", "validation", "test")
SPLIT_SEED = 0
MOST_VALIDATION = 1000


@dataclass(frozen=True)
class Example:
    """One labelled example: texts by field name, and a class index or a value."""

    id: str
    fields: Mapping[str, str]
    label: int | float

    @property
    def text(self) -> str:
        """The only text of the example."""
        if len(self.fields) != 1:
            raise LabError(
                f"example {self.id!r} has several texts ({', '.join(self.fields)}); name one of "
                "them instead of {text}"
            )
        return next(iter(self.fields.values()))


@dataclass(frozen=True)
class TaskPrompt:
    """A template without virtual tokens, and the label words that go with it."""

    template: str
    verbalizer: Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True)
class Task:
    """Examples in splits.

    Attributes:
        fields: names of the texts; labels: class names in the order of the label numbers, empty
            for a regression; range: lowest and highest value of a regression.
        source: where the data come from.
        prompts: a sensible template and label words for each readout.
    """

    name: str
    fields: tuple[str, ...]
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Example, ...]] = field(repr=False)
    source: str = ""
    range: tuple[float, float] | None = None
    prompts: Mapping[str, TaskPrompt] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> str:
        return "regression" if self.range is not None else "classification"

    @property
    def metric(self) -> str:
        return "pearson" if self.range is not None else "accuracy"

    def split(self, name: str) -> tuple[Example, ...]:
        if name not in self.splits:
            raise LabError(
                f"task {self.name!r} has no split {name!r}; it has {', '.join(self.splits)}"
            )
        return self.splits[name]

    def take(self, name: str, count: int, seed: int = 0) -> tuple[Example, ...]:
        """A seeded sample without repetition, or the whole split if it is no larger."""
        examples = self.split(name)
        if count < 1:
            raise LabError(f"limit={count}: take at least one example of {self.name!r}")
        order = np.random.default_rng(seed).permutation(len(examples))[:count]
        return tuple(examples[i] for i in order)

    def with_splits(self, **splits: Sequence[Example]) -> Task:
        """The same task with other examples in the splits that are named."""
        given = {name: tuple(examples) for name, examples in splits.items()}
        return replace(self, splits={**self.splits, **given})

    def majority(self, split: str = "test") -> float:
        """Share of the largest class: what a blind guess reaches."""
        if self.kind == "regression":
            raise LabError(f"task {self.name!r} is a regression; it has no majority class")
        examples = self.split(split)
        if not examples:
            raise LabError(f"split {split!r} of task {self.name!r} is empty; give more examples")
        counts = np.bincount([example.label for example in examples])
        return float(counts.max() / counts.sum())

    def prompt_for(self, readout: str) -> TaskPrompt:
        if readout not in self.prompts:
            raise LabError(
                f"task {self.name!r} knows no template for the {readout} readout; give a template "
                "and label words"
            )
        return self.prompts[readout]


# ---- the words to ask with ----


def _sentiment(what: str) -> dict[str, TaskPrompt]:
    words = {"negative": "terrible", "positive": "great"}
    return {
        "mlm": TaskPrompt("{text} It was {mask}.", words),
        "causal": TaskPrompt("{text} It was {mask}", words),
        "seq2seq": TaskPrompt("{text}", {"negative": "negative", "positive": "positive"}),
        "encoder": TaskPrompt(
            "{text}", {"negative": f"a bad {what}", "positive": f"a good {what}"}
        ),
    }


def _pair(
    cloze: str, plain: str, words: Mapping[str, str], texts: Mapping[str, str]
) -> dict[str, TaskPrompt]:
    """Prompts of a task over two texts.

    Args:
        cloze: template with ``{mask}`` between or behind the texts; plain: the same texts in a row.
        words: class → answer word; texts: class → label text for the encoder and T5.
    """
    causal = cloze if cloze.endswith("{mask}") else f"{plain} Answer: {{mask}}"
    return {
        "mlm": TaskPrompt(cloze + ("." if cloze.endswith("{mask}") else ""), words),
        "causal": TaskPrompt(causal, words),
        "seq2seq": TaskPrompt(plain, {label: label for label in words}),
        "encoder": TaskPrompt(plain, texts),
    }


_YES_NO = {"entailment": "Yes", "not_entailment": "No"}
_SAME = {"not_equivalent": "No", "equivalent": "Yes"}
_NLI = {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"}
_NLI_TEXTS = {
    "entailment": "the second follows from the first",
    "neutral": "the second is unrelated to the first",
    "contradiction": "the second contradicts the first",
}
_NLI_PROMPTS = _pair(
    "{premise}? {mask}, {hypothesis}",
    "{premise} Question: {hypothesis} Yes, No, or Maybe?",
    _NLI,
    _NLI_TEXTS,
)
_SAME_TEXTS = {"not_equivalent": "two different statements", "equivalent": "the same said twice"}

TASK_PROMPTS: dict[str, dict[str, TaskPrompt]] = {
    "rt-polarity": _sentiment("film"),
    "movie-valence": _sentiment("film"),
    "amazon-valence": _sentiment("product"),
    "editorials-valence": _sentiment("thing"),
    "tweets-valence": _sentiment("thing"),
    "sst2": _sentiment("film"),
    "cr": _sentiment("product"),
    "mpqa": _sentiment("thing"),
    "subj": {
        "mlm": TaskPrompt("{text} It was {mask}.", {"objective": "fact", "subjective": "opinion"}),
        "causal": TaskPrompt(
            "{text} This is a {mask}", {"objective": "fact", "subjective": "opinion"}
        ),
        "seq2seq": TaskPrompt("{text}", {"objective": "objective", "subjective": "subjective"}),
        "encoder": TaskPrompt(
            "{text}", {"objective": "a plot summary", "subjective": "an opinion about a movie"}
        ),
    },
    "rte": _pair(
        "{sentence1}? {mask}, {sentence2}",
        "{sentence1} Question: {sentence2} Yes or No?",
        _YES_NO,
        {
            "entailment": "the second follows from the first",
            "not_entailment": "the second does not follow from the first",
        },
    ),
    "mrpc": _pair(
        "{sentence1} {mask}, {sentence2}",
        "{sentence1} {sentence2} Do both say the same?",
        _SAME,
        _SAME_TEXTS,
    ),
    "qqp": _pair(
        "{question1} {mask}, {question2}",
        "{question1} {question2} Do both ask the same?",
        _SAME,
        _SAME_TEXTS,
    ),
    "qnli": _pair(
        "{question} {mask}, {sentence}",
        "{question} {sentence} Is the question answered?",
        _YES_NO,
        {
            "entailment": "a question and its answer",
            "not_entailment": "a question and an unrelated statement",
        },
    ),
    "stsb": _pair(
        "{sentence1} {mask}, {sentence2}",
        "{sentence1} {sentence2} Do both say the same?",
        {"low": "No", "high": "Yes"},
        {"low": "two different statements", "high": "the same said twice"},
    ),
    "mnli": _NLI_PROMPTS,
    "snli": _NLI_PROMPTS,
}

# ---- what each named task is ----

_VALENCE_FILES = {
    "movie-valence": "movieReviewSnippets_GroundTruth.txt",
    "amazon-valence": "amazonReviewSnippets_GroundTruth.txt",
    "editorials-valence": "nytEditorialSnippets_GroundTruth.txt",
    "tweets-valence": "tweets_GroundTruth.txt",
}
VALENCE_RANGE = (-4.0, 4.0)
_SENTIMENT_LABELS = ("negative", "positive")


@dataclass(frozen=True)
class _Published:
    """A published data set: its text fields, class names and, for a regression, its range."""

    fields: tuple[str, ...]
    labels: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    on_hub: bool = True


_PUBLISHED = {
    "sst2": _Published(("sentence",), _SENTIMENT_LABELS),
    "mrpc": _Published(("sentence1", "sentence2"), tuple(_SAME)),
    "rte": _Published(("sentence1", "sentence2"), tuple(_YES_NO)),
    "stsb": _Published(("sentence1", "sentence2"), range=(0.0, 5.0)),
    "qnli": _Published(("question", "sentence"), tuple(_YES_NO)),
    "qqp": _Published(("question1", "question2"), tuple(_SAME)),
    "mnli": _Published(("premise", "hypothesis"), tuple(_NLI)),
    "snli": _Published(("premise", "hypothesis"), tuple(_NLI), on_hub=False),
    "cr": _Published(("sentence",), _SENTIMENT_LABELS, on_hub=False),
    "mpqa": _Published(("sentence",), _SENTIMENT_LABELS, on_hub=False),
    "subj": _Published(("sentence",), ("objective", "subjective"), on_hub=False),
}
GLUE = ("rte", "mrpc", "stsb", "sst2", "qnli", "qqp", "mnli")
GLUE_REPOSITORY = "nyu-mll/glue"
GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
TASKS = ("rt-polarity", *_VALENCE_FILES, *_PUBLISHED)

# Groups of data sets that share sentences (exact matches after normalising: 732 of 872 SST-2
# validation sentences stand in the movie file, 1,167 of 3,393 CR rows in the Amazon file, 3,305 of
# 8,000 Subj train rows in rt-polarity), and what MiniLM was trained on by its model card.
SHARED_SENTENCES = (
    frozenset({"rt-polarity", "movie-valence", "sst2", "subj"}),
    frozenset({"cr", "amazon-valence"}),
)
TRAINED_ON = {"minilm": frozenset({"snli", "mnli", "qqp"})}


def are_seen(first: str, second: str) -> bool:
    """Whether two tasks share sentences, so that transfer between them proves little."""
    return first != second and any({first, second} <= group for group in SHARED_SENTENCES)


def load_task(name: str, path: str | Path | None = None, *, as_regression: bool = False) -> Task:
    """Load a task by name, or from a folder of ``<split>.jsonl`` files.

    Args:
        name: one of ``TASKS``, or a folder.
        path: for ``rt-polarity``: a folder with the original ``rt-polarity.pos`` and ``.neg``.
        as_regression: for the valence tasks: the rating itself instead of its sign.

    Raises:
        LabError: for an unknown name, data that cannot be had, or a file that cannot be read.
    """
    if path is not None and name != "rt-polarity":
        raise LabError(f"path={str(path)!r} is for rt-polarity; for {name!r} set LABKIT_DATA")
    if as_regression and name not in _VALENCE_FILES:
        raise LabError(
            f"task {name!r} has no valence to regress on; these have: {', '.join(_VALENCE_FILES)}"
        )
    if name == "rt-polarity":
        return _rt_polarity(path)
    if name in _VALENCE_FILES:
        return _valence(name, as_regression)
    if name in _PUBLISHED:
        return _published(name)
    if Path(name).is_dir():
        return _from_folder(Path(name))
    close = difflib.get_close_matches(name, TASKS, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise LabError(
        f"there is no task {name!r}{hint}; there are {', '.join(TASKS)}, or give a folder with "
        "train.jsonl"
    )


# ---- rt-polarity and the valence domains ----

_LEFT_OUT = {4140, 4543, 9454, 10604}  # without one unambiguous sentence in the original files
_POSITIVE_IDS = ((1, 5152), (10313, 10347), (10379, 10481))


def _rt_polarity(path: str | Path | None) -> Task:
    if path is None:
        rows = _valence_rows("movie-valence")
        examples = [
            Example(str(row), {"text": text}, _gold_polarity(row))
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
        labels=_SENTIMENT_LABELS,
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


def _valence(name: str, as_regression: bool) -> Task:
    rows = _valence_rows(name)
    if as_regression:
        examples = [Example(str(row), {"text": text}, value) for row, value, text in rows]
    else:
        examples = [
            Example(str(row), {"text": text}, int(value > 0)) for row, value, text in rows if value
        ]
    prompts = TASK_PROMPTS[name]
    if as_regression:
        poles = dict(zip(("low", "high"), _SENTIMENT_LABELS, strict=True))
        prompts = {
            readout: TaskPrompt(
                prompt.template, {pole: prompt.verbalizer[end] for pole, end in poles.items()}
            )
            for readout, prompt in prompts.items()
        }
    return Task(
        name=name,
        fields=("text",),
        labels=() if as_regression else _SENTIMENT_LABELS,
        splits=split_examples(examples, {"validation": 0.1, "test": 0.1}),
        source="Hutto and Gilbert 2014",
        range=VALENCE_RANGE if as_regression else None,
        prompts=prompts,
    )


def _valence_rows(name: str) -> list[tuple[int | str, float, str]]:
    """(id, mean valence, text) of each row; the editorials' ids are ``article_sentence``."""
    file = assets.locate("vader") / _VALENCE_FILES[name]
    rows = []
    with file.open(encoding="utf-8", newline="") as lines:
        for given, value, text in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            row = int(given) if given.isdigit() else given
            plain = html.unescape(html.unescape(text))  # some reviews were escaped twice: &amp;#38;
            rows.append((row, float(value), " ".join(plain.split())))
    return rows


# ---- published data sets and folders ----


def _published(name: str) -> Task:
    known = _PUBLISHED[name]
    rows, source = _published_rows(name, known)
    # An empty text teaches nothing. In the test set it is an error: leaving it out moves the score.
    full = [row for row in rows["train"] if all(row.get(f) != "" for f in known.fields)]
    train = [_example(name, row, known, "train") for row in full]
    test = tuple(_example(name, row, known, "test") for row in rows["validation"])
    return Task(
        name=name,
        fields=known.fields,
        labels=known.labels,
        splits={**split_examples(train, {"validation": 0.1}), "test": test},
        source=source,
        range=known.range,
        prompts=TASK_PROMPTS[name],
    )


def _published_rows(name: str, known: _Published) -> tuple[dict[str, list[dict]], str]:
    folder = assets.data_dir()
    if folder is not None and (folder / name).is_dir():
        files = {split: folder / name / f"{split}.jsonl" for split in ("train", "validation")}
        return {split: _read_jsonl(file) for split, file in files.items()}, f"{folder.name}/{name}"
    if known.on_hub:
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


def _example(name: str, row: dict, known: _Published, split: str) -> Example:
    index = row.get("idx", "?")
    try:
        fields = {field_name: row[field_name] for field_name in known.fields}
        label = row["label"]
    except KeyError as error:
        raise LabError(
            f"task {name!r}, {split} example {index}: the field {error} is missing; the fields are "
            f"{', '.join(known.fields)} and label"
        ) from error
    for field_name, text in fields.items():
        if not isinstance(text, str):
            raise LabError(
                f"task {name!r}, {split} example {index}: the field {field_name!r} is {text!r}; "
                "give a text"
            )
        if not text.strip():
            raise LabError(
                f"task {name!r}, {split} example {index}: the field {field_name!r} is empty; give "
                "it a text or take the example out"
            )
    if known.range is not None:
        low, high = known.range
        if not isinstance(label, int | float) or not low <= label <= high:
            raise LabError(
                f"task {name!r}, {split} example {index}: label {label!r} is not in {low}…{high}"
            )
        return Example(f"{split}-{index}", fields, float(label))
    if label not in range(len(known.labels)):
        raise LabError(
            f"task {name!r}, {split} example {index}: label {label!r} is none of the "
            f"{len(known.labels)} classes (0 … {len(known.labels) - 1})"
        )
    return Example(f"{split}-{index}", fields, int(label))


def _from_folder(folder: Path) -> Task:
    """A folder with train.jsonl, and optionally validation.jsonl and test.jsonl.

    Labels are strings (class names) or numbers 0 … C−1, or floats (a regression over their range).
    Where validation or test is missing, a seeded tenth of train takes its place.
    """
    name = folder.resolve().name
    rows = {
        s: _read_jsonl(folder / f"{s}.jsonl") for s in SPLITS if (folder / f"{s}.jsonl").exists()
    }
    if "train" not in rows:
        raise LabError(f"{folder} has no train.jsonl; put one JSON object on each of its lines")
    first = rows["train"][0]
    fields = tuple(
        k for k, v in first.items() if isinstance(v, str) and k not in ("label", "id", "idx")
    )
    values = [row.get("label") for split in rows.values() for row in split]
    known = _infer(folder, fields, values)
    names = {label: index for index, label in enumerate(known.labels)}
    examples = {}
    for split, given in rows.items():
        numbered = [{**row, "label": names.get(row["label"], row["label"])} for row in given]
        examples[split] = tuple(_example(name, row, known, split) for row in numbered)
    shares = {s: 0.1 for s in ("validation", "test") if s not in examples}
    splits = {**examples, **split_examples(examples["train"], shares)} if shares else examples
    return Task(
        name=name,
        fields=fields,
        labels=known.labels,
        splits=splits,
        source=name,
        range=known.range,
    )


def _infer(folder: Path, fields: tuple[str, ...], values: list) -> _Published:
    if not fields or None in values:
        raise LabError(
            f"{folder}: every line needs a label and at least one text; for example "
            '{"text": "good fun", "label": "positive"}'
        )
    if all(isinstance(value, str) for value in values):
        return _Published(fields, tuple(sorted(set(values))))
    if all(isinstance(value, int) for value in values):
        return _Published(fields, tuple(str(label) for label in range(max(values) + 1)))
    if all(isinstance(value, int | float) for value in values):
        if min(values) == max(values):
            raise LabError(f"{folder}: all labels are {values[0]}; a regression needs two values")
        return _Published(fields, range=(float(min(values)), float(max(values))))
    raise LabError(f"{folder}: the labels are of several kinds; give only names or only numbers")


def _read_jsonl(file: Path) -> list[dict]:
    if not file.is_file():
        raise LabError(f"{file} does not exist; put one JSON object on each of its lines")
    rows = []
    with file.open("rb") as lines:  # so that a line that is not UTF-8 is named too
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise LabError(f"{file}:{number} is not JSON ({error}); mend that line") from error
            if not isinstance(row, dict):
                raise LabError(f"{file}:{number} is not a JSON object; mend that line")
            rows.append({"idx": len(rows), **row})
    if not rows:
        raise LabError(f"{file} has no examples; put one JSON object on each of its lines")
    return rows


# ---- splits and overlaps ----


def normalise(text: str) -> str:
    """Lower case, letters and digits only, single spaces: how texts are compared."""
    return " ".join(re.findall(r"\w+", text.lower()))


def split_examples(
    examples: Sequence[Example], shares: Mapping[str, float], seed: int = SPLIT_SEED
) -> dict[str, tuple[Example, ...]]:
    """Cut seeded parts off; the rest is ``train``. Examples that share a text stay together.

    Args:
        shares: split → its share of all examples; ``validation`` has at most 1,000 of a
            published train set.
    """
    groups = _groups(examples)
    order = np.random.default_rng(seed).permutation(len(groups))
    wanted = {name: round(share * len(examples)) for name, share in shares.items()}
    if set(shares) == {"validation"}:
        wanted["validation"] = min(wanted["validation"], MOST_VALIDATION)
    parts: dict[str, list[Example]] = {name: [] for name in (*wanted, "train")}
    for index in order:
        group = groups[index]
        name = next(
            (n for n, size in wanted.items() if len(parts[n]) + len(group) <= size), "train"
        )
        parts[name] += group
    return {name: tuple(parts[name]) for name in SPLITS if name in parts}


def _groups(examples: Sequence[Example]) -> list[list[Example]]:
    """Examples linked by a text they share, directly or through others (union–find)."""
    parent = list(range(len(examples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first_with: dict[str, int] = {}
    for index, example in enumerate(examples):
        for text in example.fields.values():
            parent[root(index)] = root(first_with.setdefault(normalise(text), index))
    groups: dict[int, list[Example]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(root(index), []).append(example)
    return list(groups.values())


def without_overlap(examples: Sequence[Example], others: Iterable[Example]) -> list[Example]:
    """The examples none of whose texts equals, contains or is contained in a text of ``others``.

    Texts are compared after :func:`normalise`, and whole words only: "art" is not in "party".
    """
    theirs = {f" {normalise(t)} " for other in others for t in other.fields.values()} - {"  "}
    all_theirs = "\n".join(theirs)
    by_word = _by_rarest_word(theirs, examples)
    kept = []
    for example in examples:
        texts = [f" {normalise(text)} " for text in example.fields.values()]
        inside = any(text in all_theirs for text in texts)
        if not inside and not any(_contains_any(text, by_word) for text in texts):
            kept.append(example)
    return kept


def _by_rarest_word(texts: Iterable[str], examples: Sequence[Example]) -> dict[str, list[str]]:
    """Texts under the word of theirs that the examples use least: few comparisons are left."""
    counts: dict[str, int] = {}
    for example in examples:
        for text in example.fields.values():
            for word in set(normalise(text).split()):
                counts[word] = counts.get(word, 0) + 1
    result: dict[str, list[str]] = {}
    for text in texts:
        rarest = min(text.split(), key=lambda word: counts.get(word, 0))
        result.setdefault(rarest, []).append(text)
    return result


def _contains_any(text: str, by_word: Mapping[str, list[str]]) -> bool:
    return any(other in text for word in set(text.split()) for other in by_word.get(word, ()))
