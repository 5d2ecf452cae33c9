from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from prunebench.cams.explaining import explain
from prunebench.pruners.filters.cam_guided import CamGuided, ExplanationParts
from prunebench.pruners.filters.feature_scores import compute_explanation_parts

Cam = Literal["grad-cam", "hires-cam"]
ENDS = {"0": 3, "3": 5, "7": 9}  # of the tiny network's layers: where their maps are


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(
    seed=st.integers(0, 1000),
    channels=st.integers(1, 9),
    cam=st.sampled_from(["grad-cam", "hires-cam"]),
    places=st.sampled_from([(), (1, 1), (3, 5)]),
)
@settings(max_examples=60, deadline=None)
def test_parts_sum_to_one(seed: int, channels: int, cam: Cam, places: tuple[int, ...]) -> None:
    maps = noise(4, channels, *places, seed=seed).relu()
    found = compute_explanation_parts(maps, noise(4, channels, *places, seed=seed + 1), cam)
    known = ~found.isnan().any(1)
    assert torch.allclose(found[known].sum(1), torch.ones(int(known.sum())).double())


def naive(network: Any, image: Tensor, end: int, cam: str) -> tuple[Tensor, Tensor]:
    """The parts of a layer's filters in one image's explanation, and the explanation."""
    maps = network[:end](image[None]).detach().requires_grad_()
    logits = network[end:](maps)[0]
    (gradient,) = torch.autograd.grad(logits[logits.argmax()], maps)
    contributions = []
    for g, a in zip(gradient[0], maps.detach()[0], strict=True):
        contributions.append(g.mean() * a if cam == "grad-cam" else g * a)
    explanation = torch.stack(contributions).sum(0).relu()
    length = float((explanation * explanation).sum())
    each = [float((c * explanation).sum()) / length if length else torch.nan for c in contributions]
    return torch.tensor(each), explanation


@pytest.mark.parametrize("cam", ["grad-cam", "hires-cam"])
def test_scores_are_those_of_a_loop(cam: Cam, tiny: Any, make_context: Any) -> None:
    network = tiny()
    context = make_context(network)
    found = ExplanationParts(images=6, cam=cam).compute(network, context)
    assert set(found) >= {"0", "3"}
    images = [image for inputs, _ in context.batches(6, 6) for image in inputs]
    for name, end in ENDS.items():
        rows = []
        for image in images:
            sizes = naive(network, image, end, cam)[0].abs()
            if not sizes.isnan().any():
                rows.append(sizes / sizes.mean())
        if rows:
            assert torch.allclose(found[name].float(), torch.stack(rows).mean(0), rtol=1e-3)
            assert float(found[name].mean()) == pytest.approx(1)
        else:
            assert name not in found


@pytest.mark.parametrize("cam", ["grad-cam", "hires-cam"])
def test_the_explanation_is_the_one_the_board_shows(cam: Cam, tiny: Any, make_context: Any) -> None:
    network = tiny()
    ((inputs, _),) = make_context(network).batches(6, 6)
    shown = explain(network, inputs, [cam], target_layer="2", quiet=True)[cam]
    for image, expected in zip(inputs, shown, strict=True):
        _, explanation = naive(network, image, ENDS["0"], cam)
        span = (explanation.max() - explanation.min()).clamp(min=1e-12)
        assert torch.allclose((explanation - explanation.min()) / span, expected, atol=1e-4)


def test_an_image_whose_explanation_is_empty_is_left_out() -> None:
    maps = torch.rand(2, 3, 4, 4)
    gradients = torch.ones_like(maps)
    gradients[1] = -1
    found = compute_explanation_parts(maps, gradients)
    assert not found[0].isnan().any()
    assert found[1].isnan().all()


def test_a_part_against_the_explanation_counts_by_its_size(make_context: Any) -> None:
    network: Any = torch.nn.Sequential(
        torch.nn.Conv2d(3, 3, 1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(3, 2),
    ).eval()
    with torch.no_grad():  # all maps are alike; one filter speaks against the predicted class
        network[0].weight.zero_()
        network[0].bias.fill_(1)
        network[4].weight.copy_(torch.tensor([[4.0, -2.0, 1.0], [0, 0, 0]]))
        network[4].bias.zero_()
    found = ExplanationParts(images=6).compute(network, make_context(network, classes=2))
    assert torch.allclose(found["0"], torch.tensor([4.0, 2.0, 1.0]).double() * 3 / 7)


def test_the_explanation_is_part_of_what_is_prepared() -> None:
    assert CamGuided().prepare() == CamGuided(scope="layerwise").prepare()
    assert CamGuided().prepare() != CamGuided(cam="hires-cam").prepare()
