"""Records of older plugins: marked, and in no section or row with newer ones."""

from __future__ import annotations

from typing import Any

from synthetic import suite

from prunebench.leaderboard.board import board
from prunebench.leaderboard.writers.markdown import to_markdown
from prunebench.record import Record


def made_with(versions: dict[str, Any], suffix: str = "", **options: Any) -> list[Record]:
    """A small suite whose records tell these versions."""
    told = {name: f"{version} (prunebench 0.1.0)" for name, version in versions.items()}
    found = suite(pruners=("l1-filter", "random-filter"), levels=(0.4,), **options)
    return [
        record.model_copy(
            update={"provenance": {"plugins": told}, "id": f"{record.id}{suffix}"},
        )
        for record in found
    ]


def test_other_versions_of_what_measures_stand_in_sections_of_their_own() -> None:
    old = made_with({"cams/grad-cam": 1, "metrics/sp2ps": 1}, "-old")
    new = made_with({"cams/grad-cam": 2, "metrics/sp2ps": 1})
    sections = board([*old, *new])
    assert len(sections) == 2
    assert board([*new, *old]) == sections
    newer, older = sorted(sections, key=lambda section: bool(section.first.flags))
    assert {record.id for row in newer.rows for record in row.records} == {r.id for r in new}
    assert {record.id for row in older.rows for record in row.records} == {r.id for r in old}
    assert older.baseline is not None
    assert older.control is not None
    assert all(
        row.flags == ("made with version 1 of grad-cam, of which there is version 2",)
        for row in older.rows
    )
    assert "· older versions" in to_markdown(sections)


def test_an_older_compression_method_is_another_one() -> None:
    new = made_with({"pruners/l1-filter": 2, "pruners/random-filter": 1})
    old = [record for record in made_with({"pruners/l1-filter": 1}, "-old") if record.level]
    (section,) = board([*new, *old])
    labels = [row.first.pruner for row in section.rows if row.first.role == "compressed"]
    assert sorted(labels) == ["l1-filter", "l1-filter (version 1)", "random-filter"]
    marked = next(row for row in section.rows if row.first.pruner.endswith("(version 1)"))
    assert any("version 1 of l1-filter" in flag for flag in marked.flags)
    assert board(new) != board([*new, *old])


def test_records_of_one_version_are_left_as_they_are() -> None:
    records = made_with({"cams/grad-cam": 2, "pruners/l1-filter": 3})
    odd = [r.model_copy(update={"provenance": {"plugins": [1]}}) for r in suite(protocol="p2")]
    for section in board([*records, *odd]):
        assert not any(row.flags for row in section.rows)
