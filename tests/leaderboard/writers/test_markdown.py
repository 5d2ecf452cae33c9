from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from synthetic import CONDITIONS, baseline, control, record, suite
from worlds import world

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.protocol import Protocol
from prunebench.leaderboard.board.rows import group_records
from prunebench.leaderboard.board.speed import MASKED, SMALL
from prunebench.leaderboard.writers.cells import explain_latency, format_verdicts
from prunebench.leaderboard.writers.markdown import to_markdown
from prunebench.leaderboard.writers.markup import escape
from prunebench.leaderboard.writers.terminal import to_terminal
from prunebench.record import Record, Value

NASTY = "a|b`c`<img src=x onerror=alert(1)>\n| x | $e^x$ **bold** [l](http://e.org) =1+1 \x1b[31m"


def terminal(records: list[Record]) -> str:
    console = Console(width=160, file=io.StringIO(), color_system=None)
    console.print(to_terminal(board(records)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def table_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_an_empty_board_says_so() -> None:
    assert "No records yet." in to_markdown(board([]))
    assert "edits are lost" in to_markdown(board([]))
    assert "No records yet." in terminal([])


def test_a_row_shows_what_it_measured() -> None:
    line = next(line for line in table_lines(to_markdown(board(suite()))) if "| l1-filter" in line)
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[:3] == ["l1-filter", "20%", "1 <sub>preliminary</sub>"]
    assert cells[5] == "219 k <sub>19.4% pruned</sub>"
    assert "×0.92" in line
    assert "– · –" in line


def test_five_seeds_have_a_rank_and_a_mark() -> None:
    text = to_markdown(board(world({"l1-filter": 0.97, "b": 0.8}, noise=0.001)))
    line = next(line for line in table_lines(text) if "| l1-filter" in line)
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[:4] == ["1", "l1-filter", "10%", "5"]
    assert cells[-1] == "✓"


def test_sections_state_their_conditions_on_one_line() -> None:
    text = to_markdown(board([*suite(), *suite(protocol="p2")]))
    lines = [line for line in text.splitlines() if line.startswith("Conditions: ")]
    assert len(lines) == 2
    assert "500 images explained" in lines[0]
    assert "lr 0.001" in lines[0]
    assert "protocol p2" in lines[1]


def test_missing_seeds_are_shown_and_not_ranked() -> None:
    records = world({"a": 0.9, "b": 0.8})
    text = to_markdown(board([each for each in records if each.seed < 3 or each.pruner != "a"]))
    assert "| 3 of 5 " in text
    assert "not ranked: 10% has 3 of 5 seeds" in text


def test_everything_from_records_is_escaped() -> None:
    texts = ("dataset", "model", "class_policy", "target_layer", "device", "precision")
    changes = {"recovery": {NASTY: NASTY}, "data_digest": "<b>|`"}
    hostile = CONDITIONS.model_copy(update={**dict.fromkeys(texts, NASTY), **changes})
    fields: Any = {"conditions": hostile, "dataset": NASTY, "model": NASTY}
    cams = {NASTY: 0.9, "grad-cam": 0.9}
    unknown = {"sp2ps/grad-cam": Value(mean=None, reason=NASTY)}
    records = [
        baseline(id="b", sp2ps=cams, **fields),
        control(cams, id="c", **fields),
        record(NASTY, id="r", sp2ps=cams, flags=(NASTY,), **fields),
        record(NASTY + "2", id="s", sp2ps=cams, values=unknown, **fields),
    ]
    text = to_markdown(board(records))
    text = text.partition("\n## ")[2]
    assert "onerror" in text
    assert not re.search(r"<(?!/?(sub|sup|br|details|summary)>)", text)
    assert not re.search(r"[$\x1b\[\]](?!\d)", re.sub(r"\[[\d., -]+\]", "", text))
    assert "`c`" not in text
    assert "http://" not in text
    assert "**bold**" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    plain = terminal(records)
    assert "\x1b" not in plain
    assert "onerror" in plain


@pytest.mark.slow
@given(st.text(max_size=60))
def test_escaped_text_is_one_cell(text: str) -> None:
    escaped = escape(text)
    assert not set(escaped) & set("|`<>$*_[]\n\r\x1b\u2028")
    assert escape(text) == escape(text.replace("\n", " "))


def test_text_in_square_brackets_is_not_markup_in_the_terminal() -> None:
    assert "[red]x[/red]" in terminal([baseline(), control(), record("[red]x[/red]", id="x")])


def test_latency_that_did_not_improve_says_why() -> None:
    def note(axis: str, ratio: float, high: float) -> str | None:
        values = {"latency_cpu_b1_ratio": Value(mean=ratio, low=ratio - 0.05, high=high)}
        ((row,),) = group_records([record(axis=axis, values=values)])
        return explain_latency(row, "latency_cpu_b1")

    assert note("masked", 1.01, 1.02) == MASKED
    assert note("dense", 1.0, 1.02) == SMALL
    assert note("dense", 0.98, 1.02) == SMALL  # not measurably faster
    assert note("dense", 0.7, 0.75) is None
    text = to_markdown(board(suite()))
    assert MASKED in text
    assert SMALL not in text


def test_a_mark_is_of_seeds_and_needs_defined_images() -> None:
    def mark(*means: float, undefined: int = 0) -> str:
        seeds = tuple(range(len(means)))
        values = [Value(mean=m, n=100 - undefined, undefined=undefined) for m in means]
        ((row,),) = group_records(
            record(seed=seed, seeds=seeds, values={"sp2ps/grad-cam": value})
            for seed, value in zip(seeds, values, strict=True)
        )
        return format_verdicts(row, ["grad-cam", "grad-cam++"])

    assert mark(0.96, 0.97, 0.98) == "✓"
    assert mark(0.92, 0.93, 0.94) == "✗"
    assert mark(0.92, 0.95, 0.98) == "–"
    assert mark(0.97, 0.98) == "–"
    assert mark(0.96, 0.97, 0.98, undefined=5) == "✓"
    assert mark(0.96, 0.97, 0.98, undefined=6) == "–"


def test_the_control_comes_second_in_the_terminal_too() -> None:
    lines = terminal(suite()).splitlines()
    first = next(index for index, line in enumerate(lines) if line.split()[:1] == ["baseline°"])
    assert "none" in lines[first + 1]


def test_networks_of_no_axis_are_shown_unranked() -> None:
    text = to_markdown(board([baseline(), control(), record("distilled", None, axis="none")]))
    assert "Not on an axis of compression" in text
    assert "| distilled" in text


@pytest.mark.slow
def test_two_thousand_records_make_a_board() -> None:
    records = [
        found
        for number in range(15)
        for found in suite(
            [f"pruner-{i}" for i in range(11)], seeds=(0, 1, 2), protocol=f"p{number}"
        )
    ]
    assert len(records) > 2000
    assert len(board(records)) == 15
    assert to_markdown(board(records)).count("\n### ") == 15


def test_horizons_are_in_the_board() -> None:
    text = to_markdown(board(world({"a": 0.96, "b": 0.8})))
    assert "Trust horizon, MACs pruned:\n\n| Pruner" in text
    assert "| grad-cam: 0.95" in text


def test_horizons_of_which_nothing_is_known_say_why_once() -> None:
    text = to_markdown(board(suite(["l1-filter"])))
    told = "Trust horizon, MACs pruned: not told: the baseline has 1 of the 3 seeds that it takes."
    assert text.count("of the 3 seeds that it takes") == text.count(told) == 1


HEADLINE = Protocol.model_validate(
    {
        "name": "2026.12",
        "headlines": [
            {
                "suite": "quick",
                "title": "Digits",
                "dataset": "digits",
                "model": "digits-cnn",
                "cams": ["grad-cam"],
                "pruners": ["a", "b"],
            }
        ],
    }
)


def test_headlines_come_first_with_their_title_and_what_they_say() -> None:
    records = world({"a": 0.9, "b": 0.6}, noise=0.001)
    text = to_markdown(board(records, HEADLINE))
    first = text.index("## Headlines\n\n### Digits · digits · digits-cnn")
    said = text.index("- Channels removed: a (place 1, 0.9")
    assert first < said < text.index("Conditions: ") < text.index("#### Dense")


def test_demonstrations_are_folded_and_say_why_once() -> None:
    text = to_markdown(board(world({"a": 0.9, "b": 0.6}, shown_good=False)))
    shown = text.partition("## Demonstrations\n\n<details>\n<summary>digits ")[2]
    assert shown.endswith("</details>\n")
    assert shown.count("nobody trained its network 3 times as long") == 1
    assert "| Rank" not in shown


def test_what_a_method_was_given_more_is_a_footnote() -> None:
    records = [
        each.model_copy(update={"images_seen": 9000, "reads_explanations": True})
        if each.pruner == "a"
        else each.model_copy(update={"images_seen": 1000})
        for each in world({"a": 0.9, "b": 0.6})
    ]
    text = to_markdown(board(records))
    assert "| a<sup>1</sup><sup>2</sup>" in text
    assert "<sup>1</sup> reads explanations<br>" in text
    assert "<sup>2</sup> saw 9 times the training images of the others" in text
