"""Checks of notebook 07_glue."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.common import assert_shape, passed


@exercise
def check_two_poles(read: Callable[[Tensor, float, float], Tensor]) -> None:
    """``read``: log-scores of the low and the high pole (N, 2), limits → values (N,)."""
    scores = torch.tensor([[0.0, 0.0], [-1.0, 2.0], [30.0, -30.0], [0.0, math.log(3.0)]])
    values = read(scores, 0.0, 5.0)
    assert_shape("the result", values, (4,), "One value for each pair of scores.")
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
    passed("two poles: between the ends of the range, in proportion")


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
    passed("Fisher's interval: symmetric in atanh(r), inside −1 … 1")


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
    passed("fair mean: tasks first, then seeds; nothing missing goes unseen")


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
    passed("possible scores: those that some k of n rounds to")
