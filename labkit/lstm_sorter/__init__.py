"""The LSTM sorter (the paper's sections 3.2 and 3.3), and the searches that it has to beat.

- ``sorters``: networks that learn an order; the choices that the paper's equations leave open.
- ``objectives``: what is searched for, on a task or where the answer is known.
- ``rankings``: one score for each token: Plackett and Luce's distribution, and relaxed sorts.
- ``methods``: ways to look for an order, the sorter among them; ``trials`` counts what they spend.
- ``swaps``: exchanges of two, foretold by one gradient and measured.
- ``searches``: any of them on an objective or a task, at one budget.

Usage::

    sorter = LSTMSorter(prompt, mode="permutation", positions=PositionEnhancement(576, 20))
    fit(model, sorter, task, lr=1e-3)             # trains the sorter; prompt and backbone stay
    evaluate(model, sorter, task)
    save_prompt("sorted", sorter, model)          # folded into a plain prompt
    search(model, prompt, task, "swap", budget=57_600)
"""

from __future__ import annotations

from labkit.lstm_sorter.methods import METHODS, teach
from labkit.lstm_sorter.objectives import HiddenOrder, LabelFree, Objective, PromptLoss
from labkit.lstm_sorter.rankings import PlackettLuce, SoftSorter, neural_sort, soft_sort
from labkit.lstm_sorter.searches import BUDGET, CHOICES, find_order, search
from labkit.lstm_sorter.sorters import LSTMSorter, SinkhornSorter, sinkhorn, straight_through
from labkit.lstm_sorter.swaps import PairChanges, pair_changes, predicted_changes, promising_pairs

__all__ = [
    "BUDGET",
    "CHOICES",
    "METHODS",
    "HiddenOrder",
    "LSTMSorter",
    "LabelFree",
    "Objective",
    "PairChanges",
    "PlackettLuce",
    "PromptLoss",
    "SinkhornSorter",
    "SoftSorter",
    "find_order",
    "neural_sort",
    "pair_changes",
    "predicted_changes",
    "promising_pairs",
    "search",
    "sinkhorn",
    "soft_sort",
    "straight_through",
    "teach",
]
