"""Scaling, resizing and coding of maps."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pytorch_grad_cam.utils.image import scale_cam_image

from prunebench.cams.maps import decode, encode, normalise, upsample

RAW = arrays(
    np.float64,
    array_shapes(min_dims=3, max_dims=3, max_side=6),
    elements=st.floats(-1e3, 1e3, allow_subnormal=False),
)


@given(raw=RAW)
@settings(deadline=None, max_examples=60)
def test_maps_are_those_of_the_reference_library(raw: np.ndarray) -> None:
    expected = scale_cam_image(np.maximum(raw, 0))
    np.testing.assert_allclose(normalise(torch.from_numpy(raw)).numpy(), expected, atol=1e-6)
    resized = scale_cam_image(scale_cam_image(np.maximum(raw, 0), (24, 12)))
    found = upsample(normalise(torch.from_numpy(raw)), (12, 24)).numpy()
    # The library resizes in float32, which its second division magnifies for very faint maps.
    clear = expected.max((1, 2)) > 1e-2
    np.testing.assert_allclose(found[clear], resized[clear], atol=1e-4)


@given(raw=RAW)
@settings(deadline=None, max_examples=60)
def test_maps_lie_in_zero_to_one_and_codes_are_close(raw: np.ndarray) -> None:
    maps = normalise(torch.from_numpy(raw).float())
    assert maps.min() >= 0
    assert maps.max() <= 1
    codes = encode(maps)
    assert codes.dtype == torch.uint16
    assert (decode(codes) - maps).abs().max() <= 1 / 65535
    assert torch.equal(decode(encode(decode(codes))), decode(codes))


def test_constant_and_negative_maps_become_zero_and_stay_zero() -> None:
    raw = torch.stack([torch.full((4, 4), 3.0), torch.full((4, 4), -1.0), torch.zeros(4, 4)])
    maps = normalise(raw)
    assert not maps.any()
    assert not decode(encode(maps)).any()
    assert not upsample(maps, (9, 7)).any()


def test_a_map_that_is_not_finite_is_zero_and_harms_no_other() -> None:
    raw = torch.rand(3, 4, 4)
    alone = normalise(raw[2:])
    raw[0, 0, 0], raw[1, 1, 1] = float("nan"), float("inf")
    maps = normalise(raw)
    assert not maps[:2].any()
    assert torch.equal(maps[2:], alone)


def test_upsampled_maps_use_the_whole_range() -> None:
    maps = upsample(normalise(torch.rand(5, 4, 6)), (32, 48))
    assert maps.shape == (5, 32, 48)
    torch.testing.assert_close(maps.amax((1, 2)), torch.ones(5))
    assert not maps.amin((1, 2)).any()


def test_no_maps_are_no_error() -> None:
    maps = normalise(torch.rand(0, 4, 4))
    assert upsample(maps, (8, 8)).shape == (0, 8, 8)
    assert decode(encode(maps)).shape == (0, 4, 4)
