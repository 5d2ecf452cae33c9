"""Suites, arguments, --where and records made up to break what reads them: refused, or right."""

# ruff: noqa: PT017 - refused or read: either is right

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import FEW, MANY, call, changed, changes, fuzz, look, texts, values
from hypothesis import strategies as st

from prunebench.errors import RequestError
from prunebench.leaderboard.board import board
from prunebench.leaderboard.outputs import write_everything
from prunebench.leaderboard.writers.board_json import to_json
from prunebench.leaderboard.writers.markdown import to_markdown
from prunebench.plan.cell_filter import parse_where
from prunebench.plan.trial import FIELDS
from prunebench.record import Record, read_record
from prunebench.record.checking import check_record
from prunebench.tracking.names import description, metrics, params

PUBLISHED = Path(__file__).parent.parent.parent / "leaderboard" / "results"
SUITE = {
    "name": "fuzz",
    "dataset": {"digits": {}},
    "model": {"digits-cnn": {"training": {"epochs": 1, "lr": 0.1}}},
    "pruners": ["l1-unstructured", {"l1-filter": {"scope": "global"}}],
    "levels": [0.3, 0.5],
    "recovery": {"epochs": 1, "lr": 0.01, "distillation": {"alpha": 0.5}},
    "cams": ["grad-cam"],
    "metrics": ["accuracy", {"sp2ps": {}}],
    "seeds": [0, 1],
    "explain": {"images": 20, "target_layer": {"digits-cnn": "features.5"}},
}


def check_suite(place: int, value: Any, how: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "suite.yaml"
        text = yaml.safe_dump(changed(SUITE, place, value, how))
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        done = call("validate", path)
        assert done.status == 0 or done.err.startswith("error: ")
        assert call("plan", path, "--store", Path(folder) / "store").status in (0, 2)
        assert look(Path(folder)).keys() == {"suite.yaml"}


def check_where(text: str) -> None:
    cell = {"pruner": "x", "level": 0.4, "round": None, "seed": 0, "cam": None}
    try:
        chosen = parse_where(text, FIELDS)({**dict.fromkeys(FIELDS, "y"), **cell})
    except RequestError as error:
        str(error).encode()
    else:
        assert chosen in (True, False)


WORDS = [*FIELDS, "and", "or", "not", "in", "==", "<", "(", ")", "[", "]", ",", "1", "'x'", "None"]
EXPRESSIONS = st.lists(st.sampled_from(WORDS) | texts(), max_size=12).map(" ".join)

COMMANDS = ["list", "show", "new", "validate", "plan", "leaderboard", "submit", "compare", "store"]
OPTIONS = [
    "--store",
    "--where",
    "--device",
    "--results",
    "--out",
    "--data",
    "--size",
    "--dir",
    "rm",
]
KNOWN = ["pruner", "l1-filter", "grad-cam", "digits-cnn", "ls", "gc", "models", "true", "nowhere"]


def check_arguments(command: str, arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # What a shell cannot pass on, main cannot be given either.
        call(command, *(each.replace("\0", "").lstrip("/.~") for each in arguments))


def a_record() -> dict[str, Any]:
    name = sorted(PUBLISHED.glob("*l1-filter*.json"), key=lambda path: path.stat().st_size)[0]
    content: dict[str, Any] = json.loads(name.read_text())
    return content


def check_a_record(place: int, value: Any, how: str) -> None:
    """No record that can be read breaks a board, and none that passes all checks its site."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        path.write_text(json.dumps(changed(a_record(), place, value, how)))
        try:
            found = read_record(path)
        except RequestError as error:
            assert str(error).startswith(str(path))
            return
        check_record(found)
        show(found)


def show(record: Record) -> None:
    sections = board([record, record.model_copy(update={"seed": 1, "seeds": (0, 1)})])
    to_markdown(sections).encode()
    to_json(sections).encode()
    description(record).encode()
    assert metrics(record).keys()
    params(record)


def check_a_site(place: int, value: Any, how: str) -> None:
    others = [
        read_record(path)
        for path in sorted(PUBLISHED.glob("*.json"))
        if path.stem.startswith(a_record()["suite"])
    ][:6]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        path.write_text(json.dumps(changed(a_record(), place, value, how)))
        try:
            found = read_record(path)
        except RequestError:
            return
        if not check_record(found):
            write_everything(board([*others, found]), Path(folder) / "board")


test_suites = fuzz(FEW, **changes())(check_suite)
test_where = fuzz(10 * FEW, text=EXPRESSIONS)(check_where)
test_arguments = fuzz(
    FEW,
    command=st.sampled_from(COMMANDS),
    arguments=st.lists(st.sampled_from([*OPTIONS, *KNOWN]) | texts(), max_size=5),
)(check_arguments)
test_records = fuzz(4 * FEW, **changes())(check_a_record)

test_many_suites = pytest.mark.sweep(fuzz(MANY, **changes())(check_suite))
test_many_expressions = pytest.mark.sweep(fuzz(10 * MANY, text=EXPRESSIONS)(check_where))
test_many_arguments = pytest.mark.sweep(
    fuzz(
        MANY,
        command=st.sampled_from(COMMANDS),
        arguments=st.lists(st.sampled_from([*OPTIONS, *KNOWN]) | texts(), max_size=5),
    )(check_arguments)
)
test_many_records = pytest.mark.sweep(fuzz(5 * MANY, **changes())(check_a_record))
test_many_sites = pytest.mark.sweep(fuzz(MANY // 20, **changes())(check_a_site))


@pytest.mark.slow
def test_values_hold_what_is_hostile() -> None:
    """The strategies are no empty promise."""
    found = []
    fuzz(200, value=values())(lambda value: found.append(repr(value)))()
    assert any("inf" in each for each in found)
    assert any("\\ud800" in each for each in found)
