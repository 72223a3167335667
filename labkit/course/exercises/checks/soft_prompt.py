"""Checks of notebook 02_soft_prompt."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Adapted, Draw, arrives, compare, read_result, require
from labkit.course.exercises.guard import CheckFailed, Guarded
from labkit.course.exercises.results import as_tensor
from labkit.course.exercises.show import shown

# ---- 2.1 ----


def _in_front(prompt: Tensor, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    rows = [torch.cat([prompt, text]) for text in embedded]
    ones = torch.ones(len(embedded), len(prompt), dtype=mask.dtype)
    return torch.stack(rows), torch.cat([ones, mask], 1)


def _masks(draw: Draw, rows: int, width: int) -> Tensor:
    lengths = torch.tensor([draw.whole(1, width) for _ in range(rows)])
    return (torch.arange(width) < lengths[:, None]).long()


@exercise
def check_prepend(prepend: Guarded, draw: Draw) -> str:
    """``prepend``: prompt (P, D), embedded (B, T, D), mask (B, T) → (B, P+T, D), (B, P+T)."""
    shapes = [(3, 2, 5, 4), (1, 3, 4, 2), (4, 1, 3, 5), (2, 3, 1, 3), (3, 3, 3, 3), (2, 4, 300, 2)]
    cases = [(draw.normal(p, d), draw.normal(b, t, d), _masks(draw, b, t)) for p, b, t, d in shapes]
    cases[0][2][:] = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])

    def mask_as(change) -> Any:
        return lambda p, x, m: (_in_front(p, x, m)[0], change(p, x, m))

    def inputs_as(change) -> Any:
        return lambda p, x, m: (change(p, x, m), _in_front(p, x, m)[1])

    def behind(p, x, m):
        return torch.cat([x, p.expand(len(x), -1, -1)], 1)

    def ones(p, m):
        return m.new_ones(len(m), len(p))

    compare(
        prepend,
        cases,
        _in_front,
        mistakes={
            "the mask was not extended: the model would ignore the last positions, which are text "
            "now; put ones for the virtual tokens in front of it": mask_as(lambda p, x, m: m),
            "the prompt stands behind the text (and its padding), and so do its ones: put both in "
            "front": lambda p, x, m: (behind(p, x, m), torch.cat([m, ones(p, m)], 1)),
            "the prompt stands behind the text (and its padding): put it in front": (
                inputs_as(behind)
            ),
            "the ones stand behind the mask: the virtual tokens' go in front of the text's own "
            "mask": mask_as(lambda p, x, m: torch.cat([m, ones(p, m)], 1)),
            "virtual tokens are to be attended to: their mask is 1": (
                mask_as(lambda p, x, m: torch.cat([0 * ones(p, m), m], 1))
            ),
            "the mask is 1 everywhere: the text's own mask should follow, with its zeros at the "
            "padding": mask_as(lambda p, x, m: torch.cat([ones(p, m), torch.ones_like(m)], 1)),
            "the text's mask is turned round: it should follow unchanged": (
                mask_as(lambda p, x, m: torch.cat([ones(p, m), 1 - m], 1))
            ),
            "the prompt is put in the place of the first vectors of the text: it goes in front of "
            "them": lambda p, x, m: (torch.cat([p.expand(len(x), -1, -1), x[:, len(p):]], 1), m),
            "the virtual tokens run backwards": (
                inputs_as(lambda p, x, m: _in_front(p.flip(0), x, m)[0])
            ),
            "the text's vectors run backwards": (
                inputs_as(lambda p, x, m: _in_front(p, x.flip(1), m)[0])
            ),
            "mask and input are exchanged: the input comes first": (
                lambda p, x, m: _in_front(p, x, m)[::-1]
            ),
            "only the first text gets the prompt": inputs_as(
                lambda p, x, m: torch.cat(
                    [torch.stack([p, *[0 * p] * (len(x) - 1)]), x], 1
                )
            ),
            "the virtual tokens are all alike: each has its own row": (
                inputs_as(lambda p, x, m: _in_front(p[:1].expand(len(p), -1), x, m)[0])
            ),
        },
        where="P + T positions for each of the B texts: first the prompt's rows, in order, then "
        "the text's vectors, unchanged; the mask has ones for the virtual tokens, then its own "
        "numbers",
    )  # fmt: skip
    for args in cases[:3]:
        arrives(prepend, args, 0, lambda *a: _in_front(*a)[0], draw, lambda result: result[0])
    return "prepended: vectors and mask, gradient intact"


# ---- 2.2 ----


@exercise(overtime="are there enough different rows among the first `common`?")
def check_sample_init(sample_init: Guarded, draw: Draw) -> str:
    """``sample_init``: table (V, D), length, common, seed → (P, D) rows of the first ``common``."""
    table = draw.normal(20, 3)
    start = draw.whole(0, 4)
    _refuse_views(sample_init, table)
    drawn = {}
    for seed in (start, start + 1, start + 2, start + 3, start, start + 1):
        rows = _drawn(sample_init, table, 6, 10, seed)
        if seed in drawn:
            require(
                drawn[seed] == rows,
                f"the same seed, the same prompt: seed {seed} gave the rows {drawn[seed]} and then "
                f"{rows}",
            )
        drawn[seed] = rows
    require(
        len({tuple(rows) for rows in drawn.values()}) > 1,
        "another seed should draw others: `seed` makes no difference",
    )
    require(
        len({tuple(sorted(rows)) for rows in drawn.values()}) > 1,
        "another seed should draw others: here it only changes their order",
    )
    stretches = [
        len({row for r in rows for row in (r, (r + 1) % 10)}) == len(rows) + 1
        for rows in drawn.values()
    ]
    require(not all(stretches), "the rows are neighbours each time: draw them one by one")
    every = {row for seed in range(60) for row in _drawn(sample_init, table, 4, 8, seed)}
    require(
        every == set(range(8)),
        f"in 60 draws of 4 among the first 8 rows, rows {sorted(set(range(8)) - every)} never came",
    )
    wide = draw.normal(400, 2)
    for length, common in ((5, 5), (1, 1), (1, 12), (12, 12), (300, 320), (2, 400)):
        _drawn(sample_init, wide, length, common, draw.whole(0, 99))
    return "initialised: distinct common entries, seeded, a copy"


def _refuse_views(sample_init: Guarded, table: Tensor) -> None:
    before = table.clone()
    result = sample_init(table, 6, 10, 0)
    if isinstance(result, Tensor):
        result.data.zero_()
    same = torch.equal(table, before)
    require(same, "changing the prompt changed the embedding table: return a copy")


def _drawn(sample_init: Guarded, table: Tensor, length: int, common: int, seed: int) -> list[int]:
    """Which rows were drawn."""
    args = (table, length, common, seed)
    start = read_result(sample_init, args, torch.zeros(length, table.shape[1]))
    call = f"sample_init(table, length={length}, common={common}, seed={seed})"
    rows = []
    for vector in start:
        equal = (table.double() == vector).all(1).nonzero()
        require(
            len(equal) > 0,
            f"{call}: {shown(vector)} is no row of the embedding table; every row should be one, "
            "unchanged",
        )
        rows.append(int(equal[0]))
    require(
        max(rows) < common,
        f"{call}: row {max(rows)} was drawn, but only the first {common} entries are common",
    )
    require(
        len(set(rows)) == length,
        f"{call}: some entries repeat (rows {shown(rows)}); draw without repetition",
    )
    return rows


# ---- 2.3 ----


def _descend(
    prompt: Tensor, model: nn.Module, texts: Tensor, targets: Tensor, lr: float, old: Tensor,
    sign: float = -1.0, total: bool = False, add: bool = False, behind: bool = False,
    late: bool = False,
) -> tuple[float, Tensor]:  # fmt: skip
    """The loss before a step, and the prompt after it."""
    leaf = prompt.clone().requires_grad_()

    def loss_of(vectors: Tensor) -> Tensor:
        parts = [vectors.expand(len(texts), -1, -1), texts]
        scores = model(torch.cat(parts[::-1] if behind else parts, 1))
        each = torch.stack([s.logsumexp(0) - s[y] for s, y in zip(scores, targets, strict=True)])
        return each.sum() if total else each.mean()

    loss = loss_of(leaf)
    (gradient,) = torch.autograd.grad(loss, leaf)
    moved = prompt + sign * lr * (gradient + (old if add else 0))
    return float((loss_of(moved) if late else loss).detach()), moved


def _stepped(step: Guarded, prompt: Tensor, model: nn.Module, texts, targets, lr, old):
    """The loss that an answer reports, and where it leaves the prompt."""
    leaf = nn.Parameter(prompt.clone())
    leaf.grad = old.clone()
    weights = [p.clone() for p in model.parameters()]
    reported = step(leaf, model, texts, targets, lr, may_change=(0, 1))
    same = all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    free = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        for weight, p in zip(weights, model.parameters(), strict=True):
            p.copy_(weight)
    model.requires_grad_(False)
    require(same, "the model's weights changed: give the optimizer (or the update) the prompt only")
    require(not free, "the model was unfrozen: leave it, no gradient of its weights is needed")
    require(reported is not None, "nothing comes back (None): return the loss before the step")
    if isinstance(reported, Tensor):
        require(
            not reported.requires_grad,
            "the loss comes back as a tensor that holds its whole graph: `.item()` makes it a "
            "number",
        )
    if torch.equal(leaf.detach(), prompt):
        require(
            not step.rebinds(0),
            f"the prompt has not moved: `{step.parameter(0)} = …` only gives the name another "
            "value, the caller's prompt stays; change it in place, inside torch.no_grad()",
        )
        raise CheckFailed("the prompt has not moved: was the step taken?")
    require(leaf.requires_grad, "the prompt can't be trained any further: requires_grad is off")
    require(leaf.shape == prompt.shape, f"the prompt has another shape now: {shown(leaf)}")
    return reported, leaf.detach().clone()


@exercise
def check_training_step(step: Guarded, draw: Draw) -> str:
    """``step``: prompt, frozen model, texts (B, T, D), targets (B,), lr → loss before the step."""
    cases = []
    shapes = [(2, 6, 3, 4, 3), (1, 5, 3, 3, 2), (3, 1, 2, 4, 4), (2, 4, 1, 3, 3), (2, 6, 3, 4, 3)]
    for number, (p, b, t, d, c) in enumerate(shapes):
        torch.manual_seed(draw.number * 10 + number)
        model = nn.Sequential(nn.Flatten(), nn.Linear((p + t) * d, 5), nn.Tanh(), nn.Linear(5, c))
        model.requires_grad_(False)
        targets = torch.tensor([draw.whole(0, c - 1) for _ in range(b)])
        prompt, lr = draw.normal(p, d), (0.05, 0.5, 0.1, 1.0, 0.2)[number]
        old = draw.normal(p, d) if number else torch.zeros(p, d)
        cases.append((prompt, model, draw.normal(b, t, d), targets, lr, old))

    def wrong(**kinds: Any):
        return lambda *args: _descend(*args, **kinds)

    def no_rate(prompt, model, texts, targets, lr, old):
        return _descend(prompt, model, texts, targets, 1.0, old)

    def shrunk(*args):
        loss, moved = _descend(*args)
        return loss / len(args[3]), args[0] + (moved - args[0]) / len(args[3])

    def step_of_sum(*args):
        return _descend(*args)[0], _descend(*args, total=True)[1]

    def loss_of_sum(*args):
        return _descend(*args, total=True)[0], _descend(*args)[1]

    def signs(*args):
        loss, moved = _descend(*args)
        return loss, args[0] + args[4] * (moved - args[0]).sign()

    def unit(*args):
        loss, moved = _descend(*args)
        return loss, args[0] + args[4] * nn.functional.normalize(moved - args[0], dim=None or -1)

    def twice(*args):
        first = _descend(*args)
        return first[0], _descend(first[1], *args[1:])[1]

    compare(
        Adapted(step, _stepped),
        cases,
        _descend,
        mistakes={
            "the loss rose: a step goes against the gradient": wrong(sign=1.0),
            "the step depends on the gradient of the one before: set it to zero (or None) each "
            "time": wrong(add=True),
            "the step depends on the gradient of the one before, and the loss is summed: set it "
            "to zero, and take the mean over the batch": wrong(add=True, total=True),
            "loss and step are those of the sum: take the mean over the batch": wrong(total=True),
            "the step is that of the summed loss: take the mean over the batch": step_of_sum,
            "the loss that comes back is the sum: take the mean over the batch": loss_of_sum,
            "the loss is divided by the size of the batch twice: cross_entropy takes the mean "
            "already": shrunk,
            "this is the loss after the step: return the loss before the step": wrong(late=True),
            "the prompt stands behind the texts: [P; X]": wrong(behind=True),
            "`lr` is not used: the step is lr times the gradient": no_rate,
            "the step follows the sign of the gradient alone (as Adam's first one does): plain "
            "gradient descent takes lr times the gradient": signs,
            "two steps were taken": twice,
            "the gradient's length was made one: take lr times the gradient itself": unit,
        },
        where="The loss is the mean cross entropy before the step; the prompt afterwards is "
        "P − lr · gradient",
    )
    return "one step: only the prompt moved, and the loss fell"


# ---- 2.4 ----


def _cosines(table: Tensor, vectors: Tensor) -> Tensor:
    table, vectors = table.double(), vectors.double()
    rows = [
        torch.stack([(v @ e) / ((v @ v) ** 0.5 * (e @ e) ** 0.5) for e in table]) for v in vectors
    ]
    return torch.stack(rows)


def _by(scores: Tensor, k: int) -> Tensor:
    return torch.tensor([sorted(range(len(r)), key=lambda i: -r[i])[:k] for r in scores.tolist()])


def _clear_order(table: Tensor, vectors: Tensor) -> bool:
    gaps = _cosines(table, vectors).sort(-1).values.diff(dim=-1)
    return bool((gaps > 1e-5).all())


@exercise
def check_nearest(nearest: Guarded, draw: Draw) -> str:
    """``nearest``: table (V, D), vectors (P, D), k → (P, k) ids by cosine, nearest first."""
    first = torch.tensor([[10.0, 0.0], [0.6, 0.8], [0.0, 0.1], [-3.0, -3.0], [5.0, 5.1]])
    cases = [(first, torch.tensor([[1.0, 1.0], [0.0, 2.0]]), 2)]
    shapes = [
        (12, 4, 5, 3),
        (9, 3, 1, 1),
        (9, 3, 4, 9),
        (12, 4, 5, 1),
        (300, 6, 2, 4),
        (6, 4, 6, 6),
    ]
    for size, width, count, k in shapes:
        table, vectors = draw.normal(size, width), 7 * draw.normal(count, width)
        while not _clear_order(table, vectors):
            table = draw.normal(size, width)
        table = table * torch.tensor([0.2 + 5 * draw.plain.random() for _ in range(size)])[:, None]
        cases.append((table, vectors + 2, k))

    def right(table: Tensor, vectors: Tensor, k: int) -> Tensor:
        return _by(_cosines(table, vectors), k)

    def centred(t, v, k):
        rows = t - t.mean(1, keepdim=True), v - v.mean(1, keepdim=True)
        return _by(_cosines(*rows), k)

    compare(
        nearest,
        cases,
        right,
        mistakes={
            "these are the largest products, which favour long vectors: divide by both lengths": (
                lambda t, v, k: _by(v @ t.T, k)
            ),
            "these are the smallest distances: the cosine ignores lengths": (
                lambda t, v, k: _by(-torch.cdist(v, t), k)
            ),
            "these have the smallest cosines: the nearest have the largest": (
                lambda t, v, k: _by(-_cosines(t, v), k)
            ),
            "right ids, but the nearest should come first": (
                lambda t, v, k: right(t, v, k).flip(1)
            ),
            "these are the cosines: return the row numbers that go with them": (
                lambda t, v, k: _cosines(t, v).sort(-1, descending=True).values[:, :k]
            ),
            "the ids of each row are sorted by number: the nearest should come first": (
                lambda t, v, k: right(t, v, k).sort(-1).values
            ),
            "the size of the cosine without its sign was taken: −1 is the opposite direction": (
                lambda t, v, k: _by(_cosines(t, v).abs(), k)
            ),
            "the columns were normalised, not the rows: each vector has one length": (
                lambda t, v, k: _by(
                    nn.functional.normalize(v, dim=0) @ nn.functional.normalize(t, dim=0).T, k
                )
            ),
            "a column per virtual token: (P, k) has a row for each": (
                lambda t, v, k: right(t, v, k).T
            ),
            "this is the correlation: a cosine does not take the mean away": centred,
            "the nearest is left out: begin with it": (
                lambda t, v, k: _by(_cosines(t, v), k + 1)[:, 1:]
            ),
            "divided by the squares of the lengths: the length is the square root": (
                lambda t, v, k: _by((v @ t.T) / (t**2).sum(1), k)
            ),
            "these are the nearest virtual tokens of each entry: it is the other way round": (
                lambda t, v, k: _by(_cosines(v, t), k)
            ),
        },
        where="Row p: the numbers of the k table rows with the highest cosine to vector p, the "
        "highest first",
    )
    require(as_tensor(nearest(*cases[1])) is not None, "give the ids as a tensor")
    return "nearest entries by cosine, nearest first"
