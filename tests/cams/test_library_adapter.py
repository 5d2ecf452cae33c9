"""pytorch-grad-cam's methods as plugins: the library's own numbers, and an untouched network."""

from __future__ import annotations

import contextlib
import gc
import io
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pytorch_grad_cam
import torch
from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from prunebench.cams.cam import Trace
from prunebench.cams.library import find_methods
from prunebench.cams.maps import normalise, upsample
from prunebench.cams.tracer import trace
from prunebench.errors import RequestError
from prunebench.networks.layout import Layout, to_maps
from prunebench.plugins import choose

EVERY = list(find_methods())


def state_of(module: nn.Module) -> dict[str, Any]:
    """All that an explanation might change in a network."""
    state: dict[str, Any] = {}
    for name, layer in module.named_modules():
        hooks = {key: list(value) for key, value in vars(layer).items() if key.endswith("_hooks")}
        state[name] = (id(layer), layer.training, sorted(vars(layer)), hooks)
    for name, weight in [*module.named_parameters(), *module.named_buffers()]:
        gradient = None if weight.grad is None else (id(weight.grad), weight.grad.sum().item())
        state[f"{name} value"] = (id(weight), weight.data_ptr(), weight.double().sum().item())
        state[f"{name} flags"] = (weight.requires_grad, gradient)
    return state


def network() -> nn.Module:
    torch.manual_seed(3)
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True)),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 5),
    )
    with torch.no_grad():
        for weight in module[5].parameters():
            weight.add_(0.2)  # positive logits, where Ablation-CAM is defined
    return module.eval()


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(2))


def traced(module: nn.Module, x: Tensor, layer: str = "0", layout: Layout = "maps") -> Trace:
    with torch.no_grad():
        logits = module(x)
    classes = torch.arange(len(x)) % logits.shape[1]
    seeds = tuple(range(len(x)))
    return Trace(
        x, logits, classes, x, seeds=seeds, module=module, target_layer=layer, layout=layout
    )


def maps_of(name: str, trace: Trace) -> Tensor:
    found: Tensor = choose("cams", f"library/{name}").plugin(trace)
    return found


def directly(name: str, trace: Trace) -> np.ndarray:
    """What a user of the library would write."""
    assert trace.module is not None
    module = deepcopy(trace.module)
    size = (trace.images.shape[2], trace.images.shape[3])
    options: dict[str, Any] = {}
    if trace.layout != "maps":
        options["reshape_transform"] = lambda out: to_maps(out, trace.layout, size)
    targets = [ClassifierOutputTarget(int(k)) for k in trace.classes]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        cam = find_methods()[name](module, [module.get_submodule(trace.target_layer)], **options)
        if name == "FinerCAM":
            found = [
                cam(x[None], None, target_idx=int(k))[0]
                for x, k in zip(trace.images, trace.classes, strict=True)
            ]
            return np.stack(found)
        return np.asarray(cam(trace.images, targets))


@pytest.mark.parametrize("name", sorted({*EVERY} - {"RandomCAM"}))
def test_maps_are_the_librarys_own(name: str) -> None:
    trace = traced(network(), images())
    found = maps_of(name, trace)
    assert found.shape == (3, 12, 12)
    assert found.dtype == torch.float32
    assert found.amax((1, 2)).max() > 0.99
    np.testing.assert_allclose(found.numpy(), directly(name, trace), atol=2e-5)


def test_the_methods_are_found_in_the_library_itself() -> None:
    assert {"GradCAM", "FinerCAM", "ShapleyCAM", "FEM", "KPCA_CAM", "AblationCAM"} <= {*EVERY}
    bases = {each for each in vars(pytorch_grad_cam).values() if isinstance(each, type)}
    derived = {
        each.__name__ for each in bases if issubclass(each, pytorch_grad_cam.GradCAM.__base__)
    }
    assert derived <= {*EVERY}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FinerCam", "no explanation method 'FinerCam'; did you mean 'FinerCAM'"),
        ("AblationLayer", "did you mean 'AblationCAM'"),
        ("DeepFeatureFactorization", "no explanation method 'DeepFeatureFactorization'"),
        ("ActivationsAndGradients", "no explanation method"),
        ("GuidedBackpropReLUModel", "no explanation method"),
        ("run_dff_on_image", "no explanation method"),
    ],
)
def test_other_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        choose("cams", f"library/{name}")


@pytest.mark.parametrize("name", EVERY)
def test_a_map_depends_on_its_own_image_and_seed_alone(name: str) -> None:
    module, x = network(), images()
    trace = traced(module, x)
    together = maps_of(name, trace)
    single = Trace(
        *(x[1:2], trace.logits[1:2], trace.classes[1:2], x[1:2]),
        seeds=(1,),
        module=module,
        target_layer="0",
    )
    torch.testing.assert_close(maps_of(name, single)[0], together[1], rtol=0, atol=1e-5)


def test_random_maps_follow_the_seed() -> None:
    module, x = network(), images()[[0, 0, 0]]
    trace = traced(module, x)
    state = np.random.get_state()[1].tolist()
    found = maps_of("RandomCAM", trace)
    assert np.random.get_state()[1].tolist() == state
    np.random.seed(7)
    assert torch.equal(maps_of("RandomCAM", trace), found)
    assert not torch.allclose(found[0], found[1])


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("name", EVERY)
def test_the_network_is_left_as_it_was(name: str, requires_grad: bool) -> None:
    module = network().requires_grad_(requires_grad)
    module[1].weight.grad = torch.ones_like(module[1].weight)
    module[0].train()
    trace = traced(module, images(2))
    before, kept = state_of(module), trace.images.clone()
    with torch.inference_mode():
        maps_of(name, trace)
    assert state_of(module) == before
    assert torch.equal(trace.images, kept)
    assert not trace.images.requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_nothing_stays_in_memory(name: str) -> None:
    trace = traced(network(), images(1))
    gc.collect()
    gc.disable()  # what only the collector finds holds activations until it runs
    try:
        maps_of(name, trace)
        alive = [each for each in gc.get_objects() if type(each) is ActivationsAndGradients]
        assert not any(each.activations or each.gradients or each.handles for each in alive)
    finally:
        gc.enable()


def test_progress_bars_and_notices_are_silent(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("ScoreCAM", "AblationCAM", "FullGrad"):
        maps_of(name, traced(network(), images(1)))
    assert capfd.readouterr() == ("", "")


def test_a_following_in_place_activation_does_not_change_the_maps() -> None:
    module, x = network(), images()
    apart = network()
    apart[2] = nn.ReLU()
    found = maps_of("GradCAM", traced(module, x, "1"))
    torch.testing.assert_close(found, maps_of("GradCAM", traced(apart, x, "1")))
    naive = directly("GradCAM", traced(module, x, "1"))
    assert np.abs(found.numpy() - naive).max() > 0.1


def vision_transformer() -> nn.Module:
    torch.manual_seed(5)
    module = VisionTransformer(
        image_size=32,
        patch_size=8,
        num_layers=2,
        num_heads=3,
        hidden_dim=24,
        mlp_dim=48,
        num_classes=5,
    )
    nn.init.normal_(module.heads.head.weight)  # torchvision starts it at zero
    return module.double().eval()


LN = "encoder.layers.encoder_layer_1.ln_1"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("grad-cam", "GradCAM"),
        ("grad-cam++", "GradCAMPlusPlus"),
        ("hires-cam", "HiResCAM"),
        ("layer-cam", "LayerCAM"),
        ("elementwise-cam", "GradCAMElementWise"),
    ],
)
def test_a_vision_transformers_maps_agree_with_the_librarys(ours: str, theirs: str) -> None:
    module = vision_transformer()
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    seen = trace(module, LN, x, torch.tensor([1, 0, 4]), layout="tokens")
    found = upsample(normalise(choose("cams", ours).plugin(seen)), (32, 32))
    expected = maps_of(theirs, seen).double()
    assert expected.max() > 0.99
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    # The trace's own network wants no gradients of parameters; the library asks for them.
    np.testing.assert_allclose(expected, directly(theirs, replace(seen, module=module)), atol=1e-5)


def test_ablation_of_tokens() -> None:
    x = torch.randn(2, 3, 32, 32).double()
    trace = traced(vision_transformer(), x, LN, "tokens")
    assert maps_of("AblationCAM", trace).shape == (2, 32, 32)


def test_what_the_library_cannot_explain_is_one_message() -> None:
    x = torch.randn(1, 3, 32, 32).double()
    with pytest.raises(RequestError, match=r"ShapleyCAM reads maps only; layer 'encoder.*tokens"):
        maps_of("ShapleyCAM", traced(vision_transformer(), x, LN, "tokens"))
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten()
    )
    with pytest.raises(
        RequestError, match=r"FullGrad cannot explain layer '0' of Sequential: \w+Error: "
    ):
        maps_of("FullGrad", traced(module.eval(), images(1)))
