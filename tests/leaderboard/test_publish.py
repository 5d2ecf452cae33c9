from __future__ import annotations

import json
from pathlib import Path

import pytest
from publishable import publishable, publishable_baseline, renamed
from synthetic import record, suite
from worlds import world

from prunebench.errors import RequestError
from prunebench.leaderboard.board import board
from prunebench.leaderboard.publish import submit, write_board
from prunebench.record import Record, Value, read_record, read_records

REPOSITORY = Path(__file__).parent.parent.parent


def write(found: Record, folder: Path, name: str = "record.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(found.to_json(), encoding="utf-8")
    return path


MINE = publishable()
BASE = publishable_baseline()
OTHERWISE = MINE.model_copy(update={"images_seen": 5})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Published results: the baseline, without which no other may be."""
    submit([write(BASE, tmp_path / "base")], tmp_path / "results")
    return tmp_path / "results"


def test_chosen_records_are_copied_under_their_id(tmp_path: Path, results: Path) -> None:
    found = submit([write(MINE, tmp_path)], results)
    assert found == [results / f"{MINE.id}.json"]
    assert read_record(found[0]) == MINE
    assert read_records(results) == [BASE, MINE]


def test_the_same_again_changes_nothing(tmp_path: Path, results: Path) -> None:
    source = write(MINE, tmp_path)
    (first,) = submit([source], results)
    before = first.read_bytes()
    submit([source, source], results)
    assert first.read_bytes() == before


def test_what_was_published_in_an_older_schema_stays(tmp_path: Path, results: Path) -> None:
    old = json.loads(MINE.to_json())
    for name in ("moved", "times", "classes", "pictures_withheld"):
        del old[name]
    there = results / f"{MINE.id}.json"
    there.write_text(json.dumps(old | {"schema_version": 1}), encoding="utf-8")
    before = there.read_bytes()
    submit([write(MINE, tmp_path)], results)
    submit([there], results, replace=True)
    assert there.read_bytes() == before


def test_another_record_of_one_id_needs_replace(tmp_path: Path, results: Path) -> None:
    submit([write(MINE, tmp_path)], results)
    other = write(OTHERWISE, tmp_path, "other.json")
    with pytest.raises(RequestError, match=r"other\.json.* is taken .*images_seen"):
        submit([other], results)
    assert read_record(results / f"{MINE.id}.json").images_seen == 0
    submit([other], results, replace=True)
    assert read_record(results / f"{MINE.id}.json").images_seen == 5


def test_two_chosen_records_of_one_id_are_refused_even_with_replace(tmp_path: Path) -> None:
    sources = [write(MINE, tmp_path, "a.json"), write(OTHERWISE, tmp_path, "b.json")]
    with pytest.raises(RequestError, match="is taken"):
        submit(sources, tmp_path / "results", replace=True)
    assert not (tmp_path / "results").exists()


def test_all_or_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}", encoding="utf-8")
    with pytest.raises(RequestError, match=r"bad\.json"):
        submit([write(MINE, tmp_path), bad], tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_what_does_not_pass_the_checks_is_refused(tmp_path: Path) -> None:
    wrong = MINE.model_copy(update={"keys": {**MINE.keys, "baseline": "none"}})
    with pytest.raises(RequestError, match=r"record\.json: keys\.baseline: 'none' is no key"):
        submit([write(wrong, tmp_path)], tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_record_is_checked_against_what_is_published(tmp_path: Path, results: Path) -> None:
    submit([write(MINE, tmp_path)], results)
    counts = {**MINE.values, "params": Value(mean=4_000)}  # of 10,000: not the half
    wrong = write(MINE.model_copy(update={"values": counts}), tmp_path, "wrong.json")
    with pytest.raises(RequestError, match=r"wrong\.json: reached\.params: .*expected 0\.6"):
        submit([wrong], results, replace=True)


def test_a_row_is_not_displaced(tmp_path: Path, results: Path) -> None:
    submit([write(MINE, tmp_path)], results)
    keys = {**MINE.keys, "network": "c" * 32}  # another network, in the same row of the board
    twin = renamed(MINE.model_copy(update={"keys": keys}))
    with pytest.raises(RequestError, match=r"seed: 0 of the row is that of"):
        submit([write(twin, tmp_path, "b.json")], results)


def test_a_row_needs_its_baseline(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"keys\.baseline: .*is not among them"):
        submit([write(MINE, tmp_path)], tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_another_baseline_must_fit_the_rows_that_stay(tmp_path: Path, results: Path) -> None:
    submit([write(MINE, tmp_path)], results)
    counts = {**BASE.values, "params": Value(mean=20_000)}
    other = BASE.model_copy(update={"values": counts})
    with pytest.raises(RequestError, match=r"l1-filter.*reached\.params"):
        submit([write(other, tmp_path, "base.json")], results, replace=True)
    assert read_records(results) == [BASE, MINE]


def test_nothing_is_written_where_not_all_can_be(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path.write_bytes

    def fails(path: Path, content: bytes) -> int:
        if "l1-filter" in path.name:
            raise OSError(28, "No space left on device")
        return full(path, content)

    base = write(BASE.model_copy(update={"images_seen": 5}), tmp_path, "base.json")
    mine = write(MINE, tmp_path)
    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(OSError, match="No space left"):
        submit([base, mine], results, replace=True)
    assert read_records(results) == [BASE]
    assert len(list(results.iterdir())) == 1


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/x", ".hidden", "a/b", "", "con", "LPT1.x", "a\n"]
)
def test_an_unsafe_id_is_refused(tmp_path: Path, name: str) -> None:
    content = json.loads(MINE.to_json())
    content["id"] = name
    source = tmp_path / "record.json"
    source.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RequestError, match=r"record\.json: id"):
        submit([source], tmp_path / "results")


def test_ids_that_differ_only_in_case_are_refused(tmp_path: Path, results: Path) -> None:
    submit([write(MINE, tmp_path)], results)
    with pytest.raises(RequestError, match="only in case"):
        submit([write(publishable(suite="Quick"), tmp_path)], results)


def test_oversized_is_refused(tmp_path: Path) -> None:
    big = MINE.model_copy(update={"provenance": {**MINE.provenance, "log": "x" * 2_000_000}})
    with pytest.raises(RequestError, match=r"larger than 2,000,000 bytes"):
        submit([write(big, tmp_path)], tmp_path / "results")


def test_what_is_published_is_strict_json(tmp_path: Path, results: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    odd = write(MINE, tmp_path)
    odd.write_text(odd.read_text().replace('"measured": {}', '"measured": {"seconds": NaN}'))
    (found,) = submit([odd], results)
    content = json.loads(found.read_text(encoding="utf-8"), parse_constant=refuse)
    assert content["measured"] == {"seconds": None}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"gone\.json: no such file"):
        submit([tmp_path / "gone.json"], tmp_path / "results")


def test_a_result_under_a_strange_name_is_refused(tmp_path: Path) -> None:
    write(record(id="mine"), tmp_path, "yours.json")
    with pytest.raises(RequestError, match=r"yours\.json: id"):
        read_records(tmp_path)


def test_the_board_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    records = suite(seeds=(0, 1, 2))
    first = write_board(board(records), tmp_path / "a")
    second = write_board(board(list(reversed(records))), tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert (tmp_path / "a/board.json").read_bytes() == (tmp_path / "b/board.json").read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["README.md", "board.json"]


def test_the_board_as_json(tmp_path: Path) -> None:
    write_board(board(suite()), tmp_path)
    (section,) = json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))["sections"]
    assert [found["axis"] for found in section["rankings"]] == ["dense", "masked"]
    assert section["rows"][0]["role"] == "baseline"
    row = next(row for row in section["rows"] if row["pruner"] == "l1-filter")
    assert row["values"]["sp2ps/grad-cam"]["mean"] == pytest.approx(0.969, abs=1e-3)
    assert row["trusted"]["grad-cam"] is None  # one seed


def test_the_json_tells_counterparts_damage_and_budgets(tmp_path: Path) -> None:
    student = [
        record("student", None, reached=0.45, sp2ps=0.85, seed=s, seeds=range(5), images_seen=500)
        for s in range(5)
    ]
    lost = [
        each.model_copy(
            update={"recalls": (0.9, 0.6 if each.pruner == "a" else 0.9), "classes": ("x", "y")}
        )
        for each in world({"a": 0.9, "b": 0.7})
    ]
    write_board(board([*lost, *student]), tmp_path)
    content = json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 3
    rows = {row["pruner"]: row for each in content["sections"] for row in each["rows"]}
    assert rows["student"]["counterpart"]["difference"] == pytest.approx(0.05)
    assert rows["student"]["budget"] == {
        "reads_explanations": False,
        "peers": [],
        "images_seen": 500,
        "others": 0.0,
    }
    worst = rows["a"]["damage"]["worst_class"]
    assert (worst["index"], worst["change"]) == (1, pytest.approx(-0.3))
    assert rows["a"]["counterpart"] is None
    assert rows["baseline"]["damage"] is None


@pytest.mark.slow
def test_the_published_board_is_made_from_the_published_records(tmp_path: Path) -> None:
    published = REPOSITORY / "leaderboard"
    write_board(board(read_records(published / "results")), tmp_path)
    for name in ("README.md", "board.json"):
        fresh = (tmp_path / name).read_text(encoding="utf-8")
        assert fresh == (published / name).read_text(encoding="utf-8"), "run `make leaderboard`"
