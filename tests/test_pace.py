"""Live parts shrink on a slow machine, say so, and stay as they are on a quick one."""

from __future__ import annotations

import pytest

from labkit.course.interact import pace


@pytest.mark.parametrize(
    ("takes", "count", "says"),
    [
        (0.0, 8, ""),
        (7.0, 8, ""),
        (10.0, 6, "one takes 10.0 s on this machine: 6 instead of 8\n"),
        (300.0, 4, "one takes 300.0 s on this machine: 4 instead of 8\n"),
    ],
)
def test_the_work_fits_the_time_that_one_piece_took(takes, count, says, monkeypatch, capsys):
    clock = iter([100.0, 100.0 + takes])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(clock))
    done = []
    assert pace.affordable(lambda: done.append(1), most=8, least=4, seconds=60) == count
    assert done == [1]
    assert capsys.readouterr().out == says


def test_it_says_so_in_chinese_too(monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_LANG", "zh")
    clock = iter([0.0, 30.0])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(clock))
    pace.affordable(lambda: None, most=8, least=1, seconds=60)
    assert capsys.readouterr().out == "在这台机器上一次需要 30.0 秒：做 2 次，而不是 8 次\n"
