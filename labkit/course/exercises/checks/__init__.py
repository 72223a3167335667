"""Checks: one line that says a result holds, and what went wrong in an exercise.

:func:`check` is for results: the tolerance stands in the code, and the line that it prints is the
same on every machine. The other functions are for exercises. They test properties of the reader's
function (shapes, order, padding, which numbers move) on inputs made here, never equality with a
solution that could be imported, and name the mistake where they recognise it.

Usage::

    check("soft prompt beats the best hard prompt", soft - hard, at_least=0.02)
    check_score_batch(score_batch)
"""

# ruff: noqa: F401 (the notebooks take every check from here)

from __future__ import annotations

from labkit.course.exercises.checks.glue import (
    check_fair_mean,
    check_fisher_interval,
    check_gate_cost,
    check_paired_gain,
    check_possible,
    check_two_poles,
)
from labkit.course.exercises.checks.hard_prompt import (
    check_accuracy,
    check_clean,
    check_fill,
    check_label_ids,
    check_score_batch,
    check_split,
)
from labkit.course.exercises.checks.lab_a_soft_prompt import (
    check_batches,
    check_collate,
    check_label_scores,
    check_learning_rate,
    check_predict,
    check_save_prompt,
    check_soft_prompt,
    check_train,
)
from labkit.course.exercises.checks.lab_b_order_claim import (
    check_order_plan,
    check_outcome,
    check_plan_lock,
    check_verdict,
)
from labkit.course.exercises.checks.lstm_sorter import (
    check_gate,
    check_lstm_step,
    check_mask_chosen,
    check_straight_through,
    check_swap_changes,
)
from labkit.course.exercises.checks.p_tuning import (
    check_count_trained,
    check_encode,
    check_lay_between,
    check_template_spread,
)
from labkit.course.exercises.checks.position_enhancement import (
    check_content_share,
    check_head,
    check_relative_scores,
    check_sinusoids,
)
from labkit.course.exercises.checks.prompt_pretraining import (
    check_few_shot_gain,
    check_next_pairs,
    check_surest,
    check_without_test,
)
from labkit.course.exercises.checks.prompt_transfer import (
    check_average_start,
    check_retrieved_gain,
    check_same_kind_gain,
    check_share_kept,
    check_task_similarity,
)
from labkit.course.exercises.checks.shuffle_probe import (
    check_block_orders,
    check_discoveries,
    check_mcnemar,
    check_prediction_matrix,
)
from labkit.course.exercises.checks.soft_prompt import (
    check_keep_nearest,
    check_leak,
    check_nearest,
    check_prepend,
    check_sample_init,
    check_training_step,
)


def check(claim: str, value: float, *, at_least: float | None = None, at_most: float | None = None):
    """Print ``✓ claim (bound)``, or fail with the value seen.

    Raises:
        AssertionError: with the claim, the value and the bound.
    """
    bounds = []
    if at_least is not None:
        assert value >= at_least, f"{claim}: {value:.4g} is below {at_least:g}"
        bounds.append(f"at least {at_least:g}")
    if at_most is not None:
        assert value <= at_most, f"{claim}: {value:.4g} is above {at_most:g}"
        bounds.append(f"at most {at_most:g}")
    assert bounds, "give at_least or at_most"
    print(f"✓ {claim} ({', '.join(bounds)})")
