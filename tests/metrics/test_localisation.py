"""Localisation: known maps and masks, properties, what is undefined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from prunebench.errors import RequestError
from prunebench.metrics import Evidence, soft_iou
from prunebench.metrics.metric import NotApplicable
from prunebench.metrics.object_masks import mask_iou, pointing_game, relevance_mass
from prunebench.plugins import choose

Measure = Callable[[Tensor, Tensor], Tensor]
MEASURES: dict[str, Measure] = {
    "mask_iou": mask_iou,
    "pointing_game": pointing_game,
    "relevance_mass": relevance_mass,
}
every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


def square(size: int = 8) -> Tensor:
    """A mask of 1 in the middle quarter of an image."""
    mask = torch.zeros(1, size, size)
    mask[:, size // 4 : -size // 4, size // 4 : -size // 4] = 1
    return mask


def test_known_values() -> None:
    heat = torch.tensor([[[0.2, 1.0], [0.0, 0.8]]])
    mask = torch.tensor([[[0.0, 1.0], [0.4, 0.6]]])
    assert mask_iou(heat, mask).item() == pytest.approx((1.0 + 0.6) / (0.2 + 1.0 + 0.4 + 0.8))
    assert pointing_game(heat, mask).item() == 1
    assert relevance_mass(heat, mask).item() == pytest.approx((1.0 + 0.48) / 2.0)


def test_a_map_that_is_the_mask_is_best() -> None:
    mask = square()
    assert [measure(mask, mask).item() for measure in MEASURES.values()] == [1, 1, 1]
    assert [measure(1 - mask, mask).item() for measure in MEASURES.values()] == [0, 0, 0]


def test_mask_iou_is_the_soft_iou_of_preservation() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, 9, 7, generator=generator)
    assert torch.equal(mask_iou(a, b), soft_iou(a, b))


def test_an_even_map_has_the_share_of_the_object() -> None:
    even = torch.full((1, 8, 8), 0.3)
    assert relevance_mass(even, square()).item() == pytest.approx(0.25)


def test_pointing_game_takes_the_first_of_equal_maxima() -> None:
    heat, mask = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    heat[:, 1, 2] = heat[:, 2, 0] = 0.7
    mask[0, 1, 2] = mask[1, 2, 0] = 1
    assert pointing_game(heat, mask).tolist() == [1, 0]


def test_a_pixel_is_on_the_object_from_half_on() -> None:
    heat = torch.tensor([[[1.0, 0.0]]]).repeat(3, 1, 1)
    mask = torch.tensor([[[0.5, 1.0]], [[0.49, 1.0]], [[0.49, 0.4]]])
    found = pointing_game(heat, mask)
    assert found[:2].tolist() == [1, 0]
    assert found[2].isnan()  # no pixel is on an object


@every_measure
def test_a_zero_map_finds_nothing(measure: Measure) -> None:
    assert measure(torch.zeros(1, 8, 8), square()).item() == 0


@every_measure
def test_without_an_object_it_is_undefined(measure: Measure) -> None:
    none = torch.zeros(2, 8, 8)
    assert measure(torch.cat([square(), none[:1]]), none).isnan().all()


@pytest.mark.slow
@every_measure
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_properties(measure: Measure, data: st.DataObject) -> None:
    shape = (3, data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8)))
    values = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1, width=32))
    heat, masks = (
        torch.from_numpy(data.draw(arrays(np.float32, shape, elements=values))) for _ in "ab"
    )
    found = measure(heat, masks)
    assert found.dtype == torch.float64
    defined = found[~found.isnan()]
    assert (defined >= 0).all()
    assert (defined <= 1).all()
    threshold = 0.5 if measure is pointing_game else 1e-45
    assert (found.isnan() == (masks.flatten(1).amax(1) < threshold)).all()
    alone = torch.cat([measure(x[None], y[None]) for x, y in zip(heat, masks, strict=True)])
    assert torch.allclose(found, alone, rtol=0, atol=1e-12, equal_nan=True)


@every_measure
def test_wrong_masks_are_refused(measure: Measure) -> None:
    with pytest.raises(RequestError, match=r"\(1, 8, 8\) and \(1, 4, 4\)"):
        measure(torch.rand(1, 8, 8), square(4))
    with pytest.raises(RequestError, match=r"\[0, 1\], found"):
        measure(torch.rand(1, 8, 8), square() * 255)


@pytest.mark.parametrize("value", MEASURES)
def test_plugins_are_the_functions(value: str) -> None:
    heat = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)).half()
    masks = square().repeat(3, 1, 1)
    load = {"maps": lambda: heat, "masks": lambda: masks}
    metric = choose("metrics", value.replace("_", "-")).plugin
    found = metric.compute(Evidence(load, torch.device("cpu")))
    assert set(found) == {value}
    assert torch.equal(found[value], MEASURES[value](heat, masks))


@pytest.mark.parametrize("value", MEASURES)
def test_without_ground_truth_they_do_not_apply(value: str) -> None:
    def no_masks() -> Tensor:
        raise NotApplicable("the data set has neither masks nor boxes")

    load = {"maps": lambda: torch.rand(3, 8, 8), "masks": no_masks}
    metric = choose("metrics", value.replace("_", "-")).plugin
    with pytest.raises(NotApplicable, match="neither masks nor boxes"):
        metric.compute(Evidence(load, torch.device("cpu")))
