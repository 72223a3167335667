"""Each statistic against an independent route: SciPy, a closed form, enumeration, simulation."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from scipy import stats

from labkit.core.errors import LabError
from labkit.core.statistics import (
    Counts,
    Difference,
    accuracy_interval,
    best_on_held_out,
    bootstrap_scores,
    detectable_effect,
    difference_of_scores,
    false_discovery,
    flip_rate,
    mcnemar_exact,
    mean_interval,
    noise_share,
    paired_difference,
    pearson,
    pearson_interval,
    scores,
    spread,
    worse_better_equal,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 20), (3, 7), (150, 300), (1060, 1060)])
def test_accuracy_interval_is_wilsons(k, n):
    wilson = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert accuracy_interval((k, n)) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


@pytest.mark.parametrize(
    ("n", "half_width"), [(277, 0.059), (408, 0.049), (1066, 0.030), (872, 0.033)]
)
def test_half_widths_that_the_course_quotes(n, half_width):
    """Quoted by the rule of thumb 0.98 / sqrt(n); Wilson's is narrower, by less than 0.1 points."""
    low, high = accuracy_interval((n // 2, n))
    assert (high - low) / 2 == pytest.approx(half_width, abs=1e-3)


def test_accuracy_interval_counts_an_array_and_a_list_as_its_tuple(rng):
    correct = rng.random(300) < 0.8
    expected = accuracy_interval((int(correct.sum()), 300))
    assert accuracy_interval(correct) == expected
    assert accuracy_interval(correct.tolist()) == expected
    assert accuracy_interval([1, 0]) == accuracy_interval((1, 2))  # a list is never (k, n)


@pytest.mark.parametrize(("n", "share"), [(30, 0.9), (300, 0.5), (1060, 0.85)])
def test_accuracy_interval_covers_the_true_share_exactly_summed(n, share):
    """Coverage without simulation: the summed probabilities of all k whose interval holds it."""
    covered = sum(
        stats.binom.pmf(k, n, share)
        for k in range(n + 1)
        if accuracy_interval((k, n)).low <= share <= accuracy_interval((k, n)).high
    )
    assert 0.93 <= covered <= 0.975


# ---------------------------------------------------------------- Pearson


def test_pearson_by_its_definition(rng):
    x = rng.normal(size=50)
    y = 0.6 * x + rng.normal(size=50)
    dx, dy = x - x.mean(), y - y.mean()
    r = (dx @ dy) / math.sqrt((dx @ dx) * (dy @ dy))
    half = 1.959963984540054 / math.sqrt(50 - 3)
    assert pearson(x, y) == pytest.approx(r)
    expected = (math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))
    assert pearson_interval(x, y) == pytest.approx(expected)


@pytest.mark.parametrize("constant", [[2.0] * 5, [0.1, 0.1 + 1e-17, 0.1, 0.1, 0.1], [0.0] * 5])
def test_a_constant_guess_has_no_correlation_and_no_warning(constant):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # stderr in a notebook cell fails it
        assert pearson(constant, [1, 2, 3, 4, 5]) == 0.0
        assert pearson_interval([1, 2, 3, 4, 5], constant) == (-1.0, 1.0)


def test_pearson_interval_of_two_or_three_points_says_nothing():
    assert pearson_interval([1, 2], [1, 2]) == (-1.0, 1.0)
    assert pearson_interval([1, 2, 3], [1, 2, 4]) == (-1.0, 1.0)


def test_pearson_interval_covers(rng):
    true_r, hits, trials = 0.7, 0, 1000
    for _ in range(trials):
        x = rng.normal(size=60)
        y = true_r * x + math.sqrt(1 - true_r**2) * rng.normal(size=60)
        low, high = pearson_interval(x, y)
        hits += low <= true_r <= high
    assert 0.93 <= hits / trials <= 0.97


# ---------------------------------------------------------------- means over seeds


def test_mean_interval_of_three_seeds_by_hand():
    """The table value t(0.975, 2) = 4.3027; standard deviation 0.01, three seeds."""
    low, high = mean_interval([0.84, 0.85, 0.86])
    half = 4.302652729911275 * 0.01 / math.sqrt(3)
    assert (low, high) == pytest.approx((0.85 - half, 0.85 + half))


def test_mean_interval_covers_with_three_seeds(rng):
    trials = 2000
    hits = 0
    for values in rng.normal(0.85, 0.01, size=(trials, 3)):
        low, high = mean_interval(values)
        hits += low <= 0.85 <= high
    assert 0.935 <= hits / trials <= 0.965


# ---------------------------------------------------------------- paired differences


def test_paired_difference_agrees_with_the_normal_interval_of_the_differences(rng):
    """With 2,000 examples the bootstrap and mean ± 1.96 standard errors must nearly coincide."""
    b = rng.random(2000) < 0.75
    a = np.where(rng.random(2000) < 0.2, ~b, b)
    d = a.astype(float) - b
    error = d.std(ddof=1) / math.sqrt(2000)
    found = paired_difference(a, b)
    assert found.value == pytest.approx(d.mean())
    assert found.low == pytest.approx(d.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(d.mean() + 1.96 * error, abs=0.1 * error)


def test_pairing_narrows_the_interval(rng):
    """Two prompts that fail on the same sentences: pairing gains by it, scrambling loses."""
    b = rng.random(1000) < 0.8
    a = b.copy()
    a[np.flatnonzero(~b)[:20]] = True
    paired = paired_difference(a, b)
    scrambled = paired_difference(a, rng.permutation(b))
    assert paired.value == scrambled.value
    assert paired.low > 0 > scrambled.low
    assert paired.high - paired.low < 0.5 * (scrambled.high - scrambled.low)


@pytest.mark.parametrize(
    ("seeds", "spread"), [(1, 0.0), (2, 0.04), (3, 0.01), (3, 0.04), (5, 0.02), (5, 0.04)]
)
def test_paired_difference_covers_examples_and_seeds(seeds, spread, rng):
    """True difference 0.10; training runs that spread, 400 sentences that all seeds share."""
    trials, hits = 300, 0
    for trial in range(trials):
        accuracy = rng.normal(0.85, spread, size=(seeds, 1))
        ease = math.sqrt(0.7) * rng.normal(size=400)
        a = stats.norm.cdf(ease + math.sqrt(0.3) * rng.normal(size=(seeds, 400))) < accuracy
        b = rng.random(400) < 0.75
        found = paired_difference(a, b, n_boot=300, seed=trial)
        hits += found.low <= 0.10 <= found.high
    assert 0.92 <= hits / trials <= 0.99


def test_seeds_that_disagree_widen_the_interval():
    """Every sentence alike within a seed: all spread is between seeds and must not vanish."""
    a = np.array([[1.0] * 50, [0.0] * 50, [1.0] * 50])
    found = paired_difference(a, np.zeros(50))
    half = 4.302652729911275 * math.sqrt(1 / 3) / math.sqrt(3)  # Student's, of the seeds' means
    assert found == pytest.approx((2 / 3, 2 / 3 - half, 2 / 3 + half))


def test_of_one_example_the_interval_is_that_of_the_seeds():
    found = paired_difference([[1.0], [0.0], [1.0]], [[0.0]] * 3)
    assert found == pytest.approx((2 / 3, *mean_interval([1.0, 0.0, 1.0])))


def test_seeds_that_agree_to_the_last_answer_leave_the_interval_of_one(rng):
    one = rng.random(3000) < 0.8, rng.random(3000) < 0.7
    thrice = paired_difference(*(np.tile(row, (3, 1)) for row in one))
    assert thrice == pytest.approx(paired_difference(*one), abs=0.001)


def test_scores_without_seeds_stand_for_every_seed(rng):
    a, b = rng.random((3, 40)) < 0.8, rng.random(40) < 0.5
    assert paired_difference(a, b) == paired_difference(a, np.tile(b, (3, 1)))
    forward, backward = paired_difference(a, b), paired_difference(b, a)
    assert backward == pytest.approx((-forward.value, -forward.high, -forward.low))


def test_paired_difference_is_repeatable_and_seeded(rng):
    a, b = rng.random(100), rng.random(100)
    assert paired_difference(a, b, seed=1) == paired_difference(a, b, seed=1)
    assert paired_difference(a, b, seed=1) != paired_difference(a, b, seed=2)


# ---------------------------------------------------------------- McNemar, false discoveries


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (3, 3), (2, 7), (9, 1), (0, 8)])
def test_mcnemar_against_every_way_the_discordant_examples_could_have_fallen(only_a, only_b):
    a = [True] * only_a + [False] * only_b + [True, True, False]
    b = [False] * only_a + [True] * only_b + [True, True, False]
    falls = list(itertools.product((0, 1), repeat=only_a + only_b))
    observed = abs(only_a - only_b)
    extreme = sum(abs(2 * sum(fall) - len(fall)) >= observed for fall in falls)
    assert mcnemar_exact(a, b) == pytest.approx(extreme / len(falls))
    assert mcnemar_exact(b, a) == pytest.approx(extreme / len(falls))


def test_false_discovery_by_its_definition(rng):
    """Adjusted p: the smallest level q at which the step-up procedure rejects this hypothesis."""
    p = np.concatenate([rng.random(12), rng.random(6) / 50, [0.02, 0.02]])
    ordered = np.sort(p)

    def rejected(q: float) -> np.ndarray:
        passing = np.flatnonzero(ordered <= q * np.arange(1, len(p) + 1) / len(p) + 1e-15)
        return p <= ordered[passing[-1]] if len(passing) else np.zeros(len(p), bool)

    levels = np.unique(
        np.minimum(1, [len(p) * v / rank for v in p for rank in range(1, len(p) + 1)])
    )
    by_definition = [min(q for q in levels if rejected(q)[i]) for i in range(len(p))]
    assert false_discovery(p) == pytest.approx(np.array(by_definition))


def test_false_discovery_keeps_its_promise(rng):
    """90 null and 10 real effects: the mean share of false discoveries stays at or below 10 %."""
    shares = []
    for _ in range(400):
        z = np.concatenate([rng.normal(size=90), rng.normal(3.5, 1, size=10)])
        found = false_discovery(stats.norm.sf(z)) <= 0.1
        shares.append(found[:90].sum() / max(1, found.sum()))
    assert 0.05 <= np.mean(shares) <= 0.11  # expected: 0.09; 0 would mean that nothing is found


# ---------------------------------------------------------------- counts


def test_flip_rate_of_names_and_indices():
    assert flip_rate(["pos", "neg", "pos", "neg"], ["pos", "pos", "pos", "pos"]) == 0.5
    assert flip_rate(np.array([0, 1, 2]), np.array([0, 1, 2])) == 0.0


def test_worse_better_equal_ignores_rounding_but_not_one_example():
    baseline = 0.1 + 0.2  # 0.30000000000000004
    one_more = 0.3 + 1 / 100_000
    scores = [0.3, 3 / 10, one_more, 0.29, 0.1]
    assert worse_better_equal(scores, baseline) == Counts(worse=2, better=1, equal=2)


# ---------------------------------------------------------------- wrong inputs


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: accuracy_interval([]), "no examples"),
        (lambda: accuracy_interval((0, 0)), "0 right out of 0"),
        (lambda: accuracy_interval((5, 3)), "5 right out of 3"),
        (lambda: accuracy_interval([0.3, 0.9]), "other than 0 and 1"),
        (lambda: pearson([1, math.nan], [1, 2]), "NaN"),
        (lambda: pearson([1, 2, 3], [1, 2]), r"\(3,\) and \(2,\)"),
        (lambda: mean_interval([0.8]), "at least 2 seeds"),
        (lambda: paired_difference([1, 0], [1, 0, 1]), r"\(1, 2\) and \(1, 3\)"),
        (lambda: paired_difference(np.ones((2, 4)), np.ones((3, 4))), "same seeds"),
        (lambda: paired_difference(np.ones((2, 2, 2)), np.ones((2, 2, 2))), "seeds, examples"),
        (lambda: mcnemar_exact([True], [True, False]), "same examples"),
        (lambda: false_discovery([0.2, 1.3]), "0.2 and 1.3"),
        (lambda: flip_rate([], []), "same examples"),
        (lambda: worse_better_equal([[0.5]], 0.5), r"shape \(1, 1\)"),
    ],
)
def test_a_wrong_input_is_named_in_one_line(call, names):
    with pytest.raises(LabError, match=names) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- prediction matrices


def noisy_orders(rng, accuracies, n=300):
    """Predictions (R, N) that are right with the given probability each, and the targets (N,)."""
    targets = rng.integers(0, 2, n)
    right = rng.random((len(accuracies), n)) < np.asarray(accuracies)[:, None]
    return np.where(right, targets, 1 - targets), targets


@pytest.mark.parametrize(
    ("of_rows", "of_targets"),
    [
        (1.0, 1.0),
        (1e-3, 1.0),
        (1e-6, 1e-3),
        (1e-7, 1e-7),
        (1e-12, 1e6),
        (1e9, 1e-9),
        (1e-80, 1e-80),
    ],
)
def test_a_correlation_does_not_depend_on_the_scale_of_the_values(rng, of_rows, of_targets):
    targets = rng.normal(size=40)
    rows = (0.3 * targets + rng.normal(size=(3, 40)) + 2.0) * of_rows
    rows = np.vstack([rows, rows[:1] * 1e5, np.full((1, 40), of_rows)])  # and a constant guess
    seen = scores(rows, targets * of_targets, "pearson")
    # a pearsonr of values as small as 1e-80 underflows, so scipy is asked about larger ones
    theirs = [stats.pearsonr(row / of_rows, targets).statistic for row in rows[:-1]]
    np.testing.assert_allclose(seen, [*theirs, 0.0], atol=1e-9)
    drawn = bootstrap_scores(rows, targets * of_targets, "pearson", 20, 0)
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 3], atol=1e-9)
    assert drawn[:, 0].std() > 0.01 and (drawn[:, 4] == 0).all()


def test_scores_of_a_matrix_are_those_of_its_rows(rng):
    targets = rng.normal(size=50)
    values = targets + rng.normal(size=(4, 50))
    values[2] = 1.5  # a model that answers the same every time
    by_row = [0.0 if np.ptp(row) == 0 else stats.pearsonr(row, targets)[0] for row in values]
    assert scores(values, targets, "pearson") == pytest.approx(by_row, abs=1e-12)
    predictions, classes = noisy_orders(rng, [0.5, 0.9])
    by_hand = [(row == classes).mean() for row in predictions]
    assert scores(predictions, classes, "accuracy") == pytest.approx(by_hand)


@pytest.mark.parametrize("metric", ["accuracy", "pearson"])
def test_bootstrap_scores_are_scores_of_drawn_examples(rng, metric):
    if metric == "accuracy":
        values, targets = noisy_orders(rng, [0.6, 0.8, 0.9], n=40)
    else:
        targets = rng.normal(size=40)
        values = targets + rng.normal(size=(3, 40))
    drawn = bootstrap_scores(values, targets, metric, n_boot=50, seed=7)
    weights = np.random.default_rng(7).multinomial(40, np.full(40, 1 / 40), size=50)
    for row, weight in zip(drawn, weights, strict=True):
        chosen = np.repeat(np.arange(40), weight)
        assert row == pytest.approx(scores(values[:, chosen], targets[chosen], metric))


def test_difference_of_scores_is_the_paired_difference(rng):
    predictions, targets = noisy_orders(rng, [0.7, 0.8])
    right = predictions == targets
    ours = difference_of_scores(predictions[1:], predictions[:1], targets, "accuracy")
    theirs = paired_difference(right[1], right[0])
    assert ours.value == pytest.approx(theirs.value)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_noise_share_of_accuracies_is_one_over_f(rng):
    """Fisher's two-way analysis of variance without replication, by its sums of squares."""
    predictions, targets = noisy_orders(rng, np.linspace(0.6, 0.8, 30))
    right = (predictions == targets).astype(float)
    orders, n = right.shape
    by_order, by_example = right.mean(1, keepdims=True), right.mean(0, keepdims=True)
    between = n * np.sum((by_order - right.mean()) ** 2) / (orders - 1)
    rest = np.sum((right - by_order - by_example + right.mean()) ** 2) / (orders - 1) / (n - 1)
    ours = noise_share(predictions, targets, "accuracy", n_boot=4000)
    assert ours == pytest.approx(rest / between, rel=0.05)


@pytest.mark.parametrize("orders", [2, 3, 5])
def test_noise_share_of_a_few_orders_is_one_over_f_too(rng, orders):
    """The mean of R rows moves with each of them: R / (R − 1), which many rows hide."""
    predictions, targets = noisy_orders(rng, np.linspace(0.6, 0.85, orders))
    right = (predictions == targets).astype(float)
    by_order, by_example = right.mean(1, keepdims=True), right.mean(0, keepdims=True)
    between = right.shape[1] * np.sum((by_order - right.mean()) ** 2) / (orders - 1)
    around = right - by_order - by_example + right.mean()
    rest = np.sum(around**2) / (orders - 1) / (right.shape[1] - 1)
    ours = noise_share(predictions, targets, "accuracy", n_boot=8000)
    assert ours == pytest.approx(rest / between, rel=0.08)


def test_noise_share_tells_noise_from_difference(rng):
    equal, targets = noisy_orders(rng, [0.8] * 100)
    assert noise_share(equal, targets, "accuracy") > 0.7
    apart, targets = noisy_orders(rng, np.linspace(0.5, 0.9, 100))
    assert noise_share(apart, targets, "accuracy") < 0.1
    assert noise_share(equal[[0, 0, 0]], targets, "accuracy") == 1.0


def test_spread_is_best_minus_worst_and_lies_in_its_interval(rng):
    predictions, targets = noisy_orders(rng, [0.6, 0.7, 0.9])
    found = spread(predictions, targets, "accuracy")
    assert found.value == pytest.approx(np.ptp((predictions == targets).mean(1)))
    assert found.low < found.value < found.high


def test_the_best_of_many_equals_is_worth_nothing_on_the_other_half():
    """The winner's curse on pure noise, over 40 worlds in which every order is equally good."""
    chosen, reported, covered = [], [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        predictions, targets = noisy_orders(rng, [0.8] * 201, n=256)
        found = best_on_held_out(predictions[1:], predictions[0], targets, "accuracy", seed)
        chosen.append(found.chosen)
        reported.append(found.reported.value)
        covered += found.reported.low <= 0 <= found.reported.high
    assert min(chosen) > 0.03
    assert abs(np.mean(reported)) < 0.01
    assert covered >= 34


def test_a_truly_better_order_is_better_on_the_other_half_too(rng):
    predictions, targets = noisy_orders(rng, [0.7] + [0.7] * 50 + [0.95])
    found = best_on_held_out(predictions[1:], predictions[0], targets, "accuracy")
    assert found.reported.low > 0.1


@pytest.mark.parametrize("n", [8, 40, 256])
def test_the_two_halves_are_drawn_apart(n):
    """The variance of a mean of two independent means, from the gains themselves."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        row, baseline = rng.integers(0, 2, (2, n))
        found = best_on_held_out([row], baseline, np.ones(n, dtype=int), "accuracy", seed)
        halves = np.array_split(np.random.default_rng(seed).permutation(n), 2)
        apart = [(row - baseline)[half] for half in halves]
        expected = sum(gains.var() / len(gains) for gains in apart) / 4
        assert found.drawn.var() == pytest.approx(expected, rel=0.12)


def test_of_equally_good_orders_the_first_is_the_best():
    """Orders come at random, so the first of a tie is as good a choice as any, and always the
    same; one that is better where it was chosen goes before it."""
    targets = np.ones(64, dtype=int)
    half, other = np.array_split(np.random.default_rng(0).permutation(64), 2)
    baseline = np.zeros(64, dtype=int)
    good, bad = baseline.copy(), baseline.copy()
    for row, share in ((good, 24), (bad, 8)):  # alike on one half, apart on the other
        row[half[:16]] = 1
        row[other[:share]] = 1
    first = best_on_held_out([good, bad], baseline, targets, "accuracy").reported.value
    turned = best_on_held_out([bad, good], baseline, targets, "accuracy").reported.value
    # chosen on the first half by their place, on the second half by being better
    assert first == pytest.approx((24 / 32 + 16 / 32) / 2)
    assert turned == pytest.approx((8 / 32 + 16 / 32) / 2)


def test_the_detectable_effect_is_detected_four_times_in_five(rng):
    """A mean whose interval is as wide, drawn around that effect, leaves zero out in 80 %."""
    ends = Difference(0.0, -0.05, 0.05)
    effect = detectable_effect(ends)
    drawn = rng.normal(effect, 0.05 / stats.norm.ppf(0.975), size=200_000)
    assert np.mean(np.abs(drawn) > 0.05) == pytest.approx(0.8, abs=0.005)


def test_prediction_matrices_are_checked(rng):
    predictions, targets = noisy_orders(rng, [0.7, 0.8])
    with pytest.raises(LabError, match="one row per order"):
        scores(predictions[:, :-1], targets, "accuracy")
    with pytest.raises(LabError, match="accuracy or pearson"):
        scores(predictions, targets, "f1")
    with pytest.raises(LabError, match="too few"):
        best_on_held_out(predictions[:, :6], predictions[0, :6], targets[:6], "accuracy")
