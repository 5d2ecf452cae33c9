"""Networks compiled, distributed or cast, in whole or in parts: explained as they are beneath."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import distribute_module
from torch.nn.parallel import DataParallel, DistributedDataParallel

from prunebench.cams.explaining import explain
from prunebench.comparison.compare import compare
from prunebench.errors import RequestError

METHODS = ("grad-cam", "score-cam", "ablation-cam", "full-grad", "captum/saliency", "captum/lrp")
IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LAYER = "1.1"


def small() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
        nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(8, 5),
    ).eval()


def maps(module: Any, layer: Any = LAYER, methods: Any = METHODS) -> dict[str, Tensor]:
    return explain(module, IMAGES, methods, layer, quiet=True)


def same(found: dict[str, Tensor], expected: dict[str, Tensor], atol: float = 1e-5) -> None:
    for name, each in found.items():
        torch.testing.assert_close(each.float(), expected[name], rtol=0, atol=atol, msg=name)


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return maps(small())


@pytest.fixture
def process_group() -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def compiled(module: nn.Module) -> Any:
    return torch.compile(module, backend="eager")


class OwnParallel(DataParallel):  # type: ignore[type-arg]
    """A wrapper derived from one."""


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("part", [0, 1, 3])
@pytest.mark.parametrize("wrap", [compiled, DataParallel, DistributedDataParallel, OwnParallel])
def test_wrapped_layers(
    wrap: Callable[[nn.Module], Any], part: int, expected: dict[str, Tensor]
) -> None:
    module = small()
    inner = module[1][1]
    module[part] = wrap(module[part])
    module(IMAGES)
    same(maps(module), expected)
    for layer in (inner, dict(map(reversed, module.named_modules()))[inner]):  # type: ignore[call-overload]
        same(maps(module, layer, ("grad-cam",)), expected)
    assert isinstance(module[part], nn.Module)
    found = compare(small(), module, IMAGES, cams=("grad-cam",), target_layer=LAYER, quiet=True)
    assert found.layers == (LAYER, LAYER)
    assert found.scores.loc["grad-cam", "sp2ps"] == pytest.approx(1)


class Decorated(nn.Module):
    """Compiled as it was written."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    @torch.compile(backend="eager")
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        return logits


def test_compiled_in_other_ways(expected: dict[str, Tensor]) -> None:
    in_place, part, forward = small(), small(), small()
    in_place.compile(backend="eager")
    part[1].compile(backend="eager")
    forward.forward = compiled(forward.forward)  # type: ignore[method-assign]
    for module in (in_place, part, forward):
        module(IMAGES)
        same(maps(module), expected)
    same(maps(Decorated().eval(), f"net.{LAYER}", METHODS[:-1]), expected)


def shard(module: nn.Module) -> nn.Module:
    fully_shard(module, mesh=init_device_mesh("cpu", (1,)))
    return module


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda module: FullyShardedDataParallel(module, device_id=torch.device("cpu")),
        lambda module: FullyShardedDataParallel(
            module, use_orig_params=True, device_id=torch.device("cpu")
        ),
        shard,
        lambda module: nn.Sequential(shard(module[0]), *module[1:]),
        lambda module: distribute_module(module, init_device_mesh("cpu", (1,))),
    ],
)
def test_sharded_weights_are_refused_with_the_way_out(wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(RequestError, match=r"sharded over processes; .*full_state_dict=True"):
        maps(wrap(small()))


class Casting(nn.Module):
    """Casts to half precision in its own code; all of it, or the middle, back to single."""

    def __init__(self, whole: bool = True) -> None:
        super().__init__()
        self.net, self.whole = small(), whole

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.whole):
            x = self.net[0](x)
            with torch.autocast("cpu", torch.bfloat16):
                x = self.net[1](x)
            logits: Tensor = self.net[3](self.net[2](x if self.whole else x.float()))
        return logits


def test_autocast_of_the_caller_changes_nothing(expected: dict[str, Tensor]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        same(maps(small()), expected)
        assert torch.is_autocast_enabled("cpu")


def test_autocast_within_a_network_does_not_round_its_maps(expected: dict[str, Tensor]) -> None:
    module = Casting().eval()
    assert module(IMAGES).dtype is torch.bfloat16
    same(maps(module, f"net.{LAYER}"), expected)
    layers = (LAYER, f"net.{LAYER}")
    found = compare(small(), module, IMAGES, cams=METHODS[-1], target_layer=layers, quiet=True)
    assert found.scores["sp2ps"].tolist() == pytest.approx([1])
    with pytest.raises(RequestError, match=r"double precision, in which its code does not run"):
        maps(Casting(whole=False).eval(), f"net.{LAYER}")


class Ungraded(nn.Module):
    """Switches gradients off, in all of its code or in its first part."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.net, self.first = small(), first

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.net[0](images)
        with torch.set_grad_enabled(self.first and torch.is_grad_enabled()):
            logits: Tensor = self.net[3](self.net[2](self.net[1](x)))
        return logits


@pytest.mark.parametrize("first", [True, False])
def test_gradients_switched_off_by_the_network(first: bool, expected: dict[str, Tensor]) -> None:
    module = Ungraded(first).eval()
    if first:
        same(maps(module, f"net.{LAYER}", "grad-cam"), expected)
    for method in ("full-grad", "captum/saliency", "captum/integrated-gradients"):
        with pytest.raises(RequestError, match=r"no gradient reaches the images"):
            maps(module, f"net.{LAYER}", method)


def test_networks_without_weights_or_that_cannot_be_copied_are_refused() -> None:
    lazy, locked = small(), small()
    lazy[3] = nn.LazyLinear(5)
    locked.lock = threading.Lock()  # type: ignore[assignment]
    for module, message in (
        (small().to("meta"), "layer '0.0' are on the device 'meta'"),
        (lazy, "layer '3' has no weights before the network first ran"),
        (locked, "Sequential cannot be copied"),
    ):
        with pytest.raises(RequestError, match=message):
            maps(module)


class Keeping(nn.Module):
    """Keeps activations, with their gradients' graph, in a list in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.kept = small(), {"features": list[Tensor]()}

    def forward(self, images: Tensor) -> Tensor:
        self.kept["features"].append(self.net[0](images))
        logits: Tensor = self.net[3](self.net[2](self.net[1](self.kept["features"][-1])))
        return logits


def test_what_a_network_keeps_stays_its_own(expected: dict[str, Tensor]) -> None:
    module = Keeping().eval()
    module(IMAGES).sum().backward()
    (kept,) = module.kept["features"]
    same(maps(module, f"net.{LAYER}"), expected)
    assert module.kept["features"] == [kept]
    assert kept.grad_fn is not None


def test_the_default_number_format_does_not_matter(expected: dict[str, Tensor]) -> None:
    module, methods = small(), (*METHODS, "captum/smooth-grad", "random-cam")
    wanted = maps(module, methods=methods)
    torch.set_default_dtype(torch.float64)
    try:
        same(maps(module, methods=methods), wanted)
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("method", ["grad-cam", "ablation-cam", "captum/saliency", "captum/lrp"])
@pytest.mark.parametrize("factor", [1e-12, 1e-20])
def test_faint_maps_are_maps(method: str, factor: float) -> None:
    found = []
    for scale in (1, factor):
        module = small()
        with torch.no_grad():
            module[3].bias.zero_()
            module[3].weight.mul_(scale)
        found.append(explain(module, IMAGES, method, LAYER, targets=[0, 1, 2], quiet=True)[method])
    torch.testing.assert_close(*found, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [0, -1, 2.5, "4"])
def test_a_batch_of_no_images_is_refused(size: Any) -> None:
    with pytest.raises(RequestError, match=r"batch size .* at least 1"):
        explain(small(), IMAGES, batch_size=size, quiet=True)


@pytest.mark.parametrize("cast", ["all of it", "in its code"])
def test_methods_that_learn_do_so_in_a_better_precision_than_half(cast: str) -> None:
    if cast == "all of it":
        module, images = small().half(), IMAGES.half()
    else:
        module, images = nn.Sequential(Casting()).eval(), IMAGES
    (found,) = explain(module, images, "aem-rbf", quiet=True).values()
    assert found.isfinite().all()
