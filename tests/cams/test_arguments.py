"""Arguments of ``explain`` and ``compare`` as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from prunebench.cams.cam import Cam, Trace
from prunebench.cams.explaining import explain
from prunebench.comparison.compare import compare
from prunebench.errors import RequestError

IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
CLASSES = [0, 2, 1, 2]


def small() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    ).eval()  # fmt: skip


def maps(**options: Any) -> Tensor:
    options = {"images": IMAGES} | options
    (found,) = explain(small(), quiet=True, **options).values()
    return found


@pytest.mark.parametrize(
    "written",
    [CLASSES, tuple(CLASSES), np.array(CLASSES), torch.tensor(CLASSES)[:, None],
     torch.tensor(CLASSES, dtype=torch.float32)],
)  # fmt: skip
def test_classes(written: Any) -> None:
    assert torch.equal(maps(targets=written), maps(targets=torch.tensor(CLASSES)))


@pytest.mark.parametrize("written", [2, np.int64(2), torch.tensor(2), [2, 2, 2, 2]])
def test_one_class_for_all_images(written: Any) -> None:
    assert torch.equal(maps(targets=written), maps(targets=torch.full((4,), 2)))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([0, 1], r"classes are \(2,\); expected one for each of 4 images"),
        ([0.5, 1, 1, 1], "expected whole numbers"),
        ([True, True, False, True], "expected whole numbers"),
        (["cat"] * 4, "cannot read classes from list"),
        (torch.rand(4, 3), "1 for each that it has"),
        (7, "class 7 does not exist"),
    ],
)
def test_what_are_no_classes_is_refused(written: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        maps(targets=written)


@pytest.mark.parametrize(
    "written",
    [
        IMAGES.numpy(),
        IMAGES.to_sparse(),
        list(IMAGES),
        TensorDataset(IMAGES),
        TensorDataset(IMAGES, torch.tensor(CLASSES)),
        DataLoader(TensorDataset(IMAGES, torch.tensor(CLASSES)), batch_size=3),
        DataLoader(list(IMAGES), batch_size=3),  # type: ignore[arg-type]
    ],
)
def test_images(written: Any) -> None:
    assert torch.equal(maps(images=written), maps())


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("images.pt", "images are str; expected a tensor"),
        (IMAGES.to("meta"), "images are on the device 'meta'"),
        ([], "images are list"),
        ([IMAGES[0], IMAGES[1, :, :8]], "several sizes"),
        (IMAGES.numpy().astype("uint8"), "expected normalised floating-point"),
        (DataLoader(["a"]), "the data set gives list"),  # type: ignore[arg-type]
        (IMAGES.index_fill(0, torch.tensor([2]), torch.inf), r"1 of 4 images .* first is image 2"),
    ],
)
def test_what_are_no_images_is_refused(written: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        maps(images=written)


@pytest.mark.slow
def test_labels_come_with_the_images_or_as_they_are_written() -> None:
    data = TensorDataset(IMAGES, torch.tensor(CLASSES))
    expected = compare(small(), small(), IMAGES, torch.tensor(CLASSES), "grad-cam", quiet=True)
    for images, labels in ((data, None), (IMAGES, CLASSES), (IMAGES, np.array(CLASSES))):
        found = compare(small(), small(), images, labels, "grad-cam", quiet=True)
        assert found.accuracy == expected.accuracy
        assert found.per_image.equals(expected.per_image)


@pytest.mark.slow
def test_a_layer_is_its_name_or_the_module() -> None:
    module = small()
    named = explain(module, IMAGES, target_layer="1", quiet=True)["grad-cam"]
    for layer in (module[1], [module[1]], ["1"]):
        found = explain(module, IMAGES, target_layer=layer, quiet=True)["grad-cam"]  # type: ignore[arg-type]
        assert torch.equal(found, named)
    other = small()
    for layer in (module[1], other[1], (module[1], other[1]), ("1", other[1])):
        assert compare(module, other, IMAGES, target_layer=layer, quiet=True).layers == ("1", "1")
    with pytest.raises(RequestError, match="a ReLU, is no layer of Sequential"):
        explain(module, IMAGES, target_layer=other[1], quiet=True)
    with pytest.raises(RequestError, match="the target layer is a int; expected its name"):
        explain(module, IMAGES, target_layer=1, quiet=True)  # type: ignore[arg-type]


def test_methods_are_names_functions_or_cams() -> None:
    def mine(trace: Trace, *, power: float = 1.0) -> Tensor:
        return (trace.gradients * trace.activations).sum(1) ** power

    class Mine(Cam):
        def __call__(self, trace: Trace) -> Tensor:
            return mine(trace)

    found = explain(small(), IMAGES, [mine, Mine, {"eigen-cam": {}}, "hires-cam"], quiet=True)
    assert list(found) == ["mine", "Mine", "eigen-cam", "hires-cam"]
    assert torch.equal(found["mine"], found["hires-cam"])
    assert torch.equal(found["Mine"], found["mine"])
    assert torch.equal(maps(cams=mine), found["mine"])
    assert torch.equal(maps(cams=Mine()), found["mine"])
    named = explain(small(), IMAGES, {"captum/lrp": {"epsilon": 1.0}}, quiet=True)
    assert list(named) == ["captum/lrp(epsilon=1.0)"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (5, "expected names"),
        ([5], "5 is no explanation method; expected its name"),
        ([lambda trace: 0, lambda trace: 1], "two explanation methods are called '<lambda>'"),
    ],
)
def test_what_is_no_method_is_refused(written: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        maps(cams=written)
