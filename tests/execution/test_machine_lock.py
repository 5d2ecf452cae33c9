from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prunebench.execution.machine_lock import occupy

PATIENCE = 30.0  # seconds after which a test gives up
MOMENT = 0.2  # time in which something wrong would show


class Visitor:
    """A thread that occupies the machine until it is told to leave."""

    def __init__(self, name: str, exclusive: bool, folder: Path, log: list[str]) -> None:
        self.inside, self.leave = threading.Event(), threading.Event()

        def visit() -> None:
            with occupy(exclusive, folder):
                log.append(f"{name} in")
                self.inside.set()
                self.leave.wait(PATIENCE)
                log.append(f"{name} out")

        self.thread = threading.Thread(target=visit, daemon=True)
        self.thread.start()

    def go(self) -> None:
        self.leave.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def visitor(tmp_path: Path, log: list[str]) -> Callable[[str, bool], Visitor]:
    return lambda name, exclusive: Visitor(name, exclusive, tmp_path, log)


def _wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def _gate_is_shut(folder: Path) -> bool:
    gate = os.open(folder / "prunebench-gate.lock", os.O_RDWR)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(gate)
    return False


def test_others_share_the_machine(visitor: Callable[[str, bool], Visitor], log: list[str]) -> None:
    first, second = visitor("first", False), visitor("second", False)
    assert first.inside.wait(PATIENCE)
    assert second.inside.wait(PATIENCE)
    first.go()
    second.go()
    assert sorted(log[:2]) == ["first in", "second in"]


def test_timing_waits_until_it_is_alone(
    visitor: Callable[[str, bool], Visitor], log: list[str]
) -> None:
    work = visitor("work", False)
    assert work.inside.wait(PATIENCE)
    timing = visitor("timing", True)
    assert not timing.inside.wait(MOMENT)
    work.go()
    assert timing.inside.wait(PATIENCE)
    timing.go()
    assert log == ["work in", "work out", "timing in", "timing out"]


@pytest.mark.parametrize("exclusive", [True, False])
def test_nothing_begins_while_timing_is_alone(
    exclusive: bool, visitor: Callable[[str, bool], Visitor], log: list[str]
) -> None:
    timing = visitor("timing", True)
    assert timing.inside.wait(PATIENCE)
    other = visitor("other", exclusive)
    assert not other.inside.wait(MOMENT)
    timing.go()
    assert other.inside.wait(PATIENCE)
    other.go()
    assert log == ["timing in", "timing out", "other in", "other out"]


def test_a_stream_of_others_cannot_starve_timing(
    visitor: Callable[[str, bool], Visitor], log: list[str], tmp_path: Path
) -> None:
    early = visitor("early", False)
    assert early.inside.wait(PATIENCE)
    timing = visitor("timing", True)
    _wait_until(lambda: _gate_is_shut(tmp_path))
    late = visitor("late", False)
    assert not late.inside.wait(MOMENT)
    early.go()
    assert timing.inside.wait(PATIENCE)
    timing.go()
    assert late.inside.wait(PATIENCE)
    late.go()
    assert [entry for entry in log if entry.endswith(" in")] == ["early in", "timing in", "late in"]


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_killed_process_holds_nothing(
    exclusive: bool, visitor: Callable[[str, bool], Visitor], tmp_path: Path
) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from prunebench.execution.machine_lock import occupy\n"
        f"with occupy({exclusive}, Path({str(tmp_path)!r})):\n"
        "    print('inside', flush=True)\n    time.sleep(1000)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    timing = visitor("timing", True)
    assert not timing.inside.wait(MOMENT)
    process.kill()
    process.communicate()
    assert timing.inside.wait(PATIENCE)
    timing.go()


def test_an_error_frees_the_machine(
    visitor: Callable[[str, bool], Visitor], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="told to"), occupy(True, tmp_path):
        raise ValueError("told to")
    timing = visitor("timing", True)
    assert timing.inside.wait(PATIENCE)
    timing.go()


def test_the_lock_files_are_everybodys(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        with occupy(False, tmp_path):
            pass
    finally:
        os.umask(mask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"prunebench-gate.lock": 0o666, "prunebench-room.lock": 0o666}


def test_the_folder_of_the_lock_files_is_made(tmp_path: Path) -> None:
    with occupy(False, tmp_path / "not" / "there"):
        assert len(list((tmp_path / "not" / "there").iterdir())) == 2


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "prunebench-gate.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="gate"), occupy(False, tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()
