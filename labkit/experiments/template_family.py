"""One word changed in a hard prompt, and what P-Tuning makes of it (Liu et al. 2021, section 1).

A family of templates that differ in a single word, fixed beforehand. Each is scored as a hard
prompt, and the same words are the starting point of virtual tokens: as free vectors, and written by
a prompt encoder. How far do the scores spread over the family, before and after training? And does
the encoder learn faster, or end higher, than the free vectors that start from the same words?

Usage::

    result = run("p-tuning-family", out="data/reference", resume=True)
    family = Family.of(result)
    family.difference_of_spreads("hard", "free")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labkit.core import statistics
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import Difference, HeldOut
from labkit.core.tasks import Task
from labkit.core.templates import Verbalizer
from labkit.core.tuning import fit
from labkit.experiments.base.kept import checkpoint_beside
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.report import cells, report_head
from labkit.experiments.base.rows import as_digits, from_digits, scores_of
from labkit.experiments.base.setting import Experiment, Place, Setting
from labkit.experiments.base.verdicts import signed
from labkit.p_tuning import PromptEncoder, lay_virtual_tokens

BASE = "Here is a movie review: {text}\nThe sentiment is: {mask}"
CHANGES = {  # every word one piece: all members have the same number of virtual tokens
    "review → comment": ("review", "comment"),
    "sentiment → opinion": ("sentiment", "opinion"),
    "sentiment → verdict": ("sentiment", "verdict"),
    "is → was": ("sentiment is", "sentiment was"),
    "movie → film": ("movie", "film"),
    "review → quote": ("review", "quote"),
    "Here → Below": ("Here", "Below"),
    "sentiment → tone": ("sentiment", "tone"),
    "sentiment → feeling": ("sentiment", "feeling"),
}
TEMPLATES = {"as it is": BASE} | {
    name: BASE.replace(old, new) for name, (old, new) in CHANGES.items()
}
WORDS = {"negative": "negative", "positive": "positive"}

METHODS = ("hard", "free", "encoder")
TEST_EXAMPLES = {"small": 400, "full": 1_000_000}
TRAINED = {"small": 5, "full": len(TEMPLATES)}
"""How many members, from the first on, are trained from."""

_RECIPE = Recipe(length=9, init="words", batch_size=8, schedule="linear", warmup=5)
# Rates chosen on 192 sentences of validation, each of three, with a seed that no row uses, on the
# template as it is with one anchor fewer.
RECIPES = {
    "hard": _RECIPE,
    "free": replace(_RECIPE, lr=2e-3),
    "encoder": replace(_RECIPE, lr=1e-3),
}
STEPS = {"small": 60, "full": 1000}


@dataclass(frozen=True)
class FamilySetting(Setting):
    """A member of the family under one of :data:`METHODS`."""

    member: str = ""
    method: str = "hard"
    test_examples: int = TEST_EXAMPLES["small"]

    @property
    def seeded(self) -> bool:
        """A hard prompt is scored as it is."""
        return self.method != "hard"


def family_row(setting: FamilySetting, task: Task, seed: int, place: Place) -> dict:
    """One member, scored as it is or trained from.

    The row of a hard prompt carries ``calibrated``, the examples that are right after batch
    calibration.
    """
    model = PromptedModel(
        shared_backbone(setting.backbone), TEMPLATES[setting.member], Verbalizer(WORDS)
    )
    row = {
        "method": setting.method,
        "member": setting.member,
    }
    limit = place.limit or setting.test_examples
    if setting.method == "hard":
        result = evaluate(model, None, task, limit=limit)
        calibrated = (result.scores - result.scores.mean(0)).argmax(-1) == result.targets
        text = {"template": model.template.text}
        scores = scores_of(result) | {"calibrated": as_digits(calibrated)}
        return row | text | model.backbone.where() | scores
    model, prompt = lay_virtual_tokens(model)
    if setting.method == "encoder":
        prompt = PromptEncoder.from_prompt(prompt, seed=seed)
    with checkpoint_beside(place.of_row(setting, seed)) as checkpoint:
        history = fit(
            model,
            prompt,
            task,
            setting.recipe,
            seed=seed,
            checkpoint=checkpoint,
            resume=True,
            on_step=place.on_step(setting.recipe.steps),
        )
        result = evaluate(model, prompt, task, limit=limit)
    training = {
        **asdict(setting.recipe),
        "template": model.template.text,
        "trained": sum(p.numel() for p in prompt.parameters() if p.requires_grad),
        "losses": [round(loss, 4) for loss in history.losses],
        "seconds": round(history.seconds, 1),
        **model.backbone.where(),
    }
    return row | training | scores_of(result)


def _settings(backbone: str | None, profile: str) -> list[FamilySetting]:
    name = backbone or "smollm2"
    trained = list(TEMPLATES)[: TRAINED[profile]]
    return [
        FamilySetting(
            f"{method}: {member}",
            name,
            replace(RECIPES[method], steps=STEPS[profile]),
            member=member,
            method=method,
            test_examples=TEST_EXAMPLES[profile],
        )
        for method, members in (("hard", TEMPLATES), ("free", trained), ("encoder", trained))
        for member in members
    ]


# ---- what the rows say ----


@dataclass(frozen=True)
class Family:
    """The rows of a result as arrays.

    Attributes:
        members: those of which every method has all seeds' rows; seeds: of the trained methods.
        right: method → (S, M, N) whether each test example was right; a method without seeds has
            S = 1. ``calibrated`` is the hard prompt after batch calibration.
        losses: trained method → (S, M, steps).
    """

    members: tuple[str, ...]
    seeds: tuple[int, ...]
    right: Mapping[str, NDArray[np.bool_]]
    losses: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, result: Mapping) -> Family:
        """Whatever rows are there; a seed that lacks a member's row is left out, and so is a member
        that was not read as a hard prompt."""
        rows = {(r["method"], r["member"], r["seed"]): r for r in result["rows"]}
        trained = METHODS[1:]
        hard = {r["member"]: r for r in result["rows"] if r["method"] == "hard"}
        members = tuple(
            dict.fromkeys(
                r["member"]
                for r in result["rows"]
                if r["method"] in trained and r["member"] in hard
            )
        )
        seeds = tuple(
            seed
            for seed in sorted({seed for _, _, seed in rows})
            if all((method, m, seed) in rows for method in trained for m in members)
        )
        right = {
            "hard": np.array([[from_digits(hard[m]["correct"]) for m in members]]),
            "calibrated": np.array([[from_digits(hard[m]["calibrated"]) for m in members]]),
        }
        cells = {x: [[rows[x, m, s] for m in members] for s in seeds] for x in trained}
        right |= {
            method: np.array([[from_digits(row["correct"]) for row in line] for line in lines])
            for method, lines in cells.items()
        }
        losses = {
            method: np.array([[row["losses"] for row in line] for line in lines])
            for method, lines in cells.items()
        }
        return cls(members, seeds, right, losses)

    def accuracy(self, method: str) -> NDArray[np.float64]:
        """(S, M)."""
        return self.right[method].mean(-1)

    def spread(self, method: str) -> float:
        """Standard deviation of the accuracy over the members, mean over seeds."""
        return float(_parts_of_spread(self.right[method]).mean())

    def noise_share(self, method: str) -> float:
        """Share of the spread's variance that the choice of test examples alone would bring."""
        ones = np.ones(self.right[method].shape[-1], dtype=int)
        shares = [
            statistics.noise_share(rows.astype(int), ones, "accuracy")
            for rows in self.right[method]
        ]
        return float(np.mean(shares))

    def difference_of_spreads(self, first: str, second: str) -> Difference:
        """Spread of ``first`` minus that of ``second``, paired, for other seeds and examples.

        A seed means the same order of batches in both trained methods, so seeds are pairs, too.
        """
        return statistics.paired_difference(
            *(_lines(_parts_of_spread(self.right[method])) for method in (first, second))
        )

    def difference_of_scores(self, first: str, second: str) -> Difference:
        """Accuracy of ``first`` minus that of ``second``, mean over members, paired."""
        return statistics.paired_difference(
            *(_lines(self.right[method].mean(1)) for method in (first, second))
        )

    def difference_of_losses(self, first: str, second: str) -> NDArray[np.float64]:
        """Training loss of ``first`` minus that of ``second``, step by step: (S, M, steps).

        Both see the same batches in the same order, so what makes single losses jump, an easy batch
        or a hard one, is not in the difference.
        """
        return self.losses[first] - self.losses[second]


def cost_of_a_word(result: Mapping) -> HeldOut:
    """What the worst change of one word costs a hard prompt, in accuracy.

    The worst of the family is chosen on one half of the sentences and read on the other, so that it
    is not the worst by chance.
    """
    right = {
        r["member"]: from_digits(r["correct"]) for r in result["rows"] if r["method"] == "hard"
    }
    unchanged = right.pop(next(iter(TEMPLATES)))
    wrong = ~np.array(list(right.values()))  # (members, N)
    return statistics.best_on_held_out(wrong, ~unchanged, np.ones(len(unchanged)), "accuracy")


def _parts_of_spread(right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What each example contributes to the spread: (S, N), whose mean over examples is each seed's
    standard deviation over the members, from ``right`` (S, M, N)."""
    accuracy = right.mean(-1)  # (S, M)
    around = accuracy - accuracy.mean(1, keepdims=True)
    spread = accuracy.std(1, ddof=1, keepdims=True)
    scale = (accuracy.shape[1] - 1) * spread
    slopes = np.divide(around, scale, out=np.zeros_like(around), where=spread > 0)
    return np.einsum("sm,smn->sn", slopes, right)


def _lines(values: NDArray) -> NDArray:
    """(S, N), or (N,) of a method without seeds, as a paired difference takes them."""
    return values[0] if len(values) == 1 else values


def family_as_markdown(result: Mapping) -> str:
    """Members × methods, the spread of each method, and the differences with their intervals."""
    values = {(row["method"], row["member"], row["seed"]): row["value"] for row in result["rows"]}
    about = f", test n = {result['rows'][0]['n']}; accuracy, of the trained ones mean over seeds"
    headings = ["member", "hard", "free vectors", "encoder", "seeds"]
    lines = report_head(result, headings, about)
    for member in dict.fromkeys(row["member"] for row in result["rows"]):
        by_method = [
            [v for (m, x, _), v in values.items() if (m, x) == (y, member)] for y in METHODS
        ]
        means = [f"{np.mean(v):.3f}" if v else "–" for v in by_method]
        lines.append(cells([member, *means, len(by_method[1])]))
    family = Family.of(result)
    if len(family.members) < 2 or not family.seeds:
        return "\n".join(lines) + "\n"
    lines += [
        "",
        f"Spread over the {len(family.members)} members that were trained from (standard deviation "
        f"of accuracy, mean over {len(family.seeds)} seeds):",
        "",
        "| method | mean | spread | share of its variance that is test noise |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {method} | {family.accuracy(method).mean():.3f} | {family.spread(method):.3f} | "
        f"{family.noise_share(method):.2f} |"
        for method in family.right
    ]
    pairs = (("hard", "free"), ("hard", "encoder"), ("calibrated", "free"), ("free", "encoder"))
    lines += ["", *(_comparison(family, first, second) for first, second in pairs)]
    return "\n".join(lines) + "\n"


def _comparison(family: Family, first: str, second: str) -> str:
    spread = family.difference_of_spreads(first, second)
    score = family.difference_of_scores(second, first)
    return (
        f"- {first} against {second}: spread {signed(spread)} larger, "
        f"accuracy of {second} {signed(score)} higher"
    )


EXPERIMENTS = (
    Experiment(
        "p-tuning-family",
        "templates that differ in one word: hard, free vectors, P-Tuning (Liu et al., figure 1)",
        _settings,
        family_row,
        report=family_as_markdown,
        counted=list,  # nothing is left out of a family: its spread is the question
    ),
)
