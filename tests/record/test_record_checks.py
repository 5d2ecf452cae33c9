from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from prunebench.errors import RequestError
from prunebench.record import Heatmap, Moved, Record, Times, Value, read_record
from prunebench.record.checking import RecordIndex, check_record
from prunebench.recording.pictures import png

PUBLISHED = Path(__file__).parent.parent.parent / "leaderboard" / "results"
GREY = png(torch.zeros(1, 4, 4, dtype=torch.uint8))
COLOUR = png(torch.zeros(3, 4, 4, dtype=torch.uint8))


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [read_record(path) for path in sorted(PUBLISHED.glob("*.json"))]


@pytest.fixture(scope="module")
def others(records: list[Record]) -> RecordIndex:
    return RecordIndex(records)


@pytest.fixture(scope="module")
def dense(records: list[Record]) -> Record:
    """A published network without half of its MACs."""
    found = (r for r in records if r.suite == "zoo-cifar-resnet20" and r.level == 0.5)
    return next(r for r in found if r.pruner == "taylor(target=macs)")


@pytest.fixture(scope="module")
def masked(records: list[Record]) -> Record:
    return next(r for r in records if r.axis == "masked" and r.level == 0.5 and r.values)


@pytest.mark.slow
def test_all_published_records_pass(records: list[Record], others: RecordIndex) -> None:
    assert len(records) >= 100
    found = {r.id: [str(problem) for problem in check_record(r, others)] for r in records}
    assert {name: problems for name, problems in found.items() if problems} == {}


def value(record: Record, name: str, **changes: Any) -> dict[str, Any]:
    """The values of a record with one changed."""
    changed = record.values[name].model_copy(update=changes)
    return {"values": {**record.values, name: changed}}


def without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}


def fields(record: Record, others: Any = (), **changes: Any) -> set[str]:
    """The fields in which a changed record has problems."""
    return {p.field for p in check_record(record.model_copy(update=changes), others)}


@pytest.mark.parametrize("name", ["dataset", "model", "pruners", "metrics", "seeds", "name"])
def test_a_suite_that_lacks_something_is_incomplete(dense: Record, name: str) -> None:
    excerpt = without(dense.suite_excerpt, name)
    assert f"suite_excerpt.{name}" in fields(dense, suite_excerpt=excerpt)


def test_keys_are_keys(dense: Record) -> None:
    assert fields(dense, keys={}) >= {"keys.network", "keys.baseline", "keys.cells"}
    cells = {**dense.keys["cells"], "accuracy": "../x"}
    assert fields(dense, keys={**dense.keys, "cells": cells}) == {"keys.cells.accuracy"}


def test_provenance_is_complete(dense: Record) -> None:
    lost = {"packages": {"torch": "2.15.0"}, "plugins": {}, "threads": "many"}
    assert fields(dense, provenance=lost) == {
        "provenance.packages.prunebench",
        "provenance.processor",
        "provenance.threads",
        "provenance.plugins",
    }


def test_the_digest_of_the_data_is_there(dense: Record) -> None:
    conditions = dense.conditions.model_copy(update={"data_digest": ""})
    assert "conditions.data_digest" in fields(dense, conditions=conditions)


def test_the_protocol_is_the_digest_of_the_conditions(dense: Record) -> None:
    conditions = dense.conditions.model_copy(update={"explained_images": 5_000})
    assert "protocol" in fields(dense, conditions=conditions)


@pytest.mark.parametrize(
    "changes",
    [{"id": "mine"}, {"seed": 1, "seeds": (1,)}, {"suite": "other"}, {"pruner_name": "tay"}],
)
def test_the_id_fits_what_the_record_holds(dense: Record, changes: dict[str, Any]) -> None:
    assert "id" in fields(dense, **changes)


def test_the_excerpt_makes_this_row(dense: Record) -> None:
    excerpt = {**dense.suite_excerpt, "levels": [0.2], "seeds": [7]}
    assert fields(dense, suite_excerpt=excerpt) == {"suite_excerpt.levels", "suite_excerpt.seeds"}


@pytest.mark.parametrize("name", ["params", "macs", "weights"])
def test_fractions_fit_the_counts(dense: Record, others: RecordIndex, name: str) -> None:
    reached = dense.reached.model_copy(update={name: getattr(dense.reached, name) + 0.002})
    assert fields(dense, others, reached=reached) == {f"reached.{name}", "id"}
    assert fields(dense, (), reached=reached) == set()  # without the baseline nobody can tell


def test_counts_fit_the_fractions(dense: Record, records: list[Record]) -> None:
    among = RecordIndex([r for r in records if r.id != dense.id])
    params = dense.mean("params")
    assert params is not None
    found = fields(dense, among, **value(dense, "params", mean=params + 1_000))
    assert found == {"reached.params", "values.density.mean"}
    found = fields(dense, among, **value(dense, "accuracy", mean=0.9, low=None, high=None))
    assert found == {"values.accuracy_drop.mean"}


@pytest.mark.parametrize(
    ("name", "mean"), [("flops", 4e7), ("density", 0.5), ("throughput_cpu_b64", 5e3)]
)
def test_derived_values_fit(dense: Record, name: str, mean: float) -> None:
    assert fields(dense, **value(dense, name, mean=mean)) == {f"values.{name}.mean"}


def test_a_part_is_no_more_than_the_whole(dense: Record) -> None:
    found = fields(dense, **value(dense, "effective_macs", mean=1e12))
    assert found == {"values.effective_macs.mean"}


def test_a_level_that_was_missed(dense: Record, masked: Record) -> None:
    reached = dense.reached.model_copy(update={"macs": 0.44})
    assert fields(dense, reached=reached) == {"reached.macs"}
    reached = masked.reached.model_copy(update={"weights": 0.485})
    assert "reached.weights" in fields(masked, reached=reached)
    reached = masked.reached.model_copy(update={"weights": 0.495})
    assert "reached.weights" not in fields(masked, reached=reached)


@pytest.mark.parametrize("role", ["baseline", "control", "floor"])
def test_nothing_is_gone_of_what_was_not_compressed(records: list[Record], role: str) -> None:
    record = next(r for r in records if r.role == role)
    reached = record.reached.model_copy(update={"macs": 0.1})
    assert fields(record, reached=reached, axis="dense") >= {"reached.macs", "axis"}


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("agreement", {"mean": 1.5, "high": 1.5}, "mean"),
        ("sp2ps/grad-cam", {"low": -0.1}, "low"),
        ("ssim/grad-cam", {"low": -1.01}, "low"),
        ("params", {"mean": 116_716.5}, "mean"),
        ("params", {"mean": -3.0}, "mean"),
        ("latency_cpu_b1_ms", {"mean": -1.0}, "mean"),
        ("agreement", {"mean": 0.55675}, "mean"),  # no share of 10,000 images
        ("sp2ps/grad-cam", {"n": 501}, "n"),
        ("sp2ps/grad-cam", {"n": 0}, "n"),
        ("sp2ps/grad-cam", {"undefined": -1}, "undefined"),
        ("sp2ps/grad-cam", {"low": None}, "low"),
        ("sp2ps/grad-cam", {"interval": None}, "interval"),
    ],
)
def test_a_value_that_cannot_be(
    dense: Record, name: str, changes: dict[str, Any], field: str
) -> None:
    assert f"values.{name}.{field}" in fields(dense, **value(dense, name, **changes))


def test_a_value_of_an_unknown_metric_is_not_judged(dense: Record) -> None:
    values = {**dense.values, "my_own/grad-cam": Value(mean=-1e6)}
    assert fields(dense, values=values) == set()


def timed(record: Record, ratio: float = 1.0, **times: Any) -> Record:
    """A record with times that give its medians, or others."""
    typical, relative = (record.mean(f"latency_cpu_b1_{name}") for name in ("ms", "ratio"))
    assert typical is not None
    assert relative is not None
    ours = [typical * ratio * off for off in (0.9, 1.0, 1.1)]
    base = [time / relative for time in ours]
    shown = {"cpu_b1": Times(baseline=tuple(base), network=tuple(ours)), **times}
    return record.model_copy(update={"times": shown})


def test_times_give_the_medians(dense: Record) -> None:
    assert check_record(timed(dense)) == []
    assert fields(timed(dense, ratio=0.5)) == {"values.latency_cpu_b1_ms.mean"}
    values = without(dense.values, "latency_cpu_b1_ratio")
    assert fields(timed(dense), values=values) == {"values.latency_cpu_b1_ratio"}


@pytest.mark.parametrize("pair", [((1.0,), ()), ((), ()), ((1.0, 0.0), (1.0, 1.0))])
def test_times_that_are_no_pairs(dense: Record, pair: tuple[Any, Any]) -> None:
    odd = Times(baseline=pair[0], network=pair[1])
    assert fields(timed(dense, cpu_b9=odd)) == {"times.cpu_b9"}


def test_the_same_network_twice(dense: Record, records: list[Record]) -> None:
    twin = dense.model_copy(update={"id": "another"})
    assert "keys.network" in fields(dense, [*records, twin])
    assert "id" in {p.field for p in check_record(dense, [*records, dense.model_copy()])}


def test_the_seeds_of_a_row_agree(dense: Record) -> None:
    keys = {**dense.keys, "network": "c" * 32}
    other = dense.model_copy(update={"id": "another", "keys": keys, "seed": 1, "seeds": (0, 1)})
    assert {p.field for p in check_record(dense, [dense, other])} == {"seeds"}
    assert "seeds" in fields(dense, seeds=tuple(range(101)))


def test_a_baseline_is_needed_on_a_board_alone(dense: Record, others: RecordIndex) -> None:
    assert check_record(dense, published=True)[0].field == "keys.baseline"
    assert check_record(dense) == check_record(dense, others, published=True) == []


@pytest.mark.parametrize("name", ["accuracy", "params", "sp2ps/grad-cam", "ssim/ablation-cam"])
def test_no_value_and_no_cell_of_the_suite_is_left_out(dense: Record, name: str) -> None:
    assert f"values.{name}" in fields(dense, values=without(dense.values, name))
    lost = {k: v for k, v in dense.keys["cells"].items() if k != name}
    assert fields(dense, keys={**dense.keys, "cells": lost}) == {f"keys.cells.{name}"}


def test_only_times_are_measured(dense: Record) -> None:
    assert fields(dense, **value(dense, "params", measured=True)) == {"values.params.measured"}
    values = {**dense.values, "peak_memory_cuda_b1_bytes": Value(mean=8.0, measured=True)}
    assert fields(dense, values=values) == set()


@pytest.mark.parametrize(
    "name", ["group", "pareto", "role", "pruner", "rank", "trusted/x", "rescaled/x", "1st", "a b"]
)
def test_a_value_is_not_called_as_a_column_is(dense: Record, name: str) -> None:
    assert fields(dense, values={**dense.values, name: Value(mean=1.0)}) == {f"values.{name}"}


def test_many_times_are_checked_too(dense: Record) -> None:
    typical, ratio = (dense.mean(f"latency_cpu_b1_{name}") for name in ("ms", "ratio"))
    assert typical is not None
    assert ratio is not None

    def found(off: float) -> set[str]:
        ours = [typical * off * (1 + 0.001 * k) for k in range(-40, 41)]
        pairs = Times(baseline=tuple(time / ratio for time in ours), network=tuple(ours))
        return fields(dense, times={"cpu_b1": pairs})

    assert found(1.0) == found(1.01) == set()
    assert found(0.5) == {"values.latency_cpu_b1_ms.mean"}


def test_a_level_is_of_what_the_method_counts_by_default(dense: Record) -> None:
    reached = dense.reached.model_copy(update={"params": 0.3})
    assert "reached.params" in fields(dense, pruner_parameters={}, reached=reached)
    assert "reached.params" not in fields(dense, reached=reached)


def test_only_a_method_without_levels_has_none(dense: Record, records: list[Record]) -> None:
    assert "level" in fields(dense, level=None)
    free = next(r for r in records if r.pruner_name == "semi-structured")
    assert "level" not in fields(free, level=None)


def test_what_is_nested_too_deeply_is_refused(dense: Record, tmp_path: Path) -> None:
    nested: Any = []
    for _ in range(60):
        nested = [nested]
    content = {**dense.model_dump(mode="json"), "provenance": {"x": nested}}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RequestError, match=r"x\.json: provenance: is nested more than 20 deep"):
        read_record(path)
    path.write_text(json.dumps(content | {"provenance": {"x": [0] * 30_000}}), encoding="utf-8")
    with pytest.raises(RequestError, match="provenance: has more than 20,000 entries"):
        read_record(path)


def picture(mode: str, size: tuple[int, int], format: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format)
    return base64.b64encode(buffer.getvalue()).decode()


def cut_short(png: str) -> str:
    content = base64.b64decode(png)
    return base64.b64encode(content[: len(content) // 2]).decode()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: "no base64!", "cannot be decoded"),
        (lambda: "AAAA", "cannot be decoded"),
        (lambda: cut_short(picture("L", (32, 32))), "cannot be decoded"),
        (lambda: picture("RGB", (8, 8), "BMP"), "cannot be decoded"),
        (lambda: picture("L", (97, 8)), "97×8 pixels"),
        (lambda: picture("1", (20_000, 20_000)), "cannot be decoded"),
        (lambda: picture("RGBA", (8, 8)), "mode 'RGBA'"),
    ],
)
def test_pictures_are_small_pngs(dense: Record, made: Callable[[], str], words: str) -> None:
    heatmaps = (Heatmap(image=0, cam=None, png=made()),)
    (problem,) = check_record(dense.model_copy(update={"heatmaps": heatmaps}))
    assert problem.field == "heatmaps.0.png"
    assert re.search(words, str(problem))


def test_a_map_is_grey_and_stands_beside_its_image(dense: Record) -> None:
    shown = (Heatmap(image=0, cam=None, png=COLOUR), Heatmap(image=0, cam="grad-cam", png=GREY))
    assert fields(dense, heatmaps=shown) == set()
    assert fields(dense, heatmaps=shown[1:]) == {"heatmaps.0.image"}
    grad = Heatmap(image=0, cam="grad-cam", png=COLOUR)
    assert fields(dense, heatmaps=(shown[0], grad)) == {"heatmaps.1.png"}


def test_an_image_that_is_withheld_is_not_there(dense: Record) -> None:
    assert "heatmaps.0.png" in fields(dense, pictures_withheld="a licence")
    maps = tuple(heat for heat in dense.heatmaps if heat.cam)
    assert fields(dense, heatmaps=maps, moved=(), pictures_withheld="a licence") == set()
    shown = {"filters": COLOUR}
    assert "pictures.filters" in fields(dense, pictures=shown, pictures_withheld="a licence")


def test_what_moved(dense: Record, records: list[Record]) -> None:
    moved = Moved(
        image=3,
        cam="grad-cam",
        sp2ps=0.1,
        baseline_class=1,
        own_class=None,
        png=COLOUR,
        before=GREY,
        after=GREY,
    )

    def wrong(record: Record = dense, **changes: Any) -> set[str]:
        return fields(record, moved=(moved.model_copy(update=changes),), classes=("cat", "dog"))

    assert wrong() == set()
    assert wrong(before=COLOUR) == {"moved.0.before"}
    assert wrong(png=None) == {"moved.0.png"}
    assert wrong(cam="score-cam") == {"moved.0.cam"}
    assert wrong(own_class=2) == {"moved.0.own_class"}
    assert "moved" in wrong(next(r for r in records if r.role == "baseline"))


@pytest.mark.parametrize("name", ["<b>x</b>", "a\nb", "acc`uracy", "é", "x" * 301, "", " a", "a|b"])
def test_strange_names_are_refused(dense: Record, name: str) -> None:
    found = check_record(dense.model_copy(update={"values": {name: Value(mean=0.5)}}))
    assert "strange characters" in " ".join(map(str, found))
    assert all(str(problem).isprintable() for problem in found)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\u202eb", "\x00"])
def test_control_characters_are_refused_wherever_they_are(dense: Record, text: str) -> None:
    assert "flags.0" in fields(dense, flags=(text,))
    assert "provenance.log.0" in fields(dense, provenance={**dense.provenance, "log": [text]})
    assert "classes.1" in fields(dense, classes=("cat", text))


def test_endless_text_is_refused(dense: Record) -> None:
    assert "flags.0" in fields(dense, flags=("x" * 20_001,))
