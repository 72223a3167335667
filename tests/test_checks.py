"""The exercises' checks: typical mistakes fail with the hint that names them, right answers pass.

The notebooks' own solutions are held to the checks when the notebooks are run; here are other right
solutions, and wrong ones.
"""

from __future__ import annotations

import math
import random
import re

import pytest
import torch
import transformers
from scipy import stats
from torch import nn
from torch.nn import functional as F

from labkit.core import assets
from labkit.course.exercises import checks
from labkit.course.exercises.checks import check


def test_check_prints_one_line_and_names_what_failed(capsys):
    check("gain", 0.31, at_least=0.2)
    assert capsys.readouterr().out == "✓ gain (at least 0.2)\n"
    with pytest.raises(AssertionError, match=r"gain: 0\.1 is below 0\.2"):
        check("gain", 0.1, at_least=0.2)
    with pytest.raises(AssertionError, match=r"loss: 3 is above 1"):
        check("loss", 3.0, at_most=1)
    with pytest.raises(AssertionError, match="give at_least or at_most"):
        check("nothing", 1.0)


# ---- 01 ----


def clean(
    raw, encoding="latin-1", keep_empty=False, keep_repeats=False, tidy=True, errors="strict"
):
    lines = raw.decode(encoding, errors=errors).splitlines() if tidy else raw.decode("latin-1")
    if not tidy:
        return list(dict.fromkeys(line for line in lines.split("\n") if line))
    found = []
    for line in lines:
        text = re.sub(r"\s+", " ", line).strip()
        if (text or keep_empty) and (keep_repeats or text not in found):
            found.append(text)
    return found


def split(sentences, labels, share, seed, by_row=False, shuffle=True, lose=False, own_seed=None):
    rows = list(zip(sentences, labels, strict=True))
    keys = list(range(len(rows))) if by_row else sorted(set(sentences))
    if shuffle:
        random.Random(seed if own_seed is None else own_seed).shuffle(keys)
    chosen = set(keys[: int(share * len(keys))])
    test = [r for i, r in enumerate(rows) if (i if by_row else r[0]) in chosen]
    train = [r for i, r in enumerate(rows) if (i if by_row else r[0]) not in chosen]
    return (train[:-1] if lose else train), test


def fill(template, text):
    return template[: template.index("{mask}")].rstrip(" ").replace("{text}", text)


def label_ids(tokenizer, words, space=" ", strict=True, special=False):
    ids = []
    for word in words:
        pieces = tokenizer(space + word, add_special_tokens=special)["input_ids"]
        if strict and len(pieces) > 1:
            raise ValueError(word)
        ids.append(pieces[0])
    return ids


def score_batch(logits, mask, labels):
    last = (mask * torch.arange(mask.shape[1])).argmax(1)
    rows = logits.gather(1, last[:, None, None].expand(-1, 1, logits.shape[-1]))[:, 0]
    return (rows - rows.logsumexp(-1, keepdim=True))[:, labels]


def accuracy(predictions, targets):
    right = sum(a == b for a, b in zip(predictions, targets, strict=True))
    low, high = stats.binomtest(right, len(targets)).proportion_ci(method="wilson")
    return right / len(targets), low, high


def normal_interval(predictions, targets):
    p, _, _ = accuracy(predictions, targets)
    half = 1.96 * (p * (1 - p) / len(targets)) ** 0.5
    return p, p - half, p + half


def no_softmax(logits, mask, labels):
    return logits[torch.arange(len(logits)), mask.sum(1) - 1][:, labels]


WRONG_01 = {
    "utf-8": (checks.check_clean, lambda raw: clean(raw, "utf-8"), "latin-1"),
    "ascii": (checks.check_clean, lambda r: clean(r, "ascii", errors="ignore"), "lost or mangled"),
    "empty": (checks.check_clean, lambda raw: clean(raw, keep_empty=True), "empty line"),
    "untidy": (checks.check_clean, lambda raw: clean(raw, tidy=False), "white space"),
    "repeats": (checks.check_clean, lambda raw: clean(raw, keep_repeats=True), "stands twice"),
    "sorted": (checks.check_clean, lambda raw: sorted(clean(raw))[::-1], "order of the file"),
    "leak": (checks.check_split, lambda *a: split(*a, by_row=True), "both sides"),
    "lost": (checks.check_split, lambda *a: split(*a, lose=True), "exactly once"),
    "unshuffled": (checks.check_split, lambda *a: split(*a, shuffle=False), "another seed"),
    "unseeded": (checks.check_split, lambda *a: split(*a, own_seed=random.random()), "same seed"),
    "space": (checks.check_fill, lambda t, x: t.replace("{text}", x)[:-6], "ends in a space"),
    "slot": (checks.check_fill, lambda t, x: t.replace("{text}", x), "a slot is left"),
    "format": (
        checks.check_fill,
        lambda t, x: t.replace("{text}", x).split("{")[0].rstrip(" "),
        "replace the text last",
    ),
    "last column": (
        checks.check_score_batch,
        lambda logits, mask, labels: logits[:, -1].log_softmax(-1)[:, labels],
        "last column",
    ),
    "position 0": (
        checks.check_score_batch,
        lambda logits, mask, labels: logits[:, 0].log_softmax(-1)[:, labels],
        "position 0",
    ),
    "logits": (checks.check_score_batch, no_softmax, "these are logits"),
    "labels only": (
        checks.check_score_batch,
        lambda *a: no_softmax(*a).log_softmax(-1),
        "over the vocabulary",
    ),
    "normal": (checks.check_accuracy, normal_interval, "normal approximation"),
    "percent": (checks.check_accuracy, lambda p, t: (74.0, 65.0, 82.0), "not in percent"),
}
RIGHT_01 = {
    "clean": (checks.check_clean, clean),
    "split": (checks.check_split, split),
    "fill": (checks.check_fill, fill),
    "score": (checks.check_score_batch, score_batch),
    "accuracy": (checks.check_accuracy, accuracy),
}


@pytest.fixture(scope="module")
def tokenizer():
    """The tokenizer that the exercise is about."""
    if not assets.is_ready(assets.ASSETS["smollm2"]):
        pytest.skip("smollm2 is not in the cache; run `labkit assets fetch`")
    return transformers.AutoTokenizer.from_pretrained(assets.locate("smollm2"))


def test_label_ids(tokenizer, capsys):
    checks.check_label_ids(label_ids, tokenizer)
    assert "✓" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="raise ValueError"):
        checks.check_label_ids(lambda t, w: label_ids(t, w, strict=False), tokenizer)
    with pytest.raises(AssertionError, match="a space comes"):
        checks.check_label_ids(lambda t, w: label_ids(t, w, space="", strict=False), tokenizer)
    with pytest.raises(AssertionError, match="1 ids for 4 words"):
        checks.check_label_ids(lambda t, w: label_ids(t, w[:1]), tokenizer)


# ---- 02 ----


def prepend(prompt, embedded, mask, detach=False, behind=False, keep_mask=False, ones=1):
    first = (prompt.detach() if detach else prompt).repeat(len(embedded), 1, 1)
    parts = [embedded, first] if behind else [first, embedded]
    extra = torch.full((len(embedded), len(prompt)), ones, dtype=mask.dtype)
    return torch.cat(parts, 1), mask if keep_mask else torch.cat([extra, mask], 1)


def sample_init(table, length, common, seed, distinct=True):
    generator = torch.Generator().manual_seed(seed)
    if not distinct:
        return table[torch.randint(common, (length,), generator=generator)].clone()
    weights = torch.ones(common)
    return table[torch.multinomial(weights, length, generator=generator)].clone()


def step(prompt, model, texts, targets, lr, sign=-1, clear=True, all_move=False, late=False):
    def loss_now():
        return F.cross_entropy(
            model(torch.cat([prompt.repeat(len(texts), 1, 1), texts], 1)), targets
        )

    if clear:
        prompt.grad = None
    if all_move:
        model.requires_grad_(True)
    loss = loss_now()
    loss.backward()
    moving = [prompt, *model.parameters()] if all_move else [prompt]
    with torch.no_grad():
        for p in moving:
            p.add_(sign * lr * p.grad)
    model.requires_grad_(False)
    return (loss_now() if late else loss).item()


def nearest(table, vectors, k):
    cosines = F.cosine_similarity(vectors[:, None], table[None], dim=-1)
    return cosines.argsort(dim=-1, descending=True)[:, :k]


WRONG_02 = {
    "mask": (checks.check_prepend, lambda *a: prepend(*a, keep_mask=True), "not extended"),
    "behind": (checks.check_prepend, lambda *a: prepend(*a, behind=True), "behind the text"),
    "detached": (checks.check_prepend, lambda *a: prepend(*a, detach=True), "no gradient"),
    "zeros": (checks.check_prepend, lambda *a: prepend(*a, ones=0), "attended to"),
    "repeats": (checks.check_sample_init, lambda *a: sample_init(*a, distinct=False), "repeat"),
    "whole": (checks.check_sample_init, lambda t, n, c, s: sample_init(t, n, 20, s), "common"),
    "view": (checks.check_sample_init, lambda t, n, c, s: t[s : s + n], "return a copy"),
    "one seed": (checks.check_sample_init, lambda t, n, c, s: sample_init(t, n, c, 0), "another"),
    "uphill": (checks.check_training_step, lambda *a: step(*a, sign=1), "rose"),
    "model": (checks.check_training_step, lambda *a: step(*a, all_move=True), "weights changed"),
    "adds up": (checks.check_training_step, lambda *a: step(*a, clear=False), "set it to zero"),
    "late": (checks.check_training_step, lambda *a: step(*a, late=True), "before the step"),
    "product": (checks.check_nearest, lambda t, v, k: (v @ t.T).topk(k).indices, "products"),
    "distance": (
        checks.check_nearest,
        lambda t, v, k: torch.cdist(v, t).topk(k, largest=False).indices,
        "distances",
    ),
    "reversed": (checks.check_nearest, lambda *a: nearest(*a).flip(1), "come first"),
}
RIGHT_02 = {
    "prepend": (checks.check_prepend, prepend),
    "sample": (checks.check_sample_init, sample_init),
    "step": (checks.check_training_step, step),
    "nearest": (checks.check_nearest, nearest),
}


@pytest.mark.parametrize("name", [*RIGHT_01, *RIGHT_02])
def test_another_right_solution_passes(name, capsys):
    examine, solution = (RIGHT_01 | RIGHT_02)[name]
    examine(solution)
    printed = capsys.readouterr().out
    assert printed.startswith("✓") and printed.count("\n") == 1


@pytest.mark.parametrize("name", [*(f"01 {n}" for n in WRONG_01), *(f"02 {n}" for n in WRONG_02)])
def test_a_wrong_solution_fails_with_its_own_hint(name):
    number, _, mistake = name.partition(" ")
    examine, solution, hint = (WRONG_01 if number == "01" else WRONG_02)[mistake]
    with pytest.raises(AssertionError, match=hint):
        examine(solution)


def test_the_step_is_checked_on_a_model_that_could_move():
    """A model without free weights would make 'only the prompt moved' an empty statement."""
    seen = []

    def spy(prompt, model, texts, targets, lr):
        seen.extend(model.parameters())
        return step(prompt, model, texts, targets, lr)

    checks.check_training_step(spy)
    assert sum(p.numel() for p in seen) > 0 and isinstance(seen[0], nn.Parameter)


# ---- 05 ----


def sinusoids(length, width, start=0, vaswani=False, halves=False, base=10_000.0):
    rows = []
    for place in range(start, start + length):
        exponents = [c - c % 2 if vaswani else c for c in range(width)]
        angles = [place / base ** (e / width) for e in exponents]
        row = [math.cos(a) if c % 2 else math.sin(a) for c, a in enumerate(angles)]
        rows.append(row[::2] + row[1::2] if halves else row)
    return torch.tensor(rows)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"vaswani": True}, "exponents of Vaswani"),
        ({"start": 1}, "count places from 0"),
        ({"halves": True}, "two halves"),
        ({"base": 1000.0}, "divided by 10000"),
    ],
)
def test_check_sinusoids(options, says):
    checks.check_sinusoids(sinusoids)
    with pytest.raises(AssertionError, match=says):
        checks.check_sinusoids(lambda length, width: sinusoids(length, width, **options))


def relative_scores(queries, table, sign=1, scale=1.0):
    count = len(queries)
    index = torch.tensor([[sign * (j - i) + count - 1 for j in range(count)] for i in range(count)])
    return (queries[:, None] * table[index]).sum(-1) * scale


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda q, t: relative_scores(q, t, sign=-1), "left and right are exchanged"),
        (lambda q, t: relative_scores(q, t, scale=q.shape[1] ** -0.5), "no such factor"),
        (lambda q, t: q @ t[len(q) - 1 :].T, "the same P rows"),
        (lambda q, t: q @ t.T, "shape"),
        (lambda q, t: 2 * relative_scores(q, t), "2 times what is expected"),
    ],
)
def test_check_relative_scores(wrong, says):
    checks.check_relative_scores(relative_scores)
    with pytest.raises(AssertionError, match=says):
        checks.check_relative_scores(wrong)


def head(q, k, v, relative, scale=1.0, axis=-1):
    return F.softmax((q @ k.T + relative) * scale, dim=axis) @ v


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda q, k, v, r: head(q, k, v, r, scale=q.shape[1] ** -0.5), "no such factor"),
        (lambda q, k, v, r: head(q, k, v, r, axis=0), "over the last axis"),
        (lambda q, k, v, r: (q @ k.T + r) @ v, "not normalised"),
        (lambda q, k, v, r: head(q, k, v, torch.zeros_like(r)), "add them to"),
        (lambda q, k, v, r: head(k, q, v, r), "queries and keys are exchanged"),
    ],
)
def test_check_head(wrong, says):
    checks.check_head(head)
    with pytest.raises(AssertionError, match=says):
        checks.check_head(wrong)


# ---- 06 ----


def lstm_step(x, h, m, w_x, w_h, bias, candidate=torch.tanh, out=torch.tanh, order="ifgo"):
    parts = dict(zip(order, (w_x @ x + w_h @ h + bias).chunk(4), strict=True))
    i, f, o = (torch.sigmoid(parts[name]) for name in "ifo")
    memory = f * m + i * candidate(parts["g"])
    return o * out(memory), memory


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda *a: lstm_step(*a, candidate=torch.sigmoid), "goes through tanh"),
        (lambda *a: lstm_step(*a, out=lambda m: m), "the tanh is missing"),
        (lambda *a: lstm_step(*a, order="figo"), "in the order i, f, g, o"),
        (lambda *a: lstm_step(*a)[::-1], "exchanged"),
    ],
)
def test_check_lstm_step(wrong, says):
    checks.check_lstm_step(lstm_step)
    with pytest.raises(AssertionError, match=says):
        checks.check_lstm_step(wrong)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda e, h, w: e @ (w @ h), "these are scores"),
        (lambda e, h, w: (e @ (w @ h)).sigmoid(), "sum to"),
        (lambda e, h, w: (e @ h).softmax(0), "the weight is not used"),
        (lambda e, h, w: (e @ (h @ w)).softmax(0), "transposed"),
        (lambda e, h, w: (e @ (w @ h) / len(h) ** 0.5).softmax(0), "divided by sqrt"),
    ],
)
def test_check_gate(wrong, says):
    checks.check_gate(lambda e, h, w: torch.einsum("pa,ab,b->p", e, w, h).softmax(0))
    with pytest.raises(AssertionError, match=says):
        checks.check_gate(wrong)


def masked(scores, chosen, value=-math.inf, copy=True, after=False):
    scores = scores.clone() if copy else scores
    if after:
        probabilities = scores.softmax(0)
        probabilities[chosen] = 0.0
        return probabilities
    scores[chosen] = value
    return scores.softmax(0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda s, c: s.softmax(0), "still has probability"),
        (lambda s, c: masked(s, c, value=0.0), "should be −∞"),
        (lambda s, c: masked(s, c, copy=False), "work on a copy"),
        (lambda s, c: masked(s, c, after=True), "before the softmax"),
    ],
)
def test_check_mask_chosen(wrong, says):
    checks.check_mask_chosen(masked)
    with pytest.raises(AssertionError, match=says):
        checks.check_mask_chosen(wrong)


def hot(order):
    return F.one_hot(order.argmax(-1), order.shape[-1]).float()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (hot, "no gradient comes back"),
        (lambda order: hot(order) + (order.detach() - order), "opposite sign"),
        (lambda order: hot(order) + order - order.detach(), "nearly one-hot"),
        (lambda order: order, "going forward"),
        (lambda order: hot(order) * order, "where ones should"),
    ],
)
def test_check_straight_through(wrong, says):
    checks.check_straight_through(lambda order: hot(order) + (order - order.detach()))
    with pytest.raises(AssertionError, match=says):
        checks.check_straight_through(wrong)
