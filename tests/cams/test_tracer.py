"""A trace is one pass of a batch; resuming gives what a full pass would."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prunebench.cams.cam import Trace
from prunebench.cams.target_layer import check_target_layer, find_last_feature_layer, measure_maps
from prunebench.cams.tracer import Tracer, trace
from prunebench.errors import RequestError


class Block(nn.Module):
    """A residual block that works in place and uses one ReLU twice."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.padding = outputs - inputs
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.padding))
        return self.relu(y)


class ResNet(nn.Module):
    """The CIFAR ResNet in small."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Block(4, 4, 1), Block(4, 4, 1))
        self.layer2 = nn.Sequential(Block(4, 6, 2), Block(6, 6, 1))
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.act(self.conv(x))))
        return self.fc(functional.avg_pool2d(x, x.shape[3]).view(x.size(0), -1))


class Branching(ResNet):
    """Code that torch.fx cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > 0 else super().forward(x) + 1


def made(kind: type[nn.Module] = ResNet) -> nn.Module:
    torch.manual_seed(1)
    network = kind().double()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
    return network.eval()


IMAGES = torch.randn(6, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1, 2, 3, 4, 0])
AFTER = ["act", "layer1", "layer1.0.relu", "layer1.1", "layer2", "layer2.1.relu"]
INSIDE = ["layer2.0.conv1", "layer2.0.bn1", "layer1.1.conv2", "layer2.1.bn2"]


def full_pass(module: nn.Module, layer: str, replacement: Tensor, images: Tensor) -> Tensor:
    """The oracle: the whole network with the layer's last output replaced."""
    target, runs = module.get_submodule(layer), []
    counter = target.register_forward_hook(lambda *_: runs.append(1))
    module(images)
    counter.remove()
    seen: list[int] = []

    def replace(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        seen.append(1)
        return replacement.clone() if len(seen) == len(runs) else output

    handle = target.register_forward_hook(replace)
    with torch.no_grad():
        logits: Tensor = module(images)
    handle.remove()
    return logits


@pytest.mark.parametrize("layer", AFTER + INSIDE)
@pytest.mark.parametrize("kind", [ResNet, Branching])
def test_trace_holds_activations_gradients_and_logits(kind: type[nn.Module], layer: str) -> None:
    module = made(kind)
    traced = trace(module, layer, IMAGES, CLASSES)
    assert torch.equal(traced.logits, module(IMAGES))
    assert torch.equal(traced.scores, traced.logits[range(6), CLASSES])
    # The gradient, by central differences along a random direction.
    direction = torch.randn_like(traced.activations)
    up, down = (
        full_pass(module, layer, traced.activations + step * direction, IMAGES)[range(6), CLASSES]
        for step in (1e-6, -1e-6)
    )
    slope = (traced.gradients * direction).flatten(1).sum(1)
    torch.testing.assert_close(slope, (up - down) / 2e-6, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", AFTER + INSIDE)
@pytest.mark.parametrize("kind", [ResNet, Branching])
def test_resume_gives_what_a_full_pass_gives(kind: type[nn.Module], layer: str) -> None:
    module = made(kind)
    traced = trace(module, layer, IMAGES, CLASSES)
    chosen = torch.tensor([5, 0, 0, 3])
    changed = traced.activations[chosen] * torch.rand(4, 1, 1, 1, dtype=torch.float64)
    before = changed.clone()
    expected = full_pass(module, layer, changed, IMAGES[chosen])
    torch.testing.assert_close(traced.resume(changed, chosen), expected)
    assert torch.equal(changed, before)
    everything = traced.resume(traced.activations, torch.arange(6))
    torch.testing.assert_close(everything, traced.logits)


@pytest.mark.parametrize("layer", AFTER + INSIDE)
def test_only_what_depends_on_the_layer_runs_again(layer: str) -> None:
    module = made()
    ran: list[int] = []
    module.get_submodule("conv").register_forward_hook(lambda *_: ran.append(1))
    tracer = Tracer(module, layer, IMAGES)
    assert tracer.uncut == ""
    ran.clear()
    traced = tracer(IMAGES, CLASSES)
    assert ran == [1]
    traced.resume(traced.activations, torch.arange(6))
    traced.ablate(torch.arange(4), torch.zeros(4, dtype=torch.int64))
    assert ran == [1]


def test_network_that_cannot_be_followed_says_so() -> None:
    assert "torch.fx cannot follow its code" in Tracer(made(Branching), "layer2", IMAGES).uncut


@pytest.mark.parametrize("layer", AFTER + INSIDE)
@pytest.mark.parametrize("kind", [ResNet, Branching])
def test_ablating_sets_one_channel_of_each_image_to_zero(kind: type[nn.Module], layer: str) -> None:
    module = made(kind)
    traced = trace(module, layer, IMAGES, CLASSES)
    chosen, channels = torch.tensor([5, 0, 0]), torch.tensor([1, 0, 3])
    changed = traced.activations[chosen].clone()
    changed[range(3), channels] = 0
    torch.testing.assert_close(
        traced.ablate(chosen, channels), full_pass(module, layer, changed, IMAGES[chosen])
    )


def test_prediction_runs_the_whole_network() -> None:
    module = made()
    traced = trace(module.train(), "layer2", IMAGES, CLASSES)
    assert torch.equal(traced.predict(IMAGES[:2]), module.eval()(IMAGES[:2]))
    assert torch.equal(trace(module, "layer2", IMAGES).classes, module(IMAGES).argmax(1))


def test_activations_survive_a_following_layer_that_works_in_place() -> None:
    module = made()
    traced = trace(module, "conv", IMAGES, CLASSES)
    torch.testing.assert_close(traced.activations, module.conv(IMAGES))
    assert traced.activations.min() < 0
    traced.resume(traced.activations, torch.arange(6))
    assert traced.activations.min() < 0


@pytest.mark.parametrize("training", [True, False])
def test_network_is_left_as_it_was_found(training: bool) -> None:
    module = made().train(training)
    module.layer1.train(not training)
    module.conv.weight.requires_grad_(False)
    flags = [layer.training for layer in module.modules()]
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    state = {name: value.clone() for name, value in module.state_dict().items()}

    def unchanged() -> bool:
        return (
            [layer.training for layer in module.modules()] == flags
            and [parameter.requires_grad for parameter in module.parameters()] == wanted
            and all(not layer._forward_hooks for layer in module.modules())
            and all(parameter.grad is None for parameter in module.parameters())
            and all(torch.equal(state[k], v) for k, v in module.state_dict().items())
        )

    for layer in ("layer2", "layer2.0.bn1"):
        traced = trace(module, layer, IMAGES, CLASSES)
        traced.resume(traced.activations, torch.arange(6))
        assert unchanged()
    with pytest.raises(RequestError, match="cannot take images of 2×8×8"):
        trace(module, "layer2", IMAGES[:, :2], CLASSES)
    with pytest.raises(RequestError):
        trace(module, "fc", IMAGES, CLASSES)
    with pytest.raises(RuntimeError):
        traced.resume(traced.activations[:, :1], torch.arange(6))
    assert unchanged()


def test_trace_works_without_gradients_around_it() -> None:
    module = made()
    expected = trace(module, "layer1", IMAGES, CLASSES).gradients
    with torch.no_grad():
        assert torch.equal(trace(module, "layer1", IMAGES, CLASSES).gradients, expected)
    with torch.inference_mode():
        assert torch.equal(trace(module, "layer1", IMAGES, CLASSES).gradients, expected)


def test_changed_network_is_explained_as_it_is_now() -> None:
    module = made()
    trace(module, "layer2", IMAGES, CLASSES)
    module.fc = nn.Linear(6, 7).double()
    traced = trace(module, "layer2", IMAGES, CLASSES)
    resumed = traced.resume(traced.activations, torch.arange(6))
    torch.testing.assert_close(resumed, module(IMAGES))
    with torch.no_grad():
        module.fc.weight.mul_(2)
    traced = trace(module, "layer2", IMAGES, CLASSES)
    torch.testing.assert_close(traced.resume(traced.activations, torch.arange(6)), module(IMAGES))


def test_unknown_layer_suggests_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"no layer 'layer2\.0\.con1'.*'layer2\.0\.conv1'"):
        trace(made(), "layer2.0.con1", IMAGES, CLASSES)


@pytest.mark.parametrize(
    ("layer", "classes", "message"),
    [
        ("fc", CLASSES, r"layer 'fc' cannot be explained: its output is \(6, 5\)"),
        ("layer2", CLASSES + 1, "class 5 does not exist: the network has 5"),
        ("layer2", CLASSES - 1, "class -1 does not exist"),
        ("layer2", CLASSES[:2], "one an image"),
    ],
)
def test_what_cannot_be_explained_is_refused(layer: str, classes: Tensor, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        trace(made(), layer, IMAGES, classes)


def test_layer_that_does_not_reach_the_logits_is_refused() -> None:
    class Aside(ResNet):
        def __init__(self) -> None:
            super().__init__()
            self.unused, self.aside = nn.Conv2d(3, 1, 1), nn.Conv2d(3, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            self.aside(x)
            return super().forward(x)

    module = made(Aside)
    with pytest.raises(RequestError, match="does not reach the logits"):
        trace(module, "aside", IMAGES, CLASSES)
    with pytest.raises(RequestError, match="takes no part"):
        trace(module, "unused", IMAGES, CLASSES)


def test_trace_is_of_the_contract() -> None:
    traced = trace(made(), "layer2", IMAGES, CLASSES, seed=7)
    assert isinstance(traced, Trace)
    assert traced.activations.shape == traced.gradients.shape == (6, 6, 4, 4)
    assert len(set(traced.seeds)) == 6
    assert traced.seeds == trace(made(), "layer2", IMAGES, CLASSES, seed=7).seeds
    assert traced.seeds != trace(made(), "layer2", IMAGES, CLASSES, seed=8).seeds
    assert not traced.activations.requires_grad


class Plain(nn.Sequential):
    """Two stages, each with its pooling."""

    def __init__(self) -> None:
        super().__init__(
            nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        )


def test_default_layer_is_the_end_of_the_last_stage_before_its_pooling() -> None:
    assert find_last_feature_layer(made(), IMAGES) == "layer2"
    module = Plain()
    assert find_last_feature_layer(module, torch.rand(1, 3, 16, 16)) == "1.1"
    assert find_last_feature_layer(Plain(), torch.rand(1, 3, 6, 6)) == "0.1"
    with pytest.raises(RequestError, match="at least 4×4 for images of 3×3"):
        find_last_feature_layer(made().float(), torch.rand(1, 3, 3, 3))


def test_target_layer_below_four_by_four_is_refused_with_those_that_qualify() -> None:
    module, images = Plain(), torch.rand(2, 3, 8, 8)
    assert check_target_layer(module, "1.1", images) == (4, 4)
    with pytest.raises(RequestError, match=r"2×2 for images of 8×8.*at least 4×4.*1\.1 \(4×4\)"):
        check_target_layer(module, "1.2", images)
    assert check_target_layer(module, "1.2", images, minimum=2) == (2, 2)
    with pytest.raises(RequestError, match=r"no batch of maps.*qualify: 1\.1"):
        check_target_layer(module, "3", images)
    with pytest.raises(RequestError, match="no layer"):
        check_target_layer(module, "1.7", images)


def test_sizes_are_those_of_each_layers_last_run() -> None:
    sizes = measure_maps(made(), IMAGES)
    assert sizes["layer1"] == (8, 8)
    assert sizes["layer2.0.relu"] == (4, 4)
    assert "fc" not in sizes
    assert list(sizes)[-1] == "layer2"
