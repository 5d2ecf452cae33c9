"""``prunebench new`` writes packages that work; ``prunebench check`` says what does not hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from calling import Command, refused

from prunebench.plugins import KINDS
from prunebench.plugins.scaffold import Names, new_package

SINGULAR = [kind[:-1] for kind in KINDS]


def process(*arguments: object, cwd: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, which finds packages in a folder too."""
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def install(package: Path, site: Path) -> None:
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    done = process("pip", "install", "-q", *options, "--target", site, package, cwd=site, site=site)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One package of each kind, written by ``new`` and installed by pip."""
    pytest.importorskip("hatchling")
    place = tmp_path_factory.mktemp("site")
    for kind in SINGULAR:
        new_package(kind, f"my-{kind}", place.parent)
        install(place.parent / f"my-{kind}", place)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("kind", SINGULAR)
def test_what_new_writes_is_listed_with_its_card(kind: str, site: Path) -> None:
    done = process("prunebench", "show", kind, f"my-{kind}", cwd=site.parent, site=site)
    assert done.returncode == 0, done.stderr
    assert f"{kind} my-{kind} (package my-{kind}, my_{kind}.{kind}:" in done.stdout
    assert f"My {kind}" in done.stdout  # the card's title
    assert "choice: " in done.stdout


@pytest.mark.slow
def test_their_own_tests_pass(site: Path) -> None:
    packages = [f"my-{kind}/tests" for kind in SINGULAR]
    arguments = ("-q", "-p", "no:cacheprovider", "--rootdir", ".", *packages)
    done = process("pytest", *arguments, cwd=site.parent, site=site)
    assert done.returncode == 0, done.stdout
    assert "11 passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [k if k == "pruner" else pytest.param(k, marks=pytest.mark.sweep) for k in SINGULAR]
)
def test_its_suite_runs(kind: str, site: Path, tmp_path: Path) -> None:
    package = site.parent / f"my-{kind}"
    if kind == "dataset":
        made = subprocess.run([sys.executable, "make_images.py"], cwd=package)
        assert made.returncode == 0
    options = ("--store", tmp_path / "store", "--tracking-uri", "", "--device", "cpu")
    done = process("prunebench", "run", "suite.yaml", *options, cwd=package, site=site)
    assert done.returncode == 0, done.stderr
    records = list((tmp_path / "store" / "records").rglob("*.json"))
    assert any(f"my-{kind}" in record.read_text() for record in records)


def test_it_is_clean(site: Path) -> None:
    pytest.importorskip("ruff")
    for kind in SINGULAR:
        command = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "100"]
        rules = ["--select", "E,F,I,UP,B,SIM,PT,N,C4,PIE,RET"]
        done = subprocess.run(
            [*command, *rules, "."],
            cwd=site.parent / f"my-{kind}",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("prunner", "my-pruner", ["unknown kind 'prunner'", "did you mean 'pruners'?"]),
        ("pruner", "My Pruner", ["'My Pruner' is no name", "did you mean 'my-pruner'?"]),
        ("pruner", "MyPruner", ["did you mean 'my-pruner'?"]),
        ("pruner", "my_pruner", ["did you mean 'my-pruner'?"]),
        ("pruner", "1st", ["did you mean 'st'?"]),
        ("pruner", "../up", ["did you mean 'up'?"]),
        ("pruner", "++", ["such as my-pruner"]),
        ("pruner", "a" * 65, ["65 letters"]),
        ("pruner", "l1-filter", ["there is a pruner 'l1-filter' already", "'prunebench'"]),
        ("pruner", "class", ["'class' would hide", "'my-class'"]),
        ("metric", "json", ["'json' would hide"]),
        ("model", "torch", ["'torch' would hide"]),
        ("model", "model", ["'Model'", "'my-model'"]),
        ("cam", "trace", ["'trace' would hide"]),
        ("metric", "evidence", ["'Evidence'", "'my-evidence'"]),
    ],
)
def test_a_wrong_name_is_refused(
    kind: str, name: str, words: list[str], command: Command, tmp_path: Path
) -> None:
    refused(command("new", kind, name, "--dir", tmp_path), *words)
    assert not any(tmp_path.iterdir())


def test_nothing_is_overwritten(command: Command, tmp_path: Path) -> None:
    (tmp_path / "my-pruner").mkdir()
    (tmp_path / "my-pruner" / "mine.txt").write_text("precious")
    refused(command("new", "pruner", "my-pruner", "--dir", tmp_path), "not empty")
    assert [path.name for path in (tmp_path / "my-pruner").iterdir()] == ["mine.txt"]
    (tmp_path / "my-cam").write_text("a file")
    refused(command("new", "cam", "my-cam", "--dir", tmp_path), "not empty")
    refused(command("new", "cam", "other", "--dir", tmp_path / "my-cam"), "cannot be written")


def test_an_empty_folder_is_filled(command: Command, tmp_path: Path) -> None:
    (tmp_path / "my-pruner").mkdir()
    done = command("new", "pruner", "my-pruner", "--dir", tmp_path)
    assert done.status == 0
    assert f"next: pip install -e {tmp_path / 'my-pruner'}" in done.out
    assert (tmp_path / "my-pruner" / "pyproject.toml").is_file()


def test_names_follow_from_the_name() -> None:
    assert Names("pruners", "my-2nd-pruner").module == "my_2nd_pruner"
    assert Names("pruners", "my-2nd-pruner").object == "My2ndPruner"
    assert Names("cams", "my-cam").object == "my_cam"


@pytest.mark.slow
def test_new_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from prunebench.cli import app; "
        "from prunebench.plugins.scaffold import new_package; "
        "[new_package(k, 'my-' + k, Path('.')) for k in ('pruner', 'cam', 'model')]; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0


def test_check_says_what_holds(command: Command) -> None:
    done = command("check", "agreement")
    assert done.status == 0, done
    assert "metric agreement" in done.out
    assert "passed" in done.out
    assert "skipped" in done.out
    assert "failed" not in done.out


@pytest.mark.slow
def test_check_takes_parameters(command: Command) -> None:
    assert command("check", "captum/saliency").status == 0
    assert command("check", "coherency", "variant=ssim").status == 0
    refused(command("check", "coherency", "variant=sim"), "'variant'", "'sim'")
    refused(command("check", "coherency", "varant=ssim"), "did you mean 'variant'?")
    refused(command("check", "coherency", "ssim"), "expected NAME=VALUE")
    refused(command("check", "coherency", "variant={"), "cannot read '{'")
    refused(command("check", "coherency", "variant=ssim", "variant=ssim"), "given twice")


def test_check_refuses_what_there_is_not(command: Command) -> None:
    refused(command("check", "l1-filtr"), "unknown plugin", "did you mean 'l1-filter'?")
    refused(command("check", "l1-filter", "--kind", "cam"), "unknown cam")
    refused(command("check", "l1-filter", "--kind", "prunners"), "did you mean 'pruners'?")
    refused(command("check", "checkpoint"), "'model' is required")
    refused(command("check", "folder", "path=nowhere"), "no such folder")


def test_a_name_of_two_kinds_asks_which(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunebench.plugins import finding as plugins

    info = tmp_path / "twice-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: twice\nVersion: 1.0\n")
    points = "[prunebench.cams]\ntwice = twice:cam\n[prunebench.metrics]\ntwice = twice:gone\n"
    (info / "entry_points.txt").write_text(points)
    (tmp_path / "twice.py").write_text("def cam(trace):\n    return trace.logits\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.entries.cache_clear()
    try:
        refused(command("check", "twice"), "a metric", "a cam", "--kind")
        wrong = command("check", "twice", "--kind", "cam")
        broken = command("check", "twice", "--kind", "metric")
    finally:
        plugins.entries.cache_clear()
    assert wrong.status == broken.status == 1
    assert "failed" in wrong.out
    assert "can be imported" in broken.out
