from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from synthetic import CONDITIONS, baseline, control, record, suite
from worlds import world

from prunebench.leaderboard.board import board
from prunebench.leaderboard.site.links import link_pruner, link_row
from prunebench.leaderboard.site.pruners import pages as pruner_pages
from prunebench.leaderboard.site.row.citation import find_address, format_bibtex
from prunebench.plugins import finding as plugins
from prunebench.plugins.cards import Paper
from prunebench.record import Record

NASTY = "</script><img src=x onerror=alert(1)> %{y} \u2028 '\" {{ 7*7 }}"


class Page(HTMLParser):
    """What a page holds: text, links, pictures without words, headers without scope."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.links: list[str] = []
        self.tags: list[str] = []
        self.alts: list[str] = []
        self.unscoped = 0
        self.inline = 0
        self._script = False
        self.figures: list[dict[str, Any]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [given["href"] or ""] if tag == "a" else []
        self.alts += (
            [given.get("aria-label") or ""] if given.get("role") in ("img", "figure") else []
        )
        self.unscoped += tag == "th" and "scope" not in given
        self._script = tag == "script" and given.get("type") == "application/json"
        self.inline += any(name.startswith("on") for name in given)
        self.inline += tag == "script" and not self._script and "src" not in given

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.figures.append(json.loads(data))
        else:
            self.text += data


def write(records: list[Record], site: Path) -> None:
    pruner_pages.write(board(records), site)


def traces(page: Page) -> list[dict[str, Any]]:
    return [trace for figure in page.figures for trace in figure["data"]]


def test_every_pruner_has_a_page_and_is_listed(tmp_path: Path) -> None:
    records = suite(("l1-filter", "l1-unstructured"))
    write(records, tmp_path)
    listed = Page(tmp_path / "pruners.html")
    names = {r.pruner_name for r in records if r.role == "compressed"}
    for name in names:
        assert link_pruner(name) in listed.links
        assert (tmp_path / unquote(link_pruner(name))).is_file()
    assert "Magnitude" in listed.text


def test_a_figure_for_accuracy_and_for_every_preservation_metric(tmp_path: Path) -> None:
    records = suite(("l1-filter", "other"))
    write(records, tmp_path)
    page = Page(tmp_path / link_pruner("l1-filter"))
    titles = [figure["layout"]["yaxis"]["title"]["text"] for figure in page.figures]
    assert titles == ["Accuracy", "Sp2PS", "PE score"]
    (line,) = [t for t in page.figures[1]["data"] if t["name"] == "grad-cam"]
    found = [r for r in records if r.pruner == "l1-filter"]
    none = next(r for r in records if r.role == "control")
    assert line["x"] == [0, *(r.reached.macs for r in found)]
    assert line["y"] == pytest.approx([r.mean("sp2ps/grad-cam") for r in (none, *found)], abs=1e-5)
    assert line["error_y"]["array"] == pytest.approx([0.01] * 5, abs=1e-5)
    shapes = page.figures[1]["layout"]["shapes"]
    limits = [shape["y0"] for shape in shapes if shape["type"] == "line"]
    assert sorted(limits) == [0.9, 0.95]
    assert "from 0.970 at 0% to" in page.alts[1]
    assert len(page.alts) == len(page.figures)
    assert "other pruners" in [t["name"] for t in page.figures[1]["data"]]


def test_rows_lead_to_their_pages_and_controls_are_told_apart(tmp_path: Path) -> None:
    records = suite(("l1-filter",))
    write(records, tmp_path)
    page = Page(tmp_path / link_pruner("l1-filter"))
    (section,) = board(records)
    for row in section.rows:
        if row.first.role in ("control", "compressed"):
            assert f"../{link_row(row)}" in page.links
    assert "none (fine-tuning only)" in page.text
    assert page.unscoped == 0


def test_variants_are_lines_of_their_own(tmp_path: Path) -> None:
    records = [
        baseline(),
        control(),
        *(
            record(label, level, pruner_name="l1-filter")
            for label in ("l1-filter", "l1-filter(scope=erk)")
            for level in (0.3, 0.6)
        ),
    ]
    write(records, tmp_path)
    page = Page(tmp_path / link_pruner("l1-filter"))
    lines = {trace["name"]: trace["line"]["dash"] for trace in page.figures[1]["data"]}
    assert lines.pop("none: fine-tuning only")
    assert lines.keys() == {"l1-filter · grad-cam", "l1-filter(scope=erk) · grad-cam"}
    assert len(set(lines.values())) == 2


def test_every_figure_shows_the_controls(tmp_path: Path) -> None:
    beside = [
        record(
            name, level, role=role, axis=axis, sp2ps=mean + 0.01 * seed, seed=seed, seeds=range(5)
        )
        for seed in range(5)
        for name, level, role, axis, mean in (
            ("twin", None, "twin", "none", 0.55),
            ("small", 0.3, "small", "dense", 0.5),
        )
    ]
    write([*world({"l1-filter": 0.9, "b": 0.8}), *beside], tmp_path)
    page = Page(tmp_path / link_pruner("l1-filter"))
    accuracy, maps = page.figures
    drawn = {unescape(trace["name"]): trace for trace in maps["data"]}
    assert drawn["random weights"]["y"] == [0.2, 0.2]
    assert drawn["twin: another seed's baseline"]["y"] == [0.57, 0.57]
    assert drawn["none: fine-tuning only"]["y"] == [0.97, 0.97]
    small = drawn["small network from scratch, 30%"]
    assert (small["x"], small["y"], small["mode"]) == ([0.3], [0.52], "markers")
    assert small["error_y"]["array"][0] > 0
    bands = [shape for shape in maps["layout"]["shapes"] if shape["type"] == "rect"]
    # Twins share baselines pair by pair, and have no interval.
    assert not any(band["y0"] < 0.57 < band["y1"] for band in bands)
    assert "random weights 0.200" in page.alts[1]
    assert "random weights" not in {trace["name"] for trace in accuracy["data"]}


def test_horizons_and_ranks_are_told(tmp_path: Path) -> None:
    records = world({"l1-filter": 0.96, "other": 0.8})
    write(records, tmp_path)
    page = Page(tmp_path / link_pruner("l1-filter"))
    section = next(each for each in board(records) if each.horizons)
    horizon = next(h for h in section.horizons if h.pruner == "l1-filter" and h.cam == "grad-cam")
    assert str(horizon.outcome) in page.text
    assert "1 of 2, score 0.960" in page.text


def test_the_card_and_its_citation(tmp_path: Path) -> None:
    write(suite(("l1-filter",)), tmp_path)
    page = Page(tmp_path / link_pruner("l1-filter"))
    assert "Pruning Filters for Efficient ConvNets" in page.text
    assert "@misc{li2017pruning," in page.text
    assert "https://arxiv.org/abs/1608.08710" in page.links


def test_a_plugin_that_is_not_installed_says_so(tmp_path: Path) -> None:
    write([baseline(), control(), record("x", pruner_name="nobodys-pruner")], tmp_path)
    page = Page(tmp_path / link_pruner("nobodys-pruner"))
    assert "Not installed where this page was made" in page.text
    assert page.figures


def test_a_card_that_cannot_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken_card"
    (package / "registry" / "pruners").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "registry" / "pruners" / "odd.yaml").write_text("title: [")
    info = tmp_path / "broken_card-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-card\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[prunebench.pruners]\nodd = broken_card:Odd\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.entries.cache_clear()
    try:
        write([baseline(), control(), record("odd", pruner_name="odd")], tmp_path / "site")
    finally:
        plugins.entries.cache_clear()
    assert "malformed card" in Page(tmp_path / "site" / link_pruner("odd")).text


@pytest.mark.parametrize(
    "records",
    [
        [],
        [record("alone", 0.5, pruner_name="l1-filter")],
        [baseline(), control(), record("one", 0.5, pruner_name="l1-filter")],
        [baseline(sp2ps={}), control({}), record("blind", 0.5, sp2ps={}, pruner_name="l1-filter")],
        [baseline(), control(), record("kd", None, axis="none", pruner_name="distillation")],
        [baseline(), control(), record("x", sp2ps={"grad-cam": None}, pruner_name="l1-filter")],
    ],
    ids=["none", "alone", "one level", "no methods", "no axis", "undefined"],
)
def test_little_is_shown_as_little(records: list[Record], tmp_path: Path) -> None:
    write(records, tmp_path)
    page = Page(tmp_path / "pruners.html")
    if not records:
        assert "No records yet." in page.text
    for path in (tmp_path / "pruners").glob("*.html"):
        own = Page(path)
        assert all(own.alts)
        assert not re.search(r"\b(nan|None|inf)\b", own.text)


def test_text_of_records_is_text(tmp_path: Path) -> None:
    conditions = CONDITIONS.model_copy(update={"dataset": NASTY, "model": NASTY})
    fields: dict[str, Any] = {"conditions": conditions, "dataset": NASTY, "model": NASTY}
    cams = {NASTY: 0.9, "grad-cam": 0.9}
    records = [
        baseline(id="b", sp2ps=cams, **fields),
        control(cams, id="c", **fields),
        *(
            record(NASTY + str(i), 0.5, id=f"r{i}", sp2ps=cams, pruner_name=NASTY, **fields)
            for i in range(2)
        ),
    ]
    write(records, tmp_path)
    (path,) = [p for p in (tmp_path / "pruners").glob("*.html") if p.name != "none.html"]
    page = Page(path)
    assert "img" not in page.tags
    assert page.inline == 0
    assert "49" not in re.sub(r"0\.\d+|\d+%", "", page.text)
    shown = json.dumps([(t["name"], t.get("text")) for t in traces(page)])
    assert "<img" not in shown
    assert "onerror" in unescape(shown)
    assert Page(tmp_path / "pruners.html").inline == 0


def test_large_boards_are_cut_and_say_so(tmp_path: Path) -> None:
    many = [
        found
        for number in range(pruner_pages.MOST_GROUPS + 3)
        for found in suite(("l1-filter",), protocol=f"p{number}")
    ]
    write(many, tmp_path)
    page = Page(tmp_path / link_pruner("l1-filter"))
    assert "3 more groups" in page.text
    assert len(page.figures) == 3 * pruner_pages.MOST_GROUPS


def test_bibtex_is_data_never_commands() -> None:
    paper = Paper(
        title=r"50% of \input{x} & _all_ {braces}",
        authors="Zoë O'Neil, A. B. Müller, et al.",
        year=2020,
        doi="10.1/a}b",
        url="https://e.org/x y",
    )
    text = format_bibtex(paper)
    assert text.startswith("@misc{oneil2020")
    assert "author = {Zoë O'Neil and A. B. Müller and others}" in text
    assert r"\input" not in text
    assert r"50\% of" in text
    plain = re.sub(r"\\[&%$#_{}]", "", text)
    assert plain.count("{") == plain.count("}")


def test_addresses_are_of_the_web_only() -> None:
    fields: dict[str, Any] = {"title": "t", "authors": "a", "year": 2020}
    assert find_address(Paper(**fields, url="javascript:alert(1)")) is None
    assert find_address(Paper(**fields, url="https://e.org")) == "https://e.org"
    assert find_address(Paper(**fields, doi="10.1/a b")) == "https://doi.org/10.1/a%20b"
    assert find_address(Paper(**fields)) is None
