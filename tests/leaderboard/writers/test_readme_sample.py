"""The sample of the board in a README: which section, and what stands above it."""

from __future__ import annotations

from synthetic import suite
from worlds import world

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.protocol import Protocol
from prunebench.leaderboard.writers.readme import MOST_ROWS, make_sample
from prunebench.record import Record

NOTHING = Protocol(name="2026.12", headlines=())


def headline(suite_name: str) -> Protocol:
    told = {
        "suite": suite_name,
        "title": "Digits",
        "dataset": "digits",
        "model": "digits-cnn",
        "cams": ("grad-cam",),
        "pruners": ("a", "b"),
    }
    return Protocol.model_validate({"name": "2026.12", "headlines": (told,)})


def ranked() -> list[Record]:
    return world({"a": 0.9, "b": 0.6}, noise=0.001, protocol="ranked")


def test_a_headline_comes_before_all_and_says_what_it_found() -> None:
    many = [each.model_copy(update={"suite": "other"}) for each in suite(floors=True)]
    text = make_sample(board([*ranked(), *many], headline("quick")))
    assert text.startswith("**Digits**\n\n- Channels removed: a (place 1, 0.9")
    assert "protocol ranked" in text


def test_without_headlines_a_ranked_section_is_shown_and_nothing_summarised() -> None:
    text = make_sample(board([*ranked(), *suite(floors=True)], NOTHING))
    assert "protocol ranked" in text
    assert "Channels removed" not in text


def test_a_large_headline_is_cut_and_says_so() -> None:
    pruners = {name: 0.9 - 0.05 * place for place, name in enumerate("abcdef")}
    text = make_sample(board(world(pruners, noise=0.001), headline("quick")))
    assert text.count("\n| ") == 1 + MOST_ROWS  # and the headings
    assert "more rows are on the board" in text
