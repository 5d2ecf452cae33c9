"""The amortized explainers as explanation methods."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import prunebench as pb
from prunebench.cams.amortized.divergence import mask_images, measure_divergence
from prunebench.cams.amortized.explainers import AemRbf, AemRealx, AmortizedExplainer
from prunebench.cams.amortized.masks import compute_rbf
from prunebench.cams.cam import Explanation, Trace
from prunebench.cams.tracer import trace
from prunebench.conformance.bench import load_digits, train_network
from prunebench.conformance.bench import load_test_images as few_images
from prunebench.data import batches
from prunebench.errors import RequestError
from prunebench.execution.stages.context import make_context
from prunebench.plugins.context import Prepared
from prunebench.plugins.preparing import compute

BRIEF = {"epochs": 1, "images": 64, "batch_size": 32}
KINDS = [AemRbf, AemRealx]


def brief(kind: type[AmortizedExplainer]) -> AmortizedExplainer:
    return kind.model_validate({"predictor": BRIEF, "selector": BRIEF})


def learnt(cam: AmortizedExplainer) -> Prepared:
    network = train_network("digits-cnn")
    return compute(cam.prepare(), network.module, make_context(network, network, load_digits(), 0))


def explained(cam: AmortizedExplainer, traced: Trace) -> Explanation:
    found = cam(traced)
    assert isinstance(found, Explanation)
    return found


def traced(prepared: Prepared, classes: Tensor | None = None) -> Trace:
    found = trace(train_network("digits-cnn").copy().module, "stage3", few_images(6), classes)
    return replace(found, prepared=prepared)


@pytest.mark.slow
def test_an_rbf_is_told_by_its_numbers() -> None:
    cam = brief(AemRbf)
    maps, numbers = explained(cam, traced(learnt(cam)))
    assert set(numbers) == {"centre_row", "centre_column", "width"}
    row, column, width = (numbers[name] for name in ("centre_row", "centre_column", "width"))
    assert maps.shape == (6, 16, 16)
    torch.testing.assert_close(maps, compute_rbf(torch.stack([row, column, width], 1), (16, 16)))
    assert torch.equal(maps.flatten(1).argmax(1), row.round().int() * 16 + column.round().int())


@pytest.mark.slow
def test_each_pixel_has_a_probability_of_its_own() -> None:
    cam = brief(AemRealx)
    maps, numbers = explained(cam, traced(learnt(cam)))
    assert maps.shape == (6, 16, 16)
    assert ((maps > 0) & (maps < 1)).all()
    assert len(maps[0].unique()) > 200
    assert not numbers


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_class_explained_matters(kind: type[AmortizedExplainer]) -> None:
    cam = brief(kind)
    prepared = learnt(cam)
    one, other = (
        explained(cam, traced(prepared, torch.full((6,), label))).maps for label in (1, 8)
    )
    assert (one - other).abs().max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_learnt_is_a_clear_error(kind: type[AmortizedExplainer]) -> None:
    cam = brief(kind)
    with pytest.raises(RequestError, match=f"{kind.__name__}.*trained for the network"):
        cam(traced({}))
    elsewhere = learnt(kind.model_validate({"predictor": BRIEF, "selector": BRIEF, "size": 0.3}))
    with pytest.raises(RequestError, match="with these parameters"):
        cam(traced(elsewhere))
    with pytest.raises(ValueError, match="without one"):
        cam(replace(traced(learnt(cam)), module=None))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:explanation methods that learn have 40 images")
def test_they_explain_images_alone() -> None:
    module = train_network("digits-cnn").copy().module
    images = few_images(40)
    methods = [{"aem-rbf": {"predictor": BRIEF, "selector": BRIEF}}]
    first, again = (pb.explain(module, images, methods, quiet=True) for _ in range(2))
    ((label, maps),) = first.items()
    assert maps.shape == (40, 16, 16)
    assert torch.equal(maps, again[label])


@pytest.mark.sweep
@pytest.mark.parametrize("kind", KINDS)
def test_the_part_selected_says_more_than_others_of_its_size(
    kind: type[AmortizedExplainer],
) -> None:
    network = train_network("digits-cnn")
    data = load_digits()
    # Digits fill their images: a pixel must cost more than on photographs for any to be left out.
    taught = {"epochs": 20, "schedule": "cosine"}
    cam = kind.model_validate({"predictor": taught, "size": 1, "smoothness": 0})
    (selector,) = cam.prepare()
    (predictor,) = selector.needs()
    context = make_context(network, network, data, 0)
    prepared = {predictor: predictor.compute(network.copy().module, context)}
    context = replace(
        make_context(network, network, data, 0), prepared={"predictor": prepared[predictor]}
    )
    prepared[selector] = selector.compute(network.copy().module, context)
    answering = copy.deepcopy(network.module)
    answering.load_state_dict(prepared[predictor])
    answering.eval()
    ((images, _),) = batches(data.test, data.normalisation, 500, "cpu")
    found = trace(network.module, "stage3", images)
    selected = (explained(cam, replace(found, prepared=prepared)).maps > 0.5).float()
    assert 0.05 < selected.mean() < 0.6
    torch.manual_seed(0)
    moved = [mask.roll(tuple(torch.randint(16, (2,)).tolist()), (0, 1)) for mask in selected]

    def answers(masks: Tensor) -> tuple[float, float]:
        with torch.no_grad():
            logits = answering(mask_images(images, masks))
        agreement = (logits.argmax(1) == found.logits.argmax(1)).float().mean()
        return float(measure_divergence(found.logits, logits)), float(agreement)

    distance, agreement = answers(selected)
    # Of the same area: another image's mask, and an image's own in another place.
    for others in (selected.roll(1, 0), torch.stack(moved)):
        other_distance, other_agreement = answers(others)
        assert distance < 0.8 * other_distance
        assert agreement > other_agreement + 0.1
