"""timm's networks: names, weights, target layers and layouts found without a table."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from prunebench.cams.target_layer import check_target_layer, tell_token_grids, watch_outputs
from prunebench.cams.tracer import trace
from prunebench.errors import RequestError
from prunebench.model_files.loaded_weights import load_weights
from prunebench.models import Model
from prunebench.models import timm as plugin
from prunebench.models.networks import timm as networks
from prunebench.models.networks.meta_networks import PROBE_CLASSES, build_on_meta
from prunebench.networks.layout import contradicts, to_maps
from prunebench.plugins import choose


def model(name: str, **parameters: Any) -> Model:
    chosen: Model = choose("models", f"timm/{name}", parameters).plugin
    return chosen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "layout"),
    [
        ("resnet18", "layer4", "maps"),
        ("vgg11", "features.19", "maps"),  # the ReLU before the last max-pool
        ("densenet121", "features", "maps"),
        ("efficientnet_b0", "bn2", "maps"),  # with its activation
        ("mobilenetv3_small_050", "blocks", "maps"),  # what follows is pooled
        ("convnext_atto", "stages", "maps"),
        ("vit_tiny_patch16_224", "blocks.11.norm1", "tokens"),
        ("deit_tiny_distilled_patch16_224", "blocks.11.norm1", "tokens"),
        ("vit_small_patch14_dinov2", "blocks.11.norm1", "tokens"),
        ("vit_small_patch14_reg4_dinov2", "blocks.11.norm1", "tokens"),
        ("mixer_s32_224", "blocks.7.norm1", "tokens"),
        ("swin_tiny_patch4_window7_224", "norm", "channels-last"),
    ],
)
def test_target_layer_and_layout(name: str, layer: str, layout: str) -> None:
    assert model(name).target_layer() == layer
    assert model(name).layout() == layout


def check_against_the_network(name: str) -> None:
    """Holds what the plugin says of a network against what its layer gives."""
    found = networks.find_target_layer(name)
    if found is None:
        return
    layer, layout = found
    size = networks.find_input_size(name)
    network = build_on_meta(lambda: networks.build(name, PROBE_CLASSES, 3, size))
    with torch.device("meta"):
        outputs = watch_outputs(network, torch.empty(1, 3, *size))
        shape = outputs[layer].shape
        assert not contradicts(shape, layout, size), shape
        told = tell_token_grids(network, outputs, size)
        height, width = to_maps(torch.empty(shape), layout, size, told).shape[2:]
    assert min(height, width) >= 4
    embedding = getattr(network, "patch_embed", None)
    if layout == "tokens" and hasattr(embedding, "grid_size"):
        grid = embedding.grid_size
        assert (height, width) == grid or name.startswith("hiera")  # which pools
        # CaiT adds its class token after these blocks.
        prefix = getattr(network, "num_prefix_tokens", 0)
        assert shape[1] - height * width in (0, prefix)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("nest_tiny", "swin_tiny_patch4_window7_224", "swinv2_cr_tiny_224", "mambaout_femto"),
        *(
            "vit_small_patch16_dinov3",
            "vit_small_patch14_reg4_dinov2",
            "naflexvit_base_patch16_gap",
        ),
        *("hiera_tiny_224", "mixer_s32_224", "resnet18"),
    ],
)
def test_layers_give_what_the_plugin_says(name: str) -> None:
    check_against_the_network(name)


@pytest.mark.sweep
@pytest.mark.parametrize("module", sorted(timm.list_modules()))
def test_layers_of_every_module_give_what_the_plugin_says(module: str) -> None:
    if names := timm.list_models(module=module):
        check_against_the_network(names[0])


def test_nested_transformers_are_explained_where_their_maps_have_channels_first() -> None:
    assert networks.find_target_layer("nest_tiny") == ("levels", "maps")


def test_tokens_behind_a_prefix_on_a_narrow_image() -> None:
    torch.manual_seed(0)
    network = timm.create_model("vit_small_patch16_dinov3", img_size=(64, 80), depth=1).eval()
    seen = trace(network, "blocks.0.norm1", torch.rand(2, 3, 64, 80), layout="tokens")
    assert seen.activations.shape[2:] == network.patch_embed.grid_size == (4, 5)


@pytest.mark.slow
def test_a_layer_whose_shape_speaks_against_the_layout_is_refused() -> None:
    network = timm.create_model("nest_tiny", img_size=64, num_classes=5).eval()
    images = torch.rand(1, 3, 64, 64)
    with pytest.raises(RequestError, match=r"'norm', \(1, 4, 4, 384\), holds its channels last"):
        check_target_layer(network, "norm", images)
    assert check_target_layer(network, "norm", images, layout="channels-last") == (4, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["levit_128", "pit_ti_224", "vit_tiny_r_s16_p8_224"])
def test_networks_that_end_in_neither_need_a_target_layer(name: str) -> None:
    with pytest.raises(RequestError, match=f"timm/{name} has no default target layer"):
        model(name).target_layer()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "channels", "size", "maps"),
    [
        ("resnet18", 1, (128, 160), (512, 4, 5)),
        ("efficientnet_lite0", 3, (128, 128), (1280, 4, 4)),
        ("vit_tiny_patch16_224", 1, (64, 96), (192, 4, 6)),
        ("vit_small_patch14_reg4_dinov2", 3, (70, 70), (384, 5, 5)),
        ("mixer_s32_224", 3, (128, 128), (512, 4, 4)),
        ("swin_tiny_patch4_window7_224", 3, (128, 128), (768, 4, 4)),
        ("convnext_atto", 3, (128, 128), (320, 4, 4)),
    ],
)
def test_maps_have_a_gradient_at_every_place(
    name: str, channels: int, size: tuple[int, int], maps: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    chosen = model(name)
    network = chosen.build(5, channels, size)
    assert network.training
    head = network.get_classifier()
    if not head.weight.any():  # as in a mixer
        torch.nn.init.normal_(head.weight)
    images = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0))
    seen = trace(network, chosen.target_layer(), images, layout=chosen.layout())
    assert seen.logits.shape == (2, 5)
    assert seen.activations.shape == (2, *maps)
    assert seen.gradients.abs().amax(1).min() > 0


def test_building_draws_no_more_than_the_weights() -> None:
    torch.manual_seed(5)
    timm.create_model("resnet18", num_classes=5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    model("resnet18").build(5, 3, (64, 64))
    assert torch.equal(torch.rand(1), expected)


def test_batch_statistics_are_untouched_by_the_trial_pass() -> None:
    network = model("resnet18").build(5, 3, (64, 64))
    assert not any(
        value.any() for name, value in network.named_buffers() if name.endswith("running_mean")
    )


@pytest.mark.slow
def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RequestError, match=r"inception_v3 cannot take images of 32×32: "):
        model("inception_v3").build(5, 3, (32, 32))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("resnet19", {}, "timm has no model 'resnet19'; did you mean 'resnet1"),
        ("resnet18.a1_in1k", {}, "write timm/resnet18 and pretrained_weights: a1_in1k"),
        ("resnet18", {"pretrained_weights": "a9"}, "has no weights 'a9'; there is: a1_in1k, "),
        ("resnet18", {"pretrained_weights": "DEFAULT", "weights": "mine.pt"}, "choose one"),
    ],
)
def test_wrong_requests_are_refused(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        model(name, **parameters)


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install 'prunebench\[timm\]'"):
        model("resnet18")


def test_default_weights_are_named_and_bring_their_normalisation() -> None:
    chosen = model("vit_tiny_patch16_224", pretrained_weights="DEFAULT")
    assert chosen.changed_parameters()["pretrained_weights"] == "augreg_in21k_ft_in1k"
    assert chosen.trained()
    found = chosen.normalisation()
    assert found is not None
    assert found.mean == found.std == (0.5, 0.5, 0.5)
    assert model("vit_tiny_patch16_224").normalisation() is None
    assert not model("vit_tiny_patch16_224").trained()


def test_published_weights_of_one_size_are_refused_at_another() -> None:
    chosen = model("vit_tiny_patch16_224", pretrained_weights="DEFAULT")
    with pytest.raises(RequestError, match=r"are for images of 224×224, found 32×32"):
        chosen.build(1000, 3, (32, 32))


@pytest.mark.slow
def test_published_weights_fit_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    # Stands in for the download: what timm would build and fill.
    whole = timm.create_model("resnet18")
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: whole)
    chosen = model("resnet18", pretrained_weights="a1_in1k")
    state = chosen.pretrained()
    monkeypatch.undo()
    assert state is not None
    network = chosen.build(1000, 3, (64, 64))
    load_weights(network, state, "published weights")
    assert torch.equal(network.state_dict()["fc.weight"], whole.state_dict()["fc.weight"])
    with pytest.raises(RequestError, match=r"is the number of classes the data set's"):
        load_weights(chosen.build(10, 3, (64, 64)), state, "published weights")


def test_a_failed_download_is_said_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **options: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(RequestError, match=r"a1_in1k cannot be downloaded \(no route to host\)"):
        model("resnet18", pretrained_weights="a1_in1k").pretrained()
    assert model("resnet18").pretrained() is None
