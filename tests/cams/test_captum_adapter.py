"""captum's methods: networks computed by hand, identities, and what they must not do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum import attr
from test_library_adapter import state_of
from test_unrolled_network import awkward, images
from torch import Tensor, nn

from prunebench.cams import captum as plugin
from prunebench.cams.cam import Trace
from prunebench.errors import RequestError
from prunebench.plugins import choose

EVERY = list(plugin.PARAMETERS)


def traced(
    module: nn.Module, x: Tensor, classes: list[int], seeds: list[int] | None = None
) -> Trace:
    with torch.no_grad():
        logits = module(x)
    seeds = seeds or list(range(len(x)))
    return Trace(x, logits, torch.tensor(classes), x, seeds=tuple(seeds), module=module)


def attribution(name: str, trace: Trace, **parameters: Any) -> Tensor:
    found: Tensor = choose("cams", f"captum/{name}", parameters).plugin(trace)
    return found


class ByHand(nn.Module):
    """x → (x − 1, −x) → ReLU → one logit, 5·a₀ + 7·a₁ + 11·b₀ − 4·b₁ of a 1×2 image."""

    def __init__(self) -> None:
        super().__init__()
        self.split = nn.Conv2d(1, 2, 1).double()
        self.split.weight.data[:] = torch.tensor([1.0, -1.0])[:, None, None, None]
        self.split.bias.data[:] = torch.tensor([-1.0, 0.0])
        self.join = nn.Linear(4, 1, bias=False).double()
        self.join.weight.data[:] = torch.tensor([[5.0, 7.0, 11.0, -4.0]])

    def forward(self, x: Tensor) -> Tensor:
        """Gives B×1 of B×1×1×2."""
        return self.join(F.relu(self.split(x)).flatten(1))


BY_HAND = torch.tensor([[[[2.0, -3.0]]]]).double()
"""a = (1, 0) and b = (0, 3) after the ReLU; the reference, x = 0, gives zeros."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("saliency", [5, 4]),
        ("input-x-gradient", [10, -12]),
        ("guided-backprop", [5, 0]),  # the negative gradient at b₁ is stopped
        ("deconvolution", [5 - 11, 7]),  # and nothing else is
        ("deep-lift", [5, -12]),  # a₀ changes by 1 where its input changes by 2
        ("lrp", [10, -12]),
        ("integrated-gradients", [5, -12]),
    ],
)
def test_a_network_computed_by_hand(name: str, expected: list[float]) -> None:
    trace = traced(ByHand().eval(), BY_HAND, [0])
    tolerance = 0.2 if name == "integrated-gradients" else 1e-6
    torch.testing.assert_close(
        attribution(name, trace),
        torch.tensor([[expected]]).double(),
        rtol=0,
        atol=tolerance,
    )


def test_without_unrolling_captum_is_silently_wrong_on_functional_relus() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guided = attr.GuidedBackprop(ByHand()).attribute(BY_HAND.clone(), target=0)
        lifted = attr.DeepLift(ByHand()).attribute(BY_HAND.clone(), target=0)
    assert guided.flatten().tolist() == [5, 4]
    assert lifted.flatten().tolist() == [10, -12]


def test_guided_backprop_of_a_reused_in_place_relu() -> None:
    """Compared with gradients in which every ReLU is a function of its own."""

    class Guided(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors
            return gradient.clamp(min=0) * (x > 0)

    def same_network(module: Any, x: Tensor) -> Tensor:
        relu = Guided.apply
        x = module.pool(relu(module.norm(module.first(x))))
        y = module.second(relu(module.second(x))) + x
        y = relu(module.pool(relu(y)))
        y = F.max_pool2d(relu(y), 2) + F.avg_pool2d(y, 2)
        found: Tensor = module.classifier(y.mean([2, 3]))
        return found

    module, x = awkward(), images()
    leaf = x.clone().requires_grad_()
    logits = same_network(module, leaf)
    torch.testing.assert_close(logits, module(x))
    (expected,) = torch.autograd.grad(logits[:, 2].sum(), leaf)
    found = attribution("guided-backprop", traced(module, x, [2, 2, 2]))
    torch.testing.assert_close(found, expected.sum(1))


class Residual(nn.Module):
    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), activation)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.body = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), activation)
        self.end = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.stem(x))
        x = torch.cat([x + self.body(x), x], 1)
        logits: Tensor = self.end(x)
        return logits


def residual(activation: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(2)
    return Residual(activation or nn.ReLU(inplace=True)).double().eval()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "awkward": awkward,
    "residual": residual,
    "relu6": lambda: residual(nn.ReLU6(inplace=True)),
    "sigmoid": lambda: residual(nn.Sigmoid()),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_deep_lift_attributes_the_whole_difference_from_the_reference(network: str) -> None:
    module, x = NETWORKS[network](), 3 * images()
    found = attribution("deep-lift", traced(module, x, [1, 0, 3]))
    with torch.no_grad():
        difference = (module(x) - module(torch.zeros_like(x)))[[0, 1, 2], [1, 0, 3]]
    torch.testing.assert_close(found.sum((1, 2)), difference, rtol=0, atol=1e-9)


@pytest.mark.parametrize("network", ["awkward", "residual"])
def test_lrp_without_epsilon_is_input_times_gradient(network: str) -> None:
    """Of networks of ReLUs (Ancona et al. 2018, proposition 1): through sums and BatchNorm too."""
    trace = traced(NETWORKS[network](), images(), [1, 0, 3])
    expected = attribution("input-x-gradient", trace)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(attribution("lrp", trace), expected, rtol=1e-4, atol=1e-7)
    damped = attribution("lrp", trace, epsilon=1.0)
    assert damped.abs().sum() < 0.9 * expected.abs().sum()


def test_integrated_gradients_add_up() -> None:
    module, x = awkward(), images()
    found = attribution("integrated-gradients", traced(module, x, [1, 0, 3]), steps=300)
    with torch.no_grad():
        difference = (module(x) - module(torch.zeros_like(x)))[[0, 1, 2], [1, 0, 3]]
    torch.testing.assert_close(found.sum((1, 2)), difference, rtol=0, atol=2e-3)


@pytest.mark.slow
def test_the_bound_on_images_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunebench.cams import captum_attributions

    trace = traced(awkward(), images(), [1, 0, 3])
    names = ("integrated-gradients", "occlusion")
    whole = [attribution(name, trace) for name in names]
    monkeypatch.setattr(captum_attributions, "PIXELS", 3 * 16 * 16)
    for name, expected in zip(names, whole, strict=True):
        torch.testing.assert_close(attribution(name, trace), expected)


def test_occlusion_of_one_bright_spot() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2, bias=False)).double().eval()
    module[1].weight.data.fill_(1.0)
    x = torch.zeros(1, 3, 8, 8).double()
    x[0, :, 2, 5] = 2.0
    found = attribution("occlusion", traced(module, x, [0]), window=1)
    expected = torch.zeros(1, 8, 8).double()
    expected[0, 2, 5] = 3 * 6.0  # the logit's fall by 6, once for each colour
    torch.testing.assert_close(found.double(), expected)


def test_little_noise_is_none() -> None:
    trace = traced(awkward(), images(), [1, 0, 3])
    smooth = attribution("smooth-grad", trace, noise=1e-9, samples=2)
    torch.testing.assert_close(smooth, attribution("saliency", trace), rtol=1e-4, atol=1e-8)


def test_noise_comes_from_the_image_and_from_nowhere_else() -> None:
    """Equal networks have equal maps, whatever their seeds and the company of an image."""
    module, x = awkward(), images()
    state = torch.get_rng_state()
    found = attribution("smooth-grad", traced(module, x, [1, 0, 3], [5, 6, 7]), samples=4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    turned = traced(module, x.flip(0), [3, 0, 1], [1, 2, 3])
    torch.testing.assert_close(attribution("smooth-grad", turned, samples=4), found.flip(0))
    x[2, 0, 0, 0] += 1e-3
    other = attribution("smooth-grad", traced(module, x, [1, 0, 3], [5, 6, 7]), samples=4)
    torch.testing.assert_close(other[:2], found[:2])
    assert not torch.allclose(other[2], found[2])


@pytest.mark.parametrize("name", EVERY)
def test_a_map_depends_on_its_own_image_alone(name: str) -> None:
    module, x, classes = awkward(), images(), [1, 0, 3]
    together = attribution(name, traced(module, x, classes))
    assert together.shape == (3, 16, 16)
    assert not together.requires_grad
    for i in range(3):
        alone = attribution(name, traced(module, x[i : i + 1], classes[i : i + 1], [i]))
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", EVERY)
def test_the_network_is_left_as_it_was(name: str) -> None:
    module = awkward()
    module.first.weight.requires_grad_(False)
    module.second.weight.grad = torch.ones_like(module.second.weight)
    module.norm.train()
    trace = traced(module, images(2), [1, 2])
    before, kept = state_of(module), trace.images.clone()
    with torch.inference_mode():
        attribution(name, trace)
    assert state_of(module) == before
    assert torch.equal(trace.images, kept)
    assert not trace.images.requires_grad


@pytest.mark.parametrize("name", ["deep-lift", "lrp"])
def test_networks_without_rules_are_refused(name: str) -> None:
    attentive = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.LazyLinear(3))
    attentive = attentive.double().eval()
    attentive(images())
    with pytest.raises(RequestError, match=f"captum/{name} has no rule for GELU, which Sequential"):
        attribution(name, traced(attentive, images(), [0, 1, 2]))

    class Gated(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * torch.tanh(x)).flatten(1)

    with pytest.raises(RequestError, match="no rule for the operation 'mul', which Gated"):
        attribution(name, traced(Gated().eval(), images(), [0, 1, 2]))


@pytest.mark.parametrize("name", ["guided-backprop", "deconvolution"])
def test_networks_without_relus_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"at ReLUs alone, and Residual has none"):
        attribution(name, traced(residual(nn.Sigmoid()), images(), [0, 1, 2]))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("salience", {}, "no method 'captum/salience'; did you mean 'saliency'"),
        ("saliency", {"steps": 10}, "captum/saliency has no parameter 'steps'; it has none"),
        ("smooth-grad", {"window": 3}, "no parameter 'window'; it has samples, noise"),
        ("integrated-gradients", {"steps": 0}, "'steps': .* greater than or equal to 1"),
        ("occlusion", {"windows": 3}, "unknown parameter 'windows'; did you mean 'window'"),
    ],
)
def test_wrong_requests_are_refused(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        choose("cams", f"captum/{name}", parameters)


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install 'prunebench\[captum\]'"):
        choose("cams", "captum/saliency")


@pytest.mark.slow
def test_deep_lift_is_complete_in_torchvisions_networks() -> None:
    import torchvision

    for name in ("resnet18", "mobilenet_v2", "densenet121", "squeezenet1_1"):
        torch.manual_seed(0)
        module = torchvision.models.get_model(name, num_classes=10).double().eval()
        x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
        found = attribution("deep-lift", traced(module, x, [1, 2])).sum((1, 2))
        with torch.no_grad():
            difference = (module(x) - module(torch.zeros_like(x)))[[0, 1], [1, 2]]
        torch.testing.assert_close(found, difference, rtol=1e-6, atol=1e-9)
