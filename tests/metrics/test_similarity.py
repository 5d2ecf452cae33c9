"""Correlation, divergence, highest pixels, centre of mass: references and properties."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

import prunebench.metrics
from prunebench.errors import RequestError
from prunebench.metrics import Evidence, maps, similarity
from prunebench.plugins import choose

Measure = Callable[[Tensor, Tensor], Tensor]

# Each measure with its best and its worst value.
MEASURES: dict[str, tuple[Measure, float, float]] = {
    "pearson": (similarity.pearson, 1.0, -1.0),
    "spearman": (similarity.spearman, 1.0, -1.0),
    "js_divergence": (similarity.js_divergence, 0.0, 1.0),
    "top_overlap": (similarity.top_overlap, 1.0, 0.0),
    "centre_distance": (similarity.centre_distance, 0.0, 1.0),
}
every_measure = pytest.mark.parametrize(
    ("measure", "best", "worst"), MEASURES.values(), ids=MEASURES
)


def random_maps(n: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(n, height, width, generator=torch.Generator().manual_seed(seed))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Maps with many ties, constant and zero ones and numbers of all sizes among them."""
    shape = (2, draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    values = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1, width=32))
    return tuple(torch.from_numpy(draw(arrays(np.float32, shape, elements=values))) for _ in "ab")  # type: ignore[return-value]


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_correlations_are_those_of_scipy(ties: bool) -> None:
    a, b = random_maps(5, 13, 9, seed=1), random_maps(5, 13, 9, seed=2)
    if ties:
        a, b = (a * 4).round() / 4, (b * 3).floor() / 3
    for i in range(5):
        x, y = a[i].flatten().double().numpy(), b[i].flatten().double().numpy()
        linear, ranked = scipy.stats.pearsonr(x, y)[0], scipy.stats.spearmanr(x, y)[0]
        assert similarity.pearson(a, b)[i].item() == pytest.approx(linear, abs=1e-12)
        assert similarity.spearman(a, b)[i].item() == pytest.approx(ranked, abs=1e-12)


def test_correlations_survive_tiny_differences() -> None:
    a = random_maps(3, 8, 8).double()
    for tiny in (a * 1e-200, 0.5 + a * 1e-9):
        assert (similarity.pearson(a, tiny) - 1).abs().max() < 1e-6
        assert (similarity.spearman(a, tiny) - 1).abs().max() < 1e-9


@pytest.mark.parametrize("measure", [similarity.pearson, similarity.spearman])
def test_constant_maps_correlate_with_nothing(measure: Measure) -> None:
    constant, other = torch.full((1, 5, 5), 0.3), random_maps(1, 5, 5)
    assert measure(constant, other).item() == measure(other, constant).item() == -1
    assert measure(constant, torch.full((1, 5, 5), 0.9)).isnan().all()


def test_spearman_sees_order_only() -> None:
    a = random_maps(4, 10, 10)
    assert torch.allclose(similarity.spearman(a, a**3), torch.ones(4).double())
    assert torch.allclose(similarity.spearman(a, 1 - a), -torch.ones(4).double())
    assert (similarity.pearson(a, a**3) < 0.99).all()


def test_js_divergence_is_the_square_of_scipys_distance() -> None:
    a, b = random_maps(5, 9, 11, seed=1), random_maps(5, 9, 11, seed=2)
    a[0, :4], b[0, 4:] = 0, 0  # disjoint
    a[1, :3] = 0
    found = similarity.js_divergence(a, b)
    for i in range(5):
        x, y = a[i].flatten().double().numpy(), b[i].flatten().double().numpy()
        expected = scipy.spatial.distance.jensenshannon(x, y, base=2) ** 2
        assert found[i].item() == pytest.approx(expected, abs=1e-12)
    assert found[0].item() == pytest.approx(1, abs=1e-12)


def test_js_divergence_ignores_scale() -> None:
    a = random_maps(3, 8, 8).double()
    assert similarity.js_divergence(a, a * 0.25).abs().max() < 1e-15


def test_top_overlap_of_known_maps() -> None:
    a = torch.tensor([[[0.9, 0.8, 0.7, 0.6, 0.0]]])
    b = torch.tensor([[[0.1, 0.8, 0.7, 0.0, 1.0]]])
    shares = {0.2: 0 / 1, 0.4: 1 / 2, 0.41: 2 / 3, 0.6: 2 / 3, 1.0: 1.0}
    for share, expected in shares.items():
        assert similarity.top_overlap(a, b, share).item() == pytest.approx(expected)


def test_top_overlap_takes_the_first_of_equal_pixels() -> None:
    a, b = torch.zeros(1, 4, 5), torch.zeros(1, 4, 5)
    a[0, 3, 4] = b[0, 0, 0] = 1  # k = 2: (3, 4) and (0, 0); (0, 0) and (0, 1)
    assert similarity.top_overlap(a, b).item() == 0.5
    half = torch.full((1, 30, 30), 0.5)
    assert similarity.top_overlap(half, half.flip(1)).item() == 1


def test_top_overlap_counts_whole_pixels() -> None:
    # 0.07 · 100 is a little more than 7 in binary: seven pixels, not eight.
    a, b = torch.arange(100.0).view(1, 10, 10) / 99, torch.zeros(1, 10, 10)
    b.view(-1)[93:] = 1.0
    b.view(-1)[50] = 0.5  # would be the eighth
    assert similarity.top_overlap(a, b, 0.07).item() == 1


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    a = random_maps(1, 4, 4)
    with pytest.raises(RequestError, match=r"share must lie in \(0, 1\]"):
        similarity.top_overlap(a, a, share)


def test_centre_distance_of_single_pixels() -> None:
    a, b = torch.zeros(2, 6, 8), torch.zeros(2, 6, 8)
    a[0, 1, 2] = b[0, 4, 6] = 0.7  # 3 down, 4 across
    a[1, 0, 0] = b[1, 5, 7] = 1.0
    found = similarity.centre_distance(a, b)
    assert found.tolist() == pytest.approx([5 / 10, np.hypot(5, 7) / 10])


def test_centre_of_mass_is_that_of_scipy() -> None:
    a, b = random_maps(2, 7, 12, seed=1), random_maps(2, 7, 12, seed=2)
    for x, y, found in zip(a, b, similarity.centre_distance(a, b), strict=True):
        centres = [scipy.ndimage.center_of_mass(m.double().numpy()) for m in (x, y)]
        apart = np.subtract(*centres)
        assert found.item() == pytest.approx(np.hypot(*apart) / np.hypot(7, 12), abs=1e-12)


@every_measure
def test_zero_maps(measure: Measure, best: float, worst: float) -> None:
    zero, some = torch.zeros(1, 16, 16), random_maps(1, 16, 16)
    assert measure(zero, zero).isnan().all()
    assert measure(zero, some).item() == measure(some, zero).item() == worst
    assert measure(zero, torch.full_like(zero, 0.1)).item() == worst


@every_measure
def test_a_value_depends_on_its_own_maps_only(measure: Measure, best: float, worst: float) -> None:
    a, b = random_maps(5, 12, 12, seed=1), random_maps(5, 12, 12, seed=2)
    b[3], a[1] = 0, 0.5
    alone = torch.cat([measure(x[None], y[None]) for x, y in zip(a, b, strict=True)])
    assert torch.allclose(measure(a, b), alone, rtol=0, atol=1e-12)
    backwards = measure(a.flip(0), b.flip(0)).flip(0)
    assert torch.allclose(backwards, alone, rtol=0, atol=1e-12)


@every_measure
def test_chunks_leave_no_trace(
    measure: Measure, best: float, worst: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = random_maps(7, 16, 16, seed=1), random_maps(7, 16, 16, seed=2)
    whole = measure(a, b)
    monkeypatch.setattr(maps, "CHUNK_PIXELS", {"cpu": 3 * 16 * 16})
    assert torch.allclose(measure(a, b), whole, rtol=0, atol=1e-12)


@every_measure
def test_result_type(measure: Measure, best: float, worst: float) -> None:
    a = random_maps(4, 12, 12).half().requires_grad_()
    values = measure(a, a)
    assert values.dtype == torch.float64
    assert values.shape == (4,)
    assert not values.requires_grad
    assert measure(a[:0], a[:0]).shape == (0,)


@pytest.mark.slow
@every_measure
@settings(deadline=None, max_examples=60)
@given(pair=pairs())
def test_properties(
    measure: Measure, best: float, worst: float, pair: tuple[Tensor, Tensor]
) -> None:
    a, b = pair
    values, mirrored, same = measure(a, b), measure(b, a), measure(a, a)
    assert torch.allclose(values, mirrored, rtol=0, atol=1e-12, equal_nan=True)
    defined = values[~values.isnan()]
    assert (defined >= min(best, worst)).all()
    assert (defined <= max(best, worst)).all()
    expected = torch.full_like(same, best)
    assert torch.allclose(same[~same.isnan()], expected[~same.isnan()], rtol=0, atol=1e-12)
    empty = (a == 0).flatten(1).all(1) & (b == 0).flatten(1).all(1)
    if measure in (similarity.pearson, similarity.spearman):
        flat = [m.flatten(1).amax(1) == m.flatten(1).amin(1) for m in pair]
        one_zero = (a == 0).flatten(1).all(1) != (b == 0).flatten(1).all(1)
        assert (values.isnan() == (flat[0] & flat[1] & ~one_zero)).all()
    else:
        assert (values.isnan() == empty).all()


def test_rounding_below_zero_is_no_mass() -> None:
    a, b = random_maps(1, 8, 8, seed=1), random_maps(1, 8, 8, seed=2)
    a[0, 0, 0] = b[0, 0, 0] = -5e-7
    for measure, best, worst in MEASURES.values():
        value = measure(a, b).item()
        assert min(best, worst) <= value <= max(best, worst)


@every_measure
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.rand(2, 8, 8), torch.rand(2, 8, 9), r"\(2, 8, 8\) and \(2, 8, 9\)"),
        (torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8), "N×H×W, found shape"),
        (torch.rand(2, 8, 8), torch.full((2, 8, 8), torch.nan), r"\[0, 1\], found"),
    ],
    ids=["size", "channel", "nan"],
)
def test_wrong_maps_are_refused(
    measure: Measure, best: float, worst: float, a: Tensor, b: Tensor, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        measure(a, b)


@pytest.mark.parametrize("value", MEASURES)
def test_plugins_are_the_public_functions(value: str) -> None:
    a, b = random_maps(4, 12, 12, seed=1), random_maps(4, 12, 12, seed=2)
    b[2] = 0
    metric = choose("metrics", value.replace("_", "-")).plugin
    load = {"baseline_maps": lambda: a, "maps": lambda: b}
    found = metric.compute(Evidence(load, torch.device("cpu")))
    assert set(found) == {value}
    assert torch.equal(found[value], getattr(prunebench.metrics, value)(a, b))
    assert metric.higher_is_better == (MEASURES[value][1] > MEASURES[value][2])


def test_the_share_is_a_parameter_of_the_plugin() -> None:
    a, b = random_maps(4, 12, 12, seed=1), random_maps(4, 12, 12, seed=2)
    load = {"baseline_maps": lambda: a, "maps": lambda: b}
    metric = choose("metrics", "top-overlap", {"share": 0.5}).plugin
    found = metric.compute(Evidence(load, torch.device("cpu")))["top_overlap"]
    assert torch.equal(found, similarity.top_overlap(a, b, 0.5))
    with pytest.raises(RequestError, match="share"):
        choose("metrics", "top-overlap", {"share": 0})
