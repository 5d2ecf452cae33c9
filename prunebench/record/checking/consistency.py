"""Do the parts of a record say the same?"""

from __future__ import annotations

from collections.abc import Iterator

from prunebench.record import Record
from prunebench.record.checking.problem import Problem, close
from prunebench.record.comparable import SMALLER
from prunebench.record.names import fitting_id, protocol_of

OF_TRAINING = 1e-3
"""Of all weights: training after compression may leave a weight at zero, or move one from it."""


def check_consistency(record: Record, baseline: Record | None) -> Iterator[Problem]:
    """Yield what does not fit the rest of the record, or its baseline's counts."""
    yield from _check_names(record)
    yield from _check_excerpt(record)
    yield from _check_role(record)
    yield from _check_derived(record)
    if baseline is not None:
        yield from _check_fractions(record, baseline)
        yield from _check_drop(record, baseline)


def _check_names(record: Record) -> Iterator[Problem]:
    protocol = protocol_of(record.conditions)
    if record.protocol != protocol:
        wrong = f"{record.protocol!r} is not the digest of the conditions"
        yield Problem("protocol", wrong, repr(protocol))
    name = fitting_id(record)
    if record.id != name:
        yield Problem("id", f"{record.id!r} does not fit what the record holds", repr(name))
    if record.conditions.dataset != record.dataset:
        wrong = f"{record.dataset!r} is not that of the conditions"
        yield Problem("dataset", wrong, repr(record.conditions.dataset))
    if record.conditions.model.partition(" with weights ")[0] != record.model:
        wrong = f"{record.model!r} is not that of the conditions"
        yield Problem("model", wrong, repr(record.conditions.model))
    if not record.pruner.startswith(record.pruner_name):
        wrong = f"{record.pruner!r} is no label of {record.pruner_name!r}"
        yield Problem("pruner", wrong, "the name, with parameters")


def _check_excerpt(record: Record) -> Iterator[Problem]:
    excerpt = record.suite_excerpt
    wanted = {"name": record.suite, "seeds": _seeds_of_row(record)}
    if record.round is not None:
        wanted["rounds"] = [record.round]
    elif record.level is not None:
        wanted["levels"] = [record.level]
    for name, value in wanted.items():
        if excerpt and excerpt.get(name) != value:
            wrong = f"{str(excerpt.get(name))[:80]} makes another row"
            yield Problem(f"suite_excerpt.{name}", wrong, repr(value))


def _seeds_of_row(record: Record) -> list[int]:
    """Return the seeds that make a row: a twin takes the one after its own as well."""
    if record.role != "twin":
        return [record.seed]
    return [record.seed, record.seeds[(record.seeds.index(record.seed) + 1) % len(record.seeds)]]


def _check_role(record: Record) -> Iterator[Problem]:
    if record.role in SMALLER:
        return
    if record.axis != "none":
        yield Problem("axis", f"{record.axis!r} of the {record.role}", "'none'")
    for name in ("params", "channels", "macs"):
        if gone := getattr(record.reached, name):
            yield Problem(f"reached.{name}", f"{gone:g} of the {record.role}", "0")
    own, theirs = record.keys.get("network"), record.keys.get("baseline")
    if record.role in ("baseline", "retrained") and own != theirs:
        yield Problem("keys.network", "is not that of the baseline", repr(theirs))
    if record.role == "twin" and own == theirs:
        yield Problem("keys.network", "is that of the baseline", "another seed's baseline")


def _check_derived(record: Record) -> Iterator[Problem]:
    """Yield values that do not fit others of the same record that they are made of."""
    mean = record.mean
    params, nonzero = mean("params"), mean("nonzero_params")
    density, macs, flops = mean("density"), mean("macs"), mean("flops")
    if params and nonzero is not None and density is not None:
        yield from _check_equal(
            "values.density.mean", density, nonzero / params, "nonzero_params/params"
        )
    if macs is not None and flops is not None:
        yield from _check_equal("values.flops.mean", flops, 2 * macs, "2·macs")
    for part, whole in (
        ("nonzero_params", "params"),
        ("nonzero_prunable_weights", "prunable_weights"),
        ("prunable_weights", "params"),
        ("effective_macs", "macs"),
    ):
        less, more = mean(part), mean(whole)
        if less is not None and more is not None and less > more * (1 + 1e-9):
            yield Problem(f"values.{part}.mean", f"{less:g} is more than {whole}", f"≤ {more:g}")


def _check_fractions(record: Record, baseline: Record) -> Iterator[Problem]:
    """Yield removed fractions that do not fit the counts of both networks."""
    for name, ours, theirs, tolerance in (
        ("params", "params", "params", 0.0),
        ("macs", "macs", "macs", 0.0),
        ("weights", "nonzero_prunable_weights", "prunable_weights", OF_TRAINING),
    ):
        left, full = record.mean(ours), baseline.mean(theirs)
        if left is None or not full or (name == "weights" and record.role not in SMALLER):
            continue
        found, gone = getattr(record.reached, name), 1 - left / full
        if abs(found - gone) > tolerance and not close(found, gone):
            wrong = f"{found:.6g} does not fit {ours} {left:g} of the baseline's {full:g}"
            yield Problem(f"reached.{name}", wrong, f"{gone:.6g}")


def _check_drop(record: Record, baseline: Record) -> Iterator[Problem]:
    ours, theirs = record.values.get("accuracy"), baseline.values.get("accuracy")
    drop = record.mean("accuracy_drop")
    if not ours or not theirs or ours.mean is None or theirs.mean is None or drop is None:
        return
    if ours.n != theirs.n:
        wrong = f"{ours.n} images, of the baseline {theirs.n}"
        yield Problem("values.accuracy.n", wrong, "the same images")
        return
    what = "the baseline's accuracy less its own"
    yield from _check_equal("values.accuracy_drop.mean", drop, theirs.mean - ours.mean, what)


def _check_equal(field: str, found: float, wanted: float, what: str) -> Iterator[Problem]:
    if not close(found, wanted):
        yield Problem(field, f"{found:.9g} is not {what}", f"{wanted:.9g}")
