"""Measures of preservation: definitions, reference libraries and properties."""

from __future__ import annotations

from functools import partial
from math import pi

import numpy as np
import pytest
import pytorch_msssim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from prunebench.errors import RequestError
from prunebench.metrics import maps

MEASURES = {
    "ssim": maps.ssim,
    "sam": maps.sam,
    "sam_jet": lambda a, b: maps.sam(a, b, "jet"),
    "sp2ps": maps.sp2ps,
    "iou": maps.iou,
    "soft_iou": maps.soft_iou,
    "pe_score": lambda a, b: maps.pe_score(a, b, torch.full((len(a),), 0.7), torch.ones(len(b))),
}
every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


def random_maps(n: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Smooth maps that reach 0 and 1, as explanation methods make them."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 1, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear").squeeze(1)
    low, high = smooth.amin((1, 2), keepdim=True), smooth.amax((1, 2), keepdim=True)
    return (smooth - low) / (high - low)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (2, draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    values = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1, width=32))
    return tuple(torch.from_numpy(draw(arrays(np.float32, shape, elements=values))) for _ in "ab")  # type: ignore[return-value]


@pytest.mark.parametrize("size", [(32, 32), (28, 41), (11, 11), (224, 30)])
@pytest.mark.parametrize("flat", [False, True], ids=["smooth", "nearly flat"])
def test_ssim_is_that_of_scikit_image(size: tuple[int, int], flat: bool) -> None:
    a, b = random_maps(3, *size, seed=1), random_maps(3, *size, seed=2)
    if flat:
        a, b = 1 - a * 1e-3, 0.5 + b * 1e-3
    for x, y, value in zip(a.double(), b.double(), maps.ssim(a, b), strict=True):
        _, image = structural_similarity(
            x.numpy(),
            y.numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            full=True,
        )
        assert value.item() == pytest.approx(image[5:-5, 5:-5].mean(), abs=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (28, 41), (7, 7), (5, 9), (2, 3)])
def test_ssim_by_uniform_windows_is_scikit_images_default(size: tuple[int, int]) -> None:
    a, b = random_maps(3, *size, seed=1), random_maps(3, *size, seed=2)
    side = min(7, min(size) - 1 + min(size) % 2)
    for x, y, value in zip(a.double(), b.double(), maps.ssim(a, b, "uniform"), strict=True):
        if side == 1:  # one pixel has no variance: what is left is its luminance
            expected = ((2 * x * y + 1e-4) / (x * x + y * y + 1e-4)).mean().item()
        else:
            expected = structural_similarity(x.numpy(), y.numpy(), win_size=side, data_range=1)
        assert value.item() == pytest.approx(expected, abs=1e-9)


def test_an_unknown_window_of_ssim_is_named() -> None:
    a = random_maps(1, 8, 8, seed=1)
    with pytest.raises(RequestError, match=r"unknown window 'uniforn' of SSIM.*uniform"):
        maps.ssim(a, a, "uniforn")


@pytest.mark.parametrize(("size", "window"), [((10, 10), 9), ((7, 20), 7), ((2, 3), 1)])
def test_ssim_of_small_maps_uses_the_largest_odd_window(size: tuple[int, int], window: int) -> None:
    a, b = random_maps(1, *size, seed=1).double(), random_maps(1, *size, seed=2).double()
    offsets = np.arange(window) - window // 2
    weights = np.exp(-(offsets**2) / 4.5)
    weights = np.outer(weights, weights) / weights.sum() ** 2
    found = []
    for i in range(size[0] - window + 1):
        for j in range(size[1] - window + 1):
            x, y = (m[0, i : i + window, j : j + window].numpy() for m in (a, b))
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            cov = (weights * (x - mx) * (y - my)).sum()
            luminance = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
            found.append(luminance * (2 * cov + 9e-4) / (vx + vy + 9e-4))
    assert maps.ssim(a, b).item() == pytest.approx(np.mean(found), abs=1e-9)


@pytest.mark.parametrize("side", range(3, 41))
def test_ssim_at_every_size(side: int) -> None:
    """Square, wide and tall maps, from every window below 11 pixels to many windows of 11."""
    for height, width in ((side, side), (side, side + 7), (2 * side, side)):
        a, b = random_maps(2, height, width, seed=side), random_maps(2, height, width, seed=99)
        b[1] = 1 - a[1] * 0.9
        expected = [reference_ssim(x, y) for x, y in zip(a, b, strict=True)]
        assert maps.ssim(a, b).tolist() == pytest.approx(expected, abs=1e-6)


def reference_ssim(x: torch.Tensor, y: torch.Tensor) -> float:
    """scikit-image's value without the border; with SciPy's filters where 11×11 does not fit."""
    x, y = x.double().numpy(), y.double().numpy()
    radius = min(5, (min(x.shape) - 1) // 2)
    inner = tuple(slice(radius, n - radius) for n in x.shape)
    if radius == 5:
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        _, image = structural_similarity(x, y, data_range=1, full=True, **options)
        return float(image[inner].mean())
    blur = partial(gaussian_filter, sigma=1.5, radius=radius)
    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    luminance = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
    return float((luminance * (2 * cov + 9e-4) / (vx + vy + 9e-4))[inner].mean())


@pytest.mark.parametrize("size", [(11, 11), (12, 30), (32, 32), (64, 17)])
def test_ssim_is_that_of_pytorch_msssim(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(2)
    a, b = (torch.rand(70, *size, dtype=torch.float64, generator=generator) for _ in range(2))
    b[::2] = (a[::2] + 0.1 * b[::2]).clamp(max=1)
    offsets = torch.arange(11, dtype=torch.float64) - 5
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = (window / window.sum()).view(1, 1, 1, -1)  # its own is of single precision
    expected = pytorch_msssim.ssim(
        a[:, None], b[:, None], data_range=1, size_average=False, win=window
    )
    torch.testing.assert_close(maps.ssim(a, b), expected, rtol=0, atol=1e-10)


def test_ssim_of_one_pixel_compares_luminance() -> None:
    value = maps.ssim(torch.tensor([[[0.5]]]), torch.tensor([[[1.0]]])).item()
    assert value == pytest.approx((2 * 0.5 + 1e-4) / (1.25 + 1e-4), abs=1e-12)


def test_sam_of_known_angles() -> None:
    x = torch.tensor([[[1.0, 0.0]]]).repeat(3, 1, 1)
    y = torch.tensor([[[1.0, 1.0]], [[0.0, 0.3]], [[0.2, 0.0]]])
    assert maps.sam(x, y).tolist() == pytest.approx([0.5, 0.0, 1.0], abs=1e-15)


def test_sam_is_stable_where_arccos_is_not() -> None:
    a = random_maps(8, 224, 224)
    for scaled in (a, a * 0.37, a * 1e-30, a.half().float()):
        assert (1 - maps.sam(scaled, scaled)).abs().max() <= 1e-9
    assert (1 - maps.sam(a, a * 0.37)).abs().max() <= 1e-7  # a float32 product is not exact
    nearly = torch.tensor([[[1.0, 1e-9]]], dtype=torch.float64)
    angle = (1 - maps.sam(torch.tensor([[[1.0, 0.0]]]), nearly).item()) * pi / 2
    assert angle == pytest.approx(1e-9, rel=1e-6)


def test_jet_variant_compares_colours_pixel_by_pixel() -> None:
    # 0 is dark blue (0, 0, ½), 1 dark red (½, 0, 0), ½ is (½, 1, ½): a right angle, and 2/√6.
    x, y = torch.tensor([[[0.0, 1.0, 1.0]]]), torch.tensor([[[1.0, 1.0, 0.5]]])
    angles = [pi / 2, 0.0, np.arccos(0.5 / np.sqrt(1.5))]
    assert maps.sam(x, y, "jet").item() == pytest.approx(1 - 2 / pi * np.mean(angles), abs=1e-12)


def test_sp2ps_is_the_mean_of_harmonic_means() -> None:
    a, b = random_maps(6, 32, 32, seed=1), random_maps(6, 32, 32, seed=2)
    b[0] = 1 - a[0]
    spectral, spatial = maps.sam(a, b), maps.ssim(a, b)
    assert spatial[0] < 0
    expected = [
        0.0 if s <= 0 else 2 * c * s / (c + s)
        for c, s in zip(spectral.tolist(), spatial.tolist(), strict=True)
    ]
    assert maps.sp2ps(a, b).tolist() == pytest.approx(expected, abs=1e-12)


def test_overlaps_of_known_maps() -> None:
    a = torch.tensor([[[1.0, 0.6], [0.5, 0.0]]])
    b = torch.tensor([[[1.0, 0.2], [0.8, 0.5]]])
    assert maps.iou(a, b).item() == pytest.approx(2 / 4)
    assert maps.soft_iou(a, b).item() == pytest.approx(1.7 / 2.9)


def test_pe_score_of_known_terms() -> None:
    a = random_maps(1, 32, 32)
    same = maps.pe_score(a, a, torch.tensor([0.9]), torch.tensor([0.4]))
    assert same.item() == pytest.approx(3 / (1 + 1 + 1 / 0.5))
    assert maps.pe_score(a, a, torch.tensor([1.0]), torch.tensor([0.0])).item() == 0
    opposite = maps.pe_score(a, 1 - a, torch.tensor([0.9]), torch.tensor([0.9]))
    assert opposite.item() == 0


@every_measure
def test_zero_maps(measure) -> None:
    zero, some = torch.zeros(1, 16, 16), random_maps(1, 16, 16)
    assert measure(zero, zero).isnan().all()
    worst = -1.0 if measure is maps.ssim else 0.0
    assert measure(zero, some).tolist() == measure(some, zero).tolist() == [worst]
    assert measure(zero, torch.full_like(zero, 0.1)).item() == worst


def test_iou_where_nothing_reaches_half_is_undefined() -> None:
    assert maps.iou(torch.full((1, 4, 4), 0.3), torch.full((1, 4, 4), 0.4)).isnan().all()


@every_measure
def test_a_value_depends_on_its_own_maps_only(measure) -> None:
    a, b = random_maps(5, 20, 20, seed=1) * 0.9, random_maps(5, 20, 20, seed=2) * 0.8
    b[3] = 0
    alone = torch.cat([measure(x[None], y[None]) for x, y in zip(a, b, strict=True)])
    assert torch.allclose(measure(a, b), alone, rtol=0, atol=1e-12)
    backwards = measure(a.flip(0), b.flip(0)).flip(0)
    assert torch.allclose(backwards, alone, rtol=0, atol=1e-12)


@every_measure
def test_chunks_leave_no_trace(measure, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = random_maps(7, 16, 16, seed=1), random_maps(7, 16, 16, seed=2)
    whole = measure(a, b)
    monkeypatch.setattr(maps, "CHUNK_PIXELS", {"cpu": 3 * 16 * 16})
    assert torch.allclose(measure(a, b), whole, rtol=0, atol=1e-12)


@every_measure
def test_result_type(measure) -> None:
    a = random_maps(4, 12, 12).half().requires_grad_()
    values = measure(a, a)
    assert values.dtype == torch.float64
    assert values.shape == (4,)
    assert not values.requires_grad
    assert measure(a[:0], a[:0]).shape == (0,)


@every_measure
@settings(deadline=None, max_examples=40)
@given(pair=pairs())
def test_properties(measure, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = pair
    if measure is MEASURES["pe_score"]:
        return check_pe_score(a, b)
    values, mirrored, same = measure(a, b), measure(b, a), measure(a, a)
    assert torch.allclose(values, mirrored, rtol=0, atol=1e-12, equal_nan=True)
    defined = values[~values.isnan()]
    assert (defined >= (-1 if measure is maps.ssim else 0)).all()
    assert (defined <= 1).all()
    assert torch.allclose(same[~same.isnan()], torch.ones(1).double(), rtol=0, atol=1e-9)
    both_zero = (a == 0).all(2).all(1) & (b == 0).all(2).all(1)
    if measure is not maps.iou:
        assert (values.isnan() == both_zero).all()
    return None


def check_pe_score(a: torch.Tensor, b: torch.Tensor) -> None:
    """Like the other properties, with the confidences that belong to each side."""
    p, q = torch.tensor([0.2, 0.9]), torch.tensor([0.6, 0.9])
    values, mirrored = maps.pe_score(a, b, p, q), maps.pe_score(b, a, q, p)
    assert torch.allclose(values, mirrored, rtol=0, atol=1e-12, equal_nan=True)
    parts = torch.stack([maps.ssim(a, b).clamp(min=0), maps.iou(a, b), 1 - (p - q).abs().double()])
    undefined = parts.isnan().any(0)
    assert (values.isnan() == undefined).all()
    assert (values >= parts.amin(0) - 1e-12)[~undefined].all()
    assert (values <= parts.amax(0) + 1e-12)[~undefined].all()


@settings(deadline=None, max_examples=40)
@given(pair=pairs())
def test_sp2ps_lies_between_its_parts(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    parts = torch.stack([maps.sam(*pair), maps.ssim(*pair).clamp(min=0)])
    values = maps.sp2ps(*pair)
    defined = ~values.isnan()
    assert (values >= parts.amin(0) - 1e-12)[defined].all()
    assert (values <= parts.amax(0) + 1e-12)[defined].all()


@every_measure
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.rand(2, 8, 8), torch.rand(2, 8, 9), r"\(2, 8, 8\) and \(2, 8, 9\)"),
        (torch.rand(2, 8, 8), torch.rand(3, 8, 8), "one shape"),
        (torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8), "N×H×W, found shape"),
        (torch.rand(2, 0, 8), torch.rand(2, 0, 8), "N×H×W, found shape"),
        (torch.rand(2, 8, 8), torch.full((2, 8, 8), 255.0), r"\[0, 1\], found"),
        (torch.rand(2, 8, 8), torch.full((2, 8, 8), -0.1), r"\[0, 1\], found"),
        (torch.rand(2, 8, 8), torch.full((2, 8, 8), torch.nan), r"\[0, 1\], found"),
        (np.zeros((2, 8, 8)), torch.rand(2, 8, 8), "tensors N×H×W, found ndarray"),
    ],
    ids=["size", "count", "channel", "empty", "bytes", "negative", "nan", "array"],
)
def test_wrong_maps_are_refused(measure, a, b, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        measure(a, b)


def test_wrong_confidences_are_refused() -> None:
    a = random_maps(2, 8, 8)
    with pytest.raises(RequestError, match="one confidence for each of 2 maps"):
        maps.pe_score(a, a, torch.ones(2), torch.ones(3))
    with pytest.raises(RequestError, match="confidences must lie"):
        maps.pe_score(a, a, torch.ones(2), torch.full((2,), 1.5))


def test_unknown_variant_is_refused() -> None:
    a = random_maps(1, 8, 8)
    with pytest.raises(RequestError, match="did you mean 'spectral'"):
        maps.sam(a, a, "spectra")  # type: ignore[arg-type]
