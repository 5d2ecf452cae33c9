"""Results show themselves in a notebook, and nothing in them can do harm there."""

from __future__ import annotations

from synthetic import record

from prunebench.record import Heatmap
from prunebench.results import Results

PNG = "iVBORw0KGgo="


def test_results_are_told_in_a_line_and_in_a_table() -> None:
    shown = (Heatmap(image=3, cam=None, png=PNG), Heatmap(image=3, cam="grad-cam", png=PNG))
    found = Results(
        "quick",
        [
            record("l1-filter", 0.5, heatmaps=shown),
            record("<script>alert(1)</script>", 0.5),
            record("l1-filter", 0.9, failure="a layer <b>would</b> be empty"),
        ],
    )
    assert repr(found) == "Results: 3 networks of suite 'quick', 1 failed"
    html = found._repr_html_()
    assert html.count("<tr>") == 4
    assert html.count("<img") == 2
    assert "Sp2PS grad-cam" in html
    assert "<script" not in html
    assert "<b>" not in html
    assert "failed: a layer" in html


def test_a_long_table_is_cut() -> None:
    found = Results("quick", [record("l1-filter", 0.5)] * 60)
    assert found._repr_html_().endswith("<p>and 10 more</p></div>")
    assert repr(Results("quick", [], undone=2)) == (
        "Results: 0 networks of suite 'quick', 0 failed, 2 steps to do"
    )
