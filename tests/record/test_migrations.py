from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prunebench.errors import RequestError
from prunebench.record import migrations, read_record
from prunebench.record.checking import check_record
from prunebench.record.migrations import MIGRATIONS, SCHEMA, migrate

PUBLISHED = Path(__file__).parent.parent.parent / "leaderboard" / "results"
V1 = Path(__file__).parent.parent / "golden" / "record-v1.json"


def test_a_published_record_of_schema_1_always_loads() -> None:
    assert json.loads(V1.read_text(encoding="utf-8"))["schema_version"] == 1
    found = read_record(V1)
    assert found.schema_version == SCHEMA
    assert found.role == "floor"
    assert found.mean("sp2ps/grad-cam") == 0.11058964373843364
    assert found.moved == ()
    assert found.times == {}
    assert check_record(found) == []


@pytest.mark.slow
def test_every_published_record_loads() -> None:
    for path in PUBLISHED.glob("*.json"):
        assert read_record(path).schema_version == SCHEMA


def test_there_is_a_migration_from_every_older_schema() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA))


def test_migrations_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(content: dict[str, Any]) -> dict[str, Any]:
        return {("b" if name == "a" else name): value for name, value in content.items()}

    def doubled(content: dict[str, Any]) -> dict[str, Any]:
        return {**content, "b": 2 * content["b"]}

    monkeypatch.setattr(migrations, "SCHEMA", 3)
    monkeypatch.setattr(migrations, "MIGRATIONS", {1: renamed, 2: doubled})
    old = {"schema_version": 1, "a": 4}
    assert migrate(old) == {"schema_version": 3, "b": 8}
    assert migrate({"schema_version": 2, "b": 4}) == {"schema_version": 3, "b": 8}
    assert migrate({"schema_version": 3, "b": 4}) == {"schema_version": 3, "b": 4}
    assert old == {"schema_version": 1, "a": 4}  # what was read is left alone


@pytest.mark.parametrize("schema", [SCHEMA + 1, 999])
def test_a_newer_schema_is_refused(schema: int) -> None:
    with pytest.raises(RequestError, match=rf"x\.json: has schema {schema}; .*upgrade"):
        migrate({"schema_version": schema}, where="x.json")


def test_a_schema_that_never_was_is_refused() -> None:
    with pytest.raises(RequestError, match="schema_version: there is no schema 0"):
        migrate({"schema_version": 0})


@pytest.mark.parametrize("content", [[1], "text", None, {}, {"schema_version": "1"}])
def test_what_is_no_record_is_left_to_the_schema(content: Any) -> None:
    assert migrate(content) == content
