"""The examples in the public API's docstrings are there, stand alone, and give what they say."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prunebench as pb
from prunebench.testing import assert_preserved

FUNCTIONS: list[Callable[..., Any]] = [
    pb.run,
    assert_preserved,
    pb.compare,
    pb.explain,
    pb.load_suite,
    pb.read_results,
    pb.to_onnx,
    pb.export,
    pb.load,
    pb.list_plugins,
    pb.named,
    pb.Suite.of,
    pb.metrics.ssim,
    pb.metrics.sam,
    pb.metrics.sp2ps,
    pb.metrics.iou,
    pb.metrics.soft_iou,
    pb.metrics.pearson,
    pb.metrics.spearman,
    pb.metrics.js_divergence,
    pb.metrics.top_overlap,
    pb.metrics.centre_distance,
]
PACKAGES = {"to_onnx": ("onnx", "onnxruntime", "onnxscript")}


@pytest.mark.slow
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_example_gives_what_it_says(
    function: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in PACKAGES.get(function.__name__, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    (example,) = finder.find(function, function.__name__, module=False, globs={})
    assert example.examples, "there is no example"
    lines: list[str] = []
    runner.run(example, out=lines.append)
    assert runner.failures == 0, "".join(lines)
