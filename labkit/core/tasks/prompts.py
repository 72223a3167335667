"""The words to ask with: a template and label words of each named task, for each readout."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.core.tasks.task import TaskPrompt

SENTIMENT = ("negative", "positive")


def _sentiment(what: str) -> dict[str, TaskPrompt]:
    words = dict(zip(SENTIMENT, ("terrible", "great"), strict=True))
    return {
        "mlm": TaskPrompt("{text} It was {mask}.", words),
        "causal": TaskPrompt("{text} It was {mask}", words),
        "seq2seq": TaskPrompt(
            f"Review: {{text}} Is this review of a {what} positive or negative?",
            {label: label for label in SENTIMENT},
        ),
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
