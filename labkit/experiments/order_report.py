"""Tables 1–6 as Markdown: our rows in the paper's shape, its own rows below, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.audit.tables import printed as printed_table
from labkit.experiments.base.report import cells, report_head, table_head
from labkit.experiments.base.rows import learned
from labkit.experiments.base.verdicts import signed, verdict_line
from labkit.experiments.order import row_name
from labkit.shuffle_probe.effect import FACTORS

HEADINGS = (
    "setting", "seed", "n", "orders", "baseline [95 %]", "without positions", "worst", "best",
    "worse", "better", "equal", "beyond chance: worse, better", "predictions flipped",
    "random order − trained [95 %]", "best, held out [95 %]", "variance from sampling",
)  # fmt: skip
COLUMNS = ("baseline", "no_positions", "worst", "best", "worse", "better", "equal")


def as_markdown(result: Mapping, remarks: Sequence[str] = ()) -> str:
    """The table in the paper's shape, its own rows below, and the verdicts.

    Args:
        remarks: lines to say right below our rows.
    """
    lines = report_head(result, HEADINGS)
    lines += [_line(row) for row in result["rows"]]
    lines += ["", *remarks] if remarks else []
    lines += _pooled_lines(result)
    lines += _paper_lines(result)
    lines += ["", "## Verdicts", ""]
    for row in result["rows"]:
        for judged in row.get("verdict", ()):
            lines.append(f"- {row['setting']}, seed {row['seed']}: {verdict_line(judged)}")
    return "\n".join(lines) + "\n"


def _pooled_lines(result: Mapping) -> list[str]:
    """The mean effect over prompts, and what its interval is made of."""
    pooled, apart = result.get("pooled", ()), _left_apart(result)
    if not pooled and not apart:
        return []
    lines = ["", "## Over prompts"]
    if pooled:
        lines += ["", *table_head(POOLED), *map(_pooled_line, pooled), ""]
    for row in pooled:
        for judged in (row["verdict"], *row["other_verdicts"]):
            lines.append(f"- {row['setting']}: {verdict_line(judged)}")
    return [*lines, *([""] if apart else []), *apart]


POOLED = (
    "setting", "prompts × orders × sentences", "scored on", "trained order",
    "random order − trained [95 %]", "half-width from prompts alone", "from orders",
    "from sentences", "best, held out [95 %]", "without positions [95 %]",
)  # fmt: skip


def _pooled_line(row: Mapping) -> str:
    bare = row.get("no_positions")
    return cells(
        [
            row["setting"],
            f"{row['prompts']} × {row['orders']} × {row['n']}",
            " and ".join(row["scored_on"]),
            f"{row['baseline']:.3f}",
            signed(row["mean_difference"]),
            *(f"{row['half_widths'][factor]:.3f}" for factor in FACTORS),
            signed(row["best_held_out"]),
            "–" if bare is None else signed(bare),
        ]
    )


def _left_apart(result: Mapping) -> list[str]:
    """Settings of several prompts of which one or more did not go into the mean, and why."""
    pooled = {line["setting"]: line["prompts"] for line in result.get("pooled", ())}
    lines = []
    for setting in dict.fromkeys(row["setting"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["setting"] == setting]
        passed = learned(rows)
        stuck = [str(row["seed"]) for row in rows if not row["learns"]]
        whys = []
        if stuck and passed:
            whys.append(f"seed {', '.join(stuck)} did not pass the gate and counts nowhere")
        if len({row["n"] for row in passed}) > 1:
            sizes = (f"seed {row['seed']}: n = {row['n']}" for row in passed)
            whys.append(
                f"prompts scored on different sentences are left apart ({'; '.join(sizes)})"
            )
        elif len(passed) > 1 and pooled.get(setting, 0) < len(passed):
            whys.append(
                f"matrices of {len(passed) - pooled.get(setting, 0)} of {len(passed)} prompts "
                "are not here, another row's, or of other sentences"
            )
        lines += [f"- {setting}: {why}" for why in whys]
    return lines


def _line(row: Mapping) -> str:
    interval = "{:.3f} [{:.3f}, {:.3f}]".format(row["value"], *row["ci95"])
    if not row["learns"]:
        blind = "" if row["majority"] is None else f", majority class {row['majority']:.3f}"
        start = [row["setting"], row["seed"], row["n"], 0, interval]
        return cells([*start, f"does not learn{blind}", *[""] * 10])
    beyond = row.get("significant")
    no_positions = row.get("no_positions")
    return cells(
        [
            row["setting"],
            row["seed"],
            row["n"],
            _orders(row),
            interval,
            "–" if no_positions is None else f"{no_positions['value']:.3f}",
            *(f"{row[k]:.3f}" for k in ("worst", "best")),
            *(row[k] for k in ("worse", "better", "equal")),
            "–" if beyond is None else f"{beyond['worse']}, {beyond['better']}",
            f"{row['flip_rate']:.3f}" if "flip_rate" in row else "–",
            signed(row["mean_difference"]),
            signed(row["best_held_out"]),
            f"{row['noise_share']:.2f}",
        ]
    )


def _orders(row: Mapping) -> str:
    every = row["permutations"] == row["available"]
    return f"{row['permutations']} (all there are)" if every else str(row["permutations"])


def _paper_lines(result: Mapping) -> list[str]:
    """The printed table, in per cent as printed."""
    number = result["name"].removeprefix("table")
    if not number.isdecimal():
        return []
    table = printed_table(int(number))
    rows = [["paper", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    for row in table["rows"]:
        rows.append([row_name(row), *(row.get(column, "–") for column in COLUMNS)])
    return ["", f"The paper's own rows (per cent; {table['title']}):", "", *map(cells, rows)]
