"""What every compression method is held to: the same seed, the same network, and no traces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import torch
from safetensors.torch import load, save

from prunebench.conformance.attempt import CheckedPruner
from prunebench.conformance.bench import (
    change_global_generators,
    describe_state,
    digest_network,
    train_network,
)
from prunebench.conformance.checks import Check, Failure, Skip, require
from prunebench.pruners import Preparation

SEEDS = (1, 2, 3)


def check_repetition(subject: CheckedPruner) -> None:
    """Check that the same network comes again, whatever the global generators' state."""
    with change_global_generators():
        again = subject.attempt(anew=True)
    require(
        digest_network(again.network) == digest_network(subject.main.network),
        "the same seed gives another network",
    )


def check_fresh_process(subject: CheckedPruner) -> None:
    """Check that a fresh process, with another order of sets, gives the same network."""
    request = {
        "name": subject.chosen.name,
        "parameters": subject.parameters,
        "threads": torch.get_num_threads(),
    }
    found = _ask_fresh_process(json.dumps(request, default=str))
    require("error" not in found, f"a fresh process failed: {found.get('error')}")
    if found["baseline"] != digest_network(train_network("digits-cnn")):
        raise Skip("the network to compress is another one in a fresh process on this machine")
    require(
        found["network"] == digest_network(subject.main.network),
        "a fresh process gives another network: it depends on the order of a set, or on the time",
    )


def _ask_fresh_process(request: str) -> dict[str, str]:
    process = _start_fresh_processes(os.pathsep.join(path for path in sys.path if path))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request + "\n")
    process.stdin.flush()
    found: dict[str, str] = json.loads(process.stdout.readline() or '{"error": "it did not start"}')
    return found


@cache
def _start_fresh_processes(search: str) -> subprocess.Popen[str]:
    """Start what answers requests, each in a process of its own; it ends with this process."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "prunebench.conformance.fresh"],
        env={**os.environ, "PYTHONPATH": search, "PYTHONHASHSEED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def check_seeds(subject: CheckedPruner) -> str | None:
    """Check that another seed gives another network if, and only if, ``random`` is declared."""
    first = digest_network(subject.main.network)
    if not subject.pruner.random:
        # What it prepares may be random all the same, and declares so itself.
        other = digest_network(subject.attempt(seed=SEEDS[0], prepared_by=0).network)
        require(other == first, "another seed gives another network; declare `random = True`")
        return "no seed is needed"
    attempt = subject.main
    for seed in SEEDS:
        attempt = subject.attempt(seed=seed)
        if digest_network(attempt.network) != first:
            return None
    if attempt.usage.images or attempt.preparing.images:
        raise Skip("random by the images it reads, which make no difference here")
    if subject.names_another:
        raise Skip("random where the method that it names is, which is not the case here")
    raise Failure("`random` is declared, but every seed gives the same network")


def check_generators(subject: CheckedPruner) -> None:
    """Check that global generators are neither drawn from nor seeded."""
    usages = (subject.main.usage, subject.main.preparing)
    drawn = sorted(set().union(*(usage.generators for usage in usages)))
    require(
        not drawn,
        f"it draws from or seeds the global generator of {', '.join(drawn)}; draw from the seed "
        "it is given",
    )


def check_baseline(subject: CheckedPruner) -> None:
    """Check that the baseline, and the network that was copied for the method, did not change."""
    original = describe_state(train_network("digits-cnn").module)
    attempt = subject.main
    given = describe_state(attempt.parent.module)
    require(given == original, "the network that was compressed changed: something is shared")
    if not attempt.usage.recipes:  # a teacher may be switched to another mode
        ours, theirs = attempt.context.baseline.state_dict(), attempt.parent.module.state_dict()
        changed = [name for name, tensor in theirs.items() if not _is_same(ours.get(name), tensor)]
        require(not changed, f"it changes {(changed or ['?'])[0]!r} of context.baseline")


def _is_same(found: torch.Tensor | None, wanted: torch.Tensor) -> bool:
    return found is not None and torch.equal(found, wanted)


def check_preparations(subject: CheckedPruner) -> str:
    """Check that preparations can be stored, and depend on the seed only if they say so."""
    needed = [*_list_preparations(subject.pruner.prepare())]
    if not needed:
        raise Skip("it prepares nothing")
    first = subject.main.context.prepared
    second = subject.attempt(seed=SEEDS[0]).context.prepared
    for preparation in needed:
        json.dumps(preparation.changed_parameters())
        found = first.get(preparation.name, {})
        for name, tensor in found.items():
            require(isinstance(tensor, torch.Tensor), f"{preparation.name}/{name} is no tensor")
        stored = load(save({name: tensor.contiguous() for name, tensor in found.items()}))
        for name, tensor in found.items():
            require(torch.equal(stored[name], tensor.cpu()), f"{name!r} is not stored as it is")
            if not preparation.random:
                same = torch.equal(second[preparation.name][name], tensor)
                require(same, f"{preparation.name} depends on the seed; declare `random = True`")
    return ", ".join(preparation.name for preparation in needed)


def _list_preparations(preparations: tuple[Preparation, ...]) -> Any:
    for preparation in preparations:
        yield from _list_preparations(preparation.needs())
        yield preparation


def check_pictures(subject: CheckedPruner) -> str:
    """Check that pictures are small and RGB."""
    attempt = subject.main
    found = subject.pruner.pictures(attempt.network.copy(), attempt.context)
    if not found:
        raise Skip("it draws none")
    for name, picture in found.items():
        good = picture.dim() == 3 and picture.shape[2] == 3 and picture.dtype == torch.uint8
        require(good, f"{name!r} is {tuple(picture.shape)} of {picture.dtype}, not H×W×3 of bytes")
        require(max(picture.shape) <= 2048, f"{name!r} is {tuple(picture.shape[:2])}: too large")
    return ", ".join(found)


REPEATABLE = (
    Check("same seed, same network", check_repetition),
    Check("same network in a fresh process", check_fresh_process),
    Check("seed matters only if declared", check_seeds),
    Check("leaves global generators alone", check_generators),
    Check("leaves the baseline alone", check_baseline),
    Check("preparations can be stored", check_preparations),
    Check("pictures are small", check_pictures),
)
