from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from prunebench.errors import RequestError
from prunebench.store.digests import Digests


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files whose content is read."""
    found: list[Path] = []
    original = Path.open

    def open_and_note(path: Path, mode: str = "r", *rest: object, **named: object) -> object:
        if mode == "rb":
            found.append(path)
        return original(path, mode, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", open_and_note)
    return found


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("damage", ["garbage", "another schema"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: str) -> None:
    cache, file = tmp_path / "digests.sqlite", _write(tmp_path / "a", "content")
    if damage == "garbage":
        cache.write_bytes(b"no database" * 1000)
    else:
        with closing(sqlite3.connect(cache)) as database, database:
            database.execute("CREATE TABLE digest (something INTEGER)")
    assert Digests(cache).of_file(file) == Digests().of_file(file)
    assert Digests(cache).of_file(file) == Digests().of_file(file)


def test_content_decides_and_nothing_else(tmp_path: Path) -> None:
    digests = Digests()
    first = digests.of_file(_write(tmp_path / "a", "content"))
    assert first == "ed7002b439e9ac845f22357d822bac14"
    assert digests.of_file(_write(tmp_path / "other" / "name", "content")) == first
    assert digests.of_file(_write(tmp_path / "b", "Content")) != first


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, reads: list[Path]) -> None:
    path = _write(tmp_path / "data", "one")
    first = Digests(tmp_path / "cache").of_file(path)
    assert reads == [path]
    assert Digests(tmp_path / "cache").of_file(path) == first  # another process would do the same
    assert reads == [path]
    path.write_text("two")  # the same size
    os.utime(path, ns=(0, 12345))
    changed = Digests(tmp_path / "cache").of_file(path)
    assert changed != first
    assert reads == [path, path]
    assert Digests().of_file(path) == changed


def test_a_link_is_what_it_points_to(tmp_path: Path) -> None:
    one, two = _write(tmp_path / "one", "1"), _write(tmp_path / "two", "2")
    link = tmp_path / "link"
    link.symlink_to(one)
    digests = Digests(tmp_path / "cache")
    assert digests.of_file(link) == digests.of_file(one)
    link.unlink()
    link.symlink_to(two)
    assert digests.of_file(link) == digests.of_file(two)


def test_several_files_have_no_order_and_no_names(tmp_path: Path) -> None:
    a, b = _write(tmp_path / "a", "1"), _write(tmp_path / "b", "2")
    c, d = _write(tmp_path / "c", "2"), _write(tmp_path / "d", "1")
    digests = Digests()
    assert digests.of_files([a, b]) == digests.of_files([b, a]) == digests.of_files([c, d])
    assert digests.of_files([a, b]) != digests.of_files([a, a])
    assert digests.of_files([a]) != digests.of_files([b])


def test_a_tree_is_its_names_and_contents_wherever_it_lies(tmp_path: Path) -> None:
    def tree(root: Path, **files: str) -> str:
        paths = [_write(root / name.replace("__", "/"), text) for name, text in files.items()]
        forward, backward = Digests().of_tree(paths), Digests().of_tree(paths[::-1])
        assert forward == backward
        return forward

    here = tree(tmp_path / "here", train__cat="1", train__dog="2", test__cat="3")
    assert tree(tmp_path / "far" / "away", train__cat="1", train__dog="2", test__cat="3") == here
    assert tree(tmp_path / "swapped", train__cat="2", train__dog="1", test__cat="3") != here
    assert tree(tmp_path / "moved", train__cat="1", train__cow="2", test__cat="3") != here
    assert tree(tmp_path / "fewer", train__cat="1", train__dog="2") != here


def test_relative_and_absolute_paths_are_the_same_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [_write(tmp_path / "data" / name, name) for name in ("a", "b")]
    absolute = Digests().of_tree(paths)
    monkeypatch.chdir(tmp_path)
    assert Digests().of_tree([path.relative_to(tmp_path) for path in paths]) == absolute


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    whole = _write(tmp_path / "whole", "1")
    os.mkfifo(tmp_path / "pipe")
    names = ("gone", ".", "pipe", "x" * 300, "\0")
    for path in (*(tmp_path / name for name in names), Path("/dev/zero")):
        with pytest.raises(RequestError, match="cannot be read") as refused:
            Digests().of_files([whole, path])
        assert refused.value.where == str(path)


def test_processes_share_a_cache(tmp_path: Path) -> None:
    paths = [_write(tmp_path / "data" / str(i), str(i)) for i in range(30)]
    expected = Digests().of_tree(paths)
    found: list[str] = []

    def work() -> None:
        found.append(Digests(tmp_path / "cache").of_tree(paths))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
