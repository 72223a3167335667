"""Checks: one line that says a result holds, and what went wrong in an exercise.

:func:`check` is for results: the tolerance stands in the code, and the line that it prints is the
same on every machine. The other functions are for exercises. They test properties of the reader's
function (shapes, order, padding, which numbers move) on inputs made here, never equality with a
solution that could be imported, and name the mistake where they recognise it.

Usage::

    check("soft prompt beats the best hard prompt", soft - hard, at_least=0.02)
    check_score_batch(score_batch)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from labkit.course.answers import exercise


def check(claim: str, value: float, *, at_least: float | None = None, at_most: float | None = None):
    """Print ``✓ claim (bound)``, or fail with the value seen.

    Raises:
        AssertionError: with the claim, the value and the bound.
    """
    bounds = []
    if at_least is not None:
        assert value >= at_least, f"{claim}: {value:.4g} is below {at_least:g}"
        bounds.append(f"at least {at_least:g}")
    if at_most is not None:
        assert value <= at_most, f"{claim}: {value:.4g} is above {at_most:g}"
        bounds.append(f"at most {at_most:g}")
    assert bounds, "give at_least or at_most"
    print(f"✓ {claim} ({', '.join(bounds)})")


def _passed(what: str) -> None:
    print(f"✓ {what}")


def _assert_shape(what: str, value: object, expected: tuple[int, ...], hint: str = "") -> None:
    assert isinstance(value, Tensor), f"{what} should be a tensor, got {type(value).__name__}"
    seen = tuple(value.shape)
    assert seen == expected, f"{what} has shape {seen}, expected {expected}. {hint}".strip()


# ---- 01_hard_prompt ----

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
    _passed("cleaned: latin-1, no empty lines, no doubled spaces, no repeats")


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
    _passed("split: nothing lost, nothing on both sides, repeatable")


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
    _passed("filled: text in place, no space left in front of the answer")


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
    _passed("label words: one id each, with the space that stands in front")


@exercise
def check_score_batch(score_batch: Callable[[Tensor, Tensor, list[int]], Tensor]) -> None:
    """``score_batch``: logits (B, T, V), mask (B, T), label ids → log-probabilities (B, C)."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 11, generator=random)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    scores = score_batch(logits, mask, [7, 2])
    _assert_shape("the result", scores, (3, 2), "One row per sentence, one column per label.")
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
    _passed("scored: log-probabilities at the answer slot, padding without effect")


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
    _passed("accuracy: right value, Wilson's interval")


# ---- 02_soft_prompt ----


@exercise
def check_prepend(prepend: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
    """``prepend``: prompt (P, D), embedded (B, T, D), mask (B, T) → (B, P+T, D), (B, P+T)."""
    random = torch.Generator().manual_seed(0)
    prompt = torch.randn(3, 4, generator=random, requires_grad=True)
    embedded = torch.randn(2, 5, 4, generator=random)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    inputs, longer = prepend(prompt, embedded, mask)
    _assert_shape("the input", inputs, (2, 8, 4), "P + T positions for each of the B texts.")
    if tuple(longer.shape) == tuple(mask.shape):
        raise AssertionError(
            "the mask was not extended: the model would ignore the last three positions, which are "
            "text now; put ones for the virtual tokens in front of it"
        )
    _assert_shape("the mask", longer, (2, 8), "P + T positions for each of the B texts.")
    if torch.equal(inputs[:, 5:], prompt.expand(2, 3, 4)):
        raise AssertionError("the prompt stands behind the text (and its padding): put it in front")
    assert torch.equal(inputs[:, :3], prompt.expand(2, 3, 4)), (
        "the first three rows of every text should be the prompt's, in order"
    )
    assert torch.equal(inputs[:, 3:], embedded), "the text's vectors should follow unchanged"
    assert not torch.equal(longer, torch.cat([mask, mask.new_ones(2, 3)], dim=1)), (
        "the ones stand behind the mask: the virtual tokens' go in front of the text's own mask"
    )
    assert torch.equal(longer[:, :3], torch.ones(2, 3, dtype=longer.dtype)), (
        "virtual tokens are to be attended to: their mask is 1"
    )
    assert torch.equal(longer[:, 3:], mask), "the text's own mask should follow unchanged"
    assert inputs.requires_grad, (
        "no gradient reaches the prompt: don't detach it, copy its values or use .data"
    )
    _passed("prepended: vectors and mask, gradient intact")


@exercise
def check_sample_init(sample_init: Callable[[Tensor, int, int, int], Tensor]) -> None:
    """``sample_init``: table (V, D), length, common, seed → (P, D) rows of the first ``common``."""
    table = torch.arange(60.0).reshape(20, 3)
    start = sample_init(table, 6, 10, 0)
    _assert_shape("the initial prompt", start, (6, 3), "One row per virtual token.")
    rows = [next((i for i in range(20) if torch.equal(table[i], row)), None) for row in start]
    assert None not in rows, "every row should be a row of the embedding table, unchanged"
    assert max(rows) < 10, f"row {max(rows)} was drawn, but only the first 10 entries are common"
    assert len(set(rows)) == 6, f"entries {rows} repeat: draw without repetition"
    assert torch.equal(sample_init(table, 6, 10, 0), start), "the same seed, the same prompt"
    assert any(not torch.equal(sample_init(table, 6, 10, s), start) for s in (1, 2, 3)), (
        "another seed should draw others"
    )
    before = table.clone()
    sample_init(table, 6, 10, 0).add_(1.0)
    assert torch.equal(table, before), (
        "changing the prompt changed the embedding table: return a copy"
    )
    _passed("initialised: distinct common entries, seeded, a copy")


@exercise
def check_training_step(step: Callable[[nn.Parameter, nn.Module, Tensor, Tensor, float], float]):
    """``step``: prompt, frozen model, texts (B, T, D), targets (B,), lr → loss before the step."""
    torch.manual_seed(0)
    prompt = nn.Parameter(torch.randn(2, 4))
    model = nn.Sequential(nn.Flatten(), nn.Linear(20, 3)).requires_grad_(False)
    texts, targets = torch.randn(6, 3, 4), torch.tensor([0, 1, 2, 0, 1, 2])

    def loss_now() -> float:
        inputs = torch.cat([prompt.expand(6, -1, -1), texts], dim=1)
        return nn.functional.cross_entropy(model(inputs), targets).item()

    weights = [p.clone() for p in model.parameters()]
    start, before = prompt.detach().clone(), loss_now()
    reported = step(prompt, model, texts, targets, 0.05)
    assert not torch.equal(prompt.detach(), start), "the prompt has not moved: was the step taken?"
    same = all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert same, "the model's weights changed: give the optimizer (or the update) the prompt only"
    assert not any(p.requires_grad for p in model.parameters()), "the model was unfrozen: leave it"
    assert loss_now() < before, (
        f"the loss rose from {before:.3f} to {loss_now():.3f}: a step goes against the gradient"
    )
    assert abs(float(reported) - 6 * before) > 1e-4, (
        f"returned {float(reported):.3f}, six times {before:.3f}: take the mean over the batch"
    )
    assert abs(float(reported) - before) < 1e-5, (
        f"returned {float(reported):.3f}, expected the loss before the step, {before:.3f}"
    )
    first = prompt.detach().clone()
    step(prompt, model, texts, torch.tensor([2, 0, 1, 2, 0, 1]), 0.05)
    other = nn.Parameter(first.clone())
    step(other, model, texts, torch.tensor([2, 0, 1, 2, 0, 1]), 0.05)
    assert torch.allclose(prompt, other, atol=1e-6), (
        "the second step depends on the first one's gradient: set it to zero (or None) each time"
    )
    _passed("one step: only the prompt moved, and the loss fell")


@exercise
def check_nearest(nearest: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    """``nearest``: table (V, D), vectors (P, D), k → (P, k) ids by cosine, nearest first."""
    table = torch.tensor([[10.0, 0.0], [0.6, 0.8], [0.0, 0.1], [-3.0, -3.0], [5.0, 5.1]])
    vectors = torch.tensor([[1.0, 1.0], [0.0, 2.0]])
    ids = nearest(table, vectors, 2)
    _assert_shape("the result", ids, (2, 2), "k ids for each of the P virtual tokens.")
    expected = torch.tensor([[4, 1], [2, 1]])
    cosines = torch.cosine_similarity(vectors[:, None], table[None], dim=-1)
    assert not torch.allclose(ids.double(), cosines.double().topk(2).values), (
        "these are the cosines: return the row numbers that go with them"
    )
    by_product = (vectors @ table.T).topk(2).indices
    by_distance = torch.cdist(vectors, table).topk(2, largest=False).indices
    if torch.equal(ids, by_product):
        raise AssertionError(
            "these are the largest products, which favour long vectors: divide by both lengths"
        )
    if torch.equal(ids, by_distance):
        raise AssertionError("these are the smallest distances: the cosine ignores lengths")
    if torch.equal(ids, cosines.argsort(dim=-1)[:, :2]):
        raise AssertionError("these have the smallest cosines: the nearest have the largest")
    if torch.equal(ids, expected.flip(1)):
        raise AssertionError("right ids, but the nearest should come first")
    assert torch.equal(ids, expected), f"got {ids.tolist()}, expected {expected.tolist()}"
    _passed("nearest entries by cosine, nearest first")


# ---- 03_p_tuning ----


@exercise
def check_template_spread(spread: Callable[[np.ndarray], tuple[float, float]]) -> None:
    """``spread``: right or wrong (M, N) → standard deviation and range of the M accuracies."""
    right = np.array(
        [[1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 1, 0, 1, 1, 0]], dtype=bool
    )
    before = right.copy()
    found = spread(right)
    assert isinstance(found, tuple) and len(found) == 2, (
        f"return two numbers, the standard deviation and the range; got {found!r}"
    )
    assert np.array_equal(right, before), "the table was changed: work on what you compute from it"
    deviation, width = map(float, found)
    accuracies = right.mean(1)
    by_hand = math.sqrt(sum((a - accuracies.mean()) ** 2 for a in accuracies) / 2)
    if math.isclose(width, np.ptp(right.mean(0))):
        raise AssertionError(
            "this is the spread over sentences: average over each row first, so that every "
            "template has one accuracy"
        )
    if math.isclose(deviation, right.std()) or math.isclose(deviation, right.std(ddof=1)):
        raise AssertionError(
            "this is the deviation of single answers: take that of the accuracies, one a template"
        )
    if math.isclose(deviation, accuracies.var(ddof=1)) or math.isclose(deviation, accuracies.var()):
        raise AssertionError("this is the variance: the deviation is its square root")
    assert not math.isclose(deviation, accuracies.std()), (
        "divided by M: these templates are a sample of all that could be written; divide by M − 1"
    )
    assert math.isclose(width, accuracies.max() - accuracies.min()), (
        f"range {width:.3f}, expected {np.ptp(accuracies):.3f}: the best accuracy minus the worst"
    )
    assert math.isclose(deviation, by_hand), f"deviation {deviation:.4f}, expected {by_hand:.4f}"
    _passed("spread over templates: one accuracy each, deviation by M − 1, best minus worst")


@exercise
def check_lay_between(lay: Callable[[list, Tensor, Tensor], Tensor]) -> None:
    """``lay``: parts (ids of words, or a number of virtual tokens), table (V, D), prompt (P, D)."""
    random = torch.Generator().manual_seed(0)
    table = torch.randn(9, 4, generator=random)
    prompt = torch.randn(5, 4, generator=random, requires_grad=True)
    laid = lay([2, [7, 3, 1], 3, [8]], table, prompt)
    _assert_shape("the sequence", laid, (9, 4), "One row per word piece and per virtual token.")
    expected = torch.cat([prompt[:2], table[[7, 3, 1]], prompt[2:], table[[8]]])
    if torch.equal(laid, torch.cat([prompt, table[[7, 3, 1, 8]]])):
        raise AssertionError(
            "all virtual tokens stand in front: keep the order of the parts, as the template has it"
        )
    if torch.equal(laid, torch.cat([prompt[:2], table[[7, 3, 1]], prompt[:3], table[[8]]])):
        raise AssertionError(
            "the second slot begins again at row 0: a slot goes on where the last one stopped"
        )
    if torch.equal(laid, torch.cat([prompt[-2:], table[[7, 3, 1]], prompt[:3], table[[8]]])):
        raise AssertionError("the rows are taken from the end: the first slot takes the first rows")
    assert torch.equal(laid, expected), "some rows stand in another place than the template says"
    assert laid.requires_grad, "no gradient reaches the prompt: don't detach or copy its numbers"
    (gradient,) = torch.autograd.grad(laid.sum(), prompt)
    assert torch.equal(gradient, torch.ones(5, 4)), "each virtual token should be used once"
    words = lay([[4, 4], 5, [0]], table, prompt)
    assert torch.equal(words, torch.cat([table[[4, 4]], prompt, table[[0]]])), (
        "wrong for a template that begins with words"
    )
    for parts in ([2, [7], 2], [4, [7], 2]):
        try:
            lay(parts, table, prompt)
        except ValueError:
            continue
        raise AssertionError(
            f"slots for {sum(p for p in parts if isinstance(p, int))} virtual tokens, a prompt of "
            "5, and no ValueError: rows would be lost, or slots stay short, without a word"
        )
    _passed("laid between the words: every row once, in order, gradient intact")


@exercise
def check_encode(encode: Callable[[Tensor, nn.LSTM, nn.Module], Tensor]) -> None:
    """``encode``: embedding (P, W), bidirectional LSTM, MLP → virtual tokens (P, D)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lstm = nn.LSTM(6, 3, num_layers=2, bidirectional=True)
        mlp = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 8))
        embedding = torch.randn(5, 6, requires_grad=True)
    for weights in lstm.parameters():
        weights.data.mul_(2.0)  # so that neighbours matter
    written = encode(embedding, lstm, mlp)
    if isinstance(written, Tensor) and written.shape in ((5, 1, 8), (1, 5, 8)):
        raise AssertionError(
            f"the result has shape {tuple(written.shape)}: there is no batch, take its axis out"
        )
    if isinstance(written, Tensor) and written.shape == (5, 6):
        raise AssertionError("the result is as wide as the LSTM: the MLP brings it to width D")
    if isinstance(written, Tensor) and written.shape in ((1, 8), (8,)):
        raise AssertionError(
            "one row for the whole prompt: take the LSTM's output at each place, not its last state"
        )
    _assert_shape("the result", written, (5, 8), "One virtual token per row of the embedding.")
    (reach,) = torch.autograd.grad(written[2].sum(), embedding, allow_unused=True)
    assert reach is not None, "no gradient reaches the embedding: don't detach it"
    if torch.allclose(written, mlp(embedding)):
        raise AssertionError("the LSTM is left out: the embedding goes through it first")
    if not reach[[0, 1, 3, 4]].any():
        raise AssertionError(
            "no row knows of the others: the P rows are one sequence, not a batch of P sequences "
            "of length 1 (nn.LSTM takes (P, W), or (P, 1, W), as one sequence)"
        )
    expected = mlp(lstm(embedding[:, None])[0][:, 0])
    assert torch.allclose(written, expected, atol=1e-6), (
        "wrong numbers: the LSTM's output at each place, both directions, then the MLP"
    )
    _passed("encoded: P rows in one sequence, both directions, width D")


@exercise
def check_count_trained(count: Callable[..., dict[str, int]]) -> None:
    """``count``: layers, width, keys, length, rank, bottleneck → method → trained parameters."""
    import peft
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=20, hidden_size=24, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, intermediate_size=40,
    )  # fmt: skip
    by_peft = {
        "prompt tuning": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        "prefix tuning": peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        "LoRA": peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"]),
    }
    expected = {}
    for method, settings in by_peft.items():
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore", FutureWarning)
            model = peft.get_peft_model(transformers.LlamaForCausalLM(config), settings)
        expected[method] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    adapter = nn.Sequential(nn.Linear(24, 7), nn.ReLU(), nn.Linear(7, 24))
    one = sum(p.numel() for p in adapter.parameters())
    expected["adapters"] = 2 * 3 * one
    found = count(layers=3, width=24, keys=8, length=5, rank=4, bottleneck=7)
    assert isinstance(found, dict) and set(found) == set(expected), (
        f"return a dictionary with {', '.join(expected)}; got {found!r}"
    )
    hints = {
        ("prefix tuning", 5 * 3 * 8): "keys and values: twice as many",
        ("prefix tuning", 5 * 3 * 2 * 24): "a prefix is as wide as the keys, not as the model: "
        "heads that share keys and values make them narrower",
        ("prefix tuning", 5 * 2 * 8): "a prefix stands in every layer",
        ("LoRA", 3 * 4 * 4 * 24): "the value matrix leads from width to keys: its second factor is "
        "(keys, rank)",
        ("LoRA", 3 * 2 * 4 * 24): "each adapted matrix has two factors",
        ("LoRA", 4 * (3 * 24 + 8)): "every layer has its own",
        ("adapters", 3 * one): "two adapters in each layer, after attention and after the MLP",
        ("adapters", 2 * 3 * 2 * 24 * 7): "both matrices of an adapter have biases",
    }
    for method, number in expected.items():
        hint = hints.get((method, found[method]), "count again with the shapes on paper")
        assert found[method] == number, f"{method}: {found[method]}, expected {number}: {hint}"
    _passed("parameters: equal to PEFT's modules, adapters with their biases")


# ---- 04_shuffle_probe ----


@exercise
def check_block_orders(block_orders: Callable[[int, int, int, int], Sequence]) -> None:
    """``block_orders``: length, unit, count, seed → distinct orders (R, length)."""
    orders = [list(map(int, order)) for order in block_orders(12, 3, 10, 0)]
    assert len(orders) == 10, f"{len(orders)} orders, asked for 10"
    for order in orders:
        assert sorted(order) == list(range(12)), (
            f"{order} does not name each of the tokens 0-11 once: a block was lost or repeated"
        )
        starts = [order[i : i + 3] for i in range(0, 12, 3)]
        assert all(b == list(range(b[0], b[0] + 3)) and b[0] % 3 == 0 for b in starts), (
            f"{order} tears a block apart: tokens 0-2, 3-5, 6-8 and 9-11 stay together, in order"
        )
    assert list(range(12)) not in orders, "the trained order is among them: leave it out"
    assert len({tuple(order) for order in orders}) == 10, (
        "an order comes up twice: draw without repetition"
    )
    every = block_orders(12, 4, 100, 0)
    assert len({tuple(map(int, order)) for order in every}) == len(every) == 5, (
        f"{len(every)} orders of three blocks: there are 3! - 1 = 5 new ones; where fewer exist "
        "than asked for, give all of them, once"
    )
    again = [list(map(int, order)) for order in block_orders(12, 3, 10, 0)]
    assert again == orders, "the same seed should give the same orders"
    _passed("block orders: blocks whole, distinct, never the trained one, repeatable")


@exercise
def check_prediction_matrix(prediction_matrix: Callable[..., Tensor]) -> None:
    """``prediction_matrix``: score (P, D) → (N, C), prompt (P, D), orders → (R, N)."""
    random = torch.Generator().manual_seed(0)
    prompt = torch.randn(4, 3, generator=random)
    weights = torch.randn(4, 5, 2, generator=random)

    def score(vectors: Tensor) -> Tensor:
        """Scores (5, 2) that depend on which vector stands where."""
        return torch.einsum("p,pnc->nc", vectors.sum(1), weights)

    orders = [[1, 2, 3, 0], [2, 0, 3, 1], [3, 0, 1, 2]]
    before = prompt.clone()
    matrix = prediction_matrix(score, prompt, orders)
    assert torch.equal(prompt, before), "the trained prompt was changed: shuffle a copy"
    assert isinstance(matrix, Tensor), f"return a tensor, not {type(matrix).__name__}"
    seen = tuple(matrix.shape)
    assert seen != (3, 5, 2), "these are the scores: keep the class with the highest one"
    assert seen == (3, 5), f"shape {seen}, expected (3, 5): a row per order, a column per example"
    expected = torch.stack([score(prompt[order]).argmax(-1) for order in orders])
    one_after_the_other = [prompt]
    for order in orders:
        one_after_the_other.append(one_after_the_other[-1][order])
    piled = torch.stack([score(vectors).argmax(-1) for vectors in one_after_the_other[1:]])
    inverse = torch.stack([score(prompt[torch.tensor(o).argsort()]).argmax(-1) for o in orders])
    if not torch.equal(matrix, expected):
        assert not torch.equal(matrix, piled), (
            "each order was applied to the result of the one before: start from the trained prompt"
        )
        assert not torch.equal(matrix, inverse), (
            "the orders were applied backwards: entry i says which token comes to place i, so the "
            "shuffled prompt is prompt[order]"
        )
        same = (matrix == matrix[0]).all()
        assert not same, "all rows are alike: was the prompt shuffled before it was scored?"
    assert torch.equal(matrix, expected), f"got {matrix.tolist()}, expected {expected.tolist()}"
    _passed("prediction matrix: one row per order, from the trained prompt each time")


@exercise
def check_mcnemar(mcnemar: Callable[[Sequence, Sequence], float]) -> None:
    """``mcnemar``: right or wrong (N,) twice → exact two-sided p-value."""
    a = np.array([1] * 9 + [0] * 1 + [1] * 40 + [0] * 10, dtype=bool)
    b = np.array([0] * 9 + [1] * 1 + [1] * 40 + [0] * 10, dtype=bool)
    p = float(mcnemar(a, b))
    by_hand = 2 * (1 + 10) / 2**10
    if abs(p - by_hand / 2) < 1e-9:
        raise AssertionError(
            f"{p:.4f} is one tail: an order may be better or worse, so both count (twice as much)"
        )
    chi = float(stats.chi2.sf((9 - 1) ** 2 / 10, 1))
    corrected = float(stats.chi2.sf((abs(9 - 1) - 1) ** 2 / 10, 1))
    if min(abs(p - chi), abs(p - corrected)) < 1e-9:
        raise AssertionError(
            f"{p:.4f} is the chi-square approximation; with ten discordant examples it is off: "
            "count the binomial exactly"
        )
    every = float(stats.binomtest(49, 49 + 41, 0.5).pvalue)
    assert abs(p - every) > 1e-9, (
        f"{p:.4f} compares all right answers: examples that both get right say nothing; count "
        "only those that exactly one gets right"
    )
    assert abs(p - by_hand) < 1e-9, f"p = {p:.6f}, expected {by_hand:.6f} for 9 against 1"
    assert abs(float(mcnemar(b, a)) - p) < 1e-12, "the test should not depend on who comes first"
    assert float(mcnemar(a, a)) == 1.0, "no discordant example at all: p = 1"
    assert float(mcnemar([1, 0], [0, 1])) == 1.0, "one against one: p = 1, and never above it"
    _passed("McNemar: discordant examples only, exact, two-sided")


@exercise
def check_undo_positions(undo_positions: Callable[[Tensor, Tensor], Tensor]) -> None:
    """``undo_positions``: vectors (P, D), position table (M, D) → (P, D) to be fed instead."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=12,
    )  # fmt: skip
    model = transformers.BertModel(config).eval().requires_grad_(False)
    for weights in model.parameters():
        weights.mul_(10.0)  # larger than at the start of training, so that positions matter
    table = model.embeddings.position_embeddings.weight
    prompt = nn.Parameter(torch.randn(4, 16))
    words = model.get_input_embeddings().weight[:5]

    def answer(vectors: Tensor) -> Tensor:
        fed = torch.cat([vectors, words])[None]
        return model(inputs_embeds=fed).last_hidden_state[0, 4:]

    before = table.clone()
    undone = undo_positions(prompt, table)
    _assert_shape("the result", undone, (4, 16), "One row per virtual token.")
    assert torch.equal(table, before), "the model's own table was changed: return new vectors"
    assert undone.requires_grad, "no gradient reaches the prompt: don't detach it"
    assert not torch.allclose(undone, prompt + table[:4]), (
        "the sign is wrong: the model adds the position once more; subtract it beforehand"
    )
    assert not torch.allclose(undone, prompt - table[0]), (
        "position 0 was subtracted from every row: row i stands at position i"
    )
    order = torch.tensor([2, 0, 3, 1])
    shuffled = answer(undo_positions(prompt[order], table))
    assert torch.allclose(shuffled, answer(undone), atol=1e-4), (
        "the answer still depends on the order of the virtual tokens: what the model adds at "
        "place i is row i of the table, whichever token stands there"
    )
    assert torch.allclose(undone, prompt - table[:4], atol=1e-6), (
        "subtract nothing but the positions: the words behind the prompt keep theirs"
    )
    _passed("positions undone: every order gives the same answer")


# ---- 05_position_enhancement ----


@exercise
def check_sinusoids(sinusoids: Callable[[int, int], Tensor]) -> None:
    """``sinusoids``: length, width → (P, D), the printed equations 2 and 3."""
    table = sinusoids(5, 6)
    _assert_shape("the table", table, (5, 6), "One row per place, one column per dimension.")
    zero = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    if torch.allclose(table[0], torch.cat([torch.zeros(3), torch.ones(3)])):
        raise AssertionError("sines and cosines stand in two halves: they take turns, 2i and 2i+1")
    assert torch.allclose(table[0], zero, atol=1e-6), (
        f"place 0 is {table[0].tolist()}, expected sin(0) and cos(0) in turn: count places from 0"
    )
    wave = 10_000.0
    by_hand = [math.sin(3 / wave ** (2 / 6)), math.cos(3 / wave ** (3 / 6))]
    if abs(table[3, 3].item() - math.cos(3 / wave ** (2 / 6))) < 1e-5:
        raise AssertionError(
            "these are the exponents of Vaswani et al. 2017, 2i/d in both; equation 3 prints "
            "(2i+1)/d for the cosine"
        )
    assert np.allclose(table[3, 2:4].tolist(), by_hand, atol=1e-5), (
        f"place 3, columns 2 and 3: {table[3, 2:4].tolist()}, expected {by_hand}: the angle is the "
        "place divided by 10000 to the power column/width"
    )
    odd = sinusoids(4, 5)
    _assert_shape("the table of width 5", odd, (4, 5), "An odd width ends in a sine.")
    assert torch.allclose(sinusoids(9, 6)[:5], table, atol=1e-6), "a longer table starts the same"
    _passed("sinusoids: places from 0, sines and cosines in turn, the printed exponents")


@exercise
def check_relative_scores(scores: Callable[[Tensor, Tensor], Tensor]) -> None:
    """``scores``: queries (P, d), table (2P−1, d) → (P, P); row j−i+P−1 for i looking at j."""
    random = torch.Generator().manual_seed(0)
    queries, table = torch.randn(4, 3, generator=random), torch.randn(7, 3, generator=random)
    found = scores(queries, table)
    _assert_shape("the result", found, (4, 4), "One score for each pair of places.")
    if torch.allclose(found, _by_pairs(queries, table, lambda i, j: i - j)):
        raise AssertionError(
            "left and right are exchanged: the distance from i to j is j − i, positive to the right"
        )
    if torch.allclose(found, _by_pairs(queries, table, lambda i, j: j - i) / 3**0.5):
        raise AssertionError("divided by sqrt(d): equation 5 has no such factor")
    if torch.allclose(found, queries @ table[3:].T):
        raise AssertionError(
            "every place uses the same four rows of the table: which row counts depends on i and j"
        )
    expected = _by_pairs(queries, table, lambda i, j: j - i)
    assert torch.allclose(found, expected, atol=1e-5), (
        "wrong scores: (i, j) is the product of query i with the table's row j − i + P − 1"
    )
    _passed("relative scores: each pair by its signed distance")


def _by_pairs(queries: Tensor, table: Tensor, distance: Callable[[int, int], int]) -> Tensor:
    count = len(queries)
    rows = [
        [(queries[i] * table[distance(i, j) + count - 1]).sum() for j in range(count)]
        for i in range(count)
    ]
    return torch.tensor(rows)


@exercise
def check_head(head: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
    """``head``: queries, keys, values (P, d), relative scores (P, P) → (P, d)."""
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(4, 3, generator=random) for _ in range(3))
    none = torch.zeros(4, 4)
    out = head(q, k, v, none)
    _assert_shape("the result", out, (4, 3), "One mixture of values for each place.")
    if torch.allclose(out, ((q @ k.T) / 3**0.5).softmax(-1) @ v, atol=1e-5):
        raise AssertionError("divided by sqrt(d): equation 5 has no such factor")
    if torch.allclose(out, (q @ k.T).softmax(0) @ v, atol=1e-5):
        raise AssertionError(
            "the softmax runs over the places that ask: each place shares out its own attention, "
            "so take it over the last axis"
        )
    if torch.allclose(out, q @ k.T @ v, atol=1e-4):
        raise AssertionError("the weights are not normalised: take the softmax of the scores")
    low, high = v.min(0).values - 1e-5, v.max(0).values + 1e-5
    assert ((out >= low) & (out <= high)).all(), "each result should be a mean of the values"
    far = torch.full((4, 4), -1e9).masked_fill(torch.eye(4).bool().roll(1, 1), 0.0)
    assert torch.allclose(head(q, k, v, far), v.roll(-1, 0), atol=1e-5), (
        "relative scores that leave only the next place should give the next value: add them to "
        "the scores before the softmax"
    )
    assert torch.allclose(out, (q @ k.T).softmax(-1) @ v, atol=1e-5), (
        "wrong mixture: softmax(q · k + relative) · v"
    )
    _passed("one head: scores without a factor, softmax over what is looked at, values mixed")


# ---- 06_lstm_sorter ----


@exercise
def check_lstm_step(step: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """``step``: x (D,), h (H,), m (H,), w_x (4H, D), w_h (4H, H), bias (4H,) → h, m."""
    torch.manual_seed(0)
    cell = nn.LSTMCell(3, 2)
    x, h, m = torch.randn(3), torch.randn(2), torch.randn(2)
    weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh]
    with torch.no_grad():
        new_h, new_m = step(x, h, m, *weights)
        expected_h, expected_m = (part[0] for part in cell(x[None], (h[None], m[None])))
        _assert_shape("h", new_h, (2,))
        _assert_shape("m", new_m, (2,))
        if torch.allclose(new_h, expected_m) and torch.allclose(new_m, expected_h):
            raise AssertionError("h and m are exchanged: return the hidden state first")
        gates = weights[0] @ x + weights[1] @ h + weights[2]
        i, f, _g, o = (part.sigmoid() for part in gates.chunk(4))
        if torch.allclose(new_m, f * m + i * gates.chunk(4)[2].sigmoid()):
            raise AssertionError("the candidate g goes through tanh; only i, f and o are sigmoids")
        assert torch.allclose(new_m, expected_m, atol=1e-5), (
            "the memory differs from torch.nn.LSTMCell's: m = f · m + i · g, with the four parts "
            "in the order i, f, g, o"
        )
        if torch.allclose(new_h, o * new_m, atol=1e-5):
            raise AssertionError("the hidden state is o · tanh(m): the tanh is missing")
        assert torch.allclose(new_h, expected_h, atol=1e-5), (
            "the hidden state differs from torch.nn.LSTMCell's: h = o · tanh(m), with the new m"
        )
    _passed("one decoder step: equal to torch.nn.LSTMCell")


@exercise
def check_gate(gate: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """``gate``: encoded (P, D), hidden (D,), weight (D, D) → O_i (P,)."""
    random = torch.Generator().manual_seed(0)
    encoded, weight = torch.randn(5, 3, generator=random), torch.randn(3, 3, generator=random)
    hidden = torch.randn(3, generator=random)
    chosen = gate(encoded, hidden, weight)
    _assert_shape("the result", chosen, (5,), "One probability per virtual token.")
    scores = encoded @ (weight @ hidden)
    if torch.allclose(chosen, scores, atol=1e-5):
        raise AssertionError("these are scores; equation 10 takes their softmax")
    assert abs(chosen.sum().item() - 1) < 1e-5, (
        f"the probabilities sum to {chosen.sum().item():.3f}: softmax over the virtual tokens"
    )
    if torch.allclose(chosen, (encoded @ hidden).softmax(0), atol=1e-5):
        raise AssertionError("the weight is not used: the hidden state goes through it first")
    if torch.allclose(chosen, (encoded @ (hidden @ weight)).softmax(0), atol=1e-5):
        raise AssertionError("hidden · weight where weight · hidden was asked for: transposed")
    assert torch.allclose(chosen, scores.softmax(0), atol=1e-5), (
        "wrong probabilities: softmax over p of encoded_p · (weight · hidden)"
    )
    assert torch.allclose(gate(encoded.flip(0), hidden, weight), chosen.flip(0), atol=1e-6), (
        "turning the tokens round should only turn the probabilities round"
    )
    _passed("selection gate: a probability for every virtual token")


@exercise
def check_mask_chosen(masked: Callable[[Tensor, list[int]], Tensor]) -> None:
    """``masked``: scores (P,), indices chosen so far → probabilities (P,)."""
    scores = torch.tensor([3.0, 1.0, 2.0, 0.0])
    before = scores.clone()
    assert torch.allclose(masked(scores, []), scores.softmax(0)), (
        "with nothing chosen yet this is the plain softmax"
    )
    once = masked(scores, [0])
    assert torch.equal(scores, before), "the scores given were changed: work on a copy"
    if once[0] == 0 and once.sum() < 0.999:
        raise AssertionError(
            f"the rest sums to {once.sum():.3f}: mask before the softmax (with −∞), not after it"
        )
    assert once[0] == 0, (
        f"token 0 was chosen and still has probability {once[0]:.2g}: its score should be −∞ (a "
        "zero, or a small number, is a score like any other)"
    )
    assert torch.allclose(once[1:], scores[1:].softmax(0)), "the rest should keep its proportions"
    last = masked(scores, [2, 0, 1])
    assert torch.equal(last, torch.tensor([0.0, 0.0, 0.0, 1.0])), (
        f"only token 3 is left, the probabilities are {last.tolist()}"
    )
    negative = masked(torch.tensor([-5.0, -9.0, -7.0]), [0])
    assert negative.argmax() == 2, "a chosen token was chosen again where all scores are negative"
    _passed("masked: a chosen token can't be chosen again")


@exercise
def check_straight_through(straight: Callable[[Tensor], Tensor]) -> None:
    """``straight``: Order (P, P) → one-hot going forward, gradient of Order going back."""
    # many places: at some of them (hot + order) − order is off by a rounding error
    order = torch.rand(40, 40, generator=torch.Generator().manual_seed(0)).mul(4).softmax(-1)
    order.requires_grad_()
    hot = straight(order)
    _assert_shape("the result", hot, (40, 40))
    expected = nn.functional.one_hot(order.argmax(-1), 40).float()
    assert hot.requires_grad, (
        "no gradient comes back: one_hot and argmax cut it, so the probabilities have to be added "
        "and taken away again, one of the two detached"
    )
    towards = torch.randn(40, 40, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((towards * hot).sum(), order)
    if torch.allclose(gradient, -towards):
        raise AssertionError(
            "the gradient has the opposite sign, as equation 14 is printed: + Order − detach(Order)"
        )
    assert torch.allclose(gradient, towards), (
        "the gradient should pass as if the result were Order itself"
    )
    assert torch.allclose(hot, expected, atol=1e-4), "going forward it should be one-hot"
    assert torch.equal(hot, expected), (
        "nearly one-hot is not one-hot: (O_h + Order) − Order rounds; take the difference first"
    )
    _passed("straight through: exactly one-hot forward, the gradient of Order back")


# ---- 07_glue ----


@exercise
def check_two_poles(read: Callable[[Tensor, float, float], Tensor]) -> None:
    """``read``: log-scores of the low and the high pole (N, 2), limits → values (N,)."""
    scores = torch.tensor([[0.0, 0.0], [-1.0, 2.0], [30.0, -30.0], [0.0, math.log(3.0)]])
    values = read(scores, 0.0, 5.0)
    _assert_shape("the result", values, (4,), "One value for each pair of scores.")
    share = scores.softmax(-1)
    if torch.allclose(values, 5 * share[:, 0], atol=1e-5):
        raise AssertionError(
            "the poles are exchanged: column 1 is the high pole, and its share should raise the "
            "value"
        )
    if set(values.tolist()) <= {0.0, 5.0}:
        raise AssertionError("only the ends of the range come out: interpolate, do not choose")
    if torch.allclose(values, share[:, 1], atol=1e-5):
        raise AssertionError("these are shares between 0 and 1: stretch them over the range")
    assert (values >= 0).all() and (values <= 5).all(), (
        f"values from {values.min():.2f} to {values.max():.2f} leave the range 0 to 5: take the "
        "softmax of the two scores first"
    )
    assert torch.allclose(values, 5 * share[:, 1], atol=1e-5), (
        "wrong values: low + (high − low) · softmax(scores)[high]"
    )
    shifted = read(scores, -4.0, 4.0)
    assert torch.allclose(shifted, -4 + 8 * share[:, 1], atol=1e-5), (
        "right between 0 and 5, wrong between −4 and 4: the range does not begin at 0"
    )
    _passed("two poles: between the ends of the range, in proportion")


@exercise
def check_fisher_interval(interval: Callable[[float, int], tuple[float, float]]) -> None:
    """``interval``: correlation r, number of pairs n → 95 % interval."""
    low, high = interval(0.6, 103)
    assert low < 0.6 < high, f"[{low:.3f}, {high:.3f}] does not hold r = 0.6: low end first"
    z, width = math.atanh(0.6), stats.norm.ppf(0.975) / 10
    if math.isclose(high - 0.6, 0.6 - low, rel_tol=1e-6):
        raise AssertionError(
            "as wide above r as below it: the interval is symmetric in atanh(r), and has to be "
            "turned back with tanh"
        )
    if math.isclose(low, z - width, rel_tol=1e-6):
        raise AssertionError("these are the ends in atanh(r): turn them back with tanh")
    if math.isclose(low, math.tanh(z - width * 10 / math.sqrt(103)), rel_tol=1e-6):
        raise AssertionError("the standard error is 1/√(n − 3), not 1/√n")
    if math.isclose(low, math.tanh(z - width / stats.norm.ppf(0.975)), rel_tol=1e-6):
        raise AssertionError("one standard error each way holds 68 %: 95 % takes 1.96 of them")
    expected = (math.tanh(z - width), math.tanh(z + width))
    assert np.allclose((low, high), expected, atol=1e-3), (
        f"for r = 0.6 and n = 103 the ends should be {expected[0]:.3f} and {expected[1]:.3f}, not "
        f"{low:.3f} and {high:.3f}"
    )
    assert np.allclose(interval(-0.6, 103), (-high, -low)), "r = −0.6 should give the mirror image"
    _passed("Fisher's interval: symmetric in atanh(r), inside −1 … 1")


@exercise
def check_fair_mean(mean: Callable[[dict[str, list[float]]], tuple[float, float, float]]) -> None:
    """``mean``: task → one score per seed → mean over tasks, and its 95 % interval over seeds."""
    values = {"a": [0.50, 0.54, 0.52], "b": [0.90, 0.98, 0.94], "c": [0.70, 0.70, 0.70]}
    found, low, high = mean(values)
    by_seed = np.mean(list(values.values()), axis=0)
    assert math.isclose(found, by_seed.mean(), abs_tol=1e-6), (
        f"the mean is {found:.3f}, expected {by_seed.mean():.3f}: every task counts the same"
    )
    every = np.concatenate(list(values.values()))
    half = stats.t.ppf(0.975, 2) * by_seed.std(ddof=1) / math.sqrt(3)
    if math.isclose(high - found, stats.t.ppf(0.975, 8) * every.std(ddof=1) / 3, rel_tol=1e-3):
        raise AssertionError(
            "the differences between tasks are in the interval: average over tasks first, one "
            "number for each seed, and take the interval of those"
        )
    if math.isclose(high - found, half * by_seed.std() / by_seed.std(ddof=1), rel_tol=1e-3):
        raise AssertionError("divide by the number of seeds minus one: std(ddof=1)")
    if math.isclose(high - found, 1.96 * by_seed.std(ddof=1) / math.sqrt(3), rel_tol=1e-2):
        raise AssertionError(
            "1.96 is for many seeds; with three of them Student's t gives 4.3: stats.t.ppf"
        )
    assert math.isclose(found - low, half, rel_tol=1e-3) and math.isclose(
        high - found, half, rel_tol=1e-3
    ), (
        f"the interval is [{low:.3f}, {high:.3f}], expected [{found - half:.3f}, "
        f"{found + half:.3f}]: Student's, over the seeds' means"
    )
    for gaps in ({"a": [0.5, 0.6], "b": [0.5]}, {"a": [0.5, 0.6], "b": []}):
        try:
            mean(gaps)
        except ValueError:
            continue
        raise AssertionError(
            "a task with fewer seeds went through: a mean over other runs is another quantity, so "
            "raise ValueError"
        )
    _passed("fair mean: tasks first, then seeds; nothing missing goes unseen")


@exercise
def check_possible(possible: Callable[[float, int], bool]) -> None:
    """``possible``: a printed per cent with one decimal, n → whether some k of n prints as it."""
    for k in range(278):
        share = round(100 * k / 277 + 1e-9, 1)
        assert possible(share, 277), (
            f"{share} is {k} of 277, rounded to one decimal, and was called impossible: compare "
            "after rounding, not the fractions themselves"
        )
    assert possible(88.2, 1000), "88.2 is 882 of 1000"
    tenths = [round(tenth / 10, 1) for tenth in range(1001)]
    wrong = [value for value in tenths if possible(value, 277)]
    right = {round(100 * k / 277 + 1e-9, 1) for k in range(278)}
    if len(wrong) == len(tenths):
        raise AssertionError("everything is possible: with n = 277 most tenths are nobody's k/277")
    cut = {math.floor(1000 * k / 277) / 10 for k in range(278)}
    if set(wrong) == right | cut:
        raise AssertionError("scores that are cut instead of rounded count too: only rounded ones")
    extra = sorted(set(wrong) - right)
    assert not extra, f"{extra[0]} is no k/277, rounded to one decimal, and was called possible"
    _passed("possible scores: those that some k of n rounds to")


# ---- 08_prompt_transfer ----


@exercise
def check_task_similarity(similarity: Callable[[Tensor, Tensor], float]) -> None:
    """``similarity``: prompts (P, D) and (Q, D) → cosine of their mean virtual tokens."""
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(4, 6, generator=random), torch.randn(7, 6, generator=random)
    try:
        found = float(similarity(a, b))
    except RuntimeError as error:
        raise AssertionError(
            "prompts of 4 and of 7 virtual tokens can't be compared: average over the tokens "
            "first, then both are one row of width D"
        ) from error
    one, other = a.mean(0), b.mean(0)
    cosine = float(one @ other / (one.norm() * other.norm()))
    pairs = nn.functional.normalize(a, dim=-1) @ nn.functional.normalize(b, dim=-1).T
    if abs(found - float(pairs.mean())) < 1e-5:
        raise AssertionError(
            "this is the mean of all pairwise cosines: take the means first, then one cosine"
        )
    if abs(found - float(one @ other)) < 1e-5:
        raise AssertionError("the product is not divided by the two lengths: it is no cosine yet")
    assert abs(float(similarity(a, 3 * b)) - found) < 1e-5, (
        "three times a prompt should be just as alike: a cosine looks at the direction only"
    )
    assert abs(float(similarity(a, b.flip(0))) - found) < 1e-5, (
        "the order of the virtual tokens should not matter: average over them first"
    )
    assert abs(found - cosine) < 1e-5, (
        f"{found:.3f}, expected {cosine:.3f}: average over the virtual tokens (the rows), then "
        "take the cosine"
    )
    _passed("task similarity: one direction per prompt, any length, any order")


@exercise
def check_average_start(average: Callable[[list[Tensor], list[float], int], Tensor]) -> None:
    """``average``: prompts, their similarities, k → weighted mean of the k most alike (P, D)."""
    random = torch.Generator().manual_seed(0)
    prompts = [torch.randn(3, 4, generator=random) for _ in range(4)]
    alike = [0.1, 0.6, -0.5, 0.2]
    before = [prompt.clone() for prompt in prompts]
    found = average(prompts, alike, 2)
    _assert_shape("the result", found, (3, 4), "One prompt, not one per source.")
    assert all(torch.equal(p, q) for p, q in zip(prompts, before, strict=True)), (
        "a source prompt was changed: make a new tensor"
    )
    expected = 0.75 * prompts[1] + 0.25 * prompts[3]
    if torch.allclose(found, (prompts[0] + prompts[1]) / 2, atol=1e-5) or torch.allclose(
        found, (0.1 * prompts[0] + 0.6 * prompts[1]) / 0.7, atol=1e-5
    ):
        raise AssertionError("these are the first k prompts of the list, not the k most alike")
    if torch.allclose(found, 0.6 * prompts[1] + 0.2 * prompts[3], atol=1e-5):
        raise AssertionError(
            "the weights sum to 0.8: divide by their sum, or the start shrinks towards zero"
        )
    if torch.allclose(found, (prompts[1] + prompts[3]) / 2, atol=1e-5):
        raise AssertionError("all k count the same: weight each by its similarity")
    if torch.allclose(found, (0.1 * prompts[0] - 0.5 * prompts[2]) / -0.4, atol=1e-5):
        raise AssertionError("the least alike were taken: sort from high to low")
    assert torch.allclose(found, expected, atol=1e-5), (
        "wrong mean: of the k most alike prompts, Σ similarity · prompt / Σ similarity"
    )
    assert torch.allclose(average(prompts, alike, 1), prompts[1], atol=1e-6), (
        "with k = 1 this is the most similar prompt itself"
    )
    _passed("average start: the k most alike, weights that sum to one")


@exercise
def check_overlap(overlap: Callable[[Tensor, Tensor], float]) -> None:
    """``overlap``: two sets of active neurons (N,) bool → |A ∩ B| / sqrt(|A| · |B|)."""
    a = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0], dtype=torch.bool)
    b = torch.tensor([0, 0, 0, 1, 0, 0, 0, 0], dtype=torch.bool)
    found = float(overlap(a, b))
    hints = {
        0.25: "divided by the larger set, or by the union: divide by sqrt(|A| · |B|)",
        1.0: "divided by the smaller set: then a set within another overlaps fully",
        5 / 8: "neurons that are off in both count as well: only those active in both should",
        1 / 8: "divided by all neurons: divide by sqrt(|A| · |B|)",
    }
    for value, hint in hints.items():
        assert abs(found - value) > 1e-6, hint
    assert abs(found - 0.5) < 1e-6, f"{found:.3f}, expected 1 / sqrt(4 · 1) = 0.5"
    assert abs(float(overlap(a, a)) - 1) < 1e-6, "a set should overlap fully with itself"
    nothing = torch.zeros(8, dtype=torch.bool)
    try:
        empty = float(overlap(a, nothing))
    except ZeroDivisionError:
        empty = math.nan
    assert empty == 0, "where no neuron is active the overlap is 0, not a division by zero"
    _passed("overlap: the cosine of two sets of neurons")


@exercise
def check_next_pairs(pairs: Callable[[dict[str, list[tuple[int, str]]], int], list]) -> None:
    """``pairs``: document → (place, sentence) in order; seed → (first, second, label) triples."""
    text = {
        "1": [(1, "1.1"), (2, "1.2"), (3, "1.3"), (5, "1.5"), (6, "1.6")],
        "2": [(1, "2.1"), (2, "2.2"), (4, "2.4")],
        "3": [(2, "3.2")],
    }
    following = {("1.1", "1.2"), ("1.2", "1.3"), ("1.5", "1.6"), ("2.1", "2.2")}
    made = pairs(text, 0)
    assert made and all(len(row) == 3 for row in made), (
        "give a list of triples: first sentence, second sentence, label"
    )
    labels = {label for _, _, label in made}
    assert labels <= {"next", "other"}, f"labels {sorted(labels)}: use 'next' and 'other'"
    positive = [(first, second) for first, second, label in made if label == "next"]
    negative = [(first, second) for first, second, label in made if label == "other"]
    gap = [p for p in positive if p not in following and p[0][0] == p[1][0]]
    assert not gap, (
        f"{gap[0][0]} and {gap[0][1]} are not neighbours: a sentence in between is missing, so "
        "compare the places, not the positions in the list"
    )
    crossing = [p for p in positive if p not in following]
    assert not crossing, f"{crossing[0]} are of two documents: don't pair across a document's end"
    assert set(positive) == following, f"missing: {sorted(following - set(positive))}"
    near = [p for p in negative if p[0][0] == p[1][0]]
    assert not near, f"{near[0]} are of one document: 'other' takes the second from another one"
    assert len(negative) == len(positive), (
        f"{len(positive)} 'next' and {len(negative)} 'other': as many of each, or the larger class "
        "is a good guess"
    )
    assert sorted(first for first, _ in negative) == sorted(first for first, _ in positive), (
        "the same first sentences should stand in both classes: else the first one alone tells"
    )
    assert pairs(text, 0) == made, "the same seed should give the same pairs"
    assert any(pairs(text, seed) != made for seed in (1, 2, 3)), "the seed is not used"
    _passed("next-sentence pairs: neighbours only, as many from elsewhere, repeatable")
