"""Images with several labels, N×K: what is explained, and how often a network is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from prunebench.cams.explaining import explain
from prunebench.comparison.compare import compare
from prunebench.errors import RequestError

IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 1, 0]])


def small(seed: int = 1) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 3),
    ).eval()  # fmt: skip


def strongest(module: nn.Module) -> Tensor:
    with torch.no_grad():
        return module(IMAGES).masked_fill(LABELS == 0, -torch.inf).argmax(1)


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float32])
def test_the_strongest_of_an_images_labels_is_explained(kind: torch.dtype) -> None:
    for batch_size in (4, 1):
        found = explain(
            small(), IMAGES, targets=LABELS.to(kind), batch_size=batch_size, quiet=True
        )["grad-cam"]
        expected = explain(small(), IMAGES, targets=strongest(small()), quiet=True)["grad-cam"]
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "given",
    [
        (IMAGES, LABELS),
        (IMAGES, LABELS.tolist()),
        (IMAGES, LABELS.numpy().astype(np.float64)),
        (TensorDataset(IMAGES, LABELS), None),
        (DataLoader(TensorDataset(IMAGES, LABELS.float()), batch_size=3), None),
    ],
)
def test_a_comparison_counts_labels_told_rightly(given: tuple[Any, Any]) -> None:
    before, after = small(), small(2)
    found = compare(before, after, *given, cams=("grad-cam",), class_policy="label", quiet=True)
    with torch.no_grad():
        right = [float(((m(IMAGES) > 0) == LABELS.bool()).double().mean()) for m in (before, after)]
        yes = [
            m(IMAGES).gather(1, strongest(before)[:, None])[:, 0].sigmoid() for m in (before, after)
        ]
    assert found.accuracy is not None
    assert [found.accuracy.baseline, found.accuracy.pruned] == pytest.approx(right)
    assert right[0] != right[1]
    table = found.per_image
    assert table["class"].tolist() == strongest(before).tolist()
    assert table["label"].tolist() == ["0 2", "1 2", "0 1", "1"]
    parts = torch.tensor(table[["ssim", "iou"]].to_numpy()).clamp(min=0)
    change = 1 - (yes[0] - yes[1]).abs().double()
    expected = 3 / (1 / parts[:, 0] + 1 / parts[:, 1] + 1 / change)
    torch.testing.assert_close(torch.tensor(table["pe_score"]), expected, atol=1e-6, rtol=0)
    assert "share of labels told rightly" in found.to_markdown()


def test_one_label_an_image_is_one_class() -> None:
    classes = torch.tensor([0, 2, 1, 2])
    expected = compare(small(), small(2), IMAGES, classes, "grad-cam", quiet=True)
    found = compare(small(), small(2), IMAGES, torch.eye(3)[classes], "grad-cam", quiet=True)
    assert found.accuracy == expected.accuracy
    assert found.per_image.equals(expected.per_image)
    column = DataLoader(TensorDataset(IMAGES, classes[:, None]), batch_size=3)
    assert compare(small(), small(2), column, quiet=True).accuracy == expected.accuracy


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:3], r"labels are \(3, 3\); expected one for each of 4 images"),
        (LABELS / 2, "1 for each that it has and 0 for the others"),
        (torch.cat([LABELS, LABELS], 1), "of 6 classes: the networks have 3 classes"),
        (LABELS.index_fill(0, torch.tensor([1]), 0), "1 of 4 images have no label"),
    ],
)
def test_other_matrices_are_refused(labels: Tensor, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        compare(small(), small(2), IMAGES, labels, class_policy="label", quiet=True)


def test_boxes_and_masks_are_no_labels() -> None:
    for other in (torch.rand(4, 4) * 16, torch.zeros(4, 16, 16)):
        found = compare(small(), small(2), TensorDataset(IMAGES, other), quiet=True)
        assert found.accuracy is None
