"""Explanation methods that learn, as steps of the tree; and pruning steered by them, on digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import prunebench as pb
from prunebench.errors import RequestError
from prunebench.plan.environment import Environment
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.plan.steps import Step
from prunebench.plan.trial import Trial
from prunebench.record import Record
from prunebench.store.digests import Digests
from prunebench.suite import load_suite

Write = Callable[..., Path]
HERE = Environment(device="cpu", processor="some processor", threads=2, torch="2.15.0")
BRIEF = "{epochs: 1, images: 30, batch_size: 10}"
AEM = f"aem-rbf: {{predictor: {BRIEF}, selector: {BRIEF}}}"
ISP = f"isp: {{predictor: {BRIEF}, selector: {BRIEF}, gates: {BRIEF}}}"


def trials(path: Path) -> list[Trial]:
    return list(plan_trials(Identities(load_suite(path), HERE, Digests())))


def mean(record: Record, name: str) -> float:
    found = record.mean(name)
    assert found is not None, record.values[name].reason
    return found


def ancestors(step: Step, kind: str) -> dict[str, Step]:
    return {found.key: found for found in step.ancestors(set()) if found.kind.name == kind}


def test_what_is_learnt_of_the_baseline_serves_explainer_and_pruner(toy_suite: Write) -> None:
    baseline, *_, pruned = trials(toy_suite(cams=f"[{{{AEM}}}]", pruners=f"[{{{ISP}}}]"))
    maps = next(cell.step for cell in baseline.cells if cell.cam)
    explainer = ancestors(maps, "prepared")
    assert [step.name for step in explainer.values()] == ["predictor", "selector"]
    assert ancestors(pruned.network, "prepared") == explainer


def test_each_network_is_learnt_anew_and_others_pay_nothing(toy_suite: Write) -> None:
    plain = {(t.role, t.network.key): t for t in trials(toy_suite())}
    found = trials(toy_suite(cams=f"[grad-cam, toy-cam, {{{AEM}}}]"))
    explainers = []
    for trial in found:
        ours = {cell.step.key: cell for cell in trial.cells}
        if trial.role == "retrained":  # under another seed, and nothing else is paid for
            assert trial.network == found[0].network
            before = set()
        else:
            before = {cell.step.key for cell in plain.pop((trial.role, trial.network.key)).cells}
        assert before <= ours.keys()
        added = [ours[key].step.parent("maps") for key in ours.keys() - before]
        assert added
        assert {maps.name for maps in added} == {"aem-rbf"}
        for maps in added:
            assert maps.parent("prepared:selector").parent("network") == trial.network
        explainers.append({key for maps in added for key in ancestors(maps, "prepared")})
    assert plain == {}
    assert [trial.role for trial in found].count("retrained") == 1
    assert len(set().union(*explainers)) == sum(map(len, explainers)) == 2 * len(found)


@pytest.mark.slow
def test_a_suite_that_learns_is_run_and_resumed(toy_suite: Write, tmp_path: Path) -> None:
    path = toy_suite(
        cams=f"[{{{AEM}}}]",
        pruners=f"[{{{ISP}}}]",
        metrics="[accuracy, sp2ps, rbf-distance, average-drop, max-sensitivity]",
        levels="[0.3]",
    )
    results = pb.run(path, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    assert not results.failed
    record = next(r for r in results.records if r.pruner_name == "isp")
    cam = next(name.partition("/")[2] for name in record.values if name.startswith("sp2ps/"))
    assert 0 <= mean(record, f"sp2ps/{cam}") <= 1
    assert mean(record, f"rbf_distance/{cam}") > 0
    assert mean(record, f"max_sensitivity/{cam}") >= 0
    assert {"prepared-predictor", "prepared-selector"} <= record.curves.keys()
    assert set(record.curves["compressed"][0].terms) >= {"classification", "interpretation"}
    assert set(record.curves["prepared-selector"][0].terms) == {"divergence", "size", "smoothness"}
    # Predictor, selector and gates were trained on 30 images each.
    assert record.images_seen >= 90
    baseline = next(r for r in results.records if r.role == "baseline")
    assert mean(baseline, f"rbf_distance/{cam}") == 0
    again = pb.run(path, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    assert [r.values for r in again.records] == [r.values for r in results.records]


def test_a_network_that_cannot_be_taught_is_refused_at_once(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RequestError("it has no maps")

    monkeypatch.setattr("prunebench.cams.amortized.encoder_maps.require_maps", refuse)
    with pytest.raises(RequestError, match="model 'toy-cnn': cam 'aem-realx': it has no maps"):
        pb.run(
            toy_suite(cams="[aem-realx]"),
            store=tmp_path / "store",
            tracking_uri="",
            device="cpu",
            quiet=True,
        )
    assert not list((tmp_path / "store").rglob("*.safetensors"))


DIGITS = """
name: isp-digits
dataset: digits
model: digits-cnn
pruners:
  - isp: {predictor: &few {epochs: 4, images: 800}, selector: *few, gates: {epochs: 30, lr: 1e-2}}
  - random-filter: {target: macs}
levels: [0.5]
recovery: {epochs: 6, lr: 1e-2}
cams: [grad-cam, {aem-rbf: {predictor: *few, selector: *few}}]
metrics: [accuracy, macs, sp2ps, rbf-distance, pointing-game, mask-iou]
explain: {images: 200}
"""


@pytest.mark.sweep
def test_pruning_steered_by_explanations_on_digits(tmp_path: Path) -> None:
    path = tmp_path / "digits.yaml"
    path.write_text(DIGITS)
    results = pb.run(path, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    assert not results.failed
    record = {r.pruner_name: r for r in results.records}
    steered, drawn = record["isp"], record["random-filter"]
    assert steered.reached.macs == pytest.approx(0.5, abs=0.01)
    assert steered.axis == "dense"
    # How well so short a training ends differs from processor to processor; that it learns not.
    first, last = (steered.curves["compressed"][epoch].terms for epoch in (0, -1))
    assert last["interpretation"] < first["interpretation"]
    assert last["classification"] < first["classification"]
    first, last = (steered.curves["prepared-selector"][epoch].terms for epoch in (0, -1))
    assert last["divergence"] < first["divergence"]
    assert mean(steered, "accuracy") > 0.9
    assert mean(steered, "accuracy") > mean(drawn, "accuracy") - 0.05
    assert mean(steered, "sp2ps/grad-cam") > mean(record["random-weights"], "sp2ps/grad-cam") + 0.1
    cam = next(n.partition("/")[2] for n in steered.values if n.startswith("rbf_distance/aem"))
    assert mean(record["none"], f"rbf_distance/{cam}") > 0
    assert 0 < mean(record["baseline"], f"mask_iou/{cam}") < 1
