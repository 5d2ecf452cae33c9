"""torchvision's networks: names, weights, target layers found without a table."""

from typing import Any
from urllib.error import URLError

import pytest
import torch
from torchvision import models
from torchvision.models._api import WeightsEnum

from prunebench.errors import RequestError
from prunebench.model_files.loaded_weights import load_weights
from prunebench.models import Model
from prunebench.models.networks import torchvision as networks
from prunebench.models.networks.meta_networks import pass_shapes
from prunebench.networks.layout import to_maps
from prunebench.plugins import choose


def model(name: str, **parameters: Any) -> Model:
    chosen: Model = choose("models", f"torchvision/{name}", parameters).plugin
    return chosen


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("alexnet", "features.11"),  # the ReLU before the last max-pool
        ("vgg16", "features.29"),
        ("vgg16_bn", "features.42"),
        ("resnet18", "layer4"),
        ("regnet_y_400mf", "trunk_output"),
        ("mobilenet_v2", "features"),
        ("mobilenet_v3_small", "features"),
        ("densenet121", "features"),
        ("efficientnet_b0", "features"),
        ("convnext_tiny", "features"),
        ("mnasnet1_0", "layers"),
        ("shufflenet_v2_x1_0", "conv5"),
        ("squeezenet1_1", "features"),  # and not the convolution that makes the logits
        ("googlenet", "inception5b"),
        ("inception_v3", "Mixed_7c"),
    ],
)
def test_target_layer_is_the_last_convolutional_stage(name: str, layer: str) -> None:
    assert model(name).target_layer() == layer


@pytest.mark.sweep
@pytest.mark.parametrize("name", models.list_models(module=models))
def test_every_network_has_a_target_layer_with_maps(name: str) -> None:
    chosen = model(name)
    seen = []
    network = networks.build_shapes(name, (224, 224))
    layer = network.get_submodule(chosen.target_layer())
    layer.register_forward_hook(lambda m, i, output: seen.append(output))
    pass_shapes(network, 3, (224, 224))
    channels, height, width = to_maps(seen[0], chosen.layout(), (224, 224)).shape[1:]
    assert height == width >= 5
    assert channels >= 100


def test_a_network_is_built_for_the_data() -> None:
    network = model("resnet18").build(7, 3, (64, 64)).eval()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_classifiers_are_left_out_even_in_training(name: str) -> None:
    network = model(name).build(5, 3, (96, 96)).train()
    assert network(torch.zeros(2, 3, 96, 96)).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "channels", "size", "message"),
    [
        ("resnet18", 1, (32, 32), "needs colour images"),
        ("inception_v3", 3, (32, 32), "cannot take images of 32×32"),
        ("vgg11", 3, (16, 64), "cannot take images of 16×64"),
        ("vit_b_16", 3, (50, 50), "cannot take images of 50×50"),
        ("vit_b_16", 3, (64, 48), "cannot take images of 64×48"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    name: str, channels: int, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        model(name).build(10, channels, size)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "no classification model 'resnet19'; did you mean 'resnet1"),
        ("fasterrcnn_resnet50_fpn", "no classification model"),
        ("quantized_resnet18", "no classification model"),
    ],
)
def test_unknown_names_are_refused_at_once(name: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        model(name)


def test_a_name_is_required() -> None:
    with pytest.raises(RequestError, match="'name' is required"):
        choose("models", "torchvision")


def test_unknown_weights_are_refused_naming_those_there_are() -> None:
    with pytest.raises(RequestError, match=r"no weights 'IMAGENET'.*IMAGENET1K_V1, IMAGENET1K_V2"):
        model("resnet50", pretrained_weights="IMAGENET")


def test_two_sources_of_weights_are_refused() -> None:
    with pytest.raises(RequestError, match="choose one"):
        model("resnet50", pretrained_weights="DEFAULT", weights="mine.safetensors")


def test_default_weights_are_named() -> None:
    chosen = model("resnet50", pretrained_weights="DEFAULT")
    assert chosen.changed_parameters()["pretrained_weights"] == "IMAGENET1K_V2"
    assert chosen.trained()


def test_normalisation_comes_with_the_weights() -> None:
    assert model("resnet18").normalisation() is None
    found = model("resnet18", pretrained_weights="DEFAULT").normalisation()
    assert found is not None
    assert found.mean == (0.485, 0.456, 0.406)
    assert found.std == (0.229, 0.224, 0.225)


@pytest.mark.slow
def test_published_weights_fit_although_auxiliary_classifiers_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Stands in for the download: a whole network's state dict, auxiliary classifiers included.
    whole = models.googlenet(weights=None, aux_logits=True, init_weights=False).state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, **options: whole)
    chosen = model("googlenet", pretrained_weights="IMAGENET1K_V1")
    network, state = chosen.build(1000, 3, (64, 64)), chosen.pretrained()
    assert state is not None
    load_weights(network, state, "published weights")
    assert torch.equal(network.state_dict()["fc.weight"], whole["fc.weight"])
    assert network.transform_input is True

    with pytest.raises(RequestError, match=r"'fc.weight' is .1000.* is the number of classes"):
        load_weights(chosen.build(10, 3, (64, 64)), state, "published weights")


def test_a_failed_download_is_said_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: WeightsEnum, **options: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", fail)
    with pytest.raises(RequestError, match=r"resnet18: .*IMAGENET1K_V1 cannot be downloaded"):
        model("resnet18", pretrained_weights="DEFAULT").pretrained()
    assert model("resnet18").pretrained() is None
