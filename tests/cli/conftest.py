"""Fixtures that call the command line in this process."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from calling import LITTLE, Command, Done, Write

from prunebench.cli import main


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Calls the command line in this process; an exception that escapes it fails the test."""

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["prunebench", *map(str, arguments)])
        status: object = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        assert isinstance(status, int)
        return Done(status, *capsys.readouterr())

    return call


@pytest.fixture
def run(command: Command, tmp_path: Path) -> Command:
    """``prunebench run`` into the store of this test, without MLflow."""

    def call(suite: Path, *options: object, store: Path = tmp_path / "store") -> Done:
        quiet = ("--tracking-uri", "", "--device", "cpu")
        return command("run", suite, "--store", store, *quiet, *options)

    return call


@pytest.fixture
def little(toy_suite: Write) -> Write:
    """Writes a suite of two networks besides the baseline."""

    def write(file: str = "toy.yaml", **lines: str | None) -> Path:
        return toy_suite(file, **{**LITTLE, **lines})

    return write


@pytest.fixture
def finished(
    run: Command, little: Write, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store in which the little suite is finished; computed once, copied for each test."""
    original = tmp_path_factory.getbasetemp() / "finished-store"
    if not original.exists():
        assert run(little(), store=original).status == 0
    shutil.copytree(original, tmp_path / "store")
    return tmp_path / "store"
