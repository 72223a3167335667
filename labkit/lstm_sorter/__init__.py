"""The LSTM sorter (the paper's sections 3.2 and 3.3), and the searches that it has to beat.

- ``sorters``: networks that learn an order; the choices that the paper's equations leave open.
- ``objectives``: what is searched for, on a task or where the answer is known.
- ``searches``: the sorter, swaps, random orders and Sinkhorn's, at one budget.

Usage::

    sorter = LSTMSorter(prompt, mode="permutation", positions=PositionEnhancement(576, 20))
    fit(model, sorter, task, lr=1e-3)             # trains the sorter; prompt and backbone stay
    evaluate(model, sorter, task)
    save_prompt("sorted", sorter, model)          # folded into a plain prompt
    search(model, prompt, task, "swap", budget=57_600)
"""

from __future__ import annotations

from labkit.lstm_sorter.objectives import HiddenOrder, Objective, PromptLoss
from labkit.lstm_sorter.searches import (
    BUDGET,
    METHODS,
    PairChanges,
    find_order,
    pair_changes,
    predicted_changes,
    promising_pairs,
    search,
    teach,
)
from labkit.lstm_sorter.sorters import LSTMSorter, SinkhornSorter, sinkhorn, straight_through

__all__ = [
    "BUDGET",
    "METHODS",
    "HiddenOrder",
    "LSTMSorter",
    "Objective",
    "PairChanges",
    "PromptLoss",
    "SinkhornSorter",
    "find_order",
    "pair_changes",
    "predicted_changes",
    "promising_pairs",
    "search",
    "sinkhorn",
    "straight_through",
    "teach",
]
