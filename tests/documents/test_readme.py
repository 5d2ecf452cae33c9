"""The README does what it says: its plugin is installed and run, its board is the generated one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import prunebench as pb
from prunebench.leaderboard.board import board
from prunebench.leaderboard.writers.readme import BEGIN, END, MOST_ROWS, make_sample
from prunebench.networks import Architecture, Network
from prunebench.plugins import entries
from prunebench.record import read_records
from prunebench.suite import load_suite

REPOSITORY = Path(__file__).parent.parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.slow
def test_the_pruner_of_the_readme_can_be_copied_and_run(
    toy_suite: Callable[..., Path], toys: Path, tmp_path: Path
) -> None:
    source, site = tmp_path / "source", tmp_path / "my-site"
    source.mkdir()
    (source / "pyproject.toml").write_text(_blocks("toml")[0])
    (source / "my_pruner.py").write_text(
        next(block for block in _blocks("python") if "class SmallestKernel" in block)
    )
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    install = [sys.executable, "-m", "pip", "install", *options, "--target", site, source]
    subprocess.run(install, check=True, capture_output=True)
    suite = toy_suite(pruners="[smallest-kernel, {smallest-kernel: {norm: 1}}]")
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{toys}", "COLUMNS": "200"}
    command = [sys.executable, "-m", "prunebench", "run", suite, "--tracking-uri", ""]
    done = subprocess.run(
        [*command, "--store", tmp_path / "store"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "smallest-kernel(norm=1.0)" in done.stdout


def test_the_suite_of_the_readme_is_valid(tmp_path: Path) -> None:
    (tmp_path / "my-suite.yaml").write_text(_blocks("yaml")[0])
    suite = load_suite(tmp_path / "my-suite.yaml")
    assert [pruner.label for pruner in suite.pruners] == [
        "none",
        "l1-unstructured",
        "l1-filter(target=macs)",
    ]


def test_the_compressors_of_the_readme_are_valid(tmp_path: Path) -> None:
    block = next(each for each in _blocks("yaml") if "distillation" in each)
    rest = "name: x\ndataset: digits\nmodel: digits-cnn\nlevels: [0.5]\nmetrics: [accuracy]\n"
    (tmp_path / "suite.yaml").write_text(rest + block)
    assert len(load_suite(tmp_path / "suite.yaml").pruners) == 7


def test_the_readme_names_every_plugin_of_the_tables() -> None:
    for kind in ("pruners", "cams", "metrics"):
        for name in entries(kind):
            assert f"`{name}`" in README or f"`{name}/" in README, f"{kind}: {name}"


@pytest.mark.slow
def test_the_board_of_the_readme_is_the_generated_one() -> None:
    written = README.partition(BEGIN)[2].partition(END)[0].strip()
    assert (
        written == make_sample(board(read_records(REPOSITORY / "leaderboard" / "results"))).strip()
    )


@pytest.mark.slow
def test_the_sample_is_a_board_that_can_be_read_and_tells_times() -> None:
    sections = board(read_records(REPOSITORY / "leaderboard" / "results"))
    lines = [line for line in make_sample(sections).splitlines() if line.startswith("| ")]
    assert 3 < len(lines) <= MOST_ROWS + 3
    assert "×" in lines[-1]
    large = max(sections, key=lambda section: len(section.rows))
    assert make_sample([large]) != make_sample(
        sections
    )  # though it is shown where there is no other
    assert "| rank" in make_sample([large])


def test_every_file_that_the_documents_link_to_is_there() -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "leaderboard/README.md"):
        document = REPOSITORY / name
        links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
        missing = [link for link in links if not (document.parent / link).exists()]
        assert not missing, f"{name} links to {missing}"


@pytest.mark.slow
def test_the_network_of_the_readme_runs_in_onnx_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    shapes: dict[str, Any] = {"classes": 10, "channels": 1, "size": (16, 16)}
    architecture = Architecture(factory="digits-cnn", mean=(0.5,), std=(0.5,), **shapes)
    network = Network(architecture.build().eval(), architecture)

    class Made:
        def network(self, row: str) -> Network:
            return network

    images = torch.linspace(-1, 1, 3 * 256).view(3, 1, 16, 16)
    names: dict[str, Any] = {"pb": pb, "results": Made(), "row": "id", "images": images.numpy()}
    exec(next(block for block in _blocks("python") if "onnxruntime" in block), names)
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(names["logits"]), network.module(images), atol=1e-4)
