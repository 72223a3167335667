"""The figure of a named experiment's result file."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.course.figures.shared import interval_bars
from labkit.course.figures.shuffle_probe import order_ranges
from labkit.course.figures.style import CourseFigure

METRICS = {
    "accuracy": "accuracy on test (share correct)",
    "pearson": "Pearson's r with the ratings of test",
}
SEVERAL = "score on test: accuracy, of ratings Pearson's r"


def result_figure(result: Mapping) -> CourseFigure | None:
    """The figure of a named experiment's result file; None where no row can be drawn.

    Args:
        result: what `labkit.experiments.run` returns.
    """
    about = f"{result['name']} ({result['task']})"
    probed = [row for row in result["rows"] if row.get("scores")]
    if probed:
        metrics = {row.get("metric", "accuracy") for row in probed}
        xlabel = METRICS[metrics.pop()] if len(metrics) == 1 else SEVERAL
        named = [{**row, "setting": _with_seed(row)} for row in probed]
        return order_ranges(named, about, xlabel=xlabel)
    drawn = [row for row in result["summary"] if row["ci95"]]
    if not drawn:
        return None
    return interval_bars(
        [row["setting"] for row in drawn],
        [row["mean"] for row in drawn],
        *zip(*(row["ci95"] for row in drawn), strict=True),
        title=about,
        xlabel="mean over seeds on test",
    )


def _with_seed(row: Mapping) -> str:
    return f"{row['setting']}, seed {row['seed']}"
