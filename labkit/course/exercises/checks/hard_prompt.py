"""Checks of notebook 01_hard_prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.common import assert_shape, passed

_RAW = (
    b"a  gripping film .\r\nclich\xe9d and dull .\r\n\r\n"
    b"  a gripping film .\r\nneat \x97 and funny .\n"
)


@exercise
def check_clean(clean: Callable[[bytes], list[str]]) -> None:
    """``clean``: bytes of a polarity file → sentences."""
    try:
        sentences = clean(_RAW)
    except UnicodeDecodeError as error:
        raise AssertionError(
            "the bytes are not UTF-8: the files are latin-1, where é is the single byte 0xe9"
        ) from error
    assert isinstance(sentences, list), f"return a list, not {type(sentences).__name__}"
    assert "" not in sentences, "an empty line became an empty sentence: leave it out"
    assert any("clichéd" in s for s in sentences), (
        f"é is lost or mangled in {sentences!r}: decode as latin-1, and drop no characters"
    )
    assert all(s == " ".join(s.split()) for s in sentences), (
        "white space is left at an end, or doubled inside: collapse it"
    )
    assert sentences.count("a gripping film .") == 1, (
        "one sentence stands twice: compare after collapsing white space, and keep the first"
    )
    assert len(sentences) == 3, f"{len(sentences)} sentences, expected 3: {sentences!r}"
    assert sentences[0] == "a gripping film .", "keep the order of the file"
    passed("cleaned: latin-1, no empty lines, no doubled spaces, no repeats")


@exercise
def check_split(split: Callable[[list[str], list[int], float, int], tuple]) -> None:
    """``split``: sentences, labels, share, seed → (train, test), lists of (sentence, label)."""
    sentences = [f"sentence {i}" for i in range(90)] + ["twin"] * 10
    labels = [i % 2 for i in range(100)]
    train, test = split(sentences, labels, 0.2, 0)
    assert sorted([*train, *test]) == sorted(zip(sentences, labels, strict=True)), (
        "every sentence should stand in train or test exactly once, beside its own label"
    )
    assert len(test) <= len(train), (
        f"train holds {len(train)} and test {len(test)}: train comes first, the smaller part "
        "comes second"
    )
    assert 0.1 <= len(test) / 100 <= 0.3, f"test holds {len(test)} of 100, asked for about 20"
    both = {s for s, _ in train} & {s for s, _ in test}
    assert not both, f"{both} stands on both sides: split the distinct sentences, not the rows"
    again = split(sentences, labels, 0.2, 0)
    assert again == (train, test), "the same seed should give the same split"
    assert any(split(sentences, labels, 0.2, seed) != (train, test) for seed in (1, 2, 3)), (
        "another seed should give another split: shuffle with it"
    )
    passed("split: nothing lost, nothing on both sides, repeatable")


@exercise
def check_fill(fill: Callable[[str, str], str]) -> None:
    """``fill``: template, text → the words in front of the answer."""
    seen = fill("{text} It was {mask}", "Good fun.")
    assert "{" not in seen, f"a slot is left in {seen!r}"
    assert not seen.endswith(" "), (
        f"{seen!r} ends in a space: it belongs to the label word (' great'), and a lone space is a "
        "piece that the model hardly ever saw"
    )
    assert seen != "Goodfun.Itwas", (
        f"{seen!r} has lost its spaces: only the space in front of the answer goes"
    )
    assert seen == "Good fun. It was", f"got {seen!r}, expected 'Good fun. It was'"
    seen = fill("Review: {text}\nSentiment: {mask}", "{odd} braces")
    assert seen == "Review: {odd} braces\nSentiment:", (
        f"got {seen!r}: braces inside the review are not slots; replace the text last"
    )
    passed("filled: text in place, no space left in front of the answer")


@exercise
def check_label_ids(label_ids: Callable[[object, Sequence[str]], list[int]], tokenizer) -> None:
    """``label_ids``: tokenizer, words → one id per word, as it stands after a space."""
    words = ["terrible", "great", "bad", "good"]
    try:
        ids = label_ids(tokenizer, words)
    except ValueError as error:
        raise AssertionError(
            f"ValueError for {words}, each of which is one piece behind a space: tokenise "
            "' great', not 'great', and leave special tokens out"
        ) from error
    assert len(ids) == len(words), f"{len(ids)} ids for {len(words)} words"
    assert all(isinstance(i, int) for i in ids), f"give plain integers, not {ids!r}"
    seen = [tokenizer.decode([i]) for i in ids]
    assert any(word.startswith(" ") for word in seen), (
        f"these ids spell {seen!r}, words at the start of a text: behind 'It was' a space comes "
        "first, so tokenise ' great'"
    )
    assert seen == [f" {word}" for word in words], (
        f"these ids spell {seen!r}, expected {[f' {word}' for word in words]!r}; leave special "
        "tokens out"
    )
    try:
        label_ids(tokenizer, ["unputdownable"])
    except ValueError:
        pass
    else:
        raise AssertionError(
            "'unputdownable' is several pieces, and its first one is another word: raise ValueError"
        )
    passed("label words: one id each, with the space that stands in front")


@exercise
def check_score_batch(score_batch: Callable[[Tensor, Tensor, list[int]], Tensor]) -> None:
    """``score_batch``: logits (B, T, V), mask (B, T), label ids → log-probabilities (B, C)."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 11, generator=random)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    scores = score_batch(logits, mask, [7, 2])
    assert_shape("the result", scores, (3, 2), "One row per sentence, one column per label.")
    if torch.allclose(scores, logits[:, -1].log_softmax(-1)[:, [7, 2]]):
        raise AssertionError(
            "the scores were read at the last column, which is padding in the shorter rows: read "
            "at the last position whose mask is 1"
        )
    if torch.allclose(scores, logits[:, 0].log_softmax(-1)[:, [7, 2]]):
        raise AssertionError("the scores were read at position 0: the answer comes at the end")
    last, behind = [2, 4, 1], [3, 4, 2]
    at_answer = logits[torch.arange(3), last]  # (B, V)
    if torch.allclose(scores, logits[torch.arange(3), behind].log_softmax(-1)[:, [7, 2]]):
        raise AssertionError(
            "the shorter rows were read one position behind the text: n ones end at position n − 1"
        )
    if torch.allclose(scores, at_answer[:, [7, 2]]):
        raise AssertionError(
            "these are logits; a log-probability subtracts the logsumexp over the whole vocabulary"
        )
    if torch.allclose(scores, at_answer.softmax(-1)[:, [7, 2]]):
        raise AssertionError("these are probabilities: take their logarithm (log_softmax)")
    if torch.allclose(scores, at_answer[:, [7, 2]].log_softmax(-1)):
        raise AssertionError(
            "the softmax runs over the label columns alone: take it over the vocabulary, then pick "
            "the columns"
        )
    total = torch.cat([score_batch(logits, mask, [i]) for i in range(11)], dim=1).exp().sum(1)
    assert torch.allclose(total, torch.ones(3), atol=1e-5), (
        f"the probabilities of all words sum to {total.tolist()}, expected 1: the softmax runs "
        "over another axis than the vocabulary, the last one"
    )
    for b, t in enumerate(last):
        own = score_batch(logits[b : b + 1, : t + 1], mask[b : b + 1, : t + 1], [7, 2])
        assert torch.allclose(own[0], scores[b], atol=1e-5), (
            f"row {b} scores differently alone and in the batch: padding must not matter"
        )
    passed("scored: log-probabilities at the answer slot, padding without effect")


@exercise
def check_accuracy(accuracy: Callable[[Sequence[int], Sequence[int]], tuple]) -> None:
    """``accuracy``: predictions, targets → (value, low, high), Wilson's 95 % interval."""
    targets = [0, 1] * 50
    predictions = [0, 1] * 37 + [1, 0] * 13
    value, low, high = accuracy(predictions, targets)
    assert value <= 1, f"accuracy {value}: give it as a share, not in percent"
    assert abs(value - 0.74) < 1e-9, f"accuracy {value}, expected 0.74 (74 of 100 right)"
    expected = stats.binomtest(74, 100).proportion_ci(method="wilson")
    normal = 1.96 * (0.74 * 0.26 / 100) ** 0.5
    if abs(low - (0.74 - normal)) < 1e-4:
        raise AssertionError(
            "this is the normal approximation, value ± 1.96 · sqrt(p(1−p)/n): it leaves [0, 1] "
            "near the ends; use Wilson's interval"
        )
    assert low <= high, f"[{low:.3f}, {high:.3f}]: the lower end comes first"
    narrow = stats.binomtest(74, 100).proportion_ci(0.90, method="wilson")
    assert not np.allclose([low, high], narrow, atol=1e-3), "this is a 90 % interval: z = 1.96"
    whole = np.array(expected) * (1 + 1.96**2 / 100)
    assert not np.allclose([low, high], whole, atol=1e-3), (
        "the ends lie too high: the whole numerator, both its terms, is to divide by 1 + z²/n"
    )
    assert np.allclose([low, high], expected, atol=1e-3), (
        f"interval [{low:.4f}, {high:.4f}], expected [{expected[0]:.4f}, {expected[1]:.4f}]"
    )
    value, low, high = accuracy([1] * 20, [1] * 20)
    assert low < 1 and high <= 1 + 1e-9, (
        f"20 of 20 right gives [{low:.3f}, {high:.3f}]: the lower end should be below 1 and the "
        "upper not above it"
    )
    passed("accuracy: right value, Wilson's interval")
