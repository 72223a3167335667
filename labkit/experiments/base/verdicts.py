"""What follows from rows: means over seeds, and each claim of a paper against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.core import statistics
from labkit.core.statistics import Difference
from labkit.experiments.base.rows import paired_answers
from labkit.shuffle_probe import pooled_effect

AGREES, DISAGREES = "agrees", "disagrees"
UNDECIDED = "can't tell"
UNCHANGED = "nothing changed"
"""No answer differs: the interval has no width, and says nothing of what could have been seen."""


@dataclass(frozen=True)
class Claim:
    """What the paper says: the setting ``better`` scores higher than ``worse``.

    Either may be the table's ``FIRST``, ``PREVIOUS`` (the last but one) or ``LAST`` setting.
    """

    text: str
    better: str
    worse: str


def summarise(rows: Sequence[Mapping]) -> list[dict]:
    """Mean over seeds of each setting, with Student's 95 % interval where there are two or more."""
    summary = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        values = [row["value"] for row in rows if row["setting"] == setting]
        interval = list(statistics.mean_interval(values)) if len(values) > 1 else None
        summary.append(
            {
                "setting": setting,
                "mean": float(np.mean(values)),
                "ci95": interval,
                "seeds": len(values),
            }
        )
    return summary


def judge(
    rows: Sequence[Mapping], claims: Sequence[Claim], settings: Sequence[str] = ()
) -> list[dict]:
    """Each claim against the rows: paired difference, interval, and what follows from it.

    The interval is for other seeds and other test examples; a claim is decided only where it
    leaves zero out. There is no verdict on a claim one end of which has no row, and a prompt that
    did not learn has no say in any.

    Args:
        settings: names of all of the table's settings in their order, rows or not: what the ends
            ``FIRST``, ``PREVIOUS`` and ``LAST`` of a claim mean.
    """
    verdicts = []
    for claim in claims:
        better, worse = (_resolve(end, settings) for end in (claim.better, claim.worse))
        pairs = paired_answers(rows, better, worse)
        if pairs is not None:
            difference = statistics.paired_difference(*pairs)
            verdicts.append(verdict(claim.text, difference) | {"seeds": len(pairs[0])})
    return verdicts


def verdict(claim: str, difference: Difference, upwards: bool = True) -> dict:
    """Whether a difference agrees with a claim that it is above zero (or below: not ``upwards``).

    Where the interval holds zero, ``detectable`` is the smallest effect that as many data would
    have shown in four of five cases. Where nothing differs at all, it is :data:`UNCHANGED`.
    """
    low, high = difference.low, difference.high
    if not upwards:
        low, high = -high, -low
    outcome = AGREES if low > 0 else DISAGREES if high < 0 else UNDECIDED
    if low == high == 0:
        outcome = UNCHANGED
    judged = {
        "claim": claim,
        "difference": difference.value,
        "ci95": [difference.low, difference.high],
        "verdict": outcome,
    }
    if outcome == UNDECIDED:
        judged["detectable"] = statistics.detectable_effect(difference)
    return judged


def over_prompts(claim: str, effects: NDArray[np.float64], upwards: bool = True) -> dict:
    """What effects (P, N) of P prompts on N sentences say together, and of a claim about them."""
    effect = pooled_effect(effects)
    return {
        "prompts": len(effects),
        "n": effects.shape[1],
        "mean_difference": list(effect),
        "by_prompt": effects.mean(axis=1).tolist(),
        "verdict": verdict(f"{claim}, over {len(effects)} prompts", effect, upwards),
    }


def verdict_line(judged: Mapping) -> str:
    """A claim with its difference and what follows from it."""
    ends = signed([judged["difference"], *judged["ci95"]])
    return f"{judged['claim']}: {ends}: {outcome_of(judged)}"


def outcome_of(judged: Mapping) -> str:
    """A verdict in words, with the smallest effect that an undecided one could have shown."""
    if judged["verdict"] != UNDECIDED:
        return judged["verdict"]
    ends = Difference(judged["difference"], *judged["ci95"])
    effect = judged.get("detectable", statistics.detectable_effect(ends))
    return f"{UNDECIDED} (an effect of {effect:.3f} would have shown)"


def signed(values: Sequence[float]) -> str:
    """A difference with the ends of its interval."""
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*values)


def told(values: Sequence[float]) -> str:
    """The same and, where the interval holds zero, the smallest difference that would have shown in
    four of five cases."""
    found = Difference(*values[:3])
    unseen = found.low <= 0 <= found.high and found.low < found.high
    least = f", {statistics.detectable_effect(found):.3f} would have shown" if unseen else ""
    return signed(found) + least


def each_signed(values: Sequence[float]) -> str:
    """Differences one after the other, of each prompt say."""
    return ", ".join(f"{value:+.3f}" for value in values)


def _resolve(end: str, settings: Sequence[str]) -> str:
    places = {"FIRST": 0, "LAST": -1, "PREVIOUS": -2}
    if end not in places or len(settings) < 2:
        return end
    return settings[places[end]]
