"""Model-parameter randomisation: known truths, what is redrawn and what is left."""

from __future__ import annotations

import copy

import pytest
import torch
from patch_network import batches, measure, network, patch_images, random_maps
from torch import Tensor, nn

from prunebench.cams.explained_batches import explain_batches
from prunebench.cams.explaining import choose_cams
from prunebench.cams.maps import upsample
from prunebench.errors import RequestError
from prunebench.metrics.maps import ssim
from prunebench.metrics.randomisation import layers_from_output, randomise
from prunebench.metrics.similarity import spearman
from prunebench.plugins import choose
from prunebench.seeding import derive


def small_network() -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, stride=2), nn.ReLU()),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    with torch.no_grad():
        module[1][0].weight[::3] = 0  # pruned
    return module.eval()


def grad_cam_of(own: nn.Module):
    def explain(
        images: Tensor, classes: Tensor, module: nn.Module | None = None, first: int = 0
    ) -> Tensor:
        found = explain_batches(
            own if module is None else module,
            "1",
            [(images, classes)],
            choose_cams("grad-cam"),
            first=first,
        )
        return upsample(found.maps["grad-cam"], (images.shape[-2], images.shape[-1]))

    return explain


def made(module: nn.Module, images: Tensor, explainer=None, batch_size: int | None = None) -> dict:
    explainer = explainer or grad_cam_of(module)
    classes = torch.arange(len(images)) % 4
    return {
        "network": network(module),
        "images": batches(images, batch_size),
        "maps": explainer(images, classes),
        "classes": classes,
        "explainer": explainer,
    }


def edges(images: Tensor, classes: Tensor, module=None, first: int = 0) -> Tensor:
    """An explanation that does not ask the network."""
    steps = images.diff(dim=2, prepend=images[:, :, :1]).abs().mean(1)
    return steps / steps.amax((1, 2), keepdim=True)


def test_a_map_that_ignores_the_weights_is_found_out() -> None:
    module, images = small_network(), patch_images(6)
    blind = measure("randomisation", made(module, images, edges))
    assert torch.allclose(blind["randomisation"], torch.ones(6).double())
    assert torch.allclose(blind["randomisation_cascade"], torch.ones(6).double())
    seeing = measure("randomisation", made(module, images))
    assert set(seeing) == {"randomisation", "randomisation_cascade"}
    for values in seeing.values():
        assert values.nanmean() < 0.9
        assert ((values >= -1) & (values <= 1))[~values.isnan()].all()


def test_layers_change_from_the_output_down_and_the_network_is_left_as_it_was() -> None:
    module, images = small_network(), patch_images(3)
    before = copy.deepcopy(module.state_dict())
    changed: list[set[str]] = []

    def watched(given: Tensor, classes: Tensor, module=None, first: int = 0) -> Tensor:
        if module is not None:
            now = module.state_dict()
            changed.append({k for k, v in now.items() if not torch.equal(v, before[k])})
        return edges(given, classes)

    measure("randomisation", made(module, images, watched), stages=4)
    head, second = {"4.weight", "4.bias"}, {"1.0.weight", "1.0.bias"}
    assert changed[0] == head
    assert changed[1] == head | second
    # The normalisation's weights are all one and its biases all zero: there is nothing to draw.
    assert changed[2] == changed[1]
    assert changed[3] == head | second | {"0.0.weight", "0.0.bias"}
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_last_stage_is_the_whole_network_and_the_cascade_their_mean() -> None:
    module, images = small_network(), patch_images(4)
    readings = made(module, images)
    whole = measure("randomisation", readings, stages=1)
    assert torch.equal(whole["randomisation"], whole["randomisation_cascade"])
    staged = measure("randomisation", readings, stages=2)
    assert torch.allclose(staged["randomisation"], whole["randomisation"], atol=1e-6)
    changed = copy.deepcopy(module)
    stages = []
    for part in (slice(0, 2), slice(2, 4)):
        layers = layers_from_output(changed)
        for i in range(len(layers))[part]:
            randomise(layers[i], derive(0, "randomisation", i))
        maps = readings["explainer"](images, readings["classes"], changed)
        stages.append(ssim(readings["maps"], maps))
    expected = torch.stack(stages).mean(0)
    assert torch.allclose(staged["randomisation_cascade"], expected, atol=1e-6)


def test_more_stages_than_layers() -> None:
    found = measure("randomisation", made(nn.Conv2d(3, 4, 3), patch_images(2), edges), stages=5)
    assert found["randomisation_cascade"].tolist() == pytest.approx([1, 1])


def test_redrawn_weights_keep_their_scale_and_their_zeros() -> None:
    layer = nn.Linear(200, 100)
    with torch.no_grad():
        layer.weight.mul_(3).add_(0.1)
        layer.weight[:30] = 0
        layer.bias.zero_()
    before = layer.weight.detach().clone()
    randomise(layer, seed=5)
    after = layer.weight.detach()
    assert torch.equal(after == 0, before == 0)
    assert not layer.bias.any()
    alive = before != 0
    assert (after != before)[alive].all()
    assert after[alive].mean().item() == pytest.approx(before[alive].mean().item(), abs=0.01)
    assert after[alive].std().item() == pytest.approx(before[alive].std().item(), rel=0.05)
    correlation = torch.corrcoef(torch.stack([before[alive], after[alive]]))[0, 1]
    assert correlation.abs() < 0.05
    again = nn.Linear(200, 100)
    again.load_state_dict(layer.state_dict() | {"weight": before})
    randomise(again, seed=5)
    assert torch.equal(again.weight, layer.weight)


def test_children_are_layers_of_their_own() -> None:
    module = small_network()
    kinds = [type(layer).__name__ for layer in layers_from_output(module)]
    assert kinds == ["Linear", "Conv2d", "BatchNorm2d", "Conv2d"]


@pytest.mark.slow
def test_a_value_depends_on_its_own_image_and_the_seed() -> None:
    module, images = small_network(), patch_images(5)
    whole = measure("randomisation", made(module, images))
    for size in (1, 2):
        found = measure("randomisation", made(module, images, batch_size=size))
        for name, values in whole.items():
            assert torch.allclose(found[name], values, rtol=0, atol=1e-5, equal_nan=True)
    other = measure("randomisation", made(module, images), seed=1)["randomisation"]
    assert not torch.allclose(other, whole["randomisation"], atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("similarity", ["ssim", "spearman"])
def test_zero_maps(similarity: str) -> None:
    own, others = random_maps(4), random_maps(4, seed=2)
    own[0] = own[1] = others[1] = others[2] = 0

    def explainer(given: Tensor, classes: Tensor, module=None, first: int = 0) -> Tensor:
        return (own if module is None else others)[first : first + len(given)]

    readings = made(small_network(), patch_images(4), explainer, batch_size=3)
    for found in measure("randomisation", readings, similarity=similarity).values():
        assert found[:2].isnan().all()
        assert found[2] == 0
        compare = ssim if similarity == "ssim" else spearman
        assert found[3].item() == pytest.approx(compare(own[3:], others[3:]).item(), abs=1e-9)


def test_spearman_has_names_of_its_own() -> None:
    found = measure("randomisation", made(small_network(), patch_images(2)), similarity="spearman")
    assert set(found) == {"randomisation_spearman", "randomisation_cascade_spearman"}


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(RequestError, match="stages"):
        choose("metrics", "randomisation", {"stages": 0})
    with pytest.raises(RequestError, match="similarity"):
        choose("metrics", "randomisation", {"similarity": "cosine"})
