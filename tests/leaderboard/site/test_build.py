"""Writing the site: the same bytes from the same records, in place of its own folder only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic import suite

from prunebench.errors import RequestError

Write = Callable[[list[Any], Path], Path]


def content(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.slow
def test_equal_records_give_equal_bytes(write: Write, tmp_path: Path) -> None:
    records = suite(seeds=(0, 1, 2), floors=True, maps=True)
    first = content(write(records, tmp_path / "a"))
    assert first == content(write(list(reversed(records)), tmp_path / "b"))
    assert {"index.html", "row.html", "papers.html", "assets/plotly.min.js"} <= set(first)


@pytest.mark.slow
def test_what_is_not_there_any_more_is_gone(write: Write, tmp_path: Path) -> None:
    site = write(suite(), tmp_path / "site")
    rows = set((site / "rows").iterdir())
    write(suite(["l1-filter"]), site)
    assert set((site / "rows").iterdir()) < rows
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_folder_of_something_else_is_left_alone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RequestError, match="not a site of ours"):
        write(suite(), tmp_path)
    assert content(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_page_that_fails_leaves_the_old_site(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write(suite(), tmp_path / "site")
    before = content(site)

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("prunebench.leaderboard.site.build.WRITERS", (fail,))
    with pytest.raises(OSError, match="disk full"):
        write(suite(["l1-filter"]), site)
    assert content(site) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
