"""Tables 1–6 as Markdown: our rows in the paper's shape, its own rows below, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.audit.tables import printed as printed_table
from labkit.experiments.base.report import cells, report_head, table_head
from labkit.experiments.base.verdicts import signed, verdict_line
from labkit.experiments.order import row_name
from labkit.shuffle_probe.effect import FACTORS

HEADINGS = (
    "setting", "seed", "n", "orders", "baseline [95 %]", "without positions", "worst", "best",
    "worse", "better", "equal", "beyond chance: worse, better", "predictions flipped",
    "random order − trained [95 %]", "best, held out [95 %]", "variance from sampling",
)  # fmt: skip
COLUMNS = ("baseline", "no_positions", "worst", "best", "worse", "better", "equal")


def as_markdown(result: Mapping) -> str:
    """The table in the paper's shape, its own rows below, and the verdicts."""
    lines = report_head(result, HEADINGS)
    lines += [_line(row) for row in result["rows"]]
    lines += _pooled_lines(result)
    lines += _paper_lines(result)
    lines += ["", "## Verdicts", ""]
    for row in result["rows"]:
        for judged in row.get("verdict", ()):
            lines.append(f"- {row['setting']}, seed {row['seed']}: {verdict_line(judged)}")
    return "\n".join(lines) + "\n"


def _pooled_lines(result: Mapping) -> list[str]:
    """The mean effect over prompts, and what its interval is made of."""
    pooled = result.get("pooled")
    if not pooled:
        return []
    heads = [
        "setting", "prompts × orders × sentences", "trained order", "random order − trained [95 %]",
        "half-width from prompts alone", "from orders", "from sentences",
    ]  # fmt: skip
    lines = ["", "## Over prompts", "", *table_head(heads)]
    for row in pooled:
        widths = [f"{row['half_widths'][factor]:.3f}" for factor in FACTORS]
        size = f"{row['prompts']} × {row['orders']} × {row['n']}"
        effect = signed(row["mean_difference"])
        lines.append(cells([row["setting"], size, f"{row['baseline']:.3f}", effect, *widths]))
    lines += ["", *(f"- {row['setting']}: {verdict_line(row['verdict'])}" for row in pooled)]
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
