"""Plugins in a package of their own: installed with pip, broken, or claimed twice."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "stripes"
version = "2.5"

[project.entry-points."prunebench.pruners"]
stripes = "stripes.pruner:Stripes"

[project.entry-points."prunebench.cams"]
mean-cam = "stripes.cam:mean_cam"
"""

PRUNER = '''
from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from prunebench.pruners import Context, Pruner

if TYPE_CHECKING:
    from torch import nn


class Stripes(Pruner):
    """Zeroes weights at regular distances."""

    start: int = Field(0, ge=0, description="first weight that goes")

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        import torch
        from torch import nn
        from torch.nn.utils import prune

        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                kept = torch.arange(layer.weight.numel()).view_as(layer.weight) + self.start
                mask = (kept * level).floor() == ((kept + 1) * level).floor()
                prune.custom_from_mask(layer, "weight", mask.float())
        return network
'''

CAM = '''
def mean_cam(trace, *, power: float = 1.0):
    """The mean activation, raised to a power."""
    return trace.activations.clamp(min=0).mean(1) ** power
'''

CARD = """
title: Stripes
summary: Removes every so-manieth weight.
family: unstructured
choices: [Convolutions only.]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed by pip into a folder of its own."""
    pytest.importorskip("hatchling")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    package = source / "stripes"
    (package / "registry" / "pruners").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PROJECT)
    (package / "__init__.py").write_text("")
    (package / "pruner.py").write_text(PRUNER)
    (package / "cam.py").write_text(CAM)
    (package / "registry" / "pruners" / "stripes.yaml").write_text(CARD)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *options]
    done = subprocess.run([*command, "--target", target, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def prunebench(*arguments: object, path: tuple[Path, ...]) -> subprocess.CompletedProcess[str]:
    """The command line in a process that finds packages in these folders too."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "prunebench", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
    )


def rows(kind: str, *path: Path) -> dict[str, dict[str, str | None]]:
    done = prunebench("list", kind, "--json", path=path)
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)}


@pytest.mark.slow
def test_it_is_listed_and_shown_with_its_card(installed: Path) -> None:
    ours = rows("pruners", installed)["stripes"]
    assert ours == {
        "kind": "pruner",
        "name": "stripes",
        "package": "stripes",
        "broken": None,
        "summary": "Removes every so-manieth weight.",
    }
    assert (
        rows("cams", installed)["mean-cam"]["summary"] == "The mean activation, raised to a power."
    )
    shown = prunebench("show", "pruner", "stripes", path=(installed,)).stdout
    for text in ("package stripes", "choice: Convolutions only.", "start (int, default 0): first"):
        assert text in shown
    shown = prunebench("show", "cam", "mean-cam", path=(installed,)).stdout
    assert "power (float, default 1.0)" in shown


@pytest.mark.slow
def test_it_runs_in_a_suite_beside_what_ships(
    installed: Path, toys: Path, toy_suite: Write, tmp_path: Path
) -> None:
    suite = toy_suite(
        pruners="[l1-unstructured, stripes, {stripes: {start: 1}}]",
        levels="[0.5]",
        cams="[grad-cam, {mean-cam: {power: 2}}]",
        recovery=None,
    )
    place = ("--store", tmp_path / "store", "--tracking-uri", "", "--device", "cpu")
    done = prunebench("run", suite, *place, path=(toys, installed))
    assert done.returncode == 0, done.stderr
    assert "stripes(start=1)" in done.stdout
    found = [json.loads(p.read_text()) for p in (tmp_path / "store/records").rglob("*.json")]
    records = {record["pruner"]: record for record in found}
    assert set(records) == {
        "baseline",
        "random-weights",
        "none",
        "l1-unstructured",
        "stripes",
        "stripes(start=1)",
    }
    ours = records["stripes"]
    assert ours["axis"] == "masked"
    assert ours["provenance"]["plugins"]["pruners/stripes"] == "1 (stripes 2.5)"
    assert ours["reached"]["weights"] == pytest.approx(0.5, abs=0.05)  # the linear layer stays
    assert ours["values"]["sp2ps/mean-cam(power=2.0)"]["n"] == 20
    wrong = toy_suite(pruners="[{stripes: {start: -1}}]")
    done = prunebench("run", wrong, *place, path=(toys, installed))
    assert done.returncode == 2
    assert "'start'" in done.stderr


def register(site: Path, package: str, points: str, **modules: str) -> Path:
    """A package as pip would have left it, without running pip."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
    return site


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def (", "SyntaxError"),
        ("raise RuntimeError('first\\nsecond')", "RuntimeError: first second"),
        ("", "has no attribute 'Wobbly'"),
        ("Wobbly = 3", "neither a Pruner class nor a function"),
    ],
)
def test_a_broken_one_is_listed_with_its_reason_and_hurts_nothing_else(
    module: str, reason: str, toys: Path, toy_suite: Write, tmp_path: Path
) -> None:
    points = "[prunebench.pruners]\nwobbly = wobbly:Wobbly\n"
    site = register(tmp_path / "broken", "wobbly-package", points, wobbly=module)
    listed = rows("pruners", site)
    assert reason in " ".join(str(listed["wobbly"]["broken"]).split())
    assert [name for name, row in listed.items() if row["broken"]] == ["wobbly"]
    assert "BROKEN" in prunebench("list", path=(site,)).stdout
    for arguments in (
        ("validate", toy_suite(pruners="[l1-unstructured, wobbly]")),
        ("show", "pruner", "wobbly"),
    ):
        done = prunebench(*arguments, path=(toys, site))
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1
        for word in ("'wobbly'", "'wobbly-package'", "is broken", reason):
            assert word in done.stderr
    assert prunebench("validate", toy_suite(), path=(toys, site)).returncode == 0


@pytest.mark.slow
def test_a_name_claimed_twice_names_both_packages(
    toys: Path, toy_suite: Write, tmp_path: Path
) -> None:
    function = "def cam(trace):\n    return trace.activations.sum(1)\n"
    for package in ("first-package", "second-package"):
        module = package.replace("-", "_")
        points = f"[prunebench.cams]\ncontested = {module}:cam\n"
        register(tmp_path / "both", package, points, **{module: function})
    site = tmp_path / "both"
    claimed = "claimed by 'first-package' and 'second-package'"
    row = rows("cams", site)["contested"]
    assert claimed in str(row["broken"])
    for arguments in (
        ("validate", toy_suite(cams="[contested]")),
        ("show", "cam", "contested"),
    ):
        done = prunebench(*arguments, path=(toys, site))
        assert done.returncode == 2
        assert claimed in done.stderr
    assert prunebench("validate", toy_suite(), path=(toys, site)).returncode == 0


@pytest.mark.slow
def test_a_name_that_ships_with_prunebench_cannot_be_taken_over(tmp_path: Path) -> None:
    points = "[prunebench.pruners]\nl1-filter = thief:Thief\n"
    site = register(tmp_path / "thief", "thief", points, thief="")
    row = rows("pruners", site)["l1-filter"]
    assert "'prunebench'" in str(row["broken"])
    assert "'thief'" in str(row["broken"])


@pytest.mark.slow
def test_a_malformed_card_is_a_broken_plugin(tmp_path: Path) -> None:
    site = tmp_path / "site"
    register(site, "carded", "[prunebench.cams]\ncarded = carded:cam\n")
    folder = site / "carded" / "registry" / "cams"
    folder.mkdir(parents=True)
    (site / "carded" / "__init__.py").write_text("def cam(trace):\n    return trace.logits\n")
    (folder / "carded.yaml").write_text("title: Only a title\n")
    assert importlib.util.find_spec("carded") is None  # nothing of it is in this process
    row = rows("cams", site)["carded"]
    assert "carded.yaml: malformed card" in str(row["broken"])
    assert "summary" in str(row["broken"])
