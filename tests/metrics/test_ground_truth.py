"""Ground truth: masks and boxes of a data set as masks at the size of a map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from prunebench.data import Split, ground_truth
from prunebench.datasets.digits import Digits
from prunebench.datasets.mnist import Mnist
from prunebench.datasets.parquet import Parquet
from prunebench.datasets.splits import cut_validation


def boxed(*boxes: list[float], height: int = 6, width: int = 8) -> Split:
    count = len(boxes)
    pixels = torch.zeros(count, 3, height, width, dtype=torch.uint8)
    return Split(pixels, torch.zeros(count).long(), torch.tensor(boxes))


def masked(count: int = 20, size: int = 4) -> Split:
    """Image i has label i and the mask i everywhere."""
    masks = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1).repeat(1, size, size)
    pixels = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    return Split(pixels, torch.arange(count), masks=masks)


def test_a_box_holds_the_pixels_whose_centres_are_inside() -> None:
    split = boxed([1, 2, 4, 3], [0, 0, 8, 6], [0.4, 0.6, 2.6, 1.4], [3, 3, 3, 5])
    found = ground_truth(split, torch.arange(4), (6, 8))
    assert found is not None
    assert found.dtype == torch.float32
    assert found[0].nonzero().tolist() == [[2, 1], [2, 2], [2, 3]]
    assert found[1].all()
    assert found[2].sum() == 0  # no centre of a row is between 0.6 and 1.4
    assert found[3].sum() == 0  # no width
    assert set(found.unique().tolist()) == {0.0, 1.0}


def test_neighbouring_boxes_share_no_pixel_and_leave_none() -> None:
    split = boxed([0, 0, 2.5, 6], [2.5, 0, 8, 6])
    found = ground_truth(split, torch.arange(2), (6, 8))
    assert found is not None
    assert (found.sum(0) == 1).all()


def test_the_images_asked_for_in_their_order() -> None:
    found = ground_truth(masked(), torch.tensor([7, 3, 3]), (4, 4))
    assert found is not None
    assert (found * 255)[:, 0, 0].tolist() == pytest.approx([7, 3, 3])
    boxes = ground_truth(boxed([0, 0, 1, 1], [4, 4, 5, 5]), torch.tensor([1]), (6, 8))
    assert boxes is not None
    assert boxes.nonzero().tolist() == [[0, 4, 4]]


def test_another_size_scales_masks_and_boxes() -> None:
    split = boxed([2, 0, 6, 4])
    halved = ground_truth(split, torch.tensor([0]), (3, 4))
    assert halved is not None
    assert halved[0].nonzero().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    doubled = ground_truth(split, torch.tensor([0]), (12, 16))
    assert doubled is not None
    assert doubled.sum() == 8 * 8
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[:, :, 4:] = 255
    split = Split(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1).long(), masks=mask)
    small = ground_truth(split, torch.tensor([0]), (4, 4))
    assert small is not None
    assert small.shape == (1, 4, 4)
    assert small.mean().item() == pytest.approx(0.5, abs=1e-6)
    assert small.amin() >= 0
    assert small.amax() <= 1


def test_masks_are_preferred_to_boxes() -> None:
    split = boxed([0, 0, 8, 6])
    split = Split(split.pixels, split.labels, split.boxes, torch.zeros(1, 6, 8, dtype=torch.uint8))
    found = ground_truth(split, torch.tensor([0]), (6, 8))
    assert found is not None
    assert found.sum() == 0


def test_without_masks_and_boxes_there_is_none() -> None:
    split = Split(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2).long())
    assert ground_truth(split, torch.arange(2), (4, 4)) is None


def test_masks_follow_their_images() -> None:
    for part in cut_validation(masked(), 0.3, "a"):
        for moved in (part, part.to("cpu"), part.subset(torch.arange(len(part)).flip(0))):
            assert moved.masks is not None
            assert torch.equal(moved.masks[:, 0, 0].long(), moved.labels)


def test_digits_are_their_own_masks_in_the_same_memory() -> None:
    data = Digits().load()
    for split in (data.train, data.validation, data.test):
        assert isinstance(split.pixels, torch.Tensor)
        assert split.masks is not None
        assert split.masks.data_ptr() == split.pixels.data_ptr()
    chosen = torch.tensor([5, 499, 0])
    found = ground_truth(data.test, chosen, (32, 32))
    assert found is not None
    assert torch.equal(found, data.test.pixels[chosen][:, 0].float() / 255)


def test_images_that_are_decoded_on_demand_are_no_masks() -> None:
    class OnDemand:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, indices: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(indices), 1, 2, 2, dtype=torch.uint8)

    with pytest.raises(TypeError, match="in memory"):
        Split(OnDemand(), torch.zeros(1).long()).with_images_as_masks()


def test_real_mnist_is_its_own_mask(shared_data: Callable[[str], Path]) -> None:
    test = Mnist(root=shared_data("mnist")).load().test
    found = ground_truth(test, torch.arange(100), (28, 28))
    assert found is not None
    assert found.amax() == 1
    assert 0.08 < found.mean() < 0.2  # a digit is about a tenth of its image


@pytest.mark.slow
def test_real_boxes_have_their_area(shared_data: Callable[[str], Path]) -> None:
    test = Parquet(path=shared_data("tinyimagenet-10")).load().test
    assert test.boxes is not None
    found = ground_truth(test, torch.arange(len(test)), (64, 64))
    assert found is not None
    x0, y0, x1, y1 = test.boxes.unbind(1)
    assert torch.equal(found.sum((1, 2)), (x1 - x0) * (y1 - y0))
    corners = found[0].nonzero()
    assert corners.amin(0).tolist() == [y0[0], x0[0]]
    assert corners.amax(0).tolist() == [y1[0] - 1, x1[0] - 1]
