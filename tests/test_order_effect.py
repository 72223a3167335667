"""The mean order effect: variances that were put in come out, intervals cover, few scorings do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.shuffle_probe import (
    Components,
    Costs,
    IncompleteProbe,
    Probe,
    Shuffle,
    best_effect,
    cheapest,
    components,
    from_matrix,
    incomplete_design,
    mean_effect,
    pooled_effect,
    probe_incomplete,
    probe_order,
    scattered_effect,
    spread_by_factor,
)
from labkit.soft_prompt import SoftPrompt

PUT_IN = {"prompt": 0.03, "order": 0.04, "sentence": 0.25, "prompt_sentence": 0.1}


def worlds(seed, *, prompts=5, orders=12, sentences=80, effect=-0.05, spreads=PUT_IN):
    """Probes whose answers are right by chance; how likely, the factors say (standard deviations).

    The trained order is right wherever it is scored, so that the effect of an order on a sentence
    is −1 where its answer is wrong: its mean is ``effect`` moved by each factor.
    """
    random = np.random.default_rng(seed)
    of_sentence = random.normal(0, spreads["sentence"], sentences)
    probes = []
    for _ in range(prompts):
        chance = (
            0.5
            + effect
            + random.normal(0, spreads["prompt"])
            + random.normal(0, spreads["order"], (orders, 1))
            + of_sentence
            + random.normal(0, spreads["prompt_sentence"], sentences)
        )
        right = random.random((orders, sentences)) < chance
        trained = np.ones(sentences, dtype=int)
        probes.append(
            Probe(
                orders=np.tile(np.arange(4), (orders, 1)),
                predictions=right.astype(int),
                trained=trained,
                targets=np.ones(sentences, dtype=int),
                metric="accuracy",
            )
        )
    return probes


def test_variances_that_were_put_in_come_out():
    found = [components(worlds(seed, orders=40, sentences=200)) for seed in range(60)]
    for name, spread in PUT_IN.items():
        values = [getattr(parts, name) for parts in found]
        assert np.mean(values) == pytest.approx(spread**2, rel=0.3), name


def test_what_few_orders_and_sentences_add_is_not_taken_for_prompts_that_differ():
    """The spread of twelve prompts' means is a third too large where each is read so little."""
    spreads = {"prompt": 0.1, "order": 0.04, "sentence": 0.1, "prompt_sentence": 0.1}
    sizes = {"prompts": 12, "orders": 4, "sentences": 20}
    found = [components(worlds(seed, **sizes, spreads=spreads)).prompt for seed in range(200)]
    assert np.mean(found) == pytest.approx(0.1**2, rel=0.15)


def test_the_interval_covers_the_effect_over_prompts_orders_and_sentences():
    """A hundred worlds of five prompts: where only sentences are drawn anew, coverage is lost."""
    spreads = {"prompt": 0.06, "order": 0.1, "sentence": 0.1, "prompt_sentence": 0.1}
    covered = {"all": 0, "sentences": 0}
    for seed in range(100):
        probes = worlds(seed, orders=10, sentences=60, spreads=spreads)
        for name, factors in (("all", ("prompts", "orders", "sentences")), ("sentences",) * 2):
            factors = (factors,) if isinstance(factors, str) else factors
            low, high = mean_effect(probes, n_boot=400, factors=factors)[1:]
            covered[name] += low <= 0.5 - 0.05 - 1 <= high
    assert covered["all"] >= 90
    assert covered["sentences"] <= 85


@pytest.mark.parametrize("prompts", [2, 5, 10])
def test_what_a_full_plan_of_several_prompts_promises_is_what_its_analysis_gives(prompts):
    """Few orders, prompts that differ little: their own noise is large and counts once."""
    spreads = {"prompt": 0.01, "order": 0.1, "sentence": 0.1, "prompt_sentence": 0.1}
    parts = Components(
        **{name: spread**2 for name, spread in spreads.items()}, rest=0.45 * 0.55 - 0.03
    )
    squares = []
    for seed in range(300):
        probes = worlds(seed, prompts=prompts, orders=5, sentences=60, spreads=spreads)
        low, high = mean_effect(probes, n_boot=200)[1:]
        squares.append(((high - low) / 2) ** 2)
    promised = parts.half_width(prompts, 5, 60, 5 * 60)
    assert np.sqrt(np.mean(squares)) == pytest.approx(promised, rel=0.08)


def test_as_many_orders_as_sentences_are_not_given_the_same_draws():
    """An order that is right on one sentence only: with the same draws both would come together."""
    right = np.eye(40, dtype=int)
    targets = np.ones(40, dtype=int)
    probe = Probe(np.tile(np.arange(4), (40, 1)), right, targets * 0, targets, "accuracy")
    drawn = mean_effect([probe], n_boot=4000)
    assert drawn.value == pytest.approx(1 / 40)
    # drawn apart, Σ w v / n² with independent counts w and v has this standard deviation
    apart = np.sqrt(40) / 40**2
    assert (drawn.high - drawn.low) / 2 == pytest.approx(1.96 * apart, rel=0.15)


def test_one_prompt_gives_the_interval_of_its_probe_widened_by_its_orders():
    (probe,) = worlds(3, prompts=1)
    ours, its = mean_effect([probe]), probe.mean_difference()
    assert ours.value == pytest.approx(its.value)
    assert ours.high - ours.low >= 0.95 * (its.high - its.low)
    only = mean_effect([probe], factors=["sentences"])
    assert (only.low, only.high) == pytest.approx((its.low, its.high), abs=0.01)
    assert set(spread_by_factor([probe])) == {"orders", "sentences"}


def test_the_predicted_half_width_is_the_bootstraps():
    spreads = {**PUT_IN, "prompt": 0.0}
    ratios = []
    for seed in range(10):
        probes = worlds(seed, prompts=1, orders=30, sentences=150, spreads=spreads)
        low, high = mean_effect(probes, n_boot=1000)[1:]
        ratios.append(components(probes).half_width(1, 30, 150, 30 * 150) / ((high - low) / 2))
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("prompts", [2, 6])
def test_prompts_alone_drawn_anew_give_students_interval_of_their_effects(prompts):
    for seed in range(20):
        probes = worlds(seed, prompts=prompts, orders=2, sentences=40)
        effects = [probe.scores.mean() - probe.baseline for probe in probes]
        found = mean_effect(probes, factors=["prompts"])[1:]
        half = stats.t.ppf(0.975, prompts - 1) * stats.sem(effects)
        assert found == pytest.approx((np.mean(effects) - half, np.mean(effects) + half))


def effects_of_an_incomplete_design(random, parts, prompts, sentences, per_sentence, per_order):
    """Effects with the variances of ``parts``, each sentence read in a few orders: (P, N)."""
    blocks = sentences // per_order
    common = random.normal(0, parts.sentence**0.5, sentences)
    effects = np.empty((prompts, sentences))
    for own in effects:
        of_order = random.normal(0, parts.order**0.5, (per_sentence, blocks))
        of_order = np.stack([row[random.permutation(sentences) // per_order] for row in of_order])
        cells = of_order + random.normal(0, parts.rest**0.5, (per_sentence, sentences))
        alike = random.normal(0, parts.prompt**0.5)
        own[:] = alike + common + random.normal(0, parts.prompt_sentence**0.5, sentences)
        own += cells.mean(axis=0)
    return effects


@pytest.mark.parametrize(("prompts", "wanted"), [(3, 0.045), (5, 0.025)])
def test_what_a_plan_promises_is_what_its_analysis_gives(prompts, wanted):
    parts = Components(
        prompt=0.01**2, order=0.02**2, sentence=0.1**2, prompt_sentence=0.15**2, rest=0.3**2
    )
    dear = Costs(prompt=1e9, order=0, scoring=1)  # so that it is planned with these prompts
    plan = cheapest(parts, dear, wanted, sentences=512, available=10**6, at_least_prompts=prompts)
    assert plan.prompts == prompts
    random, numbers = np.random.default_rng(0), (plan.sentences, plan.per_sentence, plan.per_order)
    effects = [
        pooled_effect(effects_of_an_incomplete_design(random, parts, prompts, *numbers))
        for _ in range(200)
    ]
    widths = np.array([(effect.high - effect.low) / 2 for effect in effects])
    assert np.sqrt(np.mean(widths**2)) == pytest.approx(plan.half_width, rel=0.12)


def test_what_a_plan_of_own_draws_promises_is_what_its_analysis_gives():
    """Each prompt on sentences of its own: the same numbers reach further than one set for all."""
    parts = Components(
        prompt=0.03**2, order=0.05**2, sentence=0.4**2, prompt_sentence=0.2**2, rest=0.2**2
    )
    asked = {"sentences": 1024, "available": 10**6, "at_least_prompts": 10}
    costs = Costs(prompt=1e4, order=0, scoring=1)
    with pytest.raises(LabError, match=r"2\.5 points is out of reach"):
        cheapest(parts, costs, 0.025, **asked)
    plan = cheapest(parts, costs, 0.025, pool=4096, **asked)
    assert plan.half_width <= 0.025 and plan.per_sentence == 1
    random, widths = np.random.default_rng(0), []
    for _ in range(150):
        of_sentence = random.normal(0, parts.sentence**0.5, 4096)
        blocks = np.arange(plan.sentences) // plan.per_order
        draws, effects = [], []
        for _ in range(plan.prompts):
            draws.append(random.permutation(4096)[: plan.sentences])
            own = random.normal(0, parts.prompt**0.5) + of_sentence[draws[-1]]
            own += random.normal(0, parts.order**0.5, blocks.max() + 1)[blocks]
            alone = (parts.prompt_sentence + parts.rest) ** 0.5
            effects.append(own + random.normal(0, alone, plan.sentences))
        prompt = np.repeat(np.arange(plan.prompts), plan.sentences)
        effect = scattered_effect(np.concatenate(effects), prompt, np.concatenate(draws))
        widths.append((effect.high - effect.low) / 2)
    assert np.sqrt(np.mean(np.square(widths))) == pytest.approx(plan.half_width, rel=0.08)


@pytest.mark.parametrize("per_order", [32, 8])  # 8 and 32 orders
def test_what_a_plan_of_one_prompt_promises_is_what_its_analysis_gives(per_order):
    parts = Components(prompt=None, order=0.1**2, sentence=0.2**2, prompt_sentence=0, rest=0.3**2)
    random, widths = np.random.default_rng(0), []
    for seed in range(300):
        design = incomplete_design(Shuffle(), 20, 128, per_order=per_order, seed=seed)
        effects = random.normal(0, parts.order**0.5, len(design.orders))[design.order]
        effects += random.normal(0, parts.sentence**0.5, 128)[design.sentence]
        effects += random.normal(0, parts.rest**0.5, len(effects))
        effect = IncompleteProbe(design, effects, np.zeros(128)).mean_difference()
        widths.append((effect.high - effect.low) / 2)
    promised = parts.half_width(1, len(design.orders), 128, len(design.order), full=False)
    assert np.sqrt(np.mean(np.square(widths))) == pytest.approx(promised, rel=0.06)
    assert parts.half_width(1, 1, 128, 128, full=False) == np.inf


def test_probes_of_other_sentences_are_not_mixed():
    (first,), (second,) = worlds(0, prompts=1), worlds(0, prompts=1, sentences=81)
    for measure in (mean_effect, components):
        with pytest.raises(LabError, match="different sentences"):
            measure([first, second])
        with pytest.raises(LabError, match="no probe"):
            measure([])


# ---- incomplete designs ----


@pytest.mark.parametrize("length", [3, 20])  # 5 other orders, or more than anybody can score
def test_a_design_is_balanced_and_repeats_no_pair(length):
    design = incomplete_design(Shuffle(), length, 50, per_sentence=3, per_order=8, seed=1)
    pairs = list(zip(design.order.tolist(), design.sentence.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) == 150
    assert set(np.bincount(design.sentence)) == {3}
    assert np.array_equal(np.sort(design.orders, axis=1)[0], np.arange(length))
    assert not (design.orders == np.arange(length)).all(1).any()
    by_order = np.bincount(design.order, minlength=len(design.orders))
    if length == 20:
        assert len(design.orders) == 21 and set(by_order) <= {7, 8}
    else:
        assert len(design.orders) == 5 and by_order.min() >= 20


def equal_orders(seed, prompts=5, orders=20, sentences=120):
    """Prompts all of whose orders, the trained one too, are right by one chance of the prompt's."""
    random = np.random.default_rng(seed)
    targets = np.ones(sentences, dtype=int)
    probes = []
    for _ in range(prompts):
        right = random.random((orders + 1, sentences)) < random.uniform(0.6, 0.9)
        answers = right.astype(int)
        places = np.tile(np.arange(4), (orders, 1))
        probes.append(Probe(places, answers[1:], answers[0], targets, "accuracy"))
    return probes


def test_the_best_order_gains_nothing_over_prompts_whose_orders_are_alike():
    """The interval leaves zero out no more often than it says; one prompt's alone keeps its own."""
    effects = [best_effect(equal_orders(seed), n_boot=400) for seed in range(100)]
    assert sum(not low <= 0 <= high for _, low, high in effects) <= 12
    assert abs(np.mean([effect.value for effect in effects])) < 0.01
    probes = equal_orders(0)
    each = [probe.best_on_held_out().reported.value for probe in probes]
    assert best_effect(probes).value == pytest.approx(np.mean(each))
    assert best_effect(probes[:1]) == probes[0].best_on_held_out().reported


def test_a_best_order_of_some_prompts_only_is_no_rule():
    """Two prompts that gain much and three that lose: a mean, but no sign of other prompts."""
    probes = equal_orders(0, sentences=400)
    for index, probe in enumerate(probes):
        trained = np.zeros(400, dtype=int) if index < 2 else np.ones(400, dtype=int)
        probes[index] = replace(probe, trained=trained)
    _, low, high = best_effect(probes)
    assert low < 0 < high


def test_more_orders_of_a_sentence_than_there_are_is_refused():
    with pytest.raises(LabError, match="5 other orders"):
        incomplete_design(Shuffle(), 3, 10, per_sentence=6)
    with pytest.raises(LabError, match="per_order=0"):
        incomplete_design(Shuffle(), 20, 10, per_order=0)


def stored(model):
    return Probe.load(experiments.REFERENCE / f"table1-{model}-rt-polarity" / f"{model}-seed0.npz")


def random_cells(probe, seed, per_sentence, per_order=8):
    """A design over the orders of a stored matrix, all of them equally likely."""
    drawn = incomplete_design(
        Shuffle(), 20, len(probe.targets), per_sentence=per_sentence, per_order=per_order, seed=seed
    )
    random = np.random.default_rng(seed)
    rows = random.permutation(len(probe.orders))[: len(drawn.orders)]
    assert len(rows) == len(drawn.orders)
    return replace(drawn, orders=probe.orders, order=rows[drawn.order])


@pytest.mark.parametrize("model", ["minilm", "smollm2"])
def test_a_fraction_of_a_stored_matrix_is_unbiased_for_all_of_it(model):
    probe = stored(model)
    whole = probe.scores.mean() - probe.baseline
    effects = [
        from_matrix(probe, random_cells(probe, seed, per_sentence=2)).mean_difference()
        for seed in range(300)
    ]
    means = np.array([effect.value for effect in effects])
    assert means.mean() == pytest.approx(whole, abs=4 * means.std() / np.sqrt(len(means)))
    assert means.std() < 0.02


@pytest.mark.parametrize("model", ["minilm", "smollm2"])
def test_equal_half_width_takes_a_tenth_of_the_scorings(model):
    """Measured on stored matrices of 200 orders: more sentences, few orders of each."""
    probe = stored(model)
    orders, sentences = probe.predictions.shape
    parts = components([probe])
    wanted = parts.half_width(1, orders, sentences, orders * sentences)
    plan = cheapest(parts, Costs(0, 0, 1), wanted, sentences=1060, available=10**6)
    assert plan.half_width <= wanted
    assert (orders + 1) * sentences / plan.scorings >= 10


@pytest.mark.parametrize(("per_order", "orders"), [(6, 40), (30, 8), (60, 4), (120, 2)])
def test_the_estimate_is_unbiased_and_its_interval_covers(per_order, orders):
    """Four hundred worlds with another effect of every order and sentence, truth known."""
    truth, covered, values = -0.08, 0, []
    for seed in range(400):
        random = np.random.default_rng(seed)
        sizes = {"per_sentence": 2, "per_order": per_order}
        design = incomplete_design(Shuffle(), 20, 120, **sizes, seed=seed)
        assert len(design.orders) == orders
        of_order = random.normal(0, 0.15, len(design.orders))
        of_sentence = random.normal(0, 0.2, 120)
        chance = 0.6 + truth + of_order[design.order] + of_sentence[design.sentence]
        right = random.random(len(chance)) < chance
        probe = IncompleteProbe(design, right, random.random(120) < 0.6 + of_sentence)
        effect = probe.mean_difference()
        values.append(effect.value)
        covered += effect.low <= truth <= effect.high
    assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / 20)
    assert covered >= 0.92 * 400


def test_a_design_of_one_order_or_one_sentence_has_no_interval(tiny_backbone, tiny_task):
    """Nor is it scored: the remedy is one of the design's."""
    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task)
    prompt = SoftPrompt.from_vocab(model.backbone, 5)
    sizes = {"per_sentence": 1, "per_order": 8}
    designs = {
        "has 1 and 8": incomplete_design(Shuffle(), 5, 8, **sizes),
        "has 1 and 4": incomplete_design(Shuffle(fixed=(0, 2)), 5, 4, **sizes),
        "has 2 and 1": incomplete_design(Shuffle(), 5, 1),
    }
    for has, design in designs.items():
        words = f"{has};.*--per-order.*--per-sentence.*--fixed, --unit"
        with pytest.raises(LabError, match=words):
            probe_incomplete(
                model, prompt, tiny_task, design, progress=lambda *_: pytest.fail("it was scored")
            )
        answers = np.ones(len(design.order), bool), np.ones(design.sentences, bool)
        with pytest.raises(LabError, match=words):
            IncompleteProbe(design, *answers).mean_difference()


@pytest.mark.parametrize("family", ["llama", "bert-encoder", "bert", "roberta", "t5"])
def test_scorings_are_those_of_the_full_matrix(tiny_backbone, tiny_task, family):
    model = PromptedModel.for_task(tiny_backbone(family), tiny_task)
    prompt = SoftPrompt.from_vocab(model.backbone, length=5, seed=1)
    count = len(tiny_task.split("test"))
    design = incomplete_design(Shuffle(), 5, count, per_sentence=3, per_order=4, seed=0)
    ours = probe_incomplete(model, prompt, tiny_task, design)
    full = probe_order(model, prompt, tiny_task, design.orders, limit=count)
    expected = from_matrix(full, design)
    np.testing.assert_array_equal(ours.right, expected.right)
    np.testing.assert_array_equal(ours.trained_right, expected.trained_right)
    assert ours.scorings == count * 4


def test_a_correlation_has_no_incomplete_design(tiny_backbone, tiny_task):
    task = replace(tiny_task, labels=(), range=(0.0, 5.0))
    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task)
    design = incomplete_design(Shuffle(), 5, 8)
    with pytest.raises(LabError, match="correlation"):
        probe_incomplete(model, SoftPrompt.from_vocab(model.backbone, 5), task, design)
    with pytest.raises(LabError, match="--limit"):
        probe_incomplete(
            model,
            SoftPrompt.from_vocab(model.backbone, 5),
            tiny_task,
            incomplete_design(Shuffle(), 5, 1000),
        )


# ---- plans ----


def test_the_cheapest_plan_weighs_what_things_cost():
    parts = Components(prompt=4e-4, order=1e-3, sentence=0.1, prompt_sentence=0.05, rest=0.1)
    asked = {"half_width": 0.03, "sentences": 1060, "available": 10**9}
    for design, available in (("full", 1), ("incomplete", 0)):  # a prompt of 2 or of 1 has these
        with pytest.raises(LabError, match=f"{design} design .* more orders than {available}"):
            cheapest(parts, Costs(1, 1, 1), **asked | {"available": available, "design": design})
    dear = cheapest(parts, Costs(prompt=1e4, order=1, scoring=1), **asked)
    cheap = cheapest(parts, Costs(prompt=1, order=1, scoring=1), **asked)
    assert dear.half_width <= 0.03 and cheap.half_width <= 0.03
    assert dear.prompts < cheap.prompts
    assert cheap.sentences * cheap.prompts < dear.sentences * dear.prompts * 5
    full = cheapest(parts, Costs(1, 1, 1), design="full", **asked)
    assert full.scorings == full.sentences * (full.orders + 1) > cheap.scorings
    narrow = cheapest(parts, Costs(1, 1, 1), **{**asked, "half_width": 0.025})
    assert narrow.seconds > cheap.seconds
    with pytest.raises(LabError, match="out of reach"):
        cheapest(parts, Costs(1, 1, 1), **{**asked, "half_width": 0.001})


def test_a_full_plan_of_one_prompt_has_orders_enough_for_the_interval_of_its_row():
    """Which leaves out which orders were drawn: five of them would cover far too seldom."""
    parts = Components(prompt=None, order=0.05**2, sentence=0.3**2, prompt_sentence=0, rest=0.3**2)
    plan = cheapest(parts, Costs(1, 1, 1), 0.05, sentences=256, available=10**9, design="full")
    random = np.random.default_rng(0)

    def covered(orders):
        hits = 0
        for _ in range(600):
            of_order = random.normal(0, parts.order**0.5, (orders, 1))
            of_sentence = random.normal(0, parts.sentence**0.5, plan.sentences)
            rest = random.normal(0, parts.rest**0.5, (orders, plan.sentences))
            means = (of_order + of_sentence + rest).mean(axis=0)  # as read: these orders
            hits += abs(means.mean()) <= 1.96 * stats.sem(means)
        return hits / 600

    assert plan.half_width <= 0.05 and plan.orders > 5
    assert covered(plan.orders) > 0.915 and covered(5) < 0.88
    apart = replace(parts, order=10.0)
    with pytest.raises(LabError, match="lie too far apart for a full design"):
        cheapest(apart, Costs(1, 1, 1), 5.0, sentences=256, available=10**9, design="full")


def test_the_seconds_of_a_plan_are_those_of_all_that_it_reads():
    """Every prompt trained, read in the trained order and in each of the design's, and scored."""
    parts = Components(prompt=4e-4, order=1e-3, sentence=0.1, prompt_sentence=0.05, rest=0.1)
    asked = {"half_width": 0.04, "sentences": 512, "available": 10**9}
    plan = cheapest(parts, Costs(prompt=70, order=3, scoring=0.1), **asked)
    sizes = {"per_sentence": plan.per_sentence, "per_order": plan.per_order}
    design = incomplete_design(Shuffle(), 20, plan.sentences, **sizes)
    readings, scorings = len(design.orders) + 1, len(design.order) + plan.sentences
    assert plan.seconds == pytest.approx(plan.prompts * (70 + 3 * readings + 0.1 * scorings))
