"""Facts on the works' cards that could rot: what is counted, and which rows of ours are meant."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from prunebench.leaderboard.papers.cards.registry import read_works
from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.leaderboard.papers.differences import matches
from prunebench.plugins import choose

WORKS = read_works()


def experiment_of(work: str, name: str) -> PublishedExperiment:
    return next(found for found in WORKS[work].experiments if found.name == name)


def test_the_tables_of_hrank_hold_every_network() -> None:
    sizes = {e.name: len(e.rows) for e in WORKS["hrank"].experiments}
    assert sizes == {
        "cifar10-resnet56": 3,
        "cifar10-resnet110": 3,
        "cifar10-vgg16": 3,
        "cifar10-densenet40": 2,
        "cifar10-googlenet": 2,
        "imagenet-resnet50": 3,
    }
    for experiment in WORKS["hrank"].experiments:
        assert all(isinstance(row.values.get("flops"), str) for row in experiment.rows)


@pytest.mark.parametrize(
    ("label", "is_imagenet"),
    [
        ("folder(path=imagenet, size=224, validation=0.02)", True),
        ("folder(path=imagenet)", True),
        ("folder(path=imagenette, size=160)", False),
        ("parquet(path=tinyimagenet-10)", False),
    ],
)
def test_imagenet_is_a_folder_of_that_name_and_no_other(label: str, is_imagenet: bool) -> None:
    experiments = [e for work in WORKS.values() for e in work.experiments]
    asked = [e.ours.datasets for e in experiments if e.conditions.dataset == "ImageNet"]
    assert asked
    for patterns in asked:
        assert matches(label, patterns[:1]) == matches(label, patterns) == is_imagenet


def test_accuracy_on_noisy_images_stands_beside_accuracy_on_noisy_images() -> None:
    columns = experiment_of("thesis-iterative", "level-0").quantities
    assert {key: column.ours for key, column in columns.items()} == {
        "accuracy": None,
        "noisy": "accuracy",
    }


def test_what_the_notebook_of_the_distillation_study_shows_is_said_to_be_that() -> None:
    notes = [n for n in WORKS["kd-explainability"].notes if "notebook shows" in n]
    assert all(note.startswith("As far as") for note in notes)
    for fact in ("training split", "resnext_teacher", "evaluation mode", "last block"):
        assert any(fact in note for note in notes)


def test_what_hrank_says_was_removed_of_vgg16_is_of_its_convolutions_alone() -> None:
    experiment = experiment_of("hrank", "cifar10-vgg16")
    network = choose("models", "vgg16-cifar").plugin.build(10, 3, (32, 32)).eval()
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    params, macs = sum(p.numel() for layer in convolutions for p in layer.parameters()), 0

    def count(layer: nn.Conv2d, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal macs
        macs += layer.weight[0].numel() * output[0].numel()

    for layer in convolutions:
        layer.register_forward_hook(count)
    network(torch.zeros(1, 3, 32, 32))
    assert any(f"{macs:,}" in note and f"{params:,}" in note for note in experiment.notes)
    by_label = {row.label: row for row in experiment.rows}
    for label in ("HRank", "HRank, less"):
        row = by_label[label]
        left = re.findall(r"([\d.]+) million", str(row.note))
        for printed, key, whole in zip(left, ("flops", "params"), (macs, params), strict=True):
            assert f"{100 * (1 - 1e6 * float(printed) / whole):.1f}%" == row.values[key]
