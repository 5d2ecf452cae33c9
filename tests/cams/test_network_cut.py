"""What crosses the cut belongs to the batch in a way that is known, or the network is not cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

from prunebench.cams.tracer import Tracer
from prunebench.errors import RequestError
from prunebench.networks.layout import Layout

IMAGES = torch.randn(5, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """Two convolutions; how they meet and end is the test's affair."""

    def __init__(self, forward: Callable[[Network, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 3)
        self.place = nn.Parameter(torch.randn(4, 8, 8))
        self.path = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.path(self, x)


def batch_size_of_the_images(net: Network, x: Tensor) -> Tensor:
    count = x.size(0)
    y = net.second(net.relu(net.first(x)))
    return net.head(y.mean((2, 3)).view(count, 4))


def shape_of_the_images(net: Network, x: Tensor) -> Tensor:
    shape = x.shape[:1]
    y = net.second(net.first(x)).mean((2, 3))
    return net.head(y.reshape(shape + (4,)))  # noqa: RUF005 - torch.fx cannot unpack it


def twice_the_batch(net: Network, x: Tensor) -> Tensor:
    both = torch.stack([net.first(x), net.first(-x)], dim=1).flatten(0, 1)
    y = net.second(net.first(x))
    return net.head((y + both.unflatten(0, (-1, 2)).sum(1)).mean((2, 3)))


def rows_for_each_image(net: Network, x: Tensor) -> Tensor:
    windows = net.first(x).flatten(2).transpose(1, 2).reshape(-1, 16, 4)
    y = net.second(net.first(x)).mean((2, 3))
    return net.head(y + windows.reshape(-1, 4, 16, 4).mean((1, 2)) * 2)


def something_of_its_own(net: Network, x: Tensor) -> Tensor:
    own = net.place.softmax(0)
    return net.head((net.second(net.first(x)) * own).mean((2, 3)))


def works_in_place(net: Network, x: Tensor) -> Tensor:
    kept = net.first(x)
    y = net.second(kept)
    y += kept
    kept.mul_(2)
    return net.head(functional.relu_(y).mean((2, 3)) + kept.mean((2, 3)))


def used_twice(net: Network, x: Tensor) -> Tensor:
    y = net.second(net.relu(net.first(x)))
    return net.head(net.relu(net.second(y) + y).mean((2, 3)))


def tensors_in_a_tuple(net: Network, x: Tensor) -> Tensor:
    halves = net.first(x).chunk(2, 1)
    y = net.second(net.first(x))
    return net.head((y + torch.cat([halves[0], halves[1]], 1)).mean((2, 3)))


SIMPLE = [
    tensors_in_a_tuple,
    batch_size_of_the_images,
    shape_of_the_images,
    twice_the_batch,
    rows_for_each_image,
    something_of_its_own,
    used_twice,
]


def centred(net: Network, x: Tensor) -> Tensor:
    kept = net.first(x)
    return net.head((net.second(kept) + kept.mean(0, keepdim=True)).mean((2, 3)))


def whole(module: nn.Module) -> Tracer:
    tracer = Tracer(module, "second", IMAGES)
    tracer._cut = None
    return tracer


@pytest.mark.parametrize("forward", [*SIMPLE, works_in_place])
def test_resuming_some_images_equals_whole_passes(
    forward: Callable[[Network, Tensor], Tensor],
) -> None:
    module = Network(forward).double().eval()
    tracer = Tracer(module, "second", IMAGES)
    assert forward is works_in_place or tracer.uncut == ""
    ours, theirs = tracer(IMAGES), whole(module)(IMAGES)
    for name in ("logits", "activations", "gradients", "classes"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))
    rows = torch.tensor([4, 4, 0])
    changed = ours.activations[rows] * torch.rand(3, 4, 1, 1, dtype=torch.float64)
    for _ in range(2):  # nothing that is kept was used up
        torch.testing.assert_close(ours.resume(changed, rows), theirs.resume(changed, rows))


def test_a_value_that_mixes_images_is_not_kept() -> None:
    tracer = Tracer(Network(centred).double().eval(), "second", IMAGES)
    assert "tied to the batch" in tracer.uncut


@pytest.mark.parametrize(
    ("forward", "affine"),
    [
        (batch_size_of_the_images, True),
        (shape_of_the_images, True),
        (twice_the_batch, True),
        (something_of_its_own, True),
        (used_twice, False),
        (lambda net, x: net.head((y := net.second(net.first(x)).mean((2, 3))) * y * y), False),
        (lambda net, x: net.head(net.second(k := net.first(x)).mean((2, 3)) * k.sum((2, 3))), True),
        (lambda net, x: net.head(net.relu(net.second(net.first(x))).mean((2, 3))), False),
        (
            lambda net, x: net.head(functional.max_pool2d(net.second(net.first(x)), 8)[..., 0, 0]),
            False,
        ),
        (
            lambda net, x: net.head((y := net.second(net.first(x))).mean((2, 3)) * y.sum((2, 3))),
            False,
        ),
    ],
)
def test_affine_is_known(forward: Callable[[Network, Tensor], Tensor], affine: bool) -> None:
    module = Network(forward).double().eval()
    traced = Tracer(module, "second", IMAGES)(IMAGES)
    assert traced.affine == affine
    rows = torch.arange(5)
    back, half, none = (traced.resume(by * traced.activations, rows) for by in (-1, 0.5, 0))
    straight = torch.allclose(traced.logits + back, 2 * none)
    assert (straight and torch.allclose(2 * half, traced.logits + none)) == affine


def test_a_hook_makes_a_layer_no_longer_known_to_be_affine() -> None:
    module = Network(batch_size_of_the_images).double().eval()
    handle = module.head.register_forward_hook(lambda *_: _[2] ** 2)
    traced = Tracer(module, "second", IMAGES)(IMAGES)
    assert not traced.affine
    torch.testing.assert_close(traced.logits, module(IMAGES))
    handle.remove()


def test_masks_of_torch_are_in_force() -> None:
    module = Network(batch_size_of_the_images).double().eval()
    prune.random_unstructured(module.second, "weight", 0.5)
    prune.l1_unstructured(module.first, "weight", 0.5)
    traced = Tracer(module, "second", IMAGES)(IMAGES)
    torch.testing.assert_close(traced.logits, module(IMAGES))
    torch.testing.assert_close(traced.resume(traced.activations, torch.arange(5)), module(IMAGES))


class Transformer(nn.Module):
    """A class token and patches of 4×4, one block of attention."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.layout = layout
        self.patches = nn.Conv2d(3, 6, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.norm = nn.LayerNorm(6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.patches(x)
        if self.layout == "channels-last":
            return self.head(self.norm(y.permute(0, 2, 3, 1)).sum((1, 2)).tanh())
        y = torch.cat([self.token.expand(x.shape[0], -1, -1), y.flatten(2).transpose(1, 2)], 1)
        z = self.norm(y)
        return self.head((y + self.attention(z, z, z, need_weights=False)[0])[:, 0])


@pytest.mark.parametrize("layout", ["tokens", "channels-last"])
def test_layouts_other_than_maps(layout: Layout) -> None:
    module = Transformer(layout).double().eval()
    images = torch.randn(3, 3, 8, 12, dtype=torch.float64)
    outputs: list[Tensor] = []
    handle = module.norm.register_forward_hook(lambda *_: outputs.append(_[2]))
    logits = module(images)
    handle.remove()
    traced = Tracer(module, "norm", images, layout)(images)
    torch.testing.assert_close(traced.logits, logits)
    assert traced.activations.shape == traced.gradients.shape == (3, 6, 2, 3)
    placed = outputs[0][:, -6:] if layout == "tokens" else outputs[0].flatten(1, 2)
    torch.testing.assert_close(traced.activations.flatten(2).transpose(1, 2), placed)
    rows, channels = torch.tensor([2, 0]), torch.tensor([5, 1])
    changed = outputs[0].detach()[rows].clone()
    for image, channel in enumerate(channels):
        changed[image, ..., channel] = 0  # of the class token, too
    handle = module.norm.register_forward_hook(lambda *_: changed)
    expected = module(images[rows])
    handle.remove()
    torch.testing.assert_close(traced.ablate(rows, channels), expected)
    torch.testing.assert_close(traced.resume(traced.activations[rows], rows), logits[rows])


def test_no_closed_form_where_tokens_have_no_place() -> None:
    """The class token loses the channel too: the maps do not show it."""

    class Last(Transformer):
        def forward(self, x: Tensor) -> Tensor:
            y = self.patches(x).flatten(2).transpose(1, 2)
            return self.head(self.norm(torch.cat([self.token.expand(len(x), -1, -1), y], 1))[:, 0])

    module = Last("tokens").double().eval()
    traced = Tracer(module, "norm", torch.randn(2, 3, 8, 12, dtype=torch.float64), "tokens")(
        torch.randn(2, 3, 8, 12, dtype=torch.float64)
    )
    lost = traced.logits - traced.ablate(torch.arange(2), torch.zeros(2, dtype=torch.int64))
    assert lost.abs().max() > 0.01
    assert not traced.affine


class Remembering(Network):
    """Keeps what it computed once: torch.fx would leave a symbol there."""

    def __init__(self) -> None:
        super().__init__(batch_size_of_the_images)
        self.kept: object = None

    def forward(self, x: Tensor) -> Tensor:
        if self.kept is None:
            self.kept = x.shape[2:]
        return super().forward(x) * self.kept[0]  # type: ignore[index]


def test_the_network_is_left_alone_whatever_its_code_keeps() -> None:
    module = Remembering().double().train()
    traced = Tracer(module, "second", IMAGES)(IMAGES)
    assert module.kept is None
    assert module.training
    torch.testing.assert_close(traced.logits, module(IMAGES))
    masked = Network(batch_size_of_the_images).double()
    prune.random_unstructured(masked.second, "weight", 0.5)
    Tracer(masked, "second", IMAGES)(IMAGES).predict(IMAGES)
    masked.second.weight.sum().backward()
    assert masked.second.weight_orig.grad is not None


class Answers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"maps": self.second(x)}


def test_outputs_that_are_no_logits_are_refused() -> None:
    with pytest.raises(RequestError, match=r"gives a dict .* nothing is clearly the logits"):
        Tracer(Answers().double(), "second", IMAGES)(IMAGES)
