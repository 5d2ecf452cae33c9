from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prunebench.plan.cell_filter import parse_where
from prunebench.plan.environment import Environment
from prunebench.plan.estimate import summarise
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.plan.step_kinds import PREPARED
from prunebench.plan.trial import FIELDS, Trial
from prunebench.store.digests import Digests
from prunebench.suite import load_suite

Write = Callable[..., Path]
GOLDEN = Path(__file__).parent.parent / "golden" / "keys.json"
LATER = ("twin", "retrained")
"""Rows that came after the golden files; none of them may change a key there."""
HERE = Environment(device="cpu", processor="some processor", threads=2, torch="2.15.0")


def _trials(path: Path, where: str | None = None, environment: Environment = HERE) -> list[Trial]:
    identities = Identities(load_suite(path), environment, Digests())
    return list(plan_trials(identities, parse_where(where, FIELDS) if where else None))


def _keys(path: Path, environment: Environment = HERE) -> set[str]:
    seen: set[str] = set()
    for trial in _trials(path, environment=environment):
        for cell in trial.cells:
            list(cell.step.ancestors(seen))
    return seen


def _named(path: Path) -> dict[str, str]:
    return {
        " ".join(map(str, [*trial.fields().values(), cell.cam, cell.metric])): cell.step.key
        for trial in _trials(path)
        if trial.role not in LATER
        for cell in trial.cells
    }


def test_baseline_and_control_are_always_in(toy_suite: Write) -> None:
    roles = [trial.role for trial in _trials(toy_suite())]
    assert roles == ["baseline", "floor", "control", *["compressed"] * 4]
    chosen = _trials(toy_suite(), 'pruner == "l1-unstructured" and level > 0.3')
    assert [trial.role for trial in chosen] == ["baseline", "floor", "control", "compressed"]
    assert _trials(toy_suite(), "seed == 5") == []


def test_cells_that_share_a_prefix_share_its_steps(toy_suite: Write) -> None:
    few = _keys(toy_suite(cams="[grad-cam]", metrics="[sp2ps]"))
    more = _keys(toy_suite(cams="[grad-cam]", metrics="[sp2ps, ssim, sam]"))
    assert few < more
    assert len(more - few) == 2 * 7  # two metrics of seven networks, and nothing else


def test_a_key_depends_on_nothing_but_what_a_step_is(toy_suite: Write, tmp_path: Path) -> None:
    original = _named(toy_suite())
    reordered = _named(
        toy_suite(
            levels="[0.6, 0.3]",
            pruners="[{random-unstructured: {}}, {l1-unstructured: {scope: global}}]",
            metrics="[sp2ps, accuracy, params]",
            name="another",
        )
    )
    assert reordered == original  # order, name and defaults written out are not part of it
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = toy_suite().rename(elsewhere / "toy.yaml")
    (tmp_path / "seed.txt").rename(elsewhere / "seed.txt")
    assert _named(moved) == original
    (elsewhere / "seed.txt").write_text("8")
    assert not set(_named(moved).values()) & set(original.values())


def test_without_randomness_there_is_no_seed_in_a_key(toy_suite: Write, toys: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from prunebench.plugins import choose

    module = choose("models", "toy-cnn").plugin.build(2, 1, (16, 16))
    save_file(module.state_dict(), toys.parent / "weights.safetensors")
    assert torch.is_tensor(module[0].weight)
    trials = _trials(
        toy_suite(
            model="{toy-cnn: {weights: weights.safetensors}}",
            seeds="[0, 1]",
            recovery="{epochs: 0}",
        )
    )
    networks = [(trial.fields()["pruner"], trial.level, trial.network.key) for trial in trials]
    by_name: dict[tuple[object, object], set[str]] = {}
    for pruner, level, key in networks:
        by_name.setdefault((pruner, level), set()).add(key)
    assert len(by_name["baseline", None]) == 1
    assert len(by_name["l1-unstructured", 0.3]) == 1
    assert len(by_name["random-unstructured", 0.3]) == 2


def test_the_device_enters_only_keys_that_depend_on_it(toy_suite: Write) -> None:
    path = toy_suite(metrics="[latency, params, accuracy]", cams=None)
    other = Environment(device="cpu", processor="another", threads=64, torch="2.20.0")
    here, there = _named(path), _named_in(path, other)
    changed = {name.split()[-1] for name in here if here[name] != there[name]}
    assert changed == {"latency"}
    gpu = _named_in(path, Environment(device="cuda"))
    assert not set(gpu.values()) & set(here.values())


def _named_in(path: Path, environment: Environment) -> dict[str, str]:
    return {
        " ".join(map(str, [*trial.fields().values(), cell.cam, cell.metric])): cell.step.key
        for trial in _trials(path, environment=environment)
        for cell in trial.cells
    }


def test_rounds_are_a_chain_and_asking_for_fewer_changes_nothing(toy_suite: Write) -> None:
    everything = _trials(toy_suite(pruners="[toy-lottery]", levels=None))
    rounds = {trial.round: trial for trial in everything if trial.round}
    assert list(rounds) == [1, 2, 3]
    assert rounds[2].level == pytest.approx(0.36)
    third = rounds[3].network.parent("network")
    assert third.parent("network").key == rounds[2].network.key
    assert third.parent("baseline").key == everything[0].network.key
    prepared = third.parent("prepared:toy-activation-mean")
    assert (
        prepared.key
        == rounds[1].network.parent("network").parent("prepared:toy-activation-mean").key
    )
    assert prepared.parent("prepared:toy-input-mean").kind == PREPARED
    fewer = _trials(toy_suite(pruners="[toy-lottery]", levels=None, rounds="[3]"))
    assert [t.network.key for t in fewer if t.round] == [rounds[3].network.key]


def test_a_step_can_be_pickled(toy_suite: Write) -> None:
    for trial in _trials(toy_suite(cams="[{toy-cam: {power: 2}}]")):
        for cell in trial.cells:
            copy = pickle.loads(pickle.dumps(cell.step))
            assert copy.key == cell.step.key
            assert [role for role, _ in copy.parents] == [role for role, _ in cell.step.parents]


def test_keys_are_those_of_the_golden_file(toy_suite: Write) -> None:
    """A key changes only with a version: raise one, then write the file again.

    ``PRUNEBENCH_GOLDEN=write pytest tests/plan/test_plan.py`` writes it. A new parameter with a
    default must leave old keys as they are.
    """
    found = _named(toy_suite(metrics="[accuracy, params, sp2ps, latency]", seeds="[0, 1]"))
    if os.environ.get("PRUNEBENCH_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(GOLDEN.read_text())


METHODS = [
    "hrank",
    "taylor",
    "{iterative: {pruner: lamp, rounds: 2}}",
    "{isp: {gates: {epochs: 1}}}",
    "network-slimming",
    "{l1-filter: {scope: sensitivity}}",
    "{l1-unstructured: {scope: sensitivity}}",
]


def test_keys_of_methods_with_preparations_are_those_of_the_golden_file(toy_suite: Write) -> None:
    """Preparations have names in keys that no file's place or class's name may change."""
    path = toy_suite(
        pruners=f"[{', '.join(METHODS)}]",
        levels="[0.5]",
        cams="[aem-rbf, aem-realx]",
        metrics="[sp2ps]",
    )
    found: dict[str, str] = {}
    for trial in [trial for trial in _trials(path) if trial.role not in LATER]:
        steps = [step for cell in trial.cells for step in cell.step.ancestors(set())]
        pruner = trial.pruner.label if trial.pruner else trial.name
        found[f"{pruner} {trial.level}"] = trial.network.key
        found |= {
            f"{pruner} {trial.level} prepared {step.name}": step.key
            for step in steps
            if step.kind == PREPARED
        }
    golden = GOLDEN.with_name("keys-of-preparations.json")
    if os.environ.get("PRUNEBENCH_GOLDEN") == "write":
        golden.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(golden.read_text())


def test_counting_needs_no_memory_for_the_plan(toy_suite: Write) -> None:
    path = toy_suite(seeds="[0, 1, 2]")
    identities = Identities(load_suite(path), HERE, Digests())
    stored = _keys(toy_suite("one.yaml", seeds="[0]"))
    summary = summarise(plan_trials(identities), stored, {("explained", "grad-cam"): 2.0})
    assert summary.networks == 3 * 8
    assert summary.cells == 3 * (6 * 4 + 2 + 3)
    assert summary.steps["baseline"] == 3
    assert summary.stored["baseline"] == 1
    assert summary.seconds == 2.0 * (2 * 7 + 3)
    assert sum(summary.stored.values()) == len(stored) - 1  # the data set is no step


@pytest.mark.sweep
def test_a_million_cells_fit_into_a_gibibyte(tmp_path: Path) -> None:
    levels = ", ".join(f"{k / 1000:.3f}" for k in range(1, 831))
    (tmp_path / "large.yaml").write_text(
        "name: large\ndataset: digits\nmodel: digits-cnn\n"
        "pruners: [l1-unstructured, random-unstructured]\n"
        f"levels: [{levels}]\nseeds: [{', '.join(map(str, range(100)))}]\n"
        "recovery: {epochs: 1}\ncams: [grad-cam, grad-cam++, ablation-cam]\n"
        "metrics: [ssim, sam]\n"
    )
    code = (
        "import re, sys\n"
        "from prunebench.plan.estimate import summarise\n"
        "from prunebench.plan.keys import Identities\n"
        "from prunebench.plan.plan import plan_trials\n"
        "from prunebench.store.digests import Digests\n"
        "from prunebench.plan.environment import Environment\n"
        "from prunebench.suite import load_suite\n"
        "identities = Identities(load_suite(sys.argv[1]), Environment(), Digests())\n"
        "summary = summarise(plan_trials(identities), set(), {})\n"
        # ru_maxrss would carry over the peak of the process that started this one.
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "print(summary.cells, peak)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "large.yaml")]
    cells, kilobytes = subprocess.check_output(command, text=True).split()
    assert int(cells) == 6 * (166_000 + 400)
    assert int(kilobytes) < 1024 * 1024
