"""``order-search``: the LSTM sorter against plain searches, at one budget of forward passes.

A prompt whose order is known to be good is shuffled, and every method is given the shuffled one.
What it finds is held against the order the prompt was trained in and against the other methods.
Two rows start from the trained order instead: they ask whether it can be improved, and not only
found again. Orders are chosen on training sentences and scored on test. A prompt that did not learn
has no order worth finding: it is scored as it was given, and nothing is claimed from it.

``order-search-prompts``: the same searches, every seed another prompt and another shuffle of it;
their differences are about other prompts and other sentences.

``swap-prediction``: how far the gradient that guides the swaps can be trusted, over all pairs.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor

from labkit.core.loading import readout_of
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import Task
from labkit.experiments import order
from labkit.experiments.base.kept import course_folder
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.recipe import recipe_for
from labkit.experiments.base.report import as_markdown, cells, table_head, verdict_section
from labkit.experiments.base.requirements import at_least
from labkit.experiments.base.rows import paired_answers, scores_of
from labkit.experiments.base.setting import Experiment, Place
from labkit.experiments.base.verdicts import Claim, each_signed, over_prompts, signed
from labkit.lstm_sorter import BUDGET, PromptLoss, pair_changes, search
from labkit.lstm_sorter.searches import SearchResult
from labkit.shuffle_probe import Shuffle
from labkit.soft_prompt import SoftPrompt, load_for

LENGTH = 20
BUDGETS = {"encoder": 9_600, "causal": 19_200}
"""Forward passes that a row may spend: 100 evaluations of 96 sentences, for the causal default
model, where the order matters, 200. The ``full`` profile spends :data:`BUDGET`."""

SWAP_SENTENCES = 48
"""Training sentences on which every exchange of two virtual tokens is tried."""

TRAINED, SHUFFLED = "trained order", "shuffled"
LSTM_UNTRAINED = "lstm, untrained"
LSTM_TUNED = "lstm, rate and temperature chosen on validation"
LSTM_GUARDED = "lstm, the trained order among its candidates"


@dataclass(frozen=True)
class SearchSetting(order.OrderSetting):
    """A search, or an order that is scored as it is.

    Attributes:
        method: as in :func:`labkit.lstm_sorter.find_order`; None: no search.
        enhanced: position enhancement for what the sorter reads.
        start: the order that the method is given, :data:`TRAINED` or :data:`SHUFFLED`.
        budget: forward passes.
        keep_given, choose_by: as in :func:`labkit.lstm_sorter.search`; None: as it does by itself.
    """

    method: str | None = None
    enhanced: bool = False
    start: str = SHUFFLED
    budget: int = BUDGET
    keep_given: bool | None = None
    choose_by: str | None = None


@dataclass(frozen=True)
class TunedSearchSetting(SearchSetting):
    """A search with several learning rates and temperatures of its gate, each at the whole budget;
    the order that scores highest on validation is the row's."""

    rates: tuple[float, ...] = (1e-3, 1e-2)
    temperatures: tuple[float, ...] = (1.0, 0.1)


def search_row(setting: SearchSetting, task: Task, seed: int, place: Place) -> dict:
    """Search from the given order; ``order`` in the row counts rows of the trained prompt."""
    return _searched(setting, task, seed, place, prompt_seed=0)


def prompt_search_row(setting: SearchSetting, task: Task, seed: int, place: Place) -> dict:
    """As :func:`search_row`, with the prompt, the shuffle and the search of this seed."""
    return _searched(setting, task, seed, place, prompt_seed=seed)


def _searched(
    setting: SearchSetting, task: Task, seed: int, place: Place, prompt_seed: int
) -> dict:
    model, prompt = course_prompt(setting, task, place, prompt_seed)
    start = _start_order(setting, len(prompt), prompt_seed)
    vectors = model.fixed_vectors(prompt)
    given = SoftPrompt(vectors[start])
    row = {
        "task": task.name,
        "method": setting.method,
        "positions": setting.enhanced,
        "start": setting.start,
        **_guards(setting),
        **model.backbone.where(),
    }
    row |= order.at_gate(model, prompt, task)
    if not row["learns"]:
        return row | scores_of(evaluate(model, given, task, limit=place.limit))
    if setting.method is None:
        return row | {"order": start} | scores_of(evaluate(model, given, task, limit=place.limit))
    find = functools.partial(
        search,
        model,
        given,
        task,
        setting.method,
        budget=setting.budget,
        seed=seed,
        positions=setting.enhanced,
        **_guards(setting),
        limit=place.limit,
        on_progress=lambda spent, budget: place.tell(spent, budget, f"{spent:,} forward passes"),
    )
    if isinstance(setting, TunedSearchSetting):
        result, chosen = _tuned(setting, find, model, given(), task)
    else:
        result, chosen = find(), {}
    best = result.best
    return {
        **row,
        "budget": setting.budget,
        "forward_passes": best.forward_passes,
        "seconds": round(result.seconds, 1),
        **chosen,
        "order": [start[i] for i in best.order],
        "is_permutation": best.is_permutation,
        "distinct": len(set(best.order)),
        "loss_before": best.loss_before,
        "loss": best.loss,
        "history": [list(point) for point in best.history],
        "before": result.before.value,
        **scores_of(result.after),
    }


def swap_row(setting: SearchSetting, task: Task, seed: int, place: Place) -> dict:
    """Every exchange of two virtual tokens: what one gradient predicts, and what comes of it.

    ``value`` is Spearman's correlation of the two over all pairs.
    """
    model, prompt = course_prompt(setting, task, place)
    start = _start_order(setting, len(prompt))
    given = SoftPrompt(model.fixed_vectors(prompt)[start])
    objective = PromptLoss(model, given, task, sentences=SWAP_SENTENCES, seed=seed)
    changes = pair_changes(
        objective, lambda done, total: place.tell(done, total, f"exchange {done} of {total}")
    )
    return {
        "task": task.name,
        "method": "swap",
        "order": start,
        "pairs": [list(pair) for pair in changes.pairs],
        "predicted": changes.predicted,
        "measured": changes.measured,
        "forward_passes": objective.spent,
        "value": float(spearmanr(changes.predicted, changes.measured).statistic),
        "n": objective.size,
        **model.backbone.where(),
    }


def _tuned(
    setting: TunedSearchSetting,
    find: Callable[..., SearchResult],
    model: PromptedModel,
    vectors: Tensor,
    task: Task,
) -> tuple[SearchResult, dict]:
    """The search whose order scores highest on validation, with what it was made, and what all of
    them spent."""
    tried: list[tuple[SearchResult, dict]] = []
    for lr, temperature in itertools.product(setting.rates, setting.temperatures):
        result = find(lr=lr, temperature=temperature)
        order_found = SoftPrompt(vectors[list(result.order)])
        value = evaluate(model, order_found, task, "validation").value
        tried.append((result, {"lr": lr, "temperature": temperature, "validation": value}))
    result, chosen = max(tried, key=lambda each: each[1]["validation"])
    spent = {
        "budget": setting.budget * len(tried),
        "forward_passes": sum(each.forward_passes for each, _ in tried),
        "seconds": round(sum(each.seconds for each, _ in tried), 1),
    }
    return result, {**chosen, "tried": [each for _, each in tried], **spent}


def _guards(setting: SearchSetting) -> dict:
    said = {"keep_given": setting.keep_given, "choose_by": setting.choose_by}
    return {name: value for name, value in said.items() if value is not None}


def _start_order(setting: SearchSetting, length: int, seed: int = 0) -> list[int]:
    (shuffled,) = Shuffle().draw(length, 1, seed=seed)
    return list(range(length)) if setting.start == TRAINED else shuffled.tolist()


def course_prompt(
    setting: order.OrderSetting, task: Task, place: Place, seed: int = 0
) -> tuple[PromptedModel, SoftPrompt]:
    """The course's own prompt for this model, task and seed, or one trained for this table.

    Raises:
        LabError: for another model whose name ends as that of the course's prompt does.
    """
    backbone = shared_backbone(setting.backbone)
    kept = course_folder(setting.backbone, task.name, seed)
    if setting.recipe.length == LENGTH and kept.is_dir():
        prompt, card = load_for(backbone, kept)
        return card.model(backbone), prompt
    model = PromptedModel.for_task(backbone, task)
    return model, order.trained_prompt(setting, model, task, seed, place)


def _settings(backbone: str | None, profile: str) -> list[SearchSetting]:
    name = backbone or ("google-t5/t5-base" if profile == "full" else "minilm")
    recipe = recipe_for(name, profile, 100 if profile == "full" else LENGTH)
    budget = BUDGET if profile == "full" else BUDGETS.get(readout_of(name), BUDGET)

    def line(
        label: str,
        method: str | None,
        kind: type[SearchSetting] = SearchSetting,
        **more: object,
    ) -> SearchSetting:
        options = {"budget": budget, **more}
        return kind(label, name, recipe, profile=profile, method=method, **options)

    # what is None drops out of a row's digest: the rows of these lines were made with both said
    guarded = functools.partial(line, keep_given=False, choose_by="train")
    return [
        line(TRAINED, None, start=TRAINED),
        line(SHUFFLED, None),
        line("swap", "swap"),
        line("lstm", "lstm"),
        line("random", "random"),
        line("swap, three times the budget", "swap", budget=3 * budget),
        line("lstm-printed", "lstm-printed"),
        line("lstm + positions", "lstm", enhanced=True),
        line("sinkhorn", "sinkhorn"),
        line("swap from the trained order", "swap", start=TRAINED),
        line("lstm taught the trained order", "lstm-taught", start=TRAINED),
        line("lstm, three times the budget", "lstm", budget=3 * budget),
        line("plackett-luce", "plackett-luce"),
        line("assignment", "assignment"),
        line("softsort", "softsort"),
        line("neuralsort", "neuralsort"),
        line(LSTM_UNTRAINED, "lstm-untrained"),
        line(LSTM_TUNED, "lstm", kind=TunedSearchSetting),
        guarded("random, chosen on a development set", "random", choose_by="validation"),
        guarded("random, chosen without labels", "random", choose_by="entropy"),
        guarded(LSTM_GUARDED, "lstm", start=TRAINED, keep_given=True),
    ]


def _swap_settings(backbone: str | None, profile: str) -> list[SearchSetting]:
    lines = _settings(backbone or ("smollm2" if profile == "small" else None), profile)
    return [line for line in lines if line.method is None]


AGAINST = (TRAINED, SHUFFLED, "random", "lstm")
"""What every search is held against over prompts."""


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """Each search against each of :data:`AGAINST`, over the prompts that learned and have both:
    ``better``, ``worse`` and what :func:`over_prompts` says."""
    started = {row["setting"]: row["start"] for row in rows if row["method"]}
    pairs = [(SHUFFLED, TRAINED)]
    for worse in AGAINST:
        pairs += [
            (better, worse)
            for better, start in started.items()
            if better != worse
            and (worse, better) not in pairs
            # from the trained order nothing is found again
            and (worse == TRAINED or start == SHUFFLED)
        ]
    pooled = []
    for better, worse in pairs:
        answers = paired_answers(rows, better, worse)
        if answers is not None and len(answers[0]) > 1:
            name = f"{better} − {worse}"
            effects = np.subtract(*answers, dtype=float)  # (prompts, N)
            line = {"setting": name, "better": better, "worse": worse}
            pooled.append({**line, **over_prompts(name, effects)})
    return pooled


def prompts_report(result: Mapping) -> str:
    """The levels, and the differences over all prompts."""
    pooled = result.get("pooled", ())
    heads = ("what is compared", "prompts", "difference [95 %]", "by prompt")
    lines = ["", *table_head(heads)]
    for line in pooled:
        change, effects = signed(line["mean_difference"]), each_signed(line["by_prompt"])
        lines.append(cells([line["setting"], line["prompts"], change, effects]))
    return as_markdown(result) + "\n".join([*lines, *verdict_section(pooled)]) + "\n"


def _higher(better: str, worse: str) -> Claim:
    return Claim(f"{better} − {worse}", better, worse)


CLAIMS = (
    *(
        _higher(method, TRAINED)
        for method in (
            "lstm",
            "lstm + positions",
            "lstm taught the trained order",
            "swap",
            "swap from the trained order",
            LSTM_GUARDED,
            LSTM_TUNED,
        )
    ),
    *(_higher(method, "random") for method in ("plackett-luce", "assignment", "softsort")),
    _higher("lstm", "random"),
    _higher("lstm", "swap"),
    _higher("lstm", LSTM_UNTRAINED),
    _higher(LSTM_TUNED, LSTM_UNTRAINED),
    _higher("lstm + positions", "lstm"),
    _higher("lstm-printed", "lstm"),
    _higher("lstm", SHUFFLED),
    _higher("swap", SHUFFLED),
)

EXPERIMENTS = (
    Experiment(
        "order-search",
        "the sorter against plain searches at equal budget, ours",
        _settings,
        search_row,
        CLAIMS,
    ),
    Experiment(
        "order-search-prompts",
        "the same over prompts: one prompt, one shuffle and one search a seed, ours",
        _settings,
        prompt_search_row,
        report=prompts_report,
        pool=pool,
        needs=(at_least(2),),
    ),
    Experiment(
        "swap-prediction",
        "what a gradient foretells of every exchange of two virtual tokens, ours",
        _swap_settings,
        swap_row,
    ),
)
