from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import prunebench as pb
from prunebench import RequestError
from prunebench.data import Data, Normalisation, Split
from prunebench.execution.stages.context import make_context
from prunebench.networks import Architecture, Network
from prunebench.networks.distillation import (
    compute_distillation_loss,
    make_distillation_objective,
    make_translation,
)
from prunebench.networks.training import train
from prunebench.plugins import choose
from prunebench.plugins.objective import CROSS_ENTROPY
from prunebench.plugins.recipe import Distillation as Teaching
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.distillation import DistillationPruner

Write = Callable[..., Path]


def logits(seed: int) -> torch.Tensor:
    return 3 * torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LABELS = torch.tensor([0, 4, 2, 2, 1, 3])


@pytest.mark.parametrize("temperature", [1.0, 4.0, 10.0])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_loss_is_the_study_s_formula(temperature: float, alpha: float) -> None:
    student, teacher = logits(1), logits(2)
    expected = 0.0
    for s, t, label in zip(student, teacher, LABELS, strict=True):
        q_s = torch.exp(s / temperature) / torch.exp(s / temperature).sum()
        q_t = torch.exp(t / temperature) / torch.exp(t / temperature).sum()
        soft = -(q_t * q_s.log()).sum()
        hard = -(torch.exp(s)[label] / torch.exp(s).sum()).log()
        expected += float(alpha * temperature**2 * soft + (1 - alpha) * hard) / 6
    found = compute_distillation_loss(student, teacher, LABELS, temperature, alpha)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_the_soft_term_s_gradient_is_that_of_the_divergence() -> None:
    student = logits(1).requires_grad_()
    compute_distillation_loss(student, logits(2), LABELS, 3.0, 1.0).backward()  # type: ignore[no-untyped-call]
    other = logits(1).requires_grad_()
    divergence = F.kl_div(
        (other / 3).log_softmax(1), (logits(2) / 3).softmax(1), reduction="batchmean"
    )
    (9 * divergence).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert other.grad is not None
    assert torch.allclose(student.grad, other.grad, rtol=1e-12, atol=1e-15)
    q_s, q_t = (logits(1) / 3).softmax(1), (logits(2) / 3).softmax(1)
    assert torch.allclose(student.grad, 3 * (q_s - q_t) / 6, rtol=1e-12, atol=1e-15)


def data(channels: int = 1) -> Data:
    draw = torch.Generator().manual_seed(3)
    pixels = torch.randint(256, (48, channels, 12, 12), generator=draw, dtype=torch.uint8)
    split = Split(pixels, torch.arange(48) % 4)
    names = tuple("abcd")
    return Data(split, split, split, names, Normalisation((0.4,) * channels, (0.3,) * channels))


def teacher() -> Network:
    architecture = Architecture(
        factory="digits-cnn", classes=4, channels=1, size=(12, 12), mean=(0.4,), std=(0.3,)
    )
    torch.manual_seed(0)
    return Network(architecture.build().eval(), architecture)


RECIPE = Recipe(epochs=2, lr=0.05, batch_size=16)


def test_without_weight_the_teacher_changes_nothing() -> None:
    found = []
    for objective in (
        CROSS_ENTROPY,
        make_distillation_objective(teacher().module, Teaching(alpha=0.0)),
    ):
        module = teacher().module
        with torch.no_grad():
            module.linear.weight.mul_(0.5)  # type: ignore[union-attr,operator]
        images = data()
        device = torch.device("cpu")
        train(module, images, images.normalisation, RECIPE, 5, device, objective=objective)
        found.append(module.state_dict())
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name])


def test_a_teacher_is_shown_images_as_it_wants_them() -> None:
    pixels = torch.randint(256, (3, 2, 4, 4)).byte()
    ours, its = Normalisation((0.1, 0.5), (0.2, 0.3)), Normalisation((0.4, 0.0), (1.0, 0.7))
    assert torch.allclose(make_translation(ours, its)(ours(pixels)), its(pixels), atol=1e-6)
    assert make_translation(ours, ours)(pixels) is pixels


def distil(pruner: DistillationPruner, network: Network, **others: Any) -> Network:
    context = make_context(network, network, data(), 7, **others)
    found = pruner.compress(network.copy().module, 0.0, context)
    assert isinstance(found, Network)
    return found


@pytest.mark.slow
def test_a_student_learns_what_its_teacher_says() -> None:
    """Labels of noise, but a teacher that knows brightness from darkness."""
    network = teacher()
    before = copy.deepcopy(network.module.state_dict())
    recipe = Recipe(epochs=10, lr=0.05, batch_size=16, keep="last")
    images = data().normalisation(data().train.pixels)  # type: ignore[arg-type]

    def distance(module: nn.Module) -> float:
        with torch.no_grad():
            found = module(images).log_softmax(1)
            return float(F.kl_div(found, network.module(images).softmax(1), reduction="batchmean"))

    def student(**parameters: Any) -> DistillationPruner:
        return DistillationPruner(student="digits-cnn", training=recipe, **parameters)

    taught = distil(student(alpha=1.0, temperature=1.0), network)
    alone = distil(student(alpha=0.0), network)
    assert distance(taught.module) < 0.3 * distance(alone.module)
    for name, value in before.items():
        assert torch.equal(network.module.state_dict()[name], value)


def test_the_student_is_another_network_that_sees_in_its_own_way(tmp_path: Path) -> None:
    network, random = teacher(), torch.random.get_rng_state()
    quick = {"epochs": 1, "batch_size": 16}
    found = distil(DistillationPruner(student="thesis-cnn", training=quick), network)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert found.architecture.factory == "thesis-cnn"
    assert found.architecture.mean == (0.0,)  # as its model demands
    again = distil(DistillationPruner(student={"thesis-cnn": {}}, training=quick), teacher())
    for name, value in found.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[name])


def test_given_weights_are_where_the_student_starts(tmp_path: Path) -> None:
    weights = teacher().module.state_dict()
    save_file(weights, tmp_path / "w.safetensors")
    named = {"digits-cnn": {"weights": str(tmp_path / "w.safetensors")}}
    still = Recipe(epochs=1, lr=1e-12, batch_size=48, momentum=0.0)
    found = distil(DistillationPruner(student=named, training=still), teacher())
    assert torch.allclose(found.module.state_dict()["linear.weight"], weights["linear.weight"])
    (tmp_path / "w.safetensors").unlink()
    save_file({"linear.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    network = teacher()
    with pytest.raises(RequestError, match="do not fit"):
        DistillationPruner(student=named).check(
            network.module, make_context(network, network, data(), 7)
        )


def test_the_student_s_recipe_is_its_own_unless_another_is_given() -> None:
    own = choose("models", "digits-cnn").plugin.recipe()
    assert DistillationPruner(student="digits-cnn").recipe() == own
    named = {"digits-cnn": {"training": {"epochs": 3}}}
    assert DistillationPruner(student=named).recipe() == Recipe(epochs=3)
    assert DistillationPruner(student=named, training=RECIPE).recipe() == RECIPE


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "'student' is required"),
        ({"student": "digits-cn"}, "did you mean 'digits-cnn'"),
        ({"student": {"digits-cnn": {"wieghts": 1}}}, "did you mean 'weights'"),
        ({"student": "digits-cnn", "temperature": 0}, "greater than 0"),
        ({"student": "digits-cnn", "alpha": 1.1}, "less than or equal to 1"),
        ({"student": "digits-cnn", "training": {"distillation": {}}}, "'temperature'"),
    ],
)
def test_wrong_requests_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        choose("pruners", "distillation", parameters)


def test_a_student_that_cannot_see_the_images_is_refused_beforehand() -> None:
    network = teacher()
    context = make_context(network, network, data(), 7)
    with pytest.raises(RequestError, match="colour images"):
        DistillationPruner(student="sp2ps-cifar10").check(network.module, context)


@pytest.mark.slow
def test_students_of_a_suite(toy_suite: Write, tmp_path: Path) -> None:
    """Distilled into a narrower network, and any pruned network recovered from its teacher."""
    student = "{distillation: {student: {toy-cnn: {width: 2}}}}"
    lines = {"metrics": "[accuracy, params, sp2ps]", "cams": "[grad-cam]", "levels": "[0.5]"}
    teach = "{epochs: 2, lr: 1e-3, batch_size: 30, distillation: {temperature: 2, alpha: 0.7}}"
    path = toy_suite(
        pruners=f"[{student}, l1-filter, l1-unstructured, {{iterative: {{rounds: 1}}}}]",
        recovery=f"[{{epochs: 2, lr: 1e-3, batch_size: 30}}, {teach}]",
        **lines,
    )
    store = tmp_path / "store"
    results = pb.run(path, store=store, tracking_uri="", device="cpu", quiet=True)
    assert results.exit_status == 0
    compressed = [r for r in results.records if r.role == "compressed"]
    plain, taught = compressed[: len(compressed) // 2], compressed[len(compressed) // 2 :]
    for a, b in zip(plain, taught, strict=True):
        assert a.pruner == b.pruner
        assert a.reached == b.reached
        assert a.images_seen == b.images_seen
        assert a.keys["network"] != b.keys["network"]
        assert a.protocol != b.protocol
        assert a.curves["recovered"] != b.curves["recovered"]
    assert plain[0].pruner == "distillation(student={toy-cnn: {width: 2}})"
    assert plain[0].axis == "dense"
    assert plain[0].images_seen == (3 + 2) * 120  # its own recipe, then the recovery
    journal = (store / "journal.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["kind"] == "baseline" for line in journal) == 1
    baselines = [r for r in results.records if r.role == "baseline"]
    assert baselines[0].keys["network"] == baselines[1].keys["network"]
