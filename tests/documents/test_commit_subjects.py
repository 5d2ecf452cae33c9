"""The check of commit messages: what it takes, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parent.parent.parent / "tools" / "check_subject.py"


def check(message: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "message").write_text(message, encoding="utf-8")
    command = [sys.executable, str(CHECK), str(folder / "message")]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    "message",
    [
        "store: lock a key once",
        "store, suite: one idea a file\n\nThe reason.\n# a comment\n",
        "Merge branch 'main'",
    ],
)
def test_a_good_subject_passes(message: str, tmp_path: Path) -> None:
    assert check(message, tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("Lock a key once", "area: imperative"),
        ("store: lock a key once.", "area: imperative"),
        ("store: " + "x" * 70, "77 characters; at most 72"),
        ("store: lock a key\nbecause", "empty line"),
        ("", "area: imperative"),
    ],
)
def test_a_bad_subject_is_refused_with_its_reason(message: str, why: str, tmp_path: Path) -> None:
    done = check(message, tmp_path)
    assert done.returncode == 1
    assert why in done.stderr
