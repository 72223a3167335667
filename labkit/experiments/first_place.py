"""Why order matters to a causal model: the cost of a shuffled prompt, restored place by place.

Every virtual token changes its place; then the trained order's keys and values are put back at one
place, in all layers or in a few, and the words read the mixture (`labkit.shuffle_probe.patching`).
The share of the cost that comes back with the first place alone says how much of the drama is the
attention sink. Beside it: the first virtual token itself kept in place, which the others then see
too, and all places in a few layers. Forward passes only, and none for a prompt that did not learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from labkit.core.prompted_model import PromptedModel
from labkit.core.sequences import Prefix
from labkit.core.tasks import Task
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.requirements import at_least, causal, classes
from labkit.experiments.base.rows import learned
from labkit.experiments.base.setting import TASK_OF, Experiment, Place
from labkit.experiments.base.verdicts import signed, verdict
from labkit.experiments.order import OrderSetting, at_gate, trained_prompt
from labkit.experiments.order_worth import GATE, ordinary_setting
from labkit.shuffle_probe import Shuffle
from labkit.shuffle_probe.patching import Reader, costs_something, restored_share

SENTENCES, SHUFFLED = 24, 2
"""Test sentences, and orders of each prompt."""

GROUP = 5
"""Layers that are patched together."""

NOTHING_POOLED = (
    "No share of the cost: that takes two prompts that learned, and orders that cost something."
)
ALL = "all layers"
FIRST_KEPT = "first virtual token kept in place"


def patching_row(setting: OrderSetting, task: Task, seed: int, place: Place) -> dict:
    """Losses of one prompt: in its own order, shuffled, and under every patch.

    ``losses`` are means over the orders, one number a sentence (nats); ``patches`` has a layer
    range, a place (None: every place) and the losses under it. ``value`` is the mean loss of the
    shuffled prompt; of one that did not learn, and is not patched, that in its own order.
    """
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    prompt = trained_prompt(setting, model, task, seed, place)
    gate = at_gate(model, prompt, task, GATE)
    task = model.view_of(task)
    examples = task.take("test", place.limit or SENTENCES, seed=0)
    reader = Reader.of(model, prompt, task, examples)
    vectors = model.fixed_vectors(prompt)
    trained = reader.read(vectors)
    row = {
        "task": task.name,
        "method": "patching",
        **asdict(setting.recipe),
        **gate,
        "n": len(examples),
        **model.backbone.where(),
    }
    own = reader.losses(trained)
    if not row["learns"]:
        return row | {"value": float(own.mean()), "losses": {"trained": _rounded(own)}}
    patches = list(_patches(len(vectors), reader.layers))
    sums = np.zeros((len(patches) + 2, len(examples)))
    for index, order in enumerate(Shuffle().draw(len(vectors), SHUFFLED, seed)):
        prefixes = _prefixes(reader, vectors, order.tolist(), trained, patches)
        for done, prefix in enumerate(prefixes, start=1):
            sums[done - 1] += reader.losses(prefix)
            at, total = index * len(sums) + done, SHUFFLED * len(sums)
            place.tell(at, total, f"patch {at} of {total}")
    shuffled, kept, *patched = sums / SHUFFLED
    return row | {
        "orders": SHUFFLED,
        "layers": reader.layers,
        "value": float(shuffled.mean()),
        "losses": {
            "trained": _rounded(own),
            "shuffled": _rounded(shuffled),
            "first kept": _rounded(kept),
        },
        "patches": [
            {"layers": list(layers), "place": at, "losses": _rounded(losses)}
            for (layers, at), losses in zip(patches, patched, strict=True)
        ],
    }


def _prefixes(
    reader: Reader,
    vectors: Tensor,
    order: list[int],
    trained: Prefix,
    patches: Sequence[tuple[tuple[int, int], int | None]],
) -> Iterator[Prefix]:
    """The prompt in another order, that with the first virtual token kept, every patch of it."""
    shuffled = reader.read(vectors[order])
    yield shuffled
    yield reader.read(vectors[[0, *(token for token in order if token)]])
    for (first, last), at in patches:
        places = range(len(vectors)) if at is None else [at]
        yield reader.patched(shuffled, trained, range(first, last), places)


def _rounded(losses: NDArray[np.float64]) -> list[float]:
    """To 1e-6 nats: a file has tens of thousands of them."""
    return losses.round(6).tolist()


def _patches(length: int, layers: int) -> Iterator[tuple[tuple[int, int], int | None]]:
    """(first layer, the one behind the last), place: each place in all layers, then in groups;
    None is every place at once."""
    yield from (((0, layers), at) for at in range(length))  # all of them are the trained order
    for start in range(0, layers, GROUP):
        yield from (((start, min(start + GROUP, layers)), at) for at in (*range(length), None))


# ---- what rows say together ----


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """The share of the cost that every patch restores, over prompts that learned and sentences;
    nothing where the shuffled orders cost nothing, of which no share can be taken."""
    rows = learned(rows)
    if len(rows) < 2 or len({row["n"] for row in rows}) > 1:
        return []
    trained, shuffled, kept = (
        np.array([row["losses"][name] for row in rows])
        for name in ("trained", "shuffled", "first kept")
    )
    if not costs_something(trained, shuffled):
        return []
    layers = rows[0]["layers"]

    def line(what: str, part: Sequence[int], at: int | None, losses: NDArray) -> dict:
        share = restored_share(trained, shuffled, losses)
        return {
            "what": what,
            "layers": list(part),
            "place": at,
            "prompts": len(rows),
            "n": rows[0]["n"],
            "cost": float((shuffled - trained).mean()),
            "restored": list(share),
            "verdict": verdict(f"{what} restores a part of the cost", share),
        }

    pooled = [line(FIRST_KEPT, (0, layers), 0, kept)]
    for index, patch in enumerate(rows[0]["patches"]):
        losses = np.array([row["patches"][index]["losses"] for row in rows])
        first, last = patch["layers"]
        where = ALL if last - first == layers else f"layers {first}–{last - 1}"
        which = "every place" if patch["place"] is None else f"place {patch['place'] + 1}"
        pooled.append(line(f"{which}, {where}", patch["layers"], patch["place"], losses))
    return pooled


def as_markdown(result: Mapping) -> str:
    """Each patch's share, and the verdicts on those in all layers."""
    lines = report_head(result, ("prompt", "n", "trained order, nats", "shuffled"))
    for row in result["rows"]:
        trained = float(np.mean(row["losses"]["trained"]))
        shuffled = f"{row['value']:.3f}" if "patches" in row else "does not learn: not patched"
        lines.append(cells([row["seed"], row["n"], f"{trained:.3f}", shuffled]))
    pooled = result.get("pooled", ())
    if not pooled:
        return "\n".join([*lines, "", NOTHING_POOLED]) + "\n"
    lines += ["", *table_head(["patch", "share of the cost restored [95 %]"])]
    lines += [cells([row["what"], signed(row["restored"])]) for row in pooled]
    telling = [row for row in pooled if ALL in row["what"] or row["what"] == FIRST_KEPT]
    lines += verdict_section(telling)
    return "\n".join(lines) + "\n"


EXPERIMENTS = (
    Experiment(
        "first-place",
        "the trained order's keys and values put back at one place, ours",
        lambda backbone, profile: [ordinary_setting(backbone, profile)],
        patching_row,
        report=as_markdown,
        tasks=TASK_OF,
        pool=pool,
        needs=(classes, causal, at_least(2)),
    ),
)
