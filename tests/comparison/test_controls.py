"""Controls: between chance and training, where a pruned network's maps stand."""

from __future__ import annotations

import pytest
import torch
from test_comparing import network
from torch import Tensor, nn
from torch.nn.utils import prune

from prunebench.comparison import Comparison
from prunebench.comparison.compare import compare
from prunebench.comparison.controls import draw_random
from prunebench.errors import RequestError


def trained(seed: int = 0) -> nn.Module:
    """A network that looks at the bright corner of an image, with BatchNorm's statistics."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    with torch.no_grad():
        module[0].weight.fill_(0.5)
        module[1].running_mean += 0.1
        module[5].weight.abs_()
    return module.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    images = torch.randn(24, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    images[:, :, :6, :6] += 3
    return images


@pytest.fixture(scope="module")
def found(images: Tensor) -> Comparison:
    controls = {"random": "random", "same": trained()}
    return compare(trained(), trained(), images, cams="grad-cam", controls=controls, quiet=True)


def test_a_network_against_itself_stands_above_chance_and_reaches_its_twin(
    found: Comparison,
) -> None:
    scores = found.controls["sp2ps"]
    assert list(scores.index) == [("random", "grad-cam"), ("same", "grad-cam")]
    assert scores["same", "grad-cam"] == pytest.approx(1)
    assert scores["random", "grad-cam"] < 0.9
    assert found.scores.loc["grad-cam", "sp2ps"] == pytest.approx(1)
    assert found.verdict.startswith("Trusted")
    assert "more alike than those of random weights" in found.verdict
    assert "no more than the control 'same'" in found.verdict
    assert found.controls.loc[("same", "grad-cam"), "agreement"] == 1


def test_scores_are_as_without_controls(found: Comparison, images: Tensor) -> None:
    alone = compare(trained(), trained(), images, cams="grad-cam", quiet=True)
    assert alone.scores.equals(found.scores)
    assert alone.per_image.equals(found.per_image)
    assert len(alone.controls) == 0
    assert "No control was given" in alone.to_markdown()
    assert "No control was given" in alone.to_html()


def test_maps_that_are_no_better_than_chance_are_not_trusted(images: Tensor) -> None:
    """A threshold that chance reaches as well says nothing."""
    same = {"random": trained()}
    found = compare(trained(), trained(), images, cams="grad-cam", controls=same, quiet=True)
    assert found.scores.loc["grad-cam", "trusted"] is True
    assert found.verdict.startswith("Not trusted")
    assert "keep nothing beyond chance" in found.verdict
    assert "keep nothing beyond chance" in found.answer
    assert found.answer.startswith("Look before you ship")
    assert any("carry no information" in line for line in found.to_markdown().splitlines())


def test_a_network_that_moved_further_than_its_twin_is_told_so(images: Tensor) -> None:
    pruned = network(seed=3)
    controls = {"twin": trained()}
    found = compare(
        trained(), pruned, images, cams="grad-cam", controls=controls, target_layer=(None, "0"),
        quiet=True,
    )  # fmt: skip
    assert "pruning moved the maps more than the control 'twin' did" in found.verdict


class Scaled(nn.Module):
    """A layer with a weight of its own and no way to draw it anew."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(4, 4))


def test_every_weight_is_drawn_anew_the_same_each_time() -> None:
    baseline = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Scaled(), nn.Linear(4, 2))
    baseline[1].running_mean += 5
    prune.l1_unstructured(baseline[0], "weight", 0.5)
    before = {name: value.clone() for name, value in baseline.state_dict().items()}
    torch.manual_seed(1)
    first = draw_random(baseline)
    torch.manual_seed(2)
    second = draw_random(baseline)
    assert all(torch.equal(before[name], value) for name, value in baseline.state_dict().items())
    drawn = first.state_dict()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in drawn.items())
    assert not torch.equal(drawn["2.scale"], before["2.scale"])
    assert not torch.equal(drawn["0.weight"], baseline[0].weight)
    assert int((drawn["0.weight"] == 0).sum()) == 0
    assert drawn["1.running_mean"].abs().sum() == 0


def test_a_network_built_anew_counts_as_random_only_if_it_is() -> None:
    baseline, other = network(), network(seed=7)
    assert draw_random(baseline, other) is other
    assert draw_random(baseline, network()) is not baseline  # its code loads the weights
    assert not torch.equal(draw_random(baseline, network())[0][0].weight, baseline[0][0].weight)
    for module in (baseline, other):  # neither says anything of the weights
        module.register_buffer("mask", torch.rand(4, 4, generator=torch.Generator().manual_seed(0)))
        module.register_parameter("scale", nn.Parameter(torch.ones(4, 1, 1)))
    assert draw_random(baseline, other) is other
    assert draw_random(baseline, network(channels=3))[0][0].weight.shape[0] == 8


def test_a_control_must_fit(images: Tensor) -> None:
    for controls, message in [
        ({"pruned": trained()}, "cannot be called 'pruned'"),
        ({"floor": "rnd"}, "expected a torch.nn.Module, or 'random'"),
        ({"twin": network(classes=5)}, "the control 'twin' 5"),
        ({"twin": nn.Conv2d(1, 4, 3)}, "control 'twin': cannot take images"),
    ]:
        with pytest.raises(RequestError, match=message):
            compare(trained(), trained(), images, controls=controls, quiet=True)  # type: ignore[arg-type]


def test_the_figure_shows_controls_where_there_are_some(found: Comparison, images: Tensor) -> None:
    names = [label.get_text() for label in found.figure().get_axes()[-2].get_yticklabels()]
    names += [label.get_text() for label in found.figure().get_axes()[-1].get_yticklabels()]
    assert {"grad-cam, random weights", "grad-cam, same", "grad-cam, pruned"} <= set(names)
