"""The leaderboard of very many records: read, brought together, written, page and all."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import pytest

from prunebench.leaderboard.board import board
from prunebench.leaderboard.outputs import write_everything
from prunebench.record import Record, Value, read_records
from prunebench.record.reading import keeping_all

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests" / "leaderboard"))
from synthetic import CONDITIONS, baseline, control, floor, record

RECORDS, LEVELS, PRUNERS = 10_000, 19, 36
CAMS = ("grad-cam", "grad-cam++", "ablation-cam")
MEASURES = ("pe_score", "ssim", "sam", "soft_iou")


def made_up() -> Iterator[Record]:
    """Networks of very many protocols, each with 36 pruners at 19 levels, 20 values a network."""
    draw = random.Random(0)
    number = 0
    while True:
        conditions = CONDITIONS.model_copy(update={"model": f"model-{number}"})
        common = {"conditions": conditions, "protocol": f"p{number}"}
        yield baseline(sp2ps=dict.fromkeys(CAMS, 1.0), **common)
        yield control(dict.fromkeys(CAMS, 0.97), **common)
        yield floor(dict.fromkeys(CAMS, 0.2), **common)
        for pruner in range(PRUNERS):
            for level in range(1, LEVELS + 1):
                share = level / (LEVELS + 1)
                values = {
                    f"{measure}/{cam}": Value(mean=draw.random(), low=0, high=1, n=500)
                    for measure in MEASURES
                    for cam in CAMS
                }
                yield record(
                    f"pruner-{pruner}",
                    share,
                    axis="dense" if pruner % 2 else "masked",
                    accuracy=0.9 - 0.5 * share * draw.random(),
                    sp2ps={cam: 1 - share * draw.random() for cam in CAMS},
                    half_width=0,
                    values=values,
                    pruner_name=f"pruner-{pruner}",
                    **common,
                )
        number += 1


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for _, found in zip(range(RECORDS), made_up(), strict=False):
        (folder / f"{found.id}.json").write_text(found.to_json())
    return folder


def test_very_many_records(results: Path, note: Callable[..., None], tmp_path: Path) -> None:
    begun = perf_counter()
    for path in sorted(results.glob("*.json")):
        json.loads(path.read_bytes())
    parsed = perf_counter()
    with keeping_all():
        records = read_records(results)
        read = perf_counter()
        sections = board(records)
        write_everything(sections, tmp_path)
    written = perf_counter()
    what = f"leaderboard of {RECORDS:,} records"
    note(f"{what}: reading and validating / parsing JSON", (read - parsed) / (parsed - begun), "×")
    note(f"{what}: all of it / parsing JSON", (written - parsed) / (parsed - begun), "×")
    note(f"{what}: tables, page and all", written - parsed, "s", "under 6 s")
