"""`labkit probe --design incomplete`: the mean order effect from a fraction of the scorings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.cli.folders import writing
from labkit.cli.progress import Update
from labkit.core.errors import LabError

if TYPE_CHECKING:
    from torch import nn

    from labkit.core.prompted_model import PromptedModel
    from labkit.core.tasks import Task
    from labkit.shuffle_probe import Shuffle

FILE = "incomplete.npz"


def read_design(
    design: str,
    per_sentence: int | None,
    per_order: int | None,
    of_the_matrix: Mapping[str, object],
) -> dict[str, int] | None:
    """The sizes that are given of an incomplete design; None for the full matrix.

    Args:
        of_the_matrix: options of the full matrix alone, by name; None where not given.
    """
    sizes = {"per_sentence": per_sentence, "per_order": per_order}
    given = {name: size for name, size in sizes.items() if size is not None}
    if design == "full":
        if given:
            names = " and ".join("--" + name.replace("_", "-") for name in given)
            raise LabError(f"{names}: sizes of --design incomplete; add it, or leave them out")
        return None
    if design != "incomplete":
        raise LabError(f"--design {design!r} is unknown; choose full or incomplete")
    for name, value in of_the_matrix.items():
        if value is not None:
            raise LabError(f"{name} is for the full matrix; leave it out, or --design incomplete")
    return given


def probe_incomplete(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    shuffle: Shuffle,
    sizes: Mapping[str, int],
    split: str,
    limit: int,
    seed: int,
    out: Path | None,
    update: Update,
) -> dict[str, Any]:
    """Score a prompt by the design; its answers are kept in ``out``."""
    from labkit import shuffle_probe

    if out is not None and (out / FILE).exists():
        raise LabError(f"{out / FILE} exists; choose another --out")
    sentences = min(limit, len(model.view_of(task).split(split)))
    design = shuffle_probe.incomplete_design(shuffle, len(prompt()), sentences, seed=seed, **sizes)
    result = shuffle_probe.probe_incomplete(model, prompt, task, design, split, progress=update)
    if out is not None:
        with writing(out):
            result.save(out / FILE)
    return result.summary()


def incomplete_lines(summary: Mapping[str, Any], shuffle: Shuffle) -> list[str]:
    from labkit.core.statistics import Difference
    from labkit.experiments.base.verdicts import (
        UNCHANGED,
        UNDECIDED,
        outcome_of,
        signed,
        verdict,
    )

    effect = Difference(*summary["mean_difference"])
    judged = verdict("random orders score above the trained one", effect)
    lines = [
        f"incomplete design: {summary['n']} sentences, {summary['permutations']} orders "
        f"({shuffle})",
        f"trained order   {summary['metric']} {summary['baseline']:.3f}",
        f"random order minus trained     {signed(effect)}",
        f"scorings        {summary['scorings']:,} of the full matrix's "
        f"{summary['scorings_of_full_matrix']:,}, {summary['seconds']:.1f} s",
    ]
    if judged["verdict"] in (UNCHANGED, UNDECIDED):
        lines.append(outcome_of(judged))
    return lines
