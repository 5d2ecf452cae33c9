"""Suites that repeat what a work did: named so that its card finds their rows, and as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import prunebench as pb
from prunebench.datasets.mnist import Mnist
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.iterative import Iterative
from prunebench.pruners.none import NoPruning

SUITES = Path(__file__).parent.parent.parent / "benchmarks" / "papers"


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_suite_has_the_name_by_which_cards_know_its_rows(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["name"] == f"papers-{path.stem}"


def test_the_thesis_is_repeated_on_noisy_images_at_two_layers(
    shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEBENCH_DATA", str(shared_data("mnist").parent))
    suites = [pb.load_suite(SUITES / f"thesis-mnist{part}.yaml") for part in ("", "-relu2")]
    for suite, layer in zip(suites, ("conv2", "relu2"), strict=True):
        (dataset,) = (chosen.plugin for chosen in suite.datasets)
        none, pruner = (chosen.plugin for chosen in suite.pruners)
        (recovery,) = suite.recoveries
        assert isinstance(dataset, Mnist)
        assert dataset.noise == 0.2
        assert isinstance(none, NoPruning)
        assert pruner == Iterative()
        assert pruner.round_count() == 25
        assert suite.rounds is None  # all of them
        assert recovery == Recipe(
            epochs=10, lr=0.01, milestones=(5, 8), weight_decay=1e-4, keep="last"
        )
        assert suite.seeds == (333, 334, 335)
        assert suite.explain.classes == "own"
        assert suite.target_layer(suite.models[0]) == layer
        assert "grad-cam++" in {cam.name for cam in suite.cams}
        assert {"accuracy", "mask-iou", "sp2ps"} <= {metric.name for metric in suite.metrics}
    before, after = ({**suite.raw, "name": "", "explain": {}} for suite in suites)
    assert before == after
