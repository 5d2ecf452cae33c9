"""``validate``, ``submit`` and ``reproduce`` on the command line: exit statuses and messages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from calling import Command

REPOSITORY = Path(__file__).parent.parent.parent
PUBLISHED = REPOSITORY / "leaderboard" / "results"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some published records: a baseline and two that were compressed."""
    (tmp_path / "results").mkdir()
    names = ["baseline", "taylor-0.5", "l1-unstructured-0.5"]
    for name in names:
        found = sorted(PUBLISHED.glob(f"zoo-cifar-resnet20-parquet-resnet20-{name}-s0-*.json"))[0]
        shutil.copy(found, tmp_path / "results")
    return tmp_path / "results"


def tamper(path: Path, **fields: object) -> Path:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | fields), encoding="utf-8")
    return path


def test_records_and_suites_that_are_fine(command: Command, folder: Path) -> None:
    suite = REPOSITORY / "benchmarks" / "quick.yaml"
    status, said, errors = command("validate", folder, suite)
    assert (status, errors) == (0, "")
    assert "3 of 3 records are fine" in said
    assert "fine, 15 networks" in said
    record = next(folder.glob("*.json"))
    assert "1 of 1 records are fine" in command("validate", record, record)[1]


def test_each_problem_is_a_line_that_names_file_and_field(command: Command, folder: Path) -> None:
    first, second, third = sorted(folder.glob("*.json"))
    tamper(second, level=0.4, axis="masked")
    tamper(third, schema_version=99)
    status, said, errors = command("validate", folder)
    assert status == 2
    assert "1 of 2 records are fine" in said
    lines = errors.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    assert any(line.startswith(f"error: {second}: id: ") for line in lines)
    assert any(line.startswith(f"error: {second}: reached.weights: ") for line in lines)
    assert any(line.startswith(f"error: {third}: has schema 99") for line in lines)
    assert str(first) not in errors


def test_fractions_are_held_against_the_baseline_that_is_there(
    command: Command, folder: Path
) -> None:
    path = next(folder.glob("*taylor*"))
    reached = json.loads(path.read_text(encoding="utf-8"))["reached"]
    tamper(path, reached={**reached, "params": 0.9})
    status, _, errors = command("validate", folder)
    assert status == 2
    assert errors.startswith(f"error: {path}: reached.params: 0.9 does not fit")
    assert len(errors.splitlines()) == 1


def test_a_record_under_another_name_is_refused(command: Command, folder: Path) -> None:
    path = next(folder.glob("*taylor*"))
    other = path.rename(folder / "mine.json")
    assert "is not the file's name" in command("validate", folder)[2]
    assert command("validate", other)[0] == 0  # a file by itself may be called anything


def test_a_folder_of_results_holds_records_alone(command: Command, folder: Path) -> None:
    (folder / "notes.txt").write_text("x", encoding="utf-8")
    (folder / "inside.json").mkdir()
    (folder / "link.json").symlink_to(next(folder.glob("*taylor*")))
    status, said, errors = command("validate", folder)
    assert status == 2
    assert "3 of 3 records are fine" in said
    assert [line.partition(":")[2].split(":")[0].strip() for line in errors.splitlines()] == [
        str(folder / name) for name in ("inside.json", "link.json", "notes.txt")
    ]


def test_a_folder_without_records_is_a_wrong_request(command: Command, tmp_path: Path) -> None:
    status, _, errors = command("validate", tmp_path)
    assert status == 2
    assert "no records" in errors


def test_rows_are_published_with_their_baseline(command: Command, folder: Path) -> None:
    next(folder.glob("*-baseline-*")).unlink()
    status, _, errors = command("validate", folder)
    assert status == 2
    assert errors.count("is not among them") == 2


def test_what_is_no_record_is_refused(command: Command, tmp_path: Path) -> None:
    wrong = tmp_path / "x.json"
    wrong.write_text("{\n", encoding="utf-8")
    status, _, errors = command("validate", wrong, tmp_path / "gone.json", tmp_path / "gone.yaml")
    assert status == 2
    assert len(errors.splitlines()) == 3


def test_reproduce_refuses_a_wrong_request(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(folder.glob("*taylor*")).stem
    status, _, errors = command("reproduce", name[:-1], "--results", folder)
    assert status == 2
    assert f"did you mean '{name}'?" in errors
    monkeypatch.delenv("PRUNEBENCH_DATA", raising=False)
    status, _, errors = command("reproduce", name, "--results", folder)
    assert status == 2
    assert "${PRUNEBENCH_DATA} is not set" in errors


@pytest.mark.slow
def test_reproduce_shows_each_figure(command: Command, tmp_path: Path) -> None:
    from prunebench import run

    suite = tmp_path / "s.yaml"
    suite.write_text(
        "{name: s, dataset: digits, models: [{digits-cnn: {training: {epochs: 1, images: 100}}}],"
        "pruners: [l1-unstructured], levels: [0.5], metrics: [accuracy, params], seeds: [0]}"
    )
    run(suite, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    files = (tmp_path / "store" / "records" / "s").glob("*.json")
    path = next(file for file in files if "0.5" in file.name)
    words = ("reproduce", path, "--store", tmp_path / "store")
    status, said, _ = command(*words)
    assert status == 0, said
    assert "figures must be equal" in said
    values = json.loads(path.read_text(encoding="utf-8"))["values"]
    values["agreement_of_mine"] = values["accuracy"]
    tamper(path, values=values)
    status, said, _ = command(*words)
    assert status == 1
    assert "not met: agreement_of_mine: there is no such value" in said
    assert all(len(line) <= 80 for line in said.splitlines())
