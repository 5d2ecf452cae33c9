"""The command line: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calling import Command, Done, Write, refused

from prunebench.store import Store


@pytest.mark.slow
def test_a_run_ends_with_a_board_and_paths(little: Write, run: Command, tmp_path: Path) -> None:
    done = run(little())
    assert done.status == 0
    assert "l1-unstructured" in done.out
    folder = tmp_path / "store" / "leaderboard"
    assert f"leaderboard: {folder / 'site' / 'index.html'}" in done.out
    assert (folder / "site" / "index.html").is_file()
    assert "l1-unstructured" in (folder / "README.md").read_text()
    assert done.err == ""


@pytest.mark.slow
def test_failed_cells_are_status_1_and_named(
    little: Write, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = little(metrics="[params, toy-crash]", cams=None)
    monkeypatch.setenv("TOY_CRASH", "1")
    done = run(suite)
    assert done.status == 1
    assert "l1-unstructured" in done.out
    assert "this metric was told to fail" in done.err
    assert "3 steps failed" in done.err
    assert "Traceback" not in done.err
    monkeypatch.delenv("TOY_CRASH")
    assert run(suite).status == 0


@pytest.mark.slow
def test_a_run_out_of_time_is_status_1_and_can_be_resumed(little: Write, run: Command) -> None:
    done = run(little(), "--max-time", "0s")
    assert done.status == 1
    assert "run again to go on" in done.err
    assert run(little(), "--max-time", "1h").status == 0


def _counts(done: Done) -> tuple[int, int]:
    """Distinct and stored steps, as ``plan`` shows them."""
    row = next(line for line in done.out.splitlines() if " all " in line)
    numbers = [int(word) for word in row.replace(",", "").split() if word.isdecimal()]
    return numbers[0], numbers[1]


def test_what_a_run_would_download_can_be_planned_before(
    little: Write, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEBENCH_CACHE", str(tmp_path / "nothing"))
    path = little(dataset="cifar10", model="resnet20")
    found = command("plan", path, "--store", tmp_path / "store", "--device", "cpu")
    assert found.status == 0
    assert _counts(found)[0] > 10
    assert "cifar10 is not downloaded yet: what is stored of it is not counted" in found.out
    # What nobody would download is as wrong as ever.
    missing = little(dataset="{parquet: {path: nowhere}}", model="resnet20")
    assert command("plan", missing, "--store", tmp_path / "store").status == 2


@pytest.mark.slow
def test_plan_counts_what_is_stored_and_computes_nothing(
    little: Write, run: Command, command: Command, tmp_path: Path
) -> None:
    place = ("--store", tmp_path / "store", "--device", "cpu")
    before = command("plan", little(), *place)
    assert before.status == 0
    distinct, stored = _counts(before)
    assert distinct > 10
    assert stored == 0
    assert "4 networks" in before.out
    assert "estimated time" in before.out
    dry = run(little(), "--dry-run")
    assert dry.status == 0
    assert _counts(dry) == (distinct, 0)
    assert Store(tmp_path / "store").stored_keys() == set()
    assert run(little()).status == 0
    after = command("plan", little(), *place)
    assert _counts(after) == (distinct, distinct)
    assert "estimated time" not in after.out
    more = command("plan", little(levels="[0.3, 0.4]"), *place)
    assert _counts(more)[1] == distinct
    assert _counts(command("plan", little(), *place, "--where", 'cam == "grad-cam"'))[0] < distinct


@pytest.mark.slow
def test_validate_looks_at_every_suite(little: Write, command: Command, tmp_path: Path) -> None:
    good, bad = little("good.yaml"), little("bad.yaml", levels="[7]")
    done = command("validate", good)
    assert done.status == 0
    assert f"{good}: fine, 4 networks" in done.out
    done = command("validate", bad, good)
    refused(done, "bad.yaml:", "level 7")
    assert "good.yaml: fine" in done.out
    assert not (tmp_path / ".prunebench").exists()


@pytest.mark.slow
def test_an_interrupted_run_says_how_to_go_on(toys: Path, toy_suite: Write, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prunebench", "run", str(toy_suite(seeds="[0, 1, 2, 3]"))]
    store = tmp_path / "store"
    process = subprocess.Popen(
        [*command, "--store", str(store), "--tracking-uri", "", "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": str(toys)},
        # A shell in the background hands an ignored SIGINT down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (store / "journal.jsonl").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert err.strip().splitlines()[-1].startswith("stopped; what was finished is in the store")
    assert "Traceback" not in err
    assert Store(store).stored_keys()


@pytest.mark.slow
def test_list_names_every_plugin(toys: Path, command: Command) -> None:
    done = command("list")
    assert done.status == 0
    for name in ("digits", "resnet20", "l1-filter", "ablation-cam", "sp2ps", "toy-cam"):
        assert name in done.out
    rows = json.loads(command("list", "--json").out)
    assert {row["kind"] for row in rows} == {"dataset", "model", "pruner", "cam", "metric"}
    assert all(set(row) == {"kind", "name", "package", "broken", "summary"} for row in rows)
    assert not any(row["broken"] for row in rows if row["package"] == "prunebench")
    pruners = json.loads(command("list", "pruners", "--json").out)
    assert pruners == [row for row in rows if row["kind"] == "pruner"]
    assert json.loads(command("list", "pruner", "--json").out) == pruners


def test_show_tells_card_and_parameters(command: Command) -> None:
    done = command("show", "pruner", "l1-filter")
    assert done.status == 0
    assert "pruner l1-filter (package prunebench" in done.out
    assert "target (" in done.out
    assert "default 'params'" in done.out


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["list", "--json"], ["show", "pruner", "l1-filter"], ["run", "--help"]],
)
def test_looking_imports_no_torch(arguments: list[str]) -> None:
    program = (
        "import atexit, sys\n"
        "heavy = {'torch', 'torchvision', 'mlflow', 'numpy', 'pandas', 'matplotlib'}\n"
        "atexit.register(lambda: print('heavy:', sorted(heavy & set(sys.modules))))\n"
        f"sys.argv = ['prunebench', *{arguments!r}]\n"
        "from prunebench.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.slow
def test_the_board_is_made_from_the_store_or_from_what_was_submitted(
    finished: Path, command: Command, tmp_path: Path
) -> None:
    done = command("leaderboard", "--store", finished)
    assert done.status == 0
    assert "l1-unstructured" in done.out
    published = tmp_path / "published"
    done = command("submit", "toy", "--store", finished, "--to", published)
    assert done.status == 0
    assert "4 records" in done.out
    names = [path.stem for path in published.glob("*.json")]
    assert len(names) == 4
    assert command("submit", names[0], "--store", finished, "--to", published).status == 0
    empty, board = tmp_path / "empty", tmp_path / "board"
    done = command("leaderboard", "--store", empty, "--results", published, "--out", board)
    assert done.status == 0
    ours = (board / "README.md").read_text()
    assert ours == (finished / "leaderboard" / "README.md").read_text()


def test_a_record_is_replaced_only_when_asked(
    finished: Path, command: Command, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    command("submit", "toy", "--store", finished, "--to", published)
    record = next(published.glob("*l1-unstructured*.json"))
    original = record.read_text()
    changed = json.loads(original)
    changed["images_seen"] = 12345
    record.write_text(json.dumps(changed))
    refused(command("submit", "toy", "--store", finished, "--to", published), "images_seen")
    done = command("submit", "toy", "--store", finished, "--to", published, "--replace")
    assert done.status == 0
    assert record.read_text() == original


def test_the_board_of_an_empty_store_says_so(command: Command, tmp_path: Path) -> None:
    Store(tmp_path / "store")
    done = command("leaderboard", "--store", tmp_path / "store")
    assert done.status == 0
    assert "No records yet" in done.out


@pytest.mark.slow
def test_store_ls_rm_and_gc(finished: Path, little: Write, run: Command, command: Command) -> None:
    done = command("store", "ls", "--store", finished)
    assert done.status == 0
    for kind in ("baseline", "compressed", "explained", "scored"):
        assert kind in done.out
    baseline = next(
        key for key in Store(finished).stored_keys() if Store(finished).read(key).kind == "baseline"
    )
    refused(command("store", "rm", baseline[:5], "--store", finished), "no result")
    assert command("store", "rm", baseline[:8], "--store", finished).status == 0
    assert not Store(finished).has(baseline)
    left = Store(finished).folder(baseline).parent / f".{baseline}-killed"
    left.mkdir()
    assert command("store", "ls", "--store", finished).status == 0
    os.utime(left, (0, 0))
    assert "1 leftovers" in command("store", "gc", "--store", finished).out
    assert not left.exists()
    assert run(little()).status == 0
    assert Store(finished).has(baseline)
