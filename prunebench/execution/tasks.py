"""Carrying out steps: lease, compute, commit. This is what an executor calls, anywhere."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prunebench.execution.machine_lock import occupy
from prunebench.plan.environment import Environment, made_with
from prunebench.plan.steps import Step
from prunebench.seeding import seeded
from prunebench.store import Store, StoreError

if TYPE_CHECKING:
    from prunebench.execution.stages.workspace import Result, Workspace


@dataclass(frozen=True)
class Task:
    """Steps that are carried out together: one, or the explanations of one network.

    Attributes:
        steps: The steps; their parents are all in the store.
        store: The store's folder.
        environment: The device to use.
        trusted: Whether Python code may be run that only the store names.
    """

    steps: tuple[Step, ...]
    store: Path
    environment: Environment
    trusted: bool = False

    @property
    def runs_alone(self) -> bool:
        """Whether nothing else may run on its machine meanwhile."""
        return self.steps[0].runs_alone


@dataclass(frozen=True)
class Outcome:
    """What became of a step.

    Attributes:
        key: The step's key.
        status: ``done`` here; ``stored`` already; ``busy`` in another process; ``failed``.
        message: What went wrong.
        seconds: Time it took.
    """

    key: str
    status: Literal["done", "stored", "busy", "failed"]
    message: str = ""
    seconds: float = 0.0


def perform(
    task: Task, progress: Callable[[float, str], None] = lambda fraction, text: None
) -> list[Outcome]:
    """Carry out a task, each step of it at most once among all processes of a store.

    Args:
        task: What to do.
        progress: ``progress(fraction, text)``.

    Returns:
        What became of each step. A failed computation is an outcome and written down.

    Raises:
        StoreError: The store cannot be written: nothing can go on.
    """
    work = open_workspace(task.store, task.environment, task.trusted)
    work.progress = progress
    outcomes: list[Outcome] = []
    with ExitStack() as leases:
        mine: list[Step] = []
        for step in task.steps:
            if work.store.has(step.key):
                outcomes.append(Outcome(step.key, "stored"))
            elif not leases.enter_context(work.store.lease(step.key)):
                outcomes.append(Outcome(step.key, "busy"))
            elif work.store.has(step.key):  # committed between the look and the lease
                outcomes.append(Outcome(step.key, "stored"))
            else:
                mine.append(step)
        if mine:
            outcomes += _carry_out(mine, work)
    return outcomes


@cache
def open_workspace(store: Path, environment: Environment, trusted: bool) -> Workspace:
    """Open this process's workspace on a store, which is ``trusted`` or not."""
    from prunebench.execution.stages.workspace import Workspace

    return Workspace(Store(store, trusted=trusted), environment)


def _carry_out(steps: Sequence[Step], work: Workspace) -> list[Outcome]:
    try:
        with occupy(
            steps[0].runs_alone,
            waiting=lambda: work.progress(0.0, "waiting for other runs here"),
        ):
            started = time.perf_counter()  # waiting for the machine is not the step's time
            results = _compute(steps, work)
            seconds = (time.perf_counter() - started) / len(steps)
    except StoreError:
        raise
    except Exception as error:
        if len(steps) > 1:  # one of them may be at fault: the others go on
            return [outcome for step in steps for outcome in _carry_out([step], work)]
        message = f"{type(error).__name__}: {error}"
        for step in steps:
            work.store.fail(step.key, step.kind.name, message, traceback.format_exc())
        return [Outcome(step.key, "failed", message) for step in steps]
    outcomes = []
    for step, result in zip(steps, results, strict=True):
        measured = {"seconds": seconds, "made_with": made_with(work.environment)}
        new = work.store.commit(
            step.key, step.kind.name, result.data, result.tensors, measured, step.name
        )
        outcomes.append(Outcome(step.key, "done" if new else "stored", seconds=seconds))
    return outcomes


def _compute(steps: Sequence[Step], work: Workspace) -> list[Result]:
    first = steps[0]
    file, _, name = first.kind.run.partition(":")
    carry_out = getattr(import_module(f"prunebench.execution.stages.{file}"), name)
    # Plugins draw from the seeds they are given; one that does not is reproducible all the same.
    with seeded(first.seed or 0, first.kind.name, first.key):
        if first.kind.together:
            found: list[Result] = carry_out(steps, work)
            return found
        return [carry_out(step, work) for step in steps]
