"""One score for each virtual token: its distribution, its relaxations, and what they find."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.lstm_sorter import (
    HiddenOrder,
    LabelFree,
    PlackettLuce,
    SoftSorter,
    find_order,
    neural_sort,
    search,
    soft_sort,
)
from labkit.soft_prompt import SoftPrompt

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SCORES = torch.tensor([0.3, -1.2, 0.8, 0.1])


def ranking(scores: torch.Tensor) -> PlackettLuce:
    made = PlackettLuce(len(scores))
    with torch.no_grad():
        made.scores.copy_(scores)
    return made


def by_definition(scores: torch.Tensor, order: tuple[int, ...]) -> float:
    """Draw one after the other, each by the softmax of those that are left."""
    weights, probability = scores.double().exp(), 1.0
    for place, token in enumerate(order):
        probability *= (weights[token] / weights[list(order[place:])].sum()).item()
    return probability


def test_probability_of_every_order_is_plackett_luces() -> None:
    orders = list(itertools.permutations(range(4)))
    found = ranking(SCORES).log_probability(torch.tensor(orders)).exp()
    assert found.sum().item() == pytest.approx(1, abs=1e-5)
    assert found.tolist() == pytest.approx([by_definition(SCORES, o) for o in orders], rel=1e-4)


def test_draws_follow_those_probabilities() -> None:
    torch.manual_seed(0)
    drawn = ranking(SCORES).draw(40_000)
    for order in itertools.permutations(range(4)):
        wanted = by_definition(SCORES, order)
        share = (drawn == torch.tensor(order)).all(1).float().mean().item()
        assert abs(share - wanted) < 5 * math.sqrt(wanted / len(drawn))


def test_the_surrogates_gradient_is_that_of_the_expected_loss() -> None:
    """Summed over all pairs of draws, each as often as it comes, against all orders."""
    scores, orders = SCORES[:3], list(itertools.permutations(range(3)))
    losses = dict(zip(orders, (0.3, 2.0, -1.0, 0.7, 5.0, 1.1), strict=True))
    exact, drawn = ranking(scores), ranking(scores)
    probabilities = exact.log_probability(torch.tensor(orders)).exp()
    (probabilities * torch.tensor(list(losses.values()))).sum().backward()
    for pair in itertools.product(orders, repeat=2):
        weight = by_definition(scores, pair[0]) * by_definition(scores, pair[1])
        values = torch.tensor([losses[order] for order in pair])
        (weight * drawn.surrogate(torch.tensor(pair), values)).backward()
    assert drawn.scores.grad.tolist() == pytest.approx(exact.scores.grad.tolist(), abs=1e-5)


@pytest.mark.parametrize("relax", [soft_sort, neural_sort])
def test_relaxations_end_at_the_sort(relax) -> None:
    sharp = relax(SCORES, 1e-3)
    assert sharp.argmax(-1).tolist() == [2, 0, 3, 1]
    assert sharp.max(-1).values.tolist() == pytest.approx([1] * 4, abs=1e-4)
    assert relax(SCORES, 1.0).sum(-1).tolist() == pytest.approx([1] * 4)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_relaxations_are_the_papers_formulas(temperature: float) -> None:
    """SoftSort's equation 3 and NeuralSort's equation 5, one weight after the other."""
    scores = SCORES.tolist()
    length, ranked = len(scores), sorted(scores, reverse=True)
    soft, neural = soft_sort(SCORES, temperature), neural_sort(SCORES, temperature)
    for place in range(1, length + 1):
        near = [math.exp(-abs(ranked[place - 1] - s) / temperature) for s in scores]
        assert soft[place - 1].tolist() == pytest.approx([w / sum(near) for w in near], abs=1e-5)
        apart = [sum(abs(s - other) for other in scores) for s in scores]
        high = [
            math.exp(((length + 1 - 2 * place) * s - a) / temperature)
            for s, a in zip(scores, apart, strict=True)
        ]
        assert neural[place - 1].tolist() == pytest.approx([w / sum(high) for w in high], abs=1e-5)


def test_a_soft_sorter_gives_rows_exactly_and_a_gradient_to_every_score() -> None:
    vectors = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    for relaxation in ("softsort", "neuralsort"):
        sorter = SoftSorter(SoftPrompt(vectors), relaxation=relaxation)
        assert sorter.order() == (0, 1, 2, 3, 4)
        with torch.no_grad():
            sorter.scores.copy_(torch.tensor([0.1, 0.9, 0.5, 0.7, 0.3]))
        assert sorter.order() == (1, 3, 2, 4, 0)
        assert torch.equal(sorter(), vectors[[1, 3, 2, 4, 0]])
        (sorter() ** 2 * torch.arange(5)[:, None]).sum().backward()
        assert (sorter.scores.grad != 0).all()
    with pytest.raises(LabError, match="'hard' is unknown; choose one of softsort, neuralsort"):
        SoftSorter(SoftPrompt(vectors), relaxation="hard")


@pytest.mark.parametrize(("method", "budget"), [("assignment", 1500), ("plackett-luce", 13_000)])
def test_hidden_orders_of_twenty_are_found(method: str, budget: int) -> None:
    for seed in range(2):
        toy = HiddenOrder(20, seed=seed)
        outcome = find_order(toy, method, budget=budget, seed=seed)
        assert toy.score(outcome.order) >= 0.95


def test_the_given_order_is_a_candidate_where_it_was_asked_to_be() -> None:
    toy = HiddenOrder(6, seed=0)
    toy.vectors = toy.vectors[list(toy.hidden)]  # given: the best there is
    toy.hidden = tuple(range(6))
    assert find_order(toy, "random", budget=20, keep_given=True).order == toy.hidden
    assert find_order(toy, "random", budget=20).order != toy.hidden


def test_an_untrained_sorter_spends_one_order_and_stays_where_its_weights_put_it() -> None:
    outcome = find_order(HiddenOrder(8), "lstm-untrained", budget=500, seed=3)
    assert outcome.forward_passes == 2  # the given order, and that one
    assert outcome == find_order(HiddenOrder(8), "lstm-untrained", budget=2, seed=3)


def test_chosen_by_validation_or_without_labels(tiny_backbone, tiny_task) -> None:
    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task)
    prompt = SoftPrompt.from_vocab(model.backbone, 4, seed=0, common=15)
    options = {"budget": 60, "sentences": 6, "seed": 1}
    outcome = search(model, prompt, tiny_task, "random", choose_by="validation", **options).best
    examples = tiny_task.take("validation", 6, seed=1)
    scores = model.scores(SoftPrompt(prompt()[list(outcome.order)]), examples)
    labels = torch.tensor([example.label for example in examples])
    assert outcome.loss == pytest.approx(
        torch.nn.functional.cross_entropy(scores, labels).item(), abs=1e-5
    )

    unlabelled = LabelFree(model, prompt, tiny_task, sentences=6, seed=1)
    predictions = model.scores(prompt, tiny_task.take("train", 6, seed=1)).argmax(-1)
    counts = np.bincount(predictions, minlength=2) / 6
    entropy = -sum(c * math.log(c) for c in counts if c)
    assert unlabelled.evaluate(range(4)) == pytest.approx(-entropy, abs=1e-6)
    search(model, prompt, tiny_task, "random", choose_by="entropy", **options)
    with pytest.raises(LabError, match="choose_by='entropy' gives no loss to train"):
        search(model, prompt, tiny_task, "lstm", choose_by="entropy", **options)
    with pytest.raises(LabError, match="choose_by='luck' is unknown"):
        search(model, prompt, tiny_task, "random", choose_by="luck", **options)
