"""What preservation is held against: the twin, and explainers that learnt anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prunebench as pb
from prunebench.plan.cell_filter import parse_where
from prunebench.plan.environment import Environment
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.plan.trial import FIELDS, Trial
from prunebench.record.checking import RecordIndex, check_record
from prunebench.store.digests import Digests
from prunebench.suite import load_suite

Write = Callable[..., Path]
HERE = Environment(device="cpu", processor="some processor", threads=2, torch="2.15.0")
BRIEF = "{epochs: 1, images: 30, batch_size: 10}"
AEM = f"aem-rbf: {{predictor: {BRIEF}, selector: {BRIEF}}}"


def plan(path: Path, where: str | None = None) -> list[Trial]:
    identities = Identities(load_suite(path), HERE, Digests())
    return list(plan_trials(identities, parse_where(where, FIELDS) if where else None))


def of_role(trials: list[Trial], role: str) -> list[Trial]:
    return [trial for trial in trials if trial.role == role]


def steps(trials: list[Trial], kind: str) -> set[str]:
    seen: set[str] = set()
    found = [s for trial in trials for cell in trial.cells for s in cell.step.ancestors(seen)]
    return {step.key for step in found if step.kind.name == kind}


def test_a_twin_is_the_next_seeds_baseline(toy_suite: Write) -> None:
    trials = plan(toy_suite(seeds="[4, 0, 2]"))
    baselines = {t.setting.seed: t.network.key for t in of_role(trials, "baseline")}
    twins = {t.setting.seed: t.network.key for t in of_role(trials, "twin")}
    assert twins == {4: baselines[0], 0: baselines[2], 2: baselines[4]}
    assert {t.name for t in of_role(trials, "twin")} == {"twin"}


def test_a_twin_is_compared_and_costs_no_network(toy_suite: Write) -> None:
    metrics = "[accuracy, agreement, params, latency, pe-score, average-drop, sp2ps, mask-iou]"
    trials = plan(toy_suite(seeds="[0, 1]", metrics=metrics))
    twin = of_role(trials, "twin")[0]
    measured = {cell.metric for cell in twin.cells}
    assert {"accuracy", "agreement", "sp2ps"} <= measured
    assert not measured & {"params", "latency", "mask-iou"}
    (sp2ps, _) = [cell.step for cell in twin.cells if cell.metric == "sp2ps"]
    baseline = of_role(trials, "baseline")[0]
    assert sp2ps.parent("targets") == baseline.cells[-1].step.parent("targets")
    others = [trial for trial in trials if trial.role != "twin"]
    for kind in ("baseline", "compressed", "recovered", "predicted", "targets"):
        assert steps(trials, kind) == steps(others, kind)


def test_there_is_a_twin_only_where_it_is_another_network(toy_suite: Write, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    given = "{toy-cnn: {weights: weights.safetensors}}"
    adapted = "{toy-cnn: {weights: weights.safetensors, adapt: {epochs: 1}}}"
    for lines, count in (
        ({"seeds": "[3]"}, 0),
        ({"seeds": "[0, 1]", "model": given}, 0),
        ({"seeds": "[0, 1]", "model": adapted}, 2),
        ({"seeds": "[0, 1]", "cams": None, "metrics": "[accuracy]"}, 0),
    ):
        assert len(of_role(plan(toy_suite(**lines)), "twin")) == count


def test_references_come_with_whatever_is_chosen(toy_suite: Write) -> None:
    path = toy_suite(seeds="[0, 1]", cams=f"[grad-cam, {AEM}]")
    roles = [trial.role for trial in plan(path, 'level > 0.5 and seed == 1 and metric == "sp2ps"')]
    first = ["baseline", "floor", "twin", "retrained", "control"]
    assert roles == [*first, "compressed", "compressed"]


def test_only_methods_that_learn_are_retrained(toy_suite: Write) -> None:
    assert of_role(plan(toy_suite()), "retrained") == []
    trials = plan(toy_suite(cams=f"[grad-cam, {AEM}]"))
    (again,) = of_role(trials, "retrained")
    assert again.network == of_role(trials, "baseline")[0].network
    (cell,) = again.cells
    assert (cell.metric, str(cell.cam).partition("(")[0]) == ("sp2ps", "aem-rbf")
    ours, theirs = cell.step.parent("maps"), cell.step.parent("baseline_maps")
    assert ours.parent("network") == theirs.parent("network")
    assert ours.parent("targets") == theirs.parent("targets")
    seeds = [[s.seed for s in each.prepared().values()] for each in (ours, theirs)]
    assert seeds == [[1, 1], [0, 0]]


@pytest.mark.slow
def test_their_records_pass_the_checks(toy_suite: Write, tmp_path: Path) -> None:
    lines: dict[str, Any] = {"seeds": "[0, 1]", "levels": "[0.3]", "cams": f"[grad-cam, {AEM}]"}
    metrics = "[accuracy, agreement, params, sp2ps]"
    path = toy_suite(pruners="[l1-unstructured]", metrics=metrics, **lines)
    found = pb.run(path, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    assert found.exit_status == 0, found.failed
    index = RecordIndex(found.records)
    problems = {r.id: [str(one) for one in check_record(r, index)] for r in found.records}
    assert {name: each for name, each in problems.items() if each} == {}
    twin = next(record for record in found.records if record.role == "twin")
    base = next(r for r in found.records if r.role == "baseline" and r.seed == 1)
    assert twin.mean("accuracy") == base.mean("accuracy")
    assert twin.suite_excerpt["seeds"] == [0, 1]
    assert twin.mean("sp2ps/grad-cam") is not None
    (section,) = pb.leaderboard.board.board(found.records)
    listed = [row.first.role for row, _ in section.table("masked")]
    assert listed == ["baseline", "control", "floor", "twin", "retrained", "compressed"]
