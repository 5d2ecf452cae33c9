"""Rule 16: a later board keeps the earlier one, and says which places changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from worlds import world

from prunebench.leaderboard.board import Section, board
from prunebench.leaderboard.board.protocol import Headline, Protocol
from prunebench.leaderboard.publish import write_board

HEADLINE = Headline(
    suite="quick",
    title="Made up",
    dataset="digits",
    model="digits-cnn",
    cams=("grad-cam",),
    pruners=("a", "b", "c"),
)


def protocol(name: str) -> Protocol:
    return Protocol(name=name, headlines=(HEADLINE,))


def sections(pruners: Mapping[str, float]) -> tuple[Section, ...]:
    return board(world(pruners, noise=0.002), protocol("2026.12"))


def write(folder: Path, pruners: Mapping[str, float], name: str, monkeypatch: Any) -> str:
    for module in ("publish", "writers.board_json"):
        target = f"prunebench.leaderboard.{module}.load_protocol"
        monkeypatch.setattr(target, lambda: protocol(name))
    return write_board(sections(pruners), folder).read_text(encoding="utf-8")


def test_a_later_protocol_keeps_the_earlier_board_and_tells_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(tmp_path, {"a": 0.9, "b": 0.7}, "2026.12", monkeypatch)
    assert "## Changes" not in first
    kept = (tmp_path / "board.json").read_text(encoding="utf-8")
    text = write(tmp_path, {"a": 0.7, "b": 0.9, "c": 0.5}, "2027.06", monkeypatch)
    assert (tmp_path / "board-2026.12.json").read_text(encoding="utf-8") == kept
    assert "- Since 2026.12, under another protocol:" in text
    assert (
        "- quick, digits-cnn, dense: a from 1 to 2 (its records, or those it is compared with"
        in text
    )
    assert "- quick, digits-cnn, dense: b from 2 to 1" in text
    assert "- quick, digits-cnn, dense: c from – to 3 (it was not on the board)." in text
    # Written again, it says the same: the earlier board stays what it was.
    assert write(tmp_path, {"a": 0.7, "b": 0.9, "c": 0.5}, "2027.06", monkeypatch) == text


def test_the_same_protocol_written_again_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for score in (0.9, 0.8):
        write(tmp_path, {"a": score, "b": 0.5}, "2026.12", monkeypatch)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "board.json"]


def test_a_board_that_cannot_be_read_is_no_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "board.json").write_text('{"protocol": "../../x"', encoding="utf-8")
    write(tmp_path, {"a": 0.9, "b": 0.5}, "2026.12", monkeypatch)
    (tmp_path / "board.json").write_text('{"protocol": "../../x"}', encoding="utf-8")
    write(tmp_path, {"a": 0.9, "b": 0.5}, "2026.12", monkeypatch)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "board.json"]
