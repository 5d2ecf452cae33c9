"""CAM and the methods made of one gradient: formulas by hand, and what they have in common."""

from __future__ import annotations

import pytest
import torch
from cam_reference import small_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from prunebench.cams.cam import Trace
from prunebench.cams.elementwise_cam import elementwise_cam
from prunebench.cams.grad_cam import grad_cam
from prunebench.cams.hires_cam import hires_cam
from prunebench.cams.layer_cam import layer_cam
from prunebench.cams.linear_cam import linear_cam
from prunebench.cams.maps import normalise
from prunebench.cams.tracer import trace
from prunebench.cams.xgrad_cam import xgrad_cam
from prunebench.errors import RequestError

A = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [0.0, 1.0]]]]).double()
G = torch.tensor([[[[0.5, 0.0], [-1.0, 2.0]], [[-1.0, -2.0], [0.0, 0.5]]]]).double()


def by_hand(activations: Tensor, gradients: Tensor) -> Trace:
    logits = activations.new_zeros(len(activations), 2)
    classes = torch.zeros(len(activations), dtype=torch.int64)
    return Trace(activations, logits, classes, logits, differentiate=lambda: gradients)


def close(found: Tensor, expected: list[list[float]]) -> None:
    torch.testing.assert_close(found, torch.tensor([expected]).double(), rtol=1e-6, atol=1e-6)


def test_formulas_by_hand() -> None:
    traced = by_hand(A, G)
    close(hires_cam(traced), [[0.5, -2.0], [-3.0, 8.5]])
    close(elementwise_cam(traced), [[0.5, 0.0], [0.0, 8.5]])
    close(layer_cam(traced), [[0.5, 0.0], [0.0, 8.5]])
    # w = (0.5 − 3 + 8) / 10 and (−2 + 0.5) / 2.
    close(xgrad_cam(traced), [[0.55, 1.1 - 0.75], [1.65, 2.2 - 0.75]])


@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=20)
def test_with_equal_gradients_in_a_channel_they_are_grad_cam(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    activations = torch.rand(2, 4, 3, 5, dtype=torch.float64, generator=generator)
    slopes = torch.randn(2, 4, 1, 1, dtype=torch.float64, generator=generator)
    traced = by_hand(activations, slopes.expand_as(activations))
    torch.testing.assert_close(hires_cam(traced), grad_cam(traced))
    torch.testing.assert_close(xgrad_cam(traced), grad_cam(traced), rtol=1e-6, atol=1e-6)
    positive = by_hand(activations, slopes.abs().expand_as(activations))
    torch.testing.assert_close(layer_cam(positive), grad_cam(positive))
    torch.testing.assert_close(elementwise_cam(positive), grad_cam(positive))


def test_layer_cam_and_elementwise_differ_where_activations_are_negative() -> None:
    traced = by_hand(-A, G)
    close(layer_cam(traced), [[-0.5, 0.0], [0.0, -8.5]])
    close(elementwise_cam(traced), [[0.0, 2.0], [3.0, 0.0]])


def test_hires_cam_adds_up_to_the_logit_of_an_affine_rest() -> None:
    module = small_network()
    traced = trace(module, "2", torch.randn(3, 3, 8, 8).double(), torch.tensor([4, 0, 2]))
    added = hires_cam(traced).sum((1, 2)) + module[5].bias.detach()[traced.classes]
    torch.testing.assert_close(added, traced.scores)


@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=10)
def test_cam_is_grad_cam_before_global_average_pooling(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=generator)
    traced = trace(small_network(), "2", images)
    places = traced.activations[0, 0].numel()
    torch.testing.assert_close(linear_cam(traced), places * grad_cam(traced))
    torch.testing.assert_close(
        normalise(linear_cam(traced)), normalise(grad_cam(traced)), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ([nn.Flatten(), nn.Linear(6 * 36, 5)], "no pooling"),
        ([nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(6, 5)], "another pooling"),
        (
            [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 5)],
            "a hidden layer",
        ),
        ([nn.Conv2d(6, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()], "no linear layer"),
    ],
)
def test_cam_refuses_networks_it_is_not_defined_for(rest: list[nn.Module], why: str) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 3), *rest).eval()
    traced = trace(module, "0", torch.randn(2, 3, 8, 8))
    with pytest.raises(RequestError, match=r"layer '0' \(6 channels\).*Sequential.*grad-cam"):
        linear_cam(traced)


def test_cam_refuses_a_layer_too_early() -> None:
    traced = trace(small_network(), "0", torch.randn(2, 3, 8, 8).double())
    with pytest.raises(RequestError, match="global average pooling and one linear layer"):
        linear_cam(traced)


def test_cam_finds_the_classifier_among_other_linear_layers() -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Conv2d(3, 6, 3)
            self.classifier = nn.Linear(6, 5)
            self.auxiliary = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
            return logits

    torch.manual_seed(0)
    module = TwoHeads().double().eval()
    traced = trace(module, "features", torch.randn(2, 3, 8, 8).double())
    weights = module.classifier.weight.detach()[traced.classes]
    expected = (weights[:, :, None, None] * traced.activations).sum(1)
    torch.testing.assert_close(linear_cam(traced), expected)
