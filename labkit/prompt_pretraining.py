"""Tasks made of plain text: a prompt is trained before any label is seen (PPT, Gu et al. 2022).

Three forms: pairs of sentences, multiple choice, and single sentences that the model itself labels.

Usage::

    task = pretraining_task("pairs", backbone, count=2000)
    fit(PromptedModel.for_task(backbone, task), prompt, task)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import (
    Example,
    Task,
    TaskPrompt,
    load_task,
    normalise,
    split_examples,
    without_overlap,
)
from labkit.core.templates import Template

PAIR_LABELS = ("next", "same document", "other document")
CHOICES = 4
"""Answers of a multiple choice."""


def documents(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Sentences by document and in their order, from ids like ``article_sentence``.

    Raises:
        LabError: for an id of another form.
    """
    numbered: dict[str, list[tuple[int, Example]]] = {}
    for example in examples:
        document, _, number = example.id.rpartition("_")
        if not document or not number.isdecimal():
            raise LabError(
                f"example id {example.id!r} does not say its document and place; pre-training "
                "needs ids like 12_3 (document 12, sentence 3), as the editorials have"
            )
        numbered.setdefault(document, []).append((int(number), example))
    return {
        name: [example for _, example in sorted(rows, key=lambda row: row[0])]
        for name, rows in numbered.items()
    }


def sentence_pairs(examples: Sequence[Example], count: int, seed: int = 0) -> Task:
    """PPT's task for sentence pairs: does the second sentence follow the first, come from the same
    document without following it, or from another document? The three in equal numbers.

    Args:
        examples: sentences whose ids say document and place, see :func:`documents`.
        count: pairs in all; ``validation`` takes a tenth of them.

    Raises:
        LabError: where the documents hold no such pairs.
    """
    words = {"next": "Then", "same document": "Also", "other document": "Elsewhere"}
    texts = {
        "next": "the second sentence continues the first",
        "same document": "two sentences about the same matter",
        "other document": "two sentences about different matters",
    }
    prompts = task_prompts("{sentence1} {mask}, {sentence2}", words, texts)
    cut = _cut(_pairs, examples, count, seed)
    return _pretraining_task("sentence-pairs", cut, PAIR_LABELS, prompts)


def _neighbours(whole: dict[str, list[Example]]) -> list[tuple[Example, Example]]:
    return [
        (a, b) for rows in whole.values() for a, b in itertools.pairwise(rows) if _follows(a, b)
    ]


def _pairs(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    random = np.random.default_rng(seed)
    whole = documents(examples)
    following = _neighbours(whole)
    apart = [rows for rows in whole.values() if any(_may_stand_apart(rows))]
    if not following or not apart or len(whole) < 2:
        raise LabError(
            f"{len(whole)} documents with {len(following)} adjacent sentences: pre-training on "
            "pairs needs two documents, one of them with two sentences that do not follow"
        )
    names = list(whole)
    pairs = []
    for number in range(count):
        label = number % len(PAIR_LABELS)
        if label == 0:
            first, second = following[random.integers(len(following))]
        elif label == 1:
            rows = apart[random.integers(len(apart))]
            options = list(_may_stand_apart(rows))
            first, second = options[random.integers(len(options))]
        else:
            one, other = random.choice(len(names), 2, replace=False)
            first, second = (
                whole[names[d]][random.integers(len(whole[names[d]]))] for d in (one, other)
            )
        fields = {"sentence1": first.text, "sentence2": second.text}
        pairs.append(Example(f"{first.id}+{second.id}", fields, label))
    return pairs


def next_sentence_choices(examples: Sequence[Example], count: int, seed: int = 0) -> Task:
    """PPT's multiple choice: which of the lettered sentences follows the first? One does, the
    others come from other documents.

    The template is PPT's unified form: the query, then all answers with their letters.

    Raises:
        LabError: where the documents hold no such sentences.
    """
    letters = _LETTERS[:CHOICES]
    cut = _cut(_choices, examples, count, seed, by_documents=True)  # answers hold several sentences
    return _pretraining_task("next-sentence", cut, letters, choice_prompts(letters))


def _choices(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    random = np.random.default_rng(seed)
    whole = documents(examples)
    following = _neighbours(whole)
    if not following or len(whole) < 2:
        raise LabError("multiple choice needs two documents, one with two adjacent sentences")
    every = [example for rows in whole.values() for example in rows]
    questions = []
    for number in range(count):
        first, second = following[random.integers(len(following))]
        document = _document(first)
        wrong: list[Example] = []
        while len(wrong) < CHOICES - 1:
            other = every[random.integers(len(every))]
            if _document(other) != document:
                wrong.append(other)
        answer = number % CHOICES
        answers = [*wrong[:answer], second, *wrong[answer:]]
        fields = {"query": first.text, "answers": lettered([e.text for e in answers])}
        questions.append(Example(f"{first.id}?{number}", fields, answer))
    return questions


def pseudo_labelled(
    model: PromptedModel, texts: Sequence[Example], labels: Sequence[str], share: float = 0.5
) -> Task:
    """PPT's task for single sentences: texts with the labels that a hard prompt gives them.

    Args:
        model: a hard prompt (no virtual tokens) that scores the texts.
        labels: its classes, in the order of its verbalizer.
        share: of each class the surest share is kept.

    Raises:
        LabError: where the hard prompt gives all texts the same label.
    """
    scores = model.scores(None, texts).double().softmax(-1)
    predicted, sureness = scores.argmax(-1), scores.max(-1).values
    labelled = []
    for label in range(len(labels)):
        rows = (predicted == label).nonzero().squeeze(-1)
        surest = rows[sureness[rows].argsort(descending=True)][: round(share * len(rows))]
        labelled += [
            Example(texts[row].id, {"text": texts[row].text}, label) for row in surest.tolist()
        ]
    if len({example.label for example in labelled}) < 2:
        raise LabError(
            f"the hard prompt {model.template.text!r} gives all texts the same label; choose "
            "another template or other label words"
        )
    prompt = TaskPrompt(model.template.without_soft().text, model.verbalizer.words)
    cut = split_examples(labelled, _SHARES)
    return _pretraining_task("pseudo-labels", cut, labels, {model.backbone.readout: prompt})


FORMS = ("pairs", "choice", "single")


def pretraining_task(
    form: str, backbone: Backbone, count: int, seed: int = 0, targets: Sequence[Task] = ()
) -> Task:
    """One of PPT's three tasks, made from the editorials, which nobody had to label for it.

    No sentence is used that stands in a test split of the editorials' own tasks or of a target.

    Args:
        form: ``pairs`` (:func:`sentence_pairs`), ``choice`` (:func:`next_sentence_choices`) or
            ``single`` (:func:`pseudo_labelled`, by the backbone's own hard prompt).
        count: examples to make; of ``single`` the surest half is kept.
        targets: tasks that the prompt is meant for.

    Raises:
        LabError: for another form.
    """
    if form not in FORMS:
        raise LabError(f"form {form!r} is unknown; choose pairs, choice or single")
    plain = load_task("editorials-valence")
    rated = load_task("editorials-valence", as_regression=True)
    tests = [e for task in (plain, rated, *targets) for e in task.split("test")]
    text = without_overlap(rated.split("train"), tests)
    if form == "pairs":
        return sentence_pairs(text, count, seed)
    if form == "choice":
        return next_sentence_choices(text, count, seed)
    hard = PromptedModel.for_task(backbone, plain, soft=False)
    return pseudo_labelled(hard, text[:count], plain.labels)


_LETTERS = ("A", "B", "C", "D", "E", "F")


def lettered(answers: Sequence[str]) -> str:
    """``A. first B. second``: the answers of a multiple choice, laid out in one line."""
    return " ".join(f"{letter}. {a}" for letter, a in zip(_LETTERS, answers, strict=False))


def choice_prompts(letters: Sequence[str]) -> dict[str, TaskPrompt]:
    """Templates of the unified form for every readout: the letter is the answer."""
    words = {letter: letter for letter in letters}
    texts = {letter: f"answer {letter}" for letter in letters}
    return task_prompts("{query} {answers} Answer: {mask}", words, texts)


def task_prompts(
    cloze: str, words: Mapping[str, str], texts: Mapping[str, str]
) -> dict[str, TaskPrompt]:
    """A template and label words for every readout.

    Args:
        cloze: template with ``{mask}``; words: class → answer word; texts: class → label text for
            the encoder.
    """
    fields = " ".join(f"{{{name}}}" for name in Template(cloze).fields)
    causal = cloze if cloze.endswith("{mask}") else f"{fields} Answer: {{mask}}"
    return {
        "mlm": TaskPrompt(cloze, words),
        "causal": TaskPrompt(causal, words),
        "seq2seq": TaskPrompt(fields, words),
        "encoder": TaskPrompt(fields, texts),
    }


_SHARES = {"validation": 0.1, "test": 0.1}
_ENOUGH_DOCUMENTS = 30

Make = Callable[[Sequence[Example], int, int], list[Example]]
"""From sentences, a count and a seed to examples made of several sentences each."""


def _cut(
    make: Make, examples: Sequence[Example], count: int, seed: int, by_documents: bool = False
) -> dict:
    """``count`` examples in three parts of which no two share a sentence.

    A few pairs are cut as they are. Many draw the same sentences again and again until all hang
    together; then, or ``by_documents``, these are cut, and examples made within each part.
    """
    parts = split_examples(make(examples, count, seed), _SHARES)
    whole = documents(examples)
    enough = all(len(parts[name]) >= share * count / 2 for name, share in _SHARES.items())
    if (enough and not by_documents) or len(whole) < _ENOUGH_DOCUMENTS:
        return parts
    names = np.random.default_rng(seed).permutation(list(whole)).tolist()
    taken: set[str] = set()
    for number, part in enumerate(("test", "validation", "train")):
        share = _SHARES.get(part, 1.0)  # train: what is left
        of_part, names = np.split(names, [round(share * len(whole))])
        sentences = [e for name in of_part for e in whole[name] if normalise(e.text) not in taken]
        taken |= {normalise(e.text) for e in sentences}
        size = round(min(share, 1 - sum(_SHARES.values())) * count)
        parts[part] = tuple(make(sentences, size, seed + number))
    return parts


def _pretraining_task(
    name: str,
    cut: Mapping[str, Sequence[Example]],
    labels: Sequence[str],
    prompts: Mapping[str, TaskPrompt],
) -> Task:
    fields = tuple(cut["train"][0].fields)
    splits = {split: tuple(examples) for split, examples in cut.items()}
    return Task(name, fields, tuple(labels), splits, "made here", None, prompts)


def _document(example: Example) -> str:
    return example.id.rpartition("_")[0]


def _number(example: Example) -> int:
    return int(example.id.rpartition("_")[2])


def _follows(first: Example, second: Example) -> bool:
    return _number(second) == _number(first) + 1


def _may_stand_apart(rows: Sequence[Example]) -> Iterator[tuple[Example, Example]]:
    """Pairs of one document, either way round, that are not neighbours."""
    return ((a, b) for a, b in itertools.permutations(rows, 2) if abs(_number(a) - _number(b)) > 1)
