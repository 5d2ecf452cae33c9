"""What metrics declare of their values, and what the rest makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any, get_args

import pytest

from prunebench.errors import RequestError
from prunebench.leaderboard.board.rescaling import compares_maps
from prunebench.leaderboard.site.board.columns import FIXED
from prunebench.leaderboard.site.families import OF_QUANTITY, family_of, is_part, kind_of, title_of
from prunebench.metrics import Metric
from prunebench.metrics.scale import Quantity, Scale
from prunebench.plugins import choose, entries, find
from prunebench.plugins.catalogue import describe_plugin
from prunebench.record import Record, Value, read_record
from prunebench.record.checking import check_record
from prunebench.record.checking.text import COLUMNS
from prunebench.record.scales import scale_of
from prunebench.reproduction.verdict import compare
from prunebench.tracking.names import COST, metrics

HERE = Path(__file__).parent
PUBLISHED = HERE.parent.parent / "leaderboard" / "results"
JUDGED: dict[str, Any] = json.loads((HERE / "judged_values.json").read_text(encoding="utf-8"))
"""What was judged of values, and the tolerances of published ones, here and elsewhere, when the
rest knew the built-in metrics by regular expressions of their values' names."""


@pytest.fixture(scope="module")
def record() -> Record:
    return read_record(next(iter(sorted(PUBLISHED.glob("*.json")))))


def shown(name: str, value: Value, record: Record) -> dict[str, Any]:
    family = family_of(name, value)
    logged = metrics(record.model_copy(update={"values": {name: value}}))
    return {
        "family": family,
        "kind": kind_of(name, value, family),
        "title": title_of(name),
        "part": is_part(name),
        "rescaled": compares_maps(name),
        "cost": COST + name in logged,
    }


@pytest.mark.parametrize("name", JUDGED["values"])
def test_built_in_values_are_judged_and_shown_as_before(name: str, record: Record) -> None:
    before = JUDGED["values"][name]
    value = Value(mean=before["mean"], n=before["n"], measured=before["measured"])
    assert shown(name, value, record).items() <= before.items()
    scale = scale_of(name)
    assert scale is not None
    limits = [each if abs(each) < inf else "inf" for each in scale.bounds]
    assert before["bounds"] in (limits, None)
    assert (before["bounds"] is None) == (scale.bounds[0] == -inf)
    assert scale.whole == before["whole"]
    assert scale.each_0_or_1 == before["each_0_or_1"]


@pytest.mark.slow
def test_every_published_value_is_in_the_table() -> None:
    published = [read_record(path) for path in PUBLISHED.glob("*.json")]
    names = {n for each in published for n, value in each.values.items() if value.mean is not None}
    plain = {f"{n.partition('/')[0]}{'/grad-cam' if '/' in n else ''}" for n in names}
    assert plain <= JUDGED["values"].keys()


@pytest.mark.slow
def test_published_values_may_be_off_as_far_as_before() -> None:
    found, wanted = {}, {}
    for identifier, name, here, elsewhere, note in JUDGED["tolerances"]:
        record = read_record(PUBLISHED / f"{identifier}.json")
        other = record.model_copy(update={"provenance": {**record.provenance, "threads": -1}})
        same, moved = (
            next(each for each in compare(record, rebuilt).figures if each.name == name)
            for rebuilt in (record, other)
        )
        wanted[identifier, name] = (here, elsewhere, note)
        found[identifier, name] = (same.tolerance, moved.tolerance, same.note)
    assert found == wanted


def test_every_quantity_has_a_family() -> None:
    assert set(OF_QUANTITY) == set(get_args(Quantity))


FOREIGN = """
from typing import ClassVar

from prunebench.metrics import Metric, Scale


class Likeness(Metric):
    gives: ClassVar = {
        "likeness": Scale("preservation", (-1, 1)),
        r"likeness_of_\\d+": Scale("preservation", (-1, 1), images="class"),
        "likeness_hit": Scale("quality", (0, 1), each_0_or_1=True, main=False),
    }
    spelling: ClassVar = {"likeness": "LikeNess"}


class Energy(Metric):
    carries: ClassVar = "hardware"
    unit: ClassVar = "J"
    gives: ClassVar = {"energy": Scale("cost", (0, 100)), "energy_share": Scale("latency ratio")}


class Sums(Metric):
    gives: ClassVar = {
        "sums": Scale("operations", (0, float("inf")), whole=True, headline=True),
        "nonzero_sums": Scale("operations", depends_on_zeros=True),
    }


class Thief(Metric):
    gives: ClassVar = {"sp2ps": Scale("cost", (-9, 9)), "accuracy_drop": Scale("cost")}


class Silent(Metric):
    pass
"""
WRONG = """
from prunebench.metrics import Metric


class Wrong(Metric):
    gives = {"wrong": 3}
"""
POINTS = """
[prunebench.metrics]
likeness = foreign_scales:Likeness
energy = foreign_scales:Energy
sums = foreign_scales:Sums
thief = foreign_scales:Thief
silent = foreign_scales:Silent
wrong = foreign_wrong:Wrong
"""


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs metrics of another package."""
    info = tmp_path / "foreign_scales-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-scales\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    (tmp_path / "foreign_scales.py").write_text(FOREIGN)
    (tmp_path / "foreign_wrong.py").write_text(WRONG)
    monkeypatch.syspath_prepend(str(tmp_path))
    entries.cache_clear()
    yield
    entries.cache_clear()


def problems(record: Record, **values: Value) -> set[str]:
    named = {name.replace("__", "/"): value for name, value in values.items()}
    found = check_record(record.model_copy(update={"values": {**record.values, **named}}))
    return {problem.field for problem in found}


@pytest.mark.usefixtures("foreign")
def test_a_foreign_metric_is_checked(record: Record) -> None:
    right = {
        "likeness__grad-cam": Value(mean=-0.5),
        "likeness_hit__grad-cam": Value(mean=0.5, n=2),
        "energy": Value(mean=3.5, measured=True),
        "sums": Value(mean=3.0),
        "silent": Value(mean=-1e6),
        "silent_params": Value(mean=-1e6),
    }
    assert problems(record, **right) == set()
    assert problems(record, **{"likeness(x=1)__grad-cam": Value(mean=1.5)}) == {
        "values.likeness(x=1)/grad-cam.mean"
    }
    assert problems(record, likeness_of_7__x=Value(mean=1.5)) == {"values.likeness_of_7/x.mean"}
    assert problems(record, likeness_hit__x=Value(mean=0.5, n=3)) == {"values.likeness_hit/x.mean"}
    assert problems(record, energy=Value(mean=101.0)) == {"values.energy.mean"}
    assert problems(record, sums=Value(mean=0.5)) == {"values.sums.mean"}
    assert problems(record, sums=Value(mean=3.0, measured=True)) == {"values.sums.measured"}
    assert problems(record, silent=Value(mean=3.0, measured=True)) == {"values.silent.measured"}


@pytest.mark.usefixtures("foreign")
def test_a_foreign_metric_is_missed_where_the_suite_names_it(record: Record) -> None:
    excerpt = {**record.suite_excerpt}
    excerpt["metrics"] = [*excerpt["metrics"], "likeness", "sums"]
    excerpt["cams"] = ["grad-cam"]
    key = "0" * 32
    cells = {**record.keys["cells"], "likeness/grad-cam": key, "sums": key}
    record = record.model_copy(
        update={"suite_excerpt": excerpt, "keys": {**record.keys, "cells": cells}}
    )
    lost = {"values.likeness/grad-cam", "values.sums"}
    assert lost <= problems(record, **{"likeness_hit__grad-cam": Value(mean=1.0)})
    assert not lost & problems(
        record, **{"likeness__grad-cam": Value(mean=1.0), "sums": Value(mean=None, reason="x")}
    )


@pytest.mark.usefixtures("foreign")
def test_a_foreign_metric_is_shown_as_a_built_in_one(record: Record) -> None:
    assert shown("likeness/x", Value(mean=0.5), record) == {
        "family": "preservation",
        "kind": "score",
        "title": "LikeNess",
        "part": False,
        "rescaled": True,
        "cost": False,
    }
    part = shown("likeness_of_7/x", Value(mean=0.5, n=3), record)
    assert (part["title"], part["part"], part["rescaled"]) == ("LikeNess of 7", True, False)
    assert shown("likeness_hit/x", Value(mean=0.5), record)["family"] == "quality"
    sums = shown("sums", Value(mean=3.0), record)
    assert (sums["family"], sums["kind"], sums["cost"]) == ("compression", "count", True)
    assert shown("energy", Value(mean=3.0, measured=True), record)["family"] == "times"
    assert shown("energy_share", Value(mean=3.0, measured=True), record)["family"] == "speed"
    silent = shown("silent", Value(mean=0.5, n=3), record)
    assert (silent["family"], silent["cost"]) == ("accuracy", False)


@pytest.mark.usefixtures("foreign")
def test_a_foreign_metric_may_be_off_as_a_built_in_one(record: Record) -> None:
    values = {"sums": Value(mean=1e6), "nonzero_sums": Value(mean=1e6), "silent": Value(mean=1e6)}
    record = record.model_copy(update={"axis": "dense", "values": values})
    other = record.model_copy(update={"provenance": {**record.provenance, "threads": -1}})
    here, there = (
        {each.name: each.tolerance for each in compare(record, rebuilt).figures}
        for rebuilt in (record, other)
    )
    assert (here["sums"], here["nonzero_sums"], here["silent"]) == (1e-3, 1e-3, 10.0)
    removed = record.reached.macs
    assert there["sums"] == pytest.approx(0.025 * 1e6 / (1 - removed))
    assert there["nonzero_sums"] == 5e4


@pytest.mark.usefixtures("foreign")
def test_what_is_declared_already_stays_as_it_is() -> None:
    ours, drop = scale_of("sp2ps/grad-cam"), scale_of("accuracy_drop")
    assert ours is not None
    assert drop is not None
    assert (ours.bounds, drop.quantity) == ((0, 1), "accuracy")


@pytest.mark.usefixtures("foreign")
def test_a_wrong_declaration_breaks_its_metric_alone() -> None:
    with pytest.raises(RequestError, match=r"is broken: .*`gives` of Wrong declares 'wrong' by 3"):
        choose("metrics", "wrong")
    assert scale_of("wrong") is None
    assert scale_of("likeness") is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("qualitty",), "did you mean 'quality'?"),
        (("cost", (1, 0)), r"bounds \(1, 0\)"),
        (("cost", (0, float("nan"))), "bounds"),
    ],
)
def test_a_scale_that_cannot_be(arguments: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Scale(*arguments)


def test_a_metric_tells_what_its_values_are() -> None:
    text = describe_plugin("metric", "size")
    assert "\nvalues:\n  size_bytes: memory in bytes, from 0, whole\n" in text
    assert "density: parameters, 0 to 1\n" in describe_plugin("metric", "params") + "\n"
    assert "values:" not in describe_plugin("cam", "grad-cam")


def test_the_old_name_of_unnamed_parameters_is_honoured() -> None:
    with pytest.warns(DeprecationWarning, match="Old: `told` is now `unnamed_parameters`"):

        class Old(Metric):
            told = frozenset({"repeats"})

    assert Old.unnamed_parameters == {"repeats"}

    class New(Old):
        unnamed_parameters = Old.told | {"seconds"}

    assert New.told == {"repeats", "seconds"}
    assert Metric.told == Metric.unnamed_parameters == frozenset()


def test_what_a_metric_inherits_from_another_package_is_not_its_own() -> None:
    """A metric derived from ``latency`` may give values of names of its own, and declare none."""
    shipped = find("metrics", "latency").plugin_class

    class FastLatency(shipped):  # type: ignore[misc, valid-type]
        """Of another package, as its module's name tells."""

    assert FastLatency.own_values() == {}
    assert FastLatency.gives == shipped.gives  # type: ignore[attr-defined]
    assert shipped.own_values() == shipped.gives  # type: ignore[attr-defined]


def test_a_value_may_not_be_called_like_a_column_of_a_board() -> None:
    keys = {column.key for column in FIXED}
    assert {"macs_pruned", "weights_pruned"} <= keys
    assert {key for key in keys if key.endswith("_pruned")} <= COLUMNS
