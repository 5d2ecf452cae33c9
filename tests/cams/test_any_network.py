"""Explaining networks as people have them: their maps are right, and nothing of theirs changes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from prunebench.cams.explaining import explain
from prunebench.comparison.compare import compare
from prunebench.errors import RequestError

METHODS = (
    "grad-cam", "score-cam", "ablation-cam", "full-grad", "captum/saliency", "captum/lrp",
    "captum/occlusion", "library/GradCAM",
)  # fmt: skip
IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def small(classes: int = 5) -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, classes),
    ).eval()  # fmt: skip


class Normalising(nn.Module):
    """Normalises its images, in place or not; may branch, so that it cannot be cut."""

    def __init__(self, in_place: bool, branching: bool = False) -> None:
        super().__init__()
        self.net, self.in_place, self.branching = small(), in_place, branching

    def forward(self, x: Tensor) -> Tensor:
        x = x.sub_(0.5).div_(0.25) if self.in_place else (x - 0.5) / 0.25
        if self.branching and x.sum() > 1e9:
            x = -x
        logits: Tensor = self.net(x)
        return logits


def explain_quietly(module: Any, images: Any, *args: Any, **options: Any) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return explain(module, images, *args, quiet=True, **options)


@pytest.mark.parametrize("branching", [False, True])
@pytest.mark.parametrize("method", [name for name in METHODS if name != "captum/lrp"])
def test_a_network_that_works_on_its_images_in_place(method: str, branching: bool) -> None:
    images = IMAGES.clone()
    found = explain_quietly(Normalising(True, branching).eval(), images, method, "net.5")
    expected = explain_quietly(Normalising(False).eval(), IMAGES, method, "net.5")
    torch.testing.assert_close(found[method], expected[method], rtol=0, atol=1e-4)
    assert torch.equal(images, IMAGES)
    assert expected[method].flatten(1).any(1).all()


def test_a_network_in_place_is_like_itself() -> None:
    module = Normalising(True).eval()
    found = compare(module, module, IMAGES, cams=("grad-cam",), quiet=True)
    assert found.scores.loc["grad-cam", "sp2ps"] == pytest.approx(1)
    assert found.agreement == 1


@pytest.mark.slow
def test_methods_may_come_in_any_order() -> None:
    alone = {name: explain_quietly(small(), IMAGES, name)[name] for name in METHODS}
    for order in (METHODS, METHODS[::-1]):
        together = explain_quietly(small(), IMAGES, order)
        for name in METHODS:
            torch.testing.assert_close(together[name], alone[name])


def test_a_pending_backward_of_the_caller_survives() -> None:
    module, other = small().train(), small().train()
    other(IMAGES).square().sum().backward()
    loss = module(IMAGES).square().sum()
    explain_quietly(module, IMAGES, METHODS)
    loss.backward()
    for mine, expected in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, expected.grad)


@pytest.mark.parametrize("method", METHODS)
def test_inference_mode_changes_nothing(method: str) -> None:
    with torch.inference_mode():
        found = explain_quietly(small(), IMAGES.clone(), method)[method]
    torch.testing.assert_close(found, explain_quietly(small(), IMAGES, method)[method])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_explained_in_single_precision(method: str, kind: torch.dtype) -> None:
    module = small().to(kind)
    with torch.no_grad():
        classes = module(IMAGES.to(kind)).argmax(1)
    found = explain_quietly(module, IMAGES.to(kind), method)[method]
    single = copy.deepcopy(module).float()
    expected = explain_quietly(single, IMAGES.to(kind).float(), method, targets=classes)[method]
    torch.testing.assert_close(found.float(), expected)


def test_agreement_of_half_precision_is_that_of_the_networks_as_they_are() -> None:
    module = small()
    images = torch.rand(200, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        module[-1].weight.mul_(1e-3)
        module[-1].bias.fill_(1)  # logits that half precision cannot tell apart
        half = copy.deepcopy(module).bfloat16()
        same = half(images.bfloat16()).argmax(1) == module(images).argmax(1)
    found = compare(module, half, images, cams=("grad-cam",), quiet=True)
    assert found.agreement == pytest.approx(float(same.double().mean()))
    assert found.agreement < 1


@pytest.mark.parametrize("where", ["weights", "attributions"])
def test_what_is_not_a_number_is_refused(where: str) -> None:
    module, cams = small(), ["grad-cam"]
    if where == "weights":
        module[-1].weight.data[0, 0] = torch.nan
    else:
        cams = [lambda trace: trace.activations.sum(1) / 0]
    with pytest.raises(RequestError, match="not finite"):
        explain(module, IMAGES, cams, quiet=True)
    with pytest.raises(RequestError, match=r"baseline network: .*not finite"):
        compare(module, small(), IMAGES, cams=cams, quiet=True)


def test_one_logit_is_explained_as_two_classes() -> None:
    module, opposite = small(1), small(1)
    with torch.no_grad():
        opposite[-1].weight.neg_()
        opposite[-1].bias.neg_()
    found = compare(module, opposite, IMAGES, cams=("grad-cam",), quiet=True)
    assert found.agreement == 0
    yes, no = (explain(module, IMAGES, targets=k, quiet=True)["grad-cam"] for k in (1, 0))
    assert not torch.allclose(yes, no)
    with pytest.raises(RequestError, match="class 2 does not exist: the network has 2 classes"):
        explain(module, IMAGES, targets=2, quiet=True)


def test_what_maps_depend_on_beside_the_image_is_said() -> None:
    module = small()
    module[1] = nn.BatchNorm2d(6, track_running_stats=False)
    with pytest.warns(UserWarning, match="on the other images of a batch"):
        explain(module, IMAGES, quiet=True)
    found = compare(small(), module, IMAGES, cams=("grad-cam",), quiet=True)
    assert "the pruned network do not depend on the image alone" in found.warnings[0]


def test_observers_that_go_on_learning_are_said_and_left_as_they_were() -> None:
    from torch.ao.quantization import FakeQuantize, MovingAverageMinMaxObserver

    module = small()
    quantised = FakeQuantize(MovingAverageMinMaxObserver, 0, 255)
    module = nn.Sequential(quantised, *module).eval()
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with pytest.warns(UserWarning, match="goes on learning in evaluation mode"):
        explain(module, IMAGES, quiet=True)
    assert all(torch.equal(buffer, before[name]) for name, buffer in module.named_buffers())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm", "old weight_norm"])
def test_parametrised_weights(method: str, norm: str) -> None:
    module = small()
    if norm == "old weight_norm":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nn.utils.weight_norm(module[4])
    else:
        getattr(nn.utils.parametrizations, norm)(module[4])
    module.eval()
    plain = small()
    plain[4].weight.data = module[4].weight.detach().clone()
    found = explain_quietly(module, IMAGES, method)[method]
    torch.testing.assert_close(found, explain_quietly(plain, IMAGES, method)[method])


@pytest.fixture
def process_group() -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.usefixtures("process_group")
def test_distributed_and_compiled_networks() -> None:
    expected = explain(small(), IMAGES, quiet=True)["grad-cam"]
    compiled = torch.compile(small(), backend="eager")
    compiled(IMAGES)
    for module, layer in (
        (DistributedDataParallel(small()), "module.5"),
        (compiled, "_orig_mod.5"),
    ):
        assert torch.equal(explain(module, IMAGES, quiet=True)["grad-cam"], expected)
        assert torch.equal(
            explain(module, IMAGES, target_layer=layer, quiet=True)["grad-cam"], expected
        )


def test_converted_networks_are_refused_with_the_way_out() -> None:
    from torch.ao import quantization

    torch.backends.quantized.engine = "onednn"
    module = nn.Sequential(quantization.QuantStub(), small(), quantization.DeQuantStub()).eval()
    module.qconfig = quantization.get_default_qconfig("onednn")
    prepared = quantization.prepare(module)
    prepared(IMAGES)
    quantised = quantization.convert(prepared)
    with pytest.raises(RequestError, match=r"gives torch.quint8, .* before it was converted"):
        explain(quantised, IMAGES, quiet=True)


class Giving(nn.Module):
    """Does something to its images, and something else to its logits."""

    def __init__(self, before: Any = None, after: Any = None) -> None:
        super().__init__()
        self.net, self.before, self.after = small(), before, after

    def forward(self, images: Tensor) -> Any:
        if self.before is not None:
            self.before(images)
        logits = self.net(images)
        return logits if self.after is None else self.after(logits)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16])
@pytest.mark.parametrize("method", METHODS)
def test_logits_in_another_precision_than_the_network(method: str, kind: torch.dtype) -> None:
    module = Giving(after=lambda logits: logits.to(kind)).eval()
    if method == "captum/lrp":
        with pytest.raises(RequestError, match="has no rule for the operation 'to'"):
            explain_quietly(module, IMAGES, method, "net.5")
        return
    found = explain_quietly(module, IMAGES, method, "net.5")[method]
    expected = explain_quietly(small(), IMAGES, method, "5")[method]
    # Occlusion reads differences of logits, which half precision rounds.
    atol = 1e-4 if kind is torch.float64 else 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def demand_one(images: Tensor) -> None:
    if len(images) != 1:
        raise ValueError("one image, please")


def demand_size(images: Tensor) -> None:
    assert images.shape[-1] == 224, "Input width (16) does not match"


def test_a_network_for_one_image_at_a_time() -> None:
    module = Giving(before=demand_one).eval()
    with pytest.raises(RequestError, match=r"cannot take 3 images at once \(one image, please\)"):
        explain_quietly(module, IMAGES, "grad-cam", "net.5")
    found = explain_quietly(module, IMAGES, "grad-cam", "net.5", batch_size=1)["grad-cam"]
    torch.testing.assert_close(found, explain_quietly(small(), IMAGES, "grad-cam", "5")["grad-cam"])


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Giving(before=demand_size), r"cannot take images of 3×16×16: Input width \(16\)"),
        (Giving(before=lambda x: x[:, [3]]), r"cannot take images of 3×16×16: index 3"),
        (Giving(after=lambda z: z[:, :0]), r"gives \(1, 0\); expected logits"),
    ],
)
def test_networks_that_do_not_fit_are_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        explain(module.eval(), IMAGES, quiet=True)


def test_a_layer_that_does_not_run_is_refused() -> None:
    module = small()
    module.add_module("unused", nn.Conv2d(3, 3, 1))
    module.forward = lambda x: nn.Sequential(*list(module)[:-1])(x)  # type: ignore[method-assign]
    with pytest.raises(RequestError, match="layer 'unused' does not run when the network does"):
        explain(module, IMAGES, target_layer="unused", quiet=True)
