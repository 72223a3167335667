"""The LSTM sorter, its gradient, and the searches that share its interface and budget."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from labkit.cli import main
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tuning import fit
from labkit.lstm_sorter import (
    METHODS,
    HiddenOrder,
    LSTMSorter,
    Objective,
    PromptLoss,
    SinkhornSorter,
    find_order,
    pair_changes,
    promising_pairs,
    search,
    searches,
    sinkhorn,
    teach,
)
from labkit.lstm_sorter.trials import BestOrder, Trials
from labkit.position_enhancement import PositionEnhancement
from labkit.soft_prompt import WEIGHTS, SoftPrompt, load_prompt, save_prompt

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

LENGTH, WIDTH = 6, 8
MODES = ("permutation", "printed")
both_modes = pytest.mark.parametrize("mode", MODES)
with_and_without_positions = pytest.mark.parametrize("positions", [False, True])


def build(
    mode: str = "permutation", positions: bool = False, seed: int = 0, temperature: float = 1.0
) -> LSTMSorter:
    torch.manual_seed(seed)
    prompt = SoftPrompt(torch.randn(LENGTH, WIDTH))
    enhance = PositionEnhancement(WIDTH, LENGTH, heads=2) if positions else None
    return LSTMSorter(prompt, mode=mode, positions=enhance, temperature=temperature)


# ---- the sorter ----


@both_modes
@with_and_without_positions
def test_what_comes_out_is_rows_of_the_original_prompt(mode, positions):
    for seed in range(10):
        sorter = build(mode, positions, seed)
        rows = sorter.vectors[list(sorter.order())]
        assert torch.equal(sorter(), rows)  # to the bit
        hot = sorter.one_hot(sorter.sort())
        assert set(hot.flatten().tolist()) == {0.0, 1.0}
        assert hot.sum(1).tolist() == [1.0] * LENGTH


def test_only_the_masked_mode_must_be_a_permutation():
    masked = [build("permutation", seed=seed).order() for seed in range(20)]
    assert all(sorted(order) == list(range(LENGTH)) for order in masked)
    assert len(set(masked)) > 10
    printed = [build("printed", seed=seed).order() for seed in range(20)]
    assert any(len(set(order)) < LENGTH for order in printed)


def by_hand(sorter: LSTMSorter, choices: list[int]) -> list[list[float]]:
    """Equations 8 to 10 with torch's own unrolled LSTM, and loops for the attention."""
    rows = sorter.positions(sorter.vectors) if sorter.positions else sorter.vectors
    encoded, state = sorter.encoder(rows)  # without a batch axis
    decoder = nn.LSTM(WIDTH, WIDTH)
    decoder.load_state_dict(
        {f"{name}_l0": value for name, value in sorter.decoder.state_dict().items()}
    )
    fed = torch.stack([encoded[-1], *(rows[c] for c in choices[:-1])])
    hidden, _ = decoder(fed, state)
    result = []
    for place in range(LENGTH):
        query = [
            sum(sorter.gate.weight[a, b] * hidden[place, b] for b in range(WIDTH))
            for a in range(WIDTH)
        ]
        taken = choices[:place] if sorter.mode == "permutation" else []
        weights = [
            0.0
            if token in taken
            else math.exp(
                sum(encoded[token, a] * query[a] for a in range(WIDTH)) / sorter.temperature
            )
            for token in range(LENGTH)
        ]
        result.append([weight / sum(weights) for weight in weights])
    return result


@torch.no_grad()
@both_modes
@with_and_without_positions
@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_encoder_decoder_and_gate_by_hand(mode, positions, temperature):
    sorter = build(mode, positions, temperature=temperature)
    for parameter in sorter.parameters():
        parameter.mul_(2.0)  # probabilities far from uniform
    sorting = sorter.sort()
    choices = sorting.choices.tolist()
    expected = by_hand(sorter, choices)
    torch.testing.assert_close(sorting.probabilities, torch.tensor(expected), atol=1e-5, rtol=1e-4)
    assert [row.index(max(row)) for row in expected] == choices
    other = torch.tensor([4, 1, 0, 5, 3, 2])
    forced = sorter.sort(other)
    assert torch.equal(forced.choices, other)
    torch.testing.assert_close(
        forced.probabilities, torch.tensor(by_hand(sorter, other.tolist())), atol=1e-5, rtol=1e-4
    )


def relaxed_loss(sorter: LSTMSorter, choices: torch.Tensor, weights: torch.Tensor) -> float:
    """A loss linear in the sorted prompt, of the soft mixture, choices held fixed."""
    with torch.no_grad():
        mixture = sorter.sort(choices).probabilities @ sorter.vectors
        return (weights * mixture).sum().item()


@both_modes
@with_and_without_positions
def test_the_gradient_is_that_of_the_soft_relaxation(mode, positions):
    sorter = build(mode, positions).double()
    weights = torch.randn(LENGTH, WIDTH, generator=torch.Generator().manual_seed(3)).double()
    choices = sorter.sort().choices
    (weights * sorter()).sum().backward()
    step, generator = 1e-6, np.random.default_rng(0)
    for name, parameter in sorter.named_parameters():
        flat = parameter.detach().view(-1)
        for index in generator.choice(len(flat), size=4, replace=False):
            kept = flat[index].item()
            flat[index] = kept + step
            above = relaxed_loss(sorter, choices, weights)
            flat[index] = kept - step
            below = relaxed_loss(sorter, choices, weights)
            flat[index] = kept
            slope = (above - below) / (2 * step)
            assert parameter.grad.view(-1)[index].item() == pytest.approx(slope, abs=1e-7), name
    assert sum(p.grad.abs().sum() for p in sorter.parameters()) > 1e-3


def test_the_printed_sign_of_equation_14_climbs():
    class Printed(LSTMSorter):
        def one_hot(self, sorting):
            hot = F.one_hot(sorting.choices, LENGTH).to(sorting.probabilities.dtype)
            return hot + sorting.probabilities.detach() - sorting.probabilities

    ours = build()
    printed = Printed(SoftPrompt(ours.vectors))
    printed.load_state_dict(ours.state_dict())
    weights = torch.randn(LENGTH, WIDTH)
    (weights * ours()).sum().backward()
    (weights * printed()).sum().backward()
    for a, b in zip(ours.parameters(), printed.parameters(), strict=True):
        torch.testing.assert_close(a.grad, -b.grad)


def test_fit_trains_the_sorter_and_leaves_the_prompt(tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    prompt = SoftPrompt.from_vocab(backbone, 5, seed=0, common=15)
    before = prompt().detach().clone()
    sorter = LSTMSorter(prompt)
    start = [p.detach().clone() for p in sorter.parameters()]
    history = fit(model, sorter, tiny_task, steps=3, batch_size=4, lr=1e-2)
    assert history.steps == 3
    assert all(not torch.equal(a, b) for a, b in zip(start, sorter.parameters(), strict=True))
    assert torch.equal(sorter.vectors, before) and torch.equal(prompt(), before)
    result = evaluate(model, sorter, tiny_task)
    plain = evaluate(model, SoftPrompt(before[list(sorter.order())]), tiny_task)
    assert np.array_equal(result.scores, plain.scores)


@with_and_without_positions
def test_a_taught_sorter_gives_the_order_it_was_taught(positions):
    for seed, order in enumerate([tuple(range(LENGTH)), (5, 0, 3, 1, 4, 2)]):
        sorter = build(positions=positions, seed=seed)
        assert sorter.order() != order
        teach(sorter, order, lr=1e-2)
        assert sorter.order() == order


def test_saving_folds_into_a_plain_prompt(tiny_backbone, tiny_folder, tiny_task, tmp_path):
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    torch.manual_seed(1)
    sorter = LSTMSorter(SoftPrompt.from_vocab(backbone, 5, seed=0, common=15))
    expected = sorter.vectors[list(sorter.order())]
    save_prompt(tmp_path / "sorted", sorter, model)
    opened, _ = load_prompt(tmp_path / "sorted")
    assert torch.equal(opened(), expected)
    base = type(backbone.model).from_pretrained(tiny_folder("llama"))
    with_peft = peft.PeftModel.from_pretrained(base, tmp_path / "sorted")
    assert torch.equal(with_peft.get_prompt_embedding_to_save("default"), expected)


def test_wrong_settings_are_named():
    with pytest.raises(LabError, match="choose one of permutation, printed"):
        build("sorted")
    with pytest.raises(LabError, match="1 virtual token has one order only"):
        LSTMSorter(SoftPrompt(torch.ones(1, WIDTH)))


# ---- Gumbel–Sinkhorn ----


def test_sinkhorn_is_doubly_stochastic_and_keeps_ratios_of_products():
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).double()
    soft = sinkhorn(scores, 200)
    torch.testing.assert_close(soft.sum(0), torch.ones(5).double())
    torch.testing.assert_close(soft.sum(1), torch.ones(5).double())
    # scaling rows and columns leaves every 2 x 2 odds ratio as it was
    odds = soft[0, 0] * soft[1, 1] / (soft[0, 1] * soft[1, 0])
    given = (scores[0, 0] + scores[1, 1] - scores[0, 1] - scores[1, 0]).exp()
    torch.testing.assert_close(odds, given)


def test_sinkhorn_rounds_to_the_best_permutation_of_all():
    sorter = SinkhornSorter(SoftPrompt(torch.randn(5, 4)))
    with torch.no_grad():
        sorter.scores.normal_(generator=torch.Generator().manual_seed(2))
    totals = {
        order: sum(sorter.scores[place, token].item() for place, token in enumerate(order))
        for order in itertools.permutations(range(5))
    }
    best = max(totals, key=totals.get)
    assert sorter.order() == best
    sorter.eval()
    assert torch.equal(sorter(), sorter.vectors[list(best)])
    sorter.train()
    torch.manual_seed(0)
    drawn = {tuple(sorter.sort().choices.tolist()) for _ in range(20)}
    assert len(drawn) > 5 and all(sorted(order) == list(range(5)) for order in drawn)


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_the_relaxation_of_sinkhorns_sorter_by_plain_normalisation(temperature):
    generator = torch.Generator().manual_seed(0)
    prompt = SoftPrompt(torch.randn(4, 3, generator=generator))
    sorter = SinkhornSorter(prompt, temperature=temperature, rounds=3).eval()
    sorter.scores.data.copy_(torch.randn(4, 4, generator=generator))
    matrix = np.exp(sorter.scores.detach().double().numpy() / temperature)
    for _ in range(3):
        matrix /= matrix.sum(1, keepdims=True)
        matrix /= matrix.sum(0, keepdims=True)
    assert sorter.sort().probabilities.detach().numpy() == pytest.approx(matrix, abs=1e-5)


# ---- searches on a toy whose answer is known ----


class Linear(Objective):
    """A loss linear in the sorted prompt: the first-order change of a swap is then exact."""

    size = batch_size = 1

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(5)
        self.vectors = torch.randn(LENGTH, WIDTH, generator=generator).double()
        self.weights = torch.randn(LENGTH, WIDTH, generator=generator).double()

    def loss(self, vectors):
        return (self.weights * vectors).sum()

    def batch_loss(self, vectors, step):
        return self.loss(vectors)


class Indifferent(Linear):
    """Every order is as good as every other."""

    def loss(self, vectors):
        return 0 * super().loss(vectors) + 0.5


@pytest.mark.parametrize("method", ["random", "swap"])
def test_of_equally_good_orders_the_given_one_stays(method):
    # swaps start from it; random orders have it among them where that is asked for
    found = find_order(Indifferent(), method, budget=30, seed=0, keep_given=method == "random")
    assert list(found.order) == list(range(LENGTH))
    assert len(found.history) <= 1 and found.loss == found.loss_before


def test_promising_pairs_are_in_the_order_of_what_they_bring():
    objective = Linear()
    given = list(range(LENGTH))
    pairs = promising_pairs(objective.vectors, objective.gradient(given))
    changes = []
    for i, j in pairs:
        order = given.copy()
        order[i], order[j] = order[j], order[i]
        changes.append(objective.evaluate(order) - objective.evaluate(given))
    assert len(set(pairs)) == LENGTH * (LENGTH - 1) // 2
    assert changes == sorted(changes) and changes[0] < 0 < changes[-1]


def test_exchanges_are_measured_from_the_order_given():
    changes = pair_changes(Linear())
    assert changes.pairs == list(itertools.combinations(range(LENGTH), 2))
    assert changes.measured == pytest.approx(changes.predicted)  # exact of a linear loss
    assert min(changes.measured) < 0 < max(changes.measured)


def test_the_hidden_order_is_the_toys_optimum():
    toy = HiddenOrder(5, seed=1)
    scores = {order: toy.score(order) for order in itertools.permutations(range(5))}
    assert max(scores, key=scores.get) == toy.hidden
    assert scores[toy.hidden] == pytest.approx(1.0)
    for in_place in range(4):
        closer = [s for o, s in scores.items() if matches(o, toy.hidden) > in_place]
        further = [s for o, s in scores.items() if matches(o, toy.hidden) <= in_place]
        assert np.mean(closer) > np.mean(further)
    assert toy.spent == 0


def matches(order, hidden) -> int:
    return sum(a == b for a, b in zip(order, hidden, strict=True))


@pytest.mark.parametrize(
    ("method", "budget", "seeds"), [("swap", 600, 3), ("sinkhorn", 600, 3), ("lstm", 3000, 1)]
)
def test_each_search_is_at_least_as_good_as_random_orders(method, budget, seeds):
    for seed in range(seeds):
        toy, control = HiddenOrder(20, seed=seed), HiddenOrder(20, seed=seed)
        found = find_order(toy, method, budget=budget, seed=seed)
        random = find_order(control, "random", budget=budget, seed=seed)
        assert found.is_permutation
        assert found.loss <= random.loss
        assert toy.score(found.order) >= control.score(random.order)


@pytest.mark.parametrize("seed", range(5))
def test_swaps_find_the_hidden_order_of_twenty(seed):
    toy = HiddenOrder(20, seed=seed)
    found = find_order(toy, "swap", budget=600, seed=seed)
    assert toy.score(found.order) >= 0.95


@pytest.mark.parametrize("still", [{"lr": 1e-12}, {"temperature": 1e-9}])
def test_a_sorter_that_cannot_learn_stays_where_its_weights_put_it(still):
    """By steps of no length; by a gate that is sure whatever it sees, and has no gradient."""
    given = {"budget": 200, "seed": 3}
    first = find_order(HiddenOrder(8), "lstm-untrained", **given).order
    assert find_order(HiddenOrder(8), "lstm", **given, **still).order == first
    assert find_order(HiddenOrder(8), "lstm", **given).order != first


@pytest.mark.parametrize("method", ["softsort", "neuralsort"])
def test_scores_that_take_no_steps_leave_the_order_given(method):
    assert find_order(HiddenOrder(8), method, budget=200, lr=1e-12).order == tuple(range(8))
    assert find_order(HiddenOrder(8), method, budget=200).order != tuple(range(8))


def test_a_sorter_with_positions_reads_other_rows():
    plain_rows, enhanced = (
        find_order(HiddenOrder(8), "lstm-untrained", budget=2, seed=3, positions=positions)
        for positions in (False, True)
    )
    assert plain_rows.order != enhanced.order


def test_scoring_on_the_way_takes_a_third_of_what_is_spent():
    toy = HiddenOrder(6)
    run = Trials(toy, budget=10_000)
    for order in itertools.permutations(range(6)):
        toy.spent += 1  # a step of training that costs as much as a score
        run.check(order)
    scored = len(run.known) - 1
    assert run.spent / 3 - 2 < scored <= run.spent / 3


def test_drawn_orders_are_compared_whatever_the_losses_scale():
    class Faint(HiddenOrder):
        def loss(self, vectors):
            return super().loss(vectors) * 2.0**-26

    given = {"method": "plackett-luce", "budget": 1500, "seed": 1}
    found = find_order(HiddenOrder(8), **given)
    assert find_order(Faint(8), **given).order == found.order
    assert HiddenOrder(8).score(found.order) > 0.9


def test_effects_are_read_off_batches_of_unlike_difficulty():
    class Uneven(HiddenOrder):
        def batch_loss(self, vectors, step):
            return super().batch_loss(vectors, step) + 20 * math.sin(step)

    toy = Uneven(10)
    assert toy.score(find_order(toy, "assignment", budget=800).order) > 0.95


def test_swaps_stop_where_no_exchange_helps():
    toy = HiddenOrder(8, seed=0)
    found = find_order(toy, "swap", budget=10_000)
    assert found.forward_passes < 1000
    for i, j in itertools.combinations(range(8), 2):
        order = list(found.order)
        order[i], order[j] = order[j], order[i]
        assert toy.evaluate(order) >= found.loss


@pytest.mark.parametrize("method", METHODS)
def test_a_search_keeps_to_its_budget_and_its_seed(method):
    class Counting(Linear):
        passes = 0

        def loss(self, vectors):
            # a backward pass counts as a forward pass
            self.passes += 2 if vectors.requires_grad else 1
            return super().loss(vectors)

    for budget in (2, 3, 7, 60):
        objective = Counting()
        found = find_order(objective, method, budget=budget, seed=1)
        assert found.forward_passes == objective.passes <= budget
        again = find_order(Counting(), method, budget=budget, seed=1)
        assert again == found
    assert found.loss == pytest.approx(Counting().evaluate(found.order))
    assert found.history[-1][1] == found.loss
    losses = [loss for _, loss in found.history]
    assert losses == sorted(losses, reverse=True)


def test_random_orders_are_new_and_end_when_there_are_no_more():
    tried = []

    class Watched(Linear):
        def evaluate(self, order):
            tried.append(tuple(order))
            return super().evaluate(order)

    objective = Watched()
    objective.vectors, objective.weights = objective.vectors[:4], objective.weights[:4]
    found = find_order(objective, "random", budget=1000)
    assert sorted(tried) == sorted(itertools.permutations(range(4)))
    assert tried[0] == (0, 1, 2, 3) != found.order


def test_impossible_searches_are_named():
    with pytest.raises(
        LabError, match="choose one of lstm, lstm-printed, lstm-taught, random, swap, sinkhorn"
    ):
        find_order(Linear(), "sort", budget=10)
    with pytest.raises(LabError, match="give at least 2"):
        find_order(Linear(), "swap", budget=1)
    with pytest.raises(LabError, match="positions are for the lstm sorter"):
        find_order(Linear(), "swap", budget=10, positions=True)
    for rate in (0.0, -1e-3):
        with pytest.raises(LabError, match=f"lr={rate} must be above zero"):
            find_order(Linear(), "lstm", budget=10, lr=rate)


# ---- searches on a task ----


@pytest.fixture
def prompted(tiny_backbone, tiny_task):
    def make(family: str):
        backbone = tiny_backbone(family)
        model = PromptedModel.for_task(backbone, tiny_task)
        return model, SoftPrompt.from_vocab(backbone, 5, seed=0, common=15)

    return make


@pytest.mark.parametrize("family", ["llama", "bert", "bert-encoder", "t5"])
def test_the_loss_is_the_cross_entropy_of_the_models_scores(prompted, tiny_task, family):
    model, prompt = prompted(family)
    objective = PromptLoss(model, prompt, tiny_task, sentences=6, seed=2)
    order = (3, 1, 4, 0, 2)
    examples = tiny_task.take("train", 6, seed=2)
    scores = model.scores(SoftPrompt(prompt()[list(order)]), examples)
    expected = -np.mean(
        [row.log_softmax(-1)[e.label].item() for row, e in zip(scores, examples, strict=True)]
    )
    assert objective.evaluate(order) == pytest.approx(expected, abs=1e-5)
    direction = torch.randn(prompt().shape, generator=torch.Generator().manual_seed(0))
    slope = (objective.gradient(order) * direction).sum().item()
    rows, step = objective.vectors[list(order)], 1e-2 / direction.norm()
    with torch.no_grad():
        ends = [objective.loss(rows + sign * step * direction).item() for sign in (1, -1)]
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step.item()), rel=0.05, abs=2e-3)


@pytest.mark.parametrize("family", ["llama", "bert", "bert-encoder", "t5"])
def test_orders_that_are_compared_on_one_batch_are_scored_each_for_itself(
    prompted, tiny_task, family
):
    model, prompt = prompted(family)
    examples = tiny_task.split("train")
    objective = PromptLoss(model, prompt, tiny_task, sentences=6, batch_size=len(examples))
    orders = [[3, 1, 4, 0, 2], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]]
    wanted = torch.tensor([example.label for example in examples])
    scores = [model.scores(SoftPrompt(prompt()[order]), examples) for order in orders]
    expected = [torch.nn.functional.cross_entropy(each, wanted).item() for each in scores]
    assert len({round(loss, 5) for loss in expected}) == 3  # orders that do differ
    assert objective.batch_values(orders, step=0) == pytest.approx(expected, abs=2e-6)


def test_training_steps_go_through_all_examples_and_mix_them_anew(prompted, tiny_task):
    model, prompt = prompted("bert-encoder")
    examples = tiny_task.split("train")
    objective = PromptLoss(model, prompt, tiny_task, sentences=6, batch_size=6)
    wanted = torch.tensor([example.label for example in examples])
    whole = F.cross_entropy(model.scores(prompt, examples), wanted).item()
    with torch.no_grad():
        losses = [objective.batch_loss(objective.vectors, step).item() for step in range(8)]
    for epoch in (losses[:4], losses[4:]):
        assert np.mean(epoch) == pytest.approx(whole, abs=1e-5)
    assert sorted(losses[:4]) != pytest.approx(sorted(losses[4:]), abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_forward_passes_are_sentences_through_the_backbone(
    prompted, tiny_task, monkeypatch, method
):
    model, prompt = prompted("bert-encoder")
    model.scores(prompt, tiny_task.split("test"))  # label vectors are made once, before counting
    passes, inner = 0, model.backbone.word_scores

    def counted(batch, vectors, words):
        nonlocal passes
        passes += len(batch.ids) * (2 if vectors.requires_grad else 1)
        return inner(batch, vectors, words)

    monkeypatch.setattr(model.backbone, "word_scores", counted)
    # the last batch of an epoch is shorter
    assert len(tiny_task.split("train")) % 5
    objective = PromptLoss(model, prompt, tiny_task, sentences=6, batch_size=5)
    found = find_order(objective, method, budget=150)
    assert found.forward_passes == passes <= 150


def test_a_search_reports_on_test_and_leaves_the_prompt(prompted, tiny_task):
    model, prompt = prompted("llama")
    before = prompt().detach().clone()
    result = search(model, prompt, tiny_task, "swap", budget=120, sentences=6)
    assert torch.equal(prompt(), before)
    assert np.array_equal(result.before.scores, evaluate(model, prompt, tiny_task, "test").scores)
    ordered = SoftPrompt(before[list(result.order)])
    assert np.array_equal(result.after.scores, evaluate(model, ordered, tiny_task, "test").scores)
    assert result.is_permutation and result.best.loss <= result.best.loss_before
    assert result.order != tuple(range(5))  # a random model's prompt can be improved


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 0, 0, 3, 3), (4, 0, 3, 1, 2)])
def test_the_score_after_a_search_is_that_of_the_tokens_it_chose(
    prompted, tiny_task, monkeypatch, order
):
    """Also of an order as printed, in which tokens repeat and may stand in rising order."""
    model, prompt = prompted("llama")
    monkeypatch.setattr(searches, "find_order", lambda *_, **__: BestOrder(1.0, order, 0.5))
    result = search(model, prompt, tiny_task, "lstm-printed", budget=120, sentences=6)
    chosen = evaluate(model, SoftPrompt(prompt().detach()[list(order)]), tiny_task, "test")
    assert np.array_equal(result.after.scores, chosen.scores)


# ---- the command ----


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


@pytest.fixture
def saved(tiny_folder, tmp_path):
    """A prompt on a tiny model, and a task folder, as the command line knows them."""
    from labkit.core.loading import load_backbone

    task = tmp_path / "films"
    task.mkdir()
    texts = ["a great film", "a terrible film", "the cast is wonderful", "slow and dull"] * 4
    for split in ("train", "validation", "test"):
        lines = [
            json.dumps({"text": f"{split} {i} {text}", "label": ("positive", "negative")[i % 2]})
            for i, text in enumerate(texts)
        ]
        (task / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    backbone = load_backbone(str(tiny_folder("llama")), device="cpu")
    words = {"negative": "terrible", "positive": "great"}
    model = PromptedModel(backbone, "{soft}{text} It was {mask}", _verbalizer(words))
    prompt = SoftPrompt.from_vocab(backbone, 5, seed=0, common=15)
    save_prompt(tmp_path / "prompt", prompt, model)
    return tmp_path, task, str(tiny_folder("llama")), prompt


def _verbalizer(words):
    from labkit.core.templates import Verbalizer

    return Verbalizer(words)


def sort(saved, *more: str) -> list[str]:
    folder, task, backbone, _ = saved
    return [
        "sort", "--prompt", str(folder / "prompt"), "--backbone", backbone, "--task", str(task),
        "--out", str(folder / "out"), "--budget", "1000", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_sort_says_what_it_found_and_saves_it(saved, capsys, method):
    code, out, _ = run(capsys, *sort(saved, "--method", method, "--json"))
    assert code == 0
    result = json.loads(out)
    assert {
        "before", "after", "order", "is_permutation", "forward_passes", "seconds"
    } <= set(result)  # fmt: skip
    folder, *_, prompt = saved
    rows = load_file(folder / "out" / WEIGHTS)["prompt_embeddings"]
    assert torch.equal(rows, prompt()[result["order"]])
    assert result["is_permutation"] == (sorted(result["order"]) == list(range(5)))
    assert 0 < result["forward_passes"] <= 1000
    card = json.loads((folder / "out" / "labkit.json").read_text())
    assert card["scores"]["after"] == result["after"]


def test_sort_with_positions_and_in_words(saved, capsys):
    code, out, _ = run(capsys, *sort(saved, "--method", "lstm", "--positions"))
    assert code == 0
    assert "before accuracy" in out and "after  accuracy" in out and "forward passes" in out
    card = json.loads((saved[0] / "out" / "labkit.json").read_text())
    assert card["command"].endswith("--positions") and str(saved[0]) not in card["command"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--method", "bogo"), "choose one of lstm"),
        (("--method", "swap", "--positions"), "positions are for the lstm sorter"),
        (("--budget", "3"), "give at least"),
    ],
)
def test_sort_refuses_what_cannot_be(saved, capsys, more, says):
    code, _, err = run(capsys, *sort(saved, *more))
    assert code == 2 and says in err and len(err.splitlines()) == 1
    assert not (saved[0] / "out").exists()


def test_sort_never_writes_over_the_prompt_it_sorts(saved, capsys):
    folder = saved[0]
    before = (folder / "prompt" / WEIGHTS).read_bytes()
    code, _, err = run(capsys, *sort(saved, "--out", str(folder / "prompt")))
    assert code == 2 and "choose another folder" in err
    assert (folder / "prompt" / WEIGHTS).read_bytes() == before


def test_sort_asks_for_a_task_that_nothing_names(saved, capsys):
    folder = saved[0]
    code, _, err = run(
        capsys, "sort", "--prompt", str(folder / "prompt"), "--out", str(folder / "out")
    )
    assert code == 2 and "--task" in err
