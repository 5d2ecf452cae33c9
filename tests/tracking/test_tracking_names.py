"""What MLflow shows of records: names, sections of metrics, descriptions, pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from synthetic import record as made_up

import prunebench as pb
from prunebench.record import Record, Value
from prunebench.tracking.names import description, metric_name, metrics, numbers, params, run_name
from prunebench.tracking.overlays import overlays
from prunebench.tracking.view import view


def published() -> list[Record]:
    return pb.read_results(Path(__file__).parent.parent.parent / "leaderboard" / "results").records


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("accuracy", "accuracy"),
        ("sp2ps/grad-cam++", "sp2ps/grad-cam-pp"),
        ("sp2ps/toy-cam(power=2.0)", "sp2ps/toy-cam_power_2.0_"),
        ("sp2ps/x(y={a: 1})", "sp2ps/x_y__a_ 1__"),
    ],
)
def test_names_that_mlflow_accepts(name: str, accepted: str) -> None:
    assert metric_name(name) == accepted


def test_names_of_runs_tell_networks_of_a_suite_apart() -> None:
    by_suite: dict[str, list[str]] = {}
    for record in published():
        by_suite.setdefault(record.suite, []).append(run_name(record))
    assert by_suite
    for names in by_suite.values():
        assert len(set(names)) == len(names)
        assert max(map(len, names)) < 125


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"role": "baseline", "pruner_name": "baseline", "pruner": "baseline"}, "baseline"),
        ({"role": "control", "pruner_name": "none", "pruner": "none"}, "none"),
        ({"role": "floor", "pruner_name": "random-weights"}, "random weights"),
        ({"pruner_name": "lamp", "pruner": "lamp", "level": 0.125}, "lamp 12.5%"),
        ({"pruner_name": "x", "pruner": "x(a={b: {c: 1}, d: 2}, e=3)"}, "x (a=…, e=3)"),
        (
            {"pruner_name": "iterative", "pruner": "iterative", "round": 3, "level": 0.488},
            "iterative round 3 48.8%",
        ),
    ],
)
def test_names_of_runs(changes: dict[str, Any], name: str) -> None:
    start = {"model": "torchvision/resnet18(training={lr: 1})", "seed": 4, "role": "compressed"}
    plain = {"level": None, "round": None, "pruner": changes.get("pruner_name")}
    record = published()[0].model_copy(update={**start, **plain, **changes})
    assert run_name(record) == f"{name} torchvision/resnet18 seed 4"


@pytest.mark.slow
def test_sections_of_metrics() -> None:
    for record in published():
        found = metrics(record)
        alone = {name for name in found if "/" not in name}
        assert alone <= {"accuracy", "accuracy_drop", "accuracy_top5", "agreement"}
        assert {name for name in record.values if name.startswith(("macs", "params"))} <= {
            name.removeprefix("cost/") for name in found
        }
        if record.mean("sp2ps/grad-cam") is not None:
            assert found["sp2ps/grad-cam"] == record.mean("sp2ps/grad-cam")


@pytest.mark.slow
def test_descriptions_show_names_literally() -> None:
    record = published()[0].model_copy(update={"pruner": "<b>x</b>", "pruner_name": "<b>x</b>"})
    shown = description(record.model_copy(update={"role": "compressed"}))
    assert "<b>" not in shown


@pytest.mark.slow
def test_maps_without_their_image_stand_by_themselves() -> None:
    record = next(record for record in published() if record.heatmaps)
    bare = record.model_copy(
        update={"heatmaps": tuple(heat for heat in record.heatmaps if heat.cam)}
    )
    alone = dict(overlays(bare, bare))
    assert alone.keys() == dict(overlays(record, record)).keys()
    for name, picture in overlays(record, record):
        width = Image.open(io.BytesIO(picture)).width
        assert Image.open(io.BytesIO(alone[name])).width < width


@pytest.mark.slow
def test_the_view_of_a_suite_with_very_many_metrics_fits_into_its_tag() -> None:
    values = {f"sp2ps_class_{k}/grad-cam": Value(mean=0.5) for k in range(1000)}
    assert len(view([published()[0].model_copy(update={"values": values})])) < 20_000


def test_parameters_within_parameters_have_names_of_their_own() -> None:
    record = made_up(
        "isp", 0.5, pruner_parameters={"gates": {"epochs": 50, "lr": 0.1}, "target": "macs"}
    )
    assert (
        params(record).items()
        >= {
            "pruner.gates.epochs": 50,
            "pruner.gates.lr": 0.1,
            "pruner.target": "macs",
        }.items()
    )
    assert numbers(record)["parameter/pruner.gates.epochs"] == 50
    many = {f"layer{k}": 0.5 for k in range(100)}
    large = made_up("isp", 0.5, pruner_parameters={"rates": many})
    assert params(large)["pruner.rates"] == many


def test_a_network_that_could_not_be_made_has_no_numbers_and_says_why() -> None:
    failed = made_up("l1-filter", 0.9, failure="a layer would be without channels")
    assert metrics(failed) == {"cost/level": 0.9}
    assert description(failed) == (
        "l1-filter 90% digits-cnn seed 0 could not be made: a layer would be without channels"
    )
