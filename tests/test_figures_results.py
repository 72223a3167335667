"""A result file is drawn with what it has."""

from __future__ import annotations

from drawn import ORDER_ROWS, words_of
from labkit.course.figures.results import result_figure


def test_a_result_is_drawn_with_what_it_has():
    rows = [{**row, "seed": 0} for row in ORDER_ROWS] + [{"setting": "stuck", "seed": 0}]
    result = {"name": "table2", "task": "films", "rows": rows, "summary": []}
    drawn = result_figure(result)
    assert drawn.get_suptitle() == "table2 (films)"
    assert {"single, seed 0", "blocks, seed 0"} <= set(words_of(drawn))
    assert "accuracy on test (share correct)" in words_of(drawn)
    rated = [{**rows[0], "metric": "pearson"}, *rows[1:]]
    assert any("Pearson's r" in text for text in words_of(result_figure({**result, "rows": rated})))
    summary = [
        {"setting": "20", "mean": 0.8, "ci95": [0.7, 0.9]},
        {"setting": "1", "mean": 0.6, "ci95": None},
    ]
    result = {"name": "lester-length", "task": "films", "rows": [], "summary": summary}
    assert {"20", "0.800"} <= set(words_of(result_figure(result)))
    assert result_figure({**result, "summary": summary[1:]}) is None
