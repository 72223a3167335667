"""The audit: what in the paper's own tables, text and equations does not add up.

What is stated stands in ``data/paper``, each cell as printed, and ``statements.json`` names the
rule for each statement and the words for what breaks it. Every finding is computed: correct a cell
there and its finding is gone.

Usage::

    for finding in audit():
        print(finding.where, finding.comes_out)

Source: Liu, Cheng and Liu (2024), doi 10.20165/j.cnki.ISSN1673-629X.2024.0187.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.audit.paper import Paper
from labkit.audit.rules import RULES

SEVERITIES = ("arithmetic", "protocol", "prose", "equation", "not stated")


@dataclass(frozen=True)
class Finding:
    """Something that does not add up.

    Attributes:
        id: unique and stable; where: table, row, section or equation.
        paper_says, comes_out: what is printed and what it should be, or what follows from it.
        computation: how that was computed, in a line of words.
        severity: ``arithmetic`` (a printed number contradicts printed numbers), ``protocol`` (how
            scores were made or compared), ``prose`` (text against tables), ``equation``, or
            ``not stated``.
    """

    id: str
    where: str
    paper_says: str
    comes_out: str
    computation: str
    severity: str


_TEXTS = ("id", "where", "paper_says", "comes_out", "computation")


def audit(paper: Paper | None = None) -> list[Finding]:
    """All findings, in the order of their severity."""
    paper = paper or Paper.as_printed()
    return [
        Finding(**{name: statement[name].format(**values) for name in _TEXTS}, severity=severity)
        for severity in SEVERITIES
        for statement in paper.statements
        if statement["severity"] == severity
        for values in RULES[statement["rule"]](paper, **statement.get("given", {}))
    ]


def as_lines(findings: Sequence[Finding]) -> list[str]:
    """For people: a few lines a finding, under a heading for each severity."""
    lines = []
    for severity in SEVERITIES:
        group = [f for f in findings if f.severity == severity]
        if group:
            lines += [f"{severity} ({len(group)})", ""]
        for finding in group:
            lines += [f"  {finding.where}  [{finding.id}]"]
            lines += _wrapped("the paper", finding.paper_says)
            lines += _wrapped("comes out", finding.comes_out)
            lines += [*_wrapped("computed", finding.computation), ""]
    return [*lines, f"{len(findings)} findings"]


def _wrapped(what: str, text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=f"    {what:<11}", subsequent_indent=" " * 15)
