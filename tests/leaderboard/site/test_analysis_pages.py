from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic import CONDITIONS, baseline, control, record, suite
from test_pruner_pages import NASTY, Page, traces

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.correlations import Coefficient, Correlation
from prunebench.leaderboard.board.speed import MASKED
from prunebench.leaderboard.site import speed as speed_page
from prunebench.leaderboard.site.correlations import figures as correlation_figures
from prunebench.leaderboard.site.correlations import page as correlations_page
from prunebench.leaderboard.site.links import link_row, name_section
from prunebench.record import Record, Value

ZEROS = "zero_map_fraction/grad-cam"


def correlations(records: list[Record], site: Path) -> tuple[Page, Page]:
    """The overview, and the page of the first group."""
    sections = board(records)
    correlations_page.write(sections, site)
    name = name_section(sections[0])
    return Page(site / "correlations.html"), Page(site / "correlations" / f"{name}.html")


def speed(records: list[Record], site: Path) -> Page:
    speed_page.write(board(records), site)
    return Page(site / "speed.html")


def winners() -> list[Record]:
    """Three pruners; ``a`` leads under two methods of three."""
    scores = {"a": (0.9, 0.8, 0.5), "b": (0.8, 0.7, 0.9), "c": (0.7, 0.6, 0.4)}
    cams = ("x-cam", "y-cam", "z-cam")
    return [
        baseline(sp2ps=dict.fromkeys(cams, 1.0)),
        control(dict.fromkeys(cams, 1.0)),
        *(record(p, 0.5, sp2ps=dict(zip(cams, s, strict=True))) for p, s in scores.items()),
    ]


def test_who_wins_is_told_in_words_from_the_numbers(tmp_path: Path) -> None:
    overview, group = correlations(winners(), tmp_path)
    told = "a leads under 2 of 3 explanation methods (x-cam, y-cam); b under z-cam."
    assert told in overview.text
    assert told in group.text
    assert "3 pruners at 50.0% of MACs pruned" in overview.text
    assert "Kendall's τ-b 0.33 to 1.00" in group.text


def test_the_matrix_shows_the_numbers_that_its_words_tell(tmp_path: Path) -> None:
    _, group = correlations(winners(), tmp_path)
    heat = next(f for f in group.figures if f["data"][0]["type"] == "heatmap")
    assert heat["data"][0]["z"][0] == [1, 1, pytest.approx(0.3333)]
    written = {(n["x"], n["y"]): n["text"] for n in heat["layout"]["annotations"]}
    assert len(written) == 9
    assert written[2, 0] == "0.33"
    assert any("z-cam and x-cam 0.33" in alt for alt in group.alts)


def test_levels_are_said_not_to_be_independent_wherever_p_values_are(tmp_path: Path) -> None:
    overview, group = correlations(suite(seeds=(0, 1, 2)), tmp_path)
    assert "they are not independent" in overview.text
    assert "which they are not" in group.text
    assert "p < 0.001" in group.text
    assert group.unscoped == 0
    assert len(group.alts) == len(group.figures)
    assert all(
        "Spearman's ρ" in alt or "Kendall" in alt or "not defined" in alt for alt in group.alts
    )


def test_what_a_collapse_makes_is_said_in_overview_and_group(tmp_path: Path) -> None:
    working = [(0.93, 0.80), (0.92, 0.82), (0.91, 0.78), (0.90, 0.82), (0.89, 0.80), (0.88, 0.80)]
    points = [*working, (0.50, 0.30), (0.30, 0.10), (0.10, 0.0)]
    records = [
        record(level=0.1 * index, accuracy=accuracy, sp2ps=sp2ps, values={ZEROS: Value(mean=zeros)})
        for index, (accuracy, sp2ps) in enumerate(points, 1)
        for zeros in (0.25 if sp2ps == 0 else 0.0,)
    ]
    overview, group = correlations([baseline(0.93), *records], tmp_path)
    warning = "Pearson's r is 0.99 with the 3 levels that lost more than 10 points of accuracy and"
    for page in (overview, group):
        assert "Without the 3 that lost more than 10 points of accuracy: fewer than" in page.text
        assert (
            f"For 1 of 1 methods the two do not tell the same; Sp2PS, grad-cam: {warning}"
            in page.text
        )
    assert group.text.count(warning) == 3  # of all, in the table of all, and of the pruner
    assert "zero maps 25.0%" in group.text
    assert "zero maps 0.0%" in group.text
    assert "the better of baseline and none has an accuracy of 93.00%" in group.text
    (shape,) = group.figures[0]["layout"]["shapes"]
    assert shape["x0"] == pytest.approx(0.83)


def test_levels_that_all_work_say_that_nothing_is_left_out(tmp_path: Path) -> None:
    points = [(0.9 - 0.01 * i, 0.9 - 0.02 * i) for i in range(4)]
    records = [record(level=0.2 * (i + 1), accuracy=a, sp2ps=s) for i, (a, s) in enumerate(points)]
    overview, group = correlations([baseline(0.9), *records], tmp_path)
    assert "No network lost more than 10 points of accuracy." in overview.text
    assert "the same: no level lost more than 10 points of accuracy" in group.text
    assert "do not tell the same" not in group.text


@pytest.mark.parametrize(
    ("rhos", "points", "said"),
    [
        ([0.95], 9, "too few to say"),
        ([0.95], 10, "Sp2PS falls with it almost without exception"),
        ([-0.95], 10, "Sp2PS rises almost without exception"),
        ([-0.7], 10, "Sp2PS mostly rises"),
        ([0.4], 10, "Sp2PS falls with it more often than not"),
        ([-0.2, 0.2], 10, "tells little"),
        ([-0.9, 0.9], 10, "falls or rises with the explanation method"),
    ],
)
def test_headlines_say_no_more_than_the_coefficients(
    rhos: list[float], points: int, said: str
) -> None:
    spearman = [Coefficient(rho, None) for rho in rhos]
    whole = [
        Correlation(f"sp2ps/cam{index}", points, each, each) for index, each in enumerate(spearman)
    ]
    assert said in correlations_page._make_headline(whole)


def test_hovering_tells_pruner_and_level(tmp_path: Path) -> None:
    _, group = correlations(suite(("l1-filter", "other")), tmp_path)
    dots = [t for t in traces(group) if t.get("mode") == "markers"]
    assert dots
    assert {"l1-filter 20%", "other 80%", "none none"} <= set(dots[0]["text"])


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([baseline(), control()], "No pruned network on an axis"),
        ([baseline(), control(), record("x", 0.5)], "2 of the 3 points"),
        ([baseline(sp2ps={}), control({}), record("x", 0.5, sp2ps={})], "No Sp2PS was measured"),
        ([baseline(), record("x", 0.5), record("y", 0.5)], "Fewer than two pruners"),
    ],
    ids=["controls", "one level", "no methods", "no control"],
)
def test_little_is_told_as_little(records: list[Record], said: str, tmp_path: Path) -> None:
    overview, group = correlations(records, tmp_path)
    assert said in overview.text + group.text


def test_pages_without_records_say_so(tmp_path: Path) -> None:
    correlations_page.write([], tmp_path)
    assert "No records yet" in Page(tmp_path / "correlations.html").text
    assert "No compressed network was timed yet" in speed([], tmp_path).text


def hostile() -> list[Record]:
    conditions = CONDITIONS.model_copy(update={"dataset": NASTY, "model": NASTY})
    fields: dict[str, Any] = {"conditions": conditions, "dataset": NASTY, "model": NASTY}
    time = {"latency_cpu_b1_ratio": Value(mean=0.9), "latency_cpu_b1_ms": Value(mean=1.0)}
    cams = {NASTY: 0.9, "grad-cam": 0.8}
    return [
        baseline(id="b", sp2ps=cams, **fields),
        control(cams, id="c", **fields),
        *(
            record(f"{NASTY}{i}", 0.5, id=f"r{i}", accuracy=0.9 - i / 10, values=time, **fields)
            for i in range(4)
        ),
    ]


def test_text_of_records_is_text_in_both(tmp_path: Path) -> None:
    pages = [*correlations(hostile(), tmp_path), speed(hostile(), tmp_path)]
    pages += [Page(path) for path in (tmp_path / "speed").glob("*.html")]
    assert len(pages) == 4
    for page in pages:
        assert "img" not in page.tags
        assert page.inline == 0
        assert "<img" not in json.dumps([(t.get("name"), t.get("text")) for t in traces(page)])
        assert "onerror" in page.text or page.figures


def test_speed_tells_causes_and_leads_to_rows(tmp_path: Path) -> None:
    records = suite(("l1-filter", "l1-unstructured"))
    page = speed(records, tmp_path)
    assert MASKED in page.text
    (section,) = board(records)
    group = Page(tmp_path / "speed" / f"{name_section(section)}.html")
    for row in section.rows:
        assert (f"../{link_row(row)}" in group.links) == (row.first.role == "compressed")
    names = [t["name"] for t in page.figures[0]["data"]]
    assert names == ["time follows MACs", "dense", "masked"]
    symbols = {t["marker"]["symbol"] for t in page.figures[0]["data"][1:]}
    assert len(symbols) == 2
    assert "4 masked rows with median MACs ×1.00 and time ×1.02" in page.alts[0]
    assert page.unscoped == group.unscoped == 0


def test_a_figure_with_too_many_points_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed_page, "MOST_POINTS", 3)
    monkeypatch.setattr(speed_page, "MOST_ROWS", 2)
    monkeypatch.setattr(correlation_figures, "MOST_POINTS", 6)
    records = suite(("a", "b"), levels=[0.1 * i for i in range(1, 10)])
    page = speed(records, tmp_path)
    assert "15 of 18 points are left out" in page.text
    assert [len(t["x"]) for t in page.figures[0]["data"]] == [2, 3]
    (group,) = (tmp_path / "speed").glob("*.html")
    assert "16 more with a smaller gap" in Page(group).text
    _, correlated = correlations(records, tmp_path)
    assert "17 of 19 networks are left out, evenly" in correlated.text


def test_groups_that_were_not_timed_are_counted(tmp_path: Path) -> None:
    untimed = [baseline(protocol="q"), control(protocol="q"), record(protocol="q")]
    page = speed([*suite(), *untimed], tmp_path)
    assert "was timed: 1." in page.text
