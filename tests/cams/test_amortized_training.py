"""Training predictors and selectors: what is minimised, and that a training can be interrupted."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.func import functional_call

from prunebench.cams.amortized.decoder import Decoder, load_decoder
from prunebench.cams.amortized.divergence import mask_images, measure_divergence
from prunebench.cams.amortized.encoder_maps import find_stages, read_stages
from prunebench.cams.amortized.explainers import AemRbf
from prunebench.cams.amortized.options import Masks
from prunebench.cams.amortized.predictor import Predictor, draw_masks
from prunebench.cams.amortized.selector import Selector
from prunebench.cams.amortized.selector_training import SelectorTraining
from prunebench.conformance.bench import load_digits, train_network
from prunebench.data import Data, batches
from prunebench.errors import RequestError
from prunebench.execution.stages.context import make_context
from prunebench.networks import Network
from prunebench.networks.trainer import Cost
from prunebench.plugins import choose
from prunebench.plugins.context import Checkpoint, Context

BRIEF = {"epochs": 3, "images": 96, "batch_size": 32}


def predictor(masks: Masks = "rbf", **training: object) -> Predictor:
    return Predictor.model_validate({"masks": masks, "training": BRIEF | training})


def selector(masks: Masks = "rbf", **training: object) -> Selector:
    recipes = {"predictor": BRIEF, "training": BRIEF | training}
    return Selector.model_validate({"masks": masks, **recipes})


def context(
    network: Network, checkpoint: Checkpoint | None = None, cost: Cost | None = None
) -> Context:
    """On digits of 16×16; the predictor that a selector needs is the network itself."""
    others = {"checkpoint": checkpoint} if checkpoint else {}
    found = make_context(network, network, _few(load_digits()), 0, cost, **others)
    return replace(found, prepared={"predictor": network.module.state_dict()})


def _few(data: Data) -> Data:
    few = data.validation.subset(torch.arange(50))
    return Data(data.train, few, data.test, data.class_names, data.normalisation)


@pytest.mark.slow
@pytest.mark.parametrize("masks", ["rbf", "independent"])
@pytest.mark.parametrize("make", [predictor, selector])
def test_interrupted_training_ends_as_it_would_have(
    make: type[Predictor], masks: Masks, dying: Any
) -> None:
    preparation = make(masks)  # type: ignore[call-arg, misc]
    network = train_network("digits-cnn")
    calm = preparation.compute(network.copy().module, context(network))
    with pytest.raises(dying.Killed):
        preparation.compute(network.copy().module, context(network, dying))
    torch.rand(5)  # whatever else draws numbers changes nothing
    scratch = dying.scratch
    again = preparation.compute(network.copy().module, context(network, scratch))
    assert calm.keys() == again.keys()
    assert all(torch.equal(calm[name], again[name]) for name in calm)


@pytest.mark.slow
def test_a_selector_trains_its_decoder_alone() -> None:
    network = train_network("digits-cnn").copy()
    before, cost = copy.deepcopy(network.module.state_dict()), Cost()
    selection = selector().build_untrained(network.module, context(network))
    first = copy.deepcopy(selection.decoder.state_dict())
    last = selector().compute(network.module, context(network, cost=cost))
    assert last.keys() == first.keys()
    assert all(torch.equal(network.module.state_dict()[name], before[name]) for name in before)
    assert not torch.equal(last["laterals.0.weight"], first["laterals.0.weight"])
    assert all(parameter.grad is None for parameter in network.module.parameters())
    assert not network.module.training
    terms = cost.curve[-1]["terms"]
    assert set(terms) == {"divergence", "size", "smoothness"}
    assert cost.curve[-1]["loss"] == pytest.approx(sum(terms.values()))
    # The curve's accuracy is the predictor's on images of which only probable pixels are left.
    data, decoder = _few(load_digits()), load_decoder(last, "rbf")
    ((images, labels),) = batches(data.validation, data.normalisation, 50, "cpu")
    stages = find_stages(network.module, images)
    with torch.no_grad():
        logits, features = read_stages(network.module, images, stages)
        found = decoder(features, logits.argmax(1), (16, 16))
        kept = (decoder.to_probabilities(found, (16, 16)) > 0.5).float()
        answers = network.module(mask_images(images, kept)).argmax(1)
    assert cost.curve[-1]["validation_accuracy"] == int((answers == labels).sum()) / 50


@pytest.mark.slow
def test_a_dearer_pixel_makes_smaller_masks() -> None:
    network = train_network("digits-cnn")
    widths = []
    for size in (0.0, 20.0):
        dear = selector(lr=1e-2).model_copy(update={"size": size})
        tensors = dear.compute(network.copy().module, context(network))
        decoder = load_decoder(tensors, "rbf")
        images = torch.randn(4, 1, 16, 16)
        _, features = read_stages(network.module, images, find_stages(network.module, images))
        with torch.no_grad():
            widths.append(float(decoder(features, torch.arange(4), (16, 16))[:, 2].mean()))
    assert widths[1] < 0.8 * widths[0]


@pytest.mark.slow
def test_a_predictor_learns_to_see_through_masks() -> None:
    network = train_network("digits-cnn")
    data = load_digits()
    few = predictor("independent", images=600)
    taught = copy.deepcopy(network.module)
    taught.load_state_dict(few.compute(network.copy().module, context(network)))
    taught.eval()
    ((images, _),) = batches(data.test, data.normalisation, 300, "cpu", torch.arange(300))
    torch.manual_seed(0)
    part = mask_images(images, draw_masks("independent", images))
    with torch.no_grad():
        wanted = network.module(images)
        untaught, learnt = (measure_divergence(wanted, q(part)) for q in (network.module, taught))
    assert learnt < 0.6 * untaught


def test_random_masks_are_binary_and_cover_what_they_should() -> None:
    torch.manual_seed(0)
    images = torch.zeros(400, 3, 12, 20)
    independent, rbf = (draw_masks(masks, images) for masks in ("independent", "rbf"))
    for found in (independent, rbf):
        assert found.shape == (400, 12, 20)
        assert set(found.unique().tolist()) == {0.0, 1.0}
    assert (independent.mean((1, 2)) - 0.5).abs().max() < 0.2
    assert rbf.mean((1, 2)).min() < 0.1
    assert rbf.mean((1, 2)).max() > 0.9


def tiny() -> nn.Module:
    """Two resolutions, smooth everywhere."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(2, 3, 3, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(27, 3),
    ).double()


class Loss(nn.Module):
    """The selector's objective for the same noise each time, or one term of it."""

    def __init__(self, selection: SelectorTraining, term: str) -> None:
        super().__init__()
        self.selection = selection
        self.term = term

    def forward(self, images: Tensor) -> Tensor:
        torch.manual_seed(1)
        terms = self.selection.compute_losses(images, size=0.7, smoothness=0.3, temperature=0.8)
        return sum(terms.values(), torch.zeros(())) if self.term == "all" else terms[self.term]


@pytest.mark.slow
@pytest.mark.parametrize("term", ["divergence", "size", "smoothness", "all"])
@pytest.mark.parametrize("masks", ["rbf", "independent"])
def test_gradients_of_the_selectors_objective(masks: Masks, term: str) -> None:
    network, answering = tiny(), tiny()
    for weight in answering.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    images = torch.randn(2, 1, 6, 6, dtype=torch.float64)
    decoder = Decoder([2, 3], 3, masks, width=16).double()
    stages = find_stages(network, images)
    loss = Loss(SelectorTraining(network, stages, decoder, answering), term)
    names = [name for name in dict(decoder.named_parameters()) if name.startswith("head.")]
    names += ["laterals.1.bias", "embedding.weight"] if term == "all" else []
    for name in names:
        weight = decoder.get_parameter(name).detach().clone().requires_grad_()

        def of(value: Tensor, name: str = name) -> Tensor:
            found: Tensor = functional_call(loss, {f"selection.decoder.{name}": value}, (images,))
            return found

        (gradient,) = torch.autograd.grad(of(weight), weight, allow_unused=True)
        if gradient is None or not gradient.abs().max():
            # The softmax of places takes a constant off.
            assert (masks, name) == ("rbf", "head.place.bias")
            continue
        assert torch.autograd.gradcheck(of, weight)


def test_only_the_last_epoch_can_be_kept() -> None:
    with pytest.raises(ValidationError, match="must be 'last'"):
        predictor(keep="best")
    with pytest.raises(ValidationError, match="no teacher"):
        selector(distillation={})


def test_what_is_left_out_of_a_recipe_stays_as_it_is_and_equal_ones_are_one() -> None:
    given = AemRbf.model_validate({"predictor": {"epochs": 3}})
    whole = AemRbf(predictor=AemRbf().predictor.model_copy(update={"epochs": 3}))
    assert given.predictor.optimizer == "adam"
    assert given == whole
    assert {given.prepare()[0]: 1}[whole.prepare()[0]] == 1
    assert hash(given.prepare()[0].needs()[0]) == hash(whole.prepare()[0].needs()[0])
    assert given.prepare() != AemRbf().prepare()
    assert given.changed_parameters() == {"predictor": {"epochs": 3}}
    (prepared,) = given.prepare()
    (other,) = AemRbf(size=0.3).prepare()
    assert prepared.changed_parameters() != other.changed_parameters()
    assert other.needs() == AemRbf().prepare()[0].needs()  # a predictor serves any selector


def test_networks_that_cannot_be_taught_are_refused() -> None:
    network = train_network("digits-cnn").copy()
    int8 = choose("pruners", "int8").plugin
    module = int8.compress(network.copy().module, 0.0, context(network))
    with pytest.raises(RequestError, match="cannot be trained"):
        predictor().compute(module, context(network))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    with pytest.raises(RequestError, match="convolutional network"):
        predictor().compute(flat, context(network))
