"""Metric plugins: what they read, name and return; their cards."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import prunebench.metrics
from prunebench.errors import RequestError
from prunebench.metrics import Evidence, maps
from prunebench.plugins import choose, entries, find
from prunebench.plugins.cards import read_card

NAMES = sorted(entries("metrics"))
OURS = [name for name in NAMES if find("metrics", name).package == "prunebench"]


def measure(name: str, readings: dict, **parameters) -> dict:
    """Gives a metric what it declares to read and nothing else."""
    metric = choose("metrics", name, parameters).plugin
    along = {"predictions": ("labels",), "maps": ("classes", "explained")}
    allowed = set(metric.reads) | {a for r in metric.reads for a in along.get(r, ())}
    load = {key: (lambda value=value: value) for key, value in readings.items() if key in allowed}
    return dict(metric.compute(Evidence(load, torch.device("cpu"))))


@pytest.fixture
def readings() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = {
        "predictions": torch.randn(40, 12, generator=generator),
        "baseline_predictions": torch.randn(40, 12, generator=generator),
        "labels": torch.randint(12, (40,), generator=generator),
        "maps": torch.rand(6, 16, 16, generator=generator).half(),
        "baseline_maps": torch.rand(6, 16, 16, generator=generator).half(),
        "explained": torch.tensor([3, 39, 0, 7, 21, 5]),
    }
    found["maps"][4] = 0
    found["baseline_maps"][5] = found["maps"][5] = 0
    found["classes"] = found["baseline_predictions"][found["explained"]].argmax(1)
    return found


def test_accuracy_counts_what_is_right() -> None:
    logits = torch.eye(3)[[0, 1, 2, 0]]
    readings = {"predictions": logits, "labels": torch.tensor([0, 1, 0, 2])}
    values = measure("accuracy", readings)
    assert {name: v.tolist() for name, v in values.items()} == {"accuracy": [1, 1, 0, 0]}


def test_accuracy_top5_only_where_there_are_more_than_ten_classes() -> None:
    logits = -torch.arange(12.0).repeat(3, 1)
    readings = {"predictions": logits, "labels": torch.tensor([0, 4, 5])}
    values = measure("accuracy", readings)
    assert values["accuracy"].tolist() == [1, 0, 0]
    assert values["accuracy_top5"].tolist() == [1, 1, 0]
    readings["predictions"] = logits[:, :10]
    assert set(measure("accuracy", readings)) == {"accuracy"}


def test_a_network_that_returns_nan_is_never_right() -> None:
    broken = torch.full((2, 12), torch.nan)
    readings = {"predictions": broken, "labels": torch.zeros(2).long()}
    assert {k: v.tolist() for k, v in measure("accuracy", readings).items()} == {
        "accuracy": [0, 0],
        "accuracy_top5": [0, 0],
    }
    assert measure("agreement", readings | {"baseline_predictions": broken})["agreement"].sum() == 0


def test_agreement_asks_the_baseline_and_not_the_label() -> None:
    values = measure(
        "agreement",
        {
            "predictions": torch.eye(3)[[0, 1, 2]],
            "baseline_predictions": torch.eye(3)[[0, 2, 2]] * 5,
        },
    )
    assert values["agreement"].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ssim", "ssim"),
        ("sam", "sam"),
        ("iou", "iou"),
        ("soft-iou", "soft_iou"),
        ("sp2ps", "sp2ps"),
    ],
)
def test_map_metrics_are_the_public_functions(name: str, value: str, readings: dict) -> None:
    expected = getattr(prunebench.metrics, value)(readings["baseline_maps"], readings["maps"])
    found = measure(name, readings)[value]
    assert torch.equal(found.nan_to_num(9), expected.nan_to_num(9))
    assert found[5].isnan()


def test_share_of_negative_ssim(readings: dict) -> None:
    readings["maps"][0] = 1 - readings["baseline_maps"][0]
    readings["maps"][1] = readings["baseline_maps"][1]
    values = measure("ssim", readings)
    share = values["ssim_negative_share"]
    assert share[:2].tolist() == [1, 0]
    assert share[4] == 1  # one zero map: the worst value
    assert share[5].isnan()


def test_sam_variant(readings: dict) -> None:
    found = measure("sam", readings, variant="jet")
    assert set(found) == {"sam_jet"}
    expected = maps.sam(readings["baseline_maps"], readings["maps"], "jet")
    assert torch.equal(found["sam_jet"].nan_to_num(9), expected.nan_to_num(9))
    with pytest.raises(RequestError, match="variant"):
        choose("metrics", "sam", {"variant": "rainbow"})


def test_variants_of_ssim_and_sp2ps(readings: dict) -> None:
    before = readings["baseline_maps"]
    after = readings["maps"] = (before + readings["maps"]) / 2
    uniform, jet = maps.ssim(before, after, "uniform"), maps.sam(before, after, "jet")
    expected = {
        ("ssim", "window", "uniform"): {"ssim_uniform": uniform},
        ("sp2ps", "variant", "jet"): {"sp2ps_jet": maps.sp2ps_from(jet, maps.ssim(before, after))},
        ("sp2ps", "variant", "uniform"): {
            "sp2ps_uniform": maps.sp2ps_from(maps.sam(before, after), uniform)
        },
    }
    for (name, parameter, choice), values in expected.items():
        found = measure(name, readings, **{parameter: choice})
        assert found.keys() == values.keys()
        for value, numbers in values.items():
            assert torch.equal(found[value].nan_to_num(9), numbers.nan_to_num(9))
            assert not torch.allclose(found[value][:4], measure(name, readings)[name][:4])


def test_pe_score_takes_the_explained_class_at_the_explained_image(readings: dict) -> None:
    readings["maps"] = readings["baseline_maps"] = torch.rand(6, 16, 16).half()
    found = measure("pe-score", readings)["pe_score"]
    for i, (image, label) in enumerate(
        zip(readings["explained"], readings["classes"], strict=True)
    ):
        p = readings["baseline_predictions"][image].softmax(0)[label].item()
        q = readings["predictions"][image].softmax(0)[label].item()
        assert found[i].item() == pytest.approx(3 / (2 + 1 / (1 - abs(p - q))), abs=1e-6)


@pytest.mark.parametrize("name", OURS)
def test_card(name: str) -> None:
    card = read_card(find("metrics", name))
    assert card is not None
    assert card.summary.endswith(".")


@pytest.mark.slow
def test_plugins_import_no_torch() -> None:
    program = (
        "import sys; from prunebench.plugins import entries, find\n"
        f"for name in {OURS!r}: find('metrics', name).plugin_class\n"
        "heavy = {'torch', 'numpy', 'fvcore', 'scipy', 'safetensors', 'torchvision'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
