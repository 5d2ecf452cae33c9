"""Networks as people have them: what is read as logits, and what is refused."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization import FakeQuantize, MinMaxObserver, MovingAverageMinMaxObserver

from prunebench.errors import RequestError
from prunebench.networks.classifier import describe_dependence, make_classifier
from prunebench.networks.shared_weights import make_twin

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def small(classes: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(6, classes),
    ).eval()  # fmt: skip


class Giving(nn.Module):
    """A network whose output is something made of its logits."""

    def __init__(self, make: Callable[[Tensor], Any], classes: int = 4) -> None:
        super().__init__()
        self.network, self.make = small(classes), make

    def forward(self, images: Tensor) -> Any:
        return self.make(self.network(images))


Output = namedtuple("Output", ["loss", "logits"])


@pytest.mark.parametrize(
    "make",
    [
        lambda z: {"logits": z, "features": torch.zeros(len(z), 9)},
        lambda z: {"loss": None, "out": z},
        lambda z: (z, z[:, :, None].expand(-1, -1, 3)),
        lambda z: Output(torch.zeros(len(z), 2), z),
        lambda z: SimpleNamespace(logits=z),
        lambda z: z[:, :, None, None],
    ],
    ids=["logits", "only tensor", "first of a tuple", "named tuple", "attribute", "1×1 maps"],
)
def test_logits_are_found_in_what_a_network_gives(make: Callable[[Tensor], Any]) -> None:
    network = make_classifier(Giving(make).eval(), IMAGES)
    torch.testing.assert_close(network(IMAGES), small()(IMAGES))


@pytest.mark.parametrize("make", [lambda z: z, lambda z: z.squeeze(-1), lambda z: z.squeeze()])
def test_one_logit_is_two_classes_of_the_sigmoids_probability(
    make: Callable[[Tensor], Tensor],
) -> None:
    network = make_classifier(Giving(make, 1).eval(), IMAGES)
    probability = small(1)(IMAGES).sigmoid()
    expected = torch.cat([1 - probability, probability], 1)
    torch.testing.assert_close(network(IMAGES).softmax(1), expected)
    torch.testing.assert_close(network(IMAGES[:1]).softmax(1), expected[:1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda z: (z, 2 * z), r"gives a tuple \(0: \(1, 4\), 1: \(1, 4\)\)"),
        (lambda z: {"a": "b"}, r"gives a dict \('a': str\), in which nothing is clearly"),
        (lambda z: z[:, :, None, None].expand(-1, -1, 3, 3), r"gives \(1, 4, 3, 3\); expected"),
        (lambda z: None, r"gives a NoneType \(empty\)"),
    ],
)
def test_what_is_not_clearly_logits_is_refused(make: Callable[[Tensor], Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        make_classifier(Giving(make).eval(), IMAGES)


def test_a_second_input_is_refused_with_the_wrapper_that_helps() -> None:
    class Two(nn.Module):
        def forward(self, images: Tensor, mask: Tensor) -> Tensor:
            return images * mask

    with pytest.raises(RequestError, match=r"images alone .*'mask'.*wrap it in a module"):
        make_classifier(Two(), IMAGES)


def test_images_of_another_kind_are_refused() -> None:
    with pytest.raises(RequestError, match=r"cannot take images of 1×8×8"):
        make_classifier(small(), IMAGES[:, :1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.jit.trace(small(), IMAGES), r"TorchScript .*convert_script"),
        (lambda: torch.jit.script(small()), r"TorchScript .*convert_script"),
        (lambda: torch.export.export(small(), (IMAGES,)), "convert_program"),
        (lambda: small, "the network is a function; expected a torch.nn.Module"),
        (lambda: nn.Linear, "the network is the class Linear"),
        (lambda: {"0.weight": torch.zeros(1)}, "the network is a dict"),
    ],
)
def test_what_has_no_layers_to_look_into_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        make_classifier(make(), IMAGES)


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, lambda module: torch.compile(module, backend="eager")]
)
def test_wrapped_networks_are_read_without_their_wrapper(wrap: Callable[[Any], Any]) -> None:
    module = small()
    wrapped = wrap(module)
    wrapped(IMAGES)  # compiled by now
    network = make_classifier(wrapped, IMAGES)
    assert isinstance(network, nn.Sequential)
    torch.testing.assert_close(network(IMAGES), module(IMAGES))


class Counting(nn.Module):
    """Counts how often it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("runs", torch.zeros(()))
        self.network = small()

    def forward(self, images: Tensor) -> Tensor:
        self.runs += 1
        images.mul_(2)
        logits: Tensor = self.network(images)
        return logits


def test_neither_images_nor_buffers_of_the_caller_change() -> None:
    module, images = Counting().eval(), IMAGES.clone()
    network = make_classifier(module, images)
    assert torch.equal(network(images), network(images))
    assert torch.equal(images, IMAGES)
    assert module.runs == 0


class Keeping(nn.Module):
    """Keeps weights and buffers of another layer."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.kept = {"weight": [norm.weight], "mean": norm.running_mean}

    def forward(self, maps: Tensor) -> Tensor:
        return maps


def test_a_twin_is_one_too_where_layers_keep_weights_of_others() -> None:
    module = small()
    module.append(Keeping(module[1]))
    twin = make_twin(module, trained=True)
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in twin.parameters())
    assert twin[-1].kept["weight"][0] is twin[1].weight
    twin[1].running_mean.fill_(9)
    assert not module[1].running_mean.any()


def test_what_cannot_be_copied_is_refused() -> None:
    of_graph, endless = small(), small()
    of_graph.seen = SimpleNamespace(maps=of_graph[0](IMAGES))
    endless.seen = [[]]
    endless.seen[0].append(endless.seen)
    for module in (of_graph, endless):
        with pytest.raises(RequestError, match="Sequential cannot be copied"):
            make_twin(module)


def test_what_logits_depend_on_beside_the_image_is_said() -> None:
    def describe(module: nn.Module) -> str:
        return describe_dependence(make_classifier(module.eval(), IMAGES), IMAGES)

    mixing = small()
    mixing[1] = nn.BatchNorm2d(6, track_running_stats=False)
    assert describe(small()) == ""
    assert describe(small().double().float()) == ""
    assert "other images of a batch (layer '1' keeps no running" in describe(mixing)
    learning = nn.Sequential(FakeQuantize(MovingAverageMinMaxObserver, 0, 255), small())
    assert "seen before: it goes on learning in evaluation mode" in describe(learning)
    # What counts or watches, and changes no logits.
    assert describe(Counting()) == ""
    assert describe(nn.Sequential(MinMaxObserver(), small())) == ""
    chance = Giving(lambda z: z + torch.rand_like(z))
    assert describe(chance).startswith("chance")
