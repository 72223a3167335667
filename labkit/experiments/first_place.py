"""Why order matters to a causal model: the cost of a shuffled prompt, restored place by place.

Every virtual token changes its place; then the trained order's keys and values are put back at one
place, in all layers or in a few, and the words read the mixture (`labkit.shuffle_probe.patching`).
The share of the cost that comes back with the first place alone says how much of the drama is the
attention sink. Beside it: the first virtual token itself kept in place, which the others then see
too, and all places in a few layers. Forward passes only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Task
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.setting import TASK_OF, Experiment, Place
from labkit.experiments.base.verdicts import signed, verdict
from labkit.experiments.order import OrderSetting, trained_prompt
from labkit.experiments.order_worth import ordinary_setting
from labkit.shuffle_probe import Shuffle
from labkit.shuffle_probe.patching import Reader, restored_share

SENTENCES, SHUFFLED = 24, 2
"""Test sentences, and orders of each prompt."""

GROUP = 5
"""Layers that are patched together."""

ALL = "all layers"
FIRST_KEPT = "first virtual token kept in place"


def patching_row(setting: OrderSetting, task: Task, seed: int, place: Place) -> dict:
    """Losses of one prompt: in its own order, shuffled, and under every patch.

    ``losses`` are means over the orders, one number a sentence (nats); ``patches`` has a layer
    range, a place (None: every place) and the losses under it.
    """
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    prompt = trained_prompt(setting, model, task, seed, place)
    task = model.view_of(task)
    examples = task.take("test", place.limit or SENTENCES, seed=0)
    reader = Reader.of(model, prompt, task, examples)
    vectors = model.fixed_vectors(prompt)
    trained = reader.read(vectors)
    length = len(vectors)
    patches = list(_patches(length, reader.layers))
    total = SHUFFLED * (len(patches) + 2)
    sums = np.zeros((len(patches) + 2, len(examples)))
    done = 0
    for order in Shuffle().draw(length, SHUFFLED, seed):
        shuffled = reader.read(vectors[order.tolist()])
        kept = [0, *(token for token in order.tolist() if token)]
        variants = [shuffled, reader.read(vectors[kept])]
        for row in range(len(sums)):
            if row < 2:
                prefix = variants[row]
            else:
                (first, last), at = patches[row - 2]
                places = range(length) if at is None else [at]
                prefix = reader.patched(shuffled, trained, range(first, last), places)
            sums[row] += reader.losses(prefix)
            done += 1
            place.tell(done, total, f"patch {done} of {total}")
    means = sums / SHUFFLED
    return {
        "task": task.name,
        "method": "patching",
        **asdict(setting.recipe),
        "n": len(examples),
        "orders": SHUFFLED,
        "layers": reader.layers,
        "value": float(means[0].mean()),
        "losses": {
            "trained": _rounded(reader.losses(trained)),
            "shuffled": _rounded(means[0]),
            "first kept": _rounded(means[1]),
        },
        "patches": [
            {"layers": list(layers), "place": at, "losses": _rounded(losses)}
            for (layers, at), losses in zip(patches, means[2:], strict=True)
        ],
        **model.backbone.where(),
    }


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
    """The share of the cost that every patch restores, over prompts and sentences."""
    if len(rows) < 2 or len({row["n"] for row in rows}) > 1:
        return []
    trained, shuffled, kept = (
        np.array([row["losses"][name] for row in rows])
        for name in ("trained", "shuffled", "first kept")
    )
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
        lines.append(cells([row["seed"], row["n"], f"{trained:.3f}", f"{row['value']:.3f}"]))
    lines += ["", *table_head(["patch", "share of the cost restored [95 %]"])]
    pooled = result.get("pooled", ())
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
    ),
)
