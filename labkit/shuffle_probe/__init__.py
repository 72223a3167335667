"""Does the order of virtual tokens matter? The same prompt, scored in many orders.

- ``orders``: which virtual tokens change places: at random, in blocks, with a part kept, by name.
- ``designs``: orders at a chosen distance, and what each token adds at each place.
- ``probe``: the predictions in all orders, and every figure that is derived from them.
- ``effect``: the mean order effect over prompts, orders and sentences, and its variances.
- ``incomplete``: that effect from a fraction of the scorings; ``plan``: how many it takes.
- ``matrix``: those predictions as a file that grows, so that a stopped probe goes on.

Source: Liu, Cheng and Liu 2024, section 2 (tables 1–6).
"""

from __future__ import annotations

from labkit.shuffle_probe.designs import TokenPlaceEffects, discordant_share, mallows
from labkit.shuffle_probe.effect import (
    Components,
    best_effect,
    components,
    mean_effect,
    pooled_effect,
    scattered_effect,
    spread_by_factor,
)
from labkit.shuffle_probe.incomplete import (
    Design,
    IncompleteProbe,
    from_matrix,
    incomplete_design,
    probe_incomplete,
)
from labkit.shuffle_probe.orders import NAMED, Orders, Shuffle, reversal, rotations, swaps
from labkit.shuffle_probe.plan import Costs, Plan, cheapest
from labkit.shuffle_probe.probe import Probe, probe_order

__all__ = [
    "NAMED",
    "Components",
    "Costs",
    "Design",
    "IncompleteProbe",
    "Orders",
    "Plan",
    "Probe",
    "Shuffle",
    "TokenPlaceEffects",
    "best_effect",
    "cheapest",
    "components",
    "discordant_share",
    "from_matrix",
    "incomplete_design",
    "mallows",
    "mean_effect",
    "pooled_effect",
    "probe_incomplete",
    "probe_order",
    "reversal",
    "rotations",
    "scattered_effect",
    "spread_by_factor",
    "swaps",
]
