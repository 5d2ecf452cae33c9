"""The board's protocol says what its headline suites say."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunebench.leaderboard.board.grid import GRID
from prunebench.leaderboard.board.protocol import Headline, load_protocol, read_protocol
from prunebench.leaderboard.board.seeds import LEAST_TO_RANK
from prunebench.suite import Suite, load_suite

REPOSITORY = Path(__file__).parent.parent.parent.parent
SUITES = REPOSITORY / "benchmarks" / "board"
PROTOCOL = load_protocol()


@pytest.fixture(params=PROTOCOL.headlines, ids=lambda each: each.suite)
def headline(request: pytest.FixtureRequest) -> Headline:
    found: Headline = request.param
    return found


@pytest.fixture
def suite(headline: Headline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.setenv("PRUNEBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("PRUNEBENCH_WEIGHTS", str(tmp_path))
    loaded = [load_suite(path) for path in SUITES.glob("*.yaml")]
    return next(one for one in loaded if one.name == headline.suite)


def test_the_latest_protocol_is_read() -> None:
    files = sorted((REPOSITORY / "registry" / "protocols").glob("*.yaml"))
    assert read_protocol(files[-1]) == PROTOCOL
    assert all(read_protocol(path).name == path.stem for path in files)


def test_its_pruners_and_methods_are_those_of_the_suite(headline: Headline, suite: Suite) -> None:
    labels = [pruner.label for pruner in suite.pruners]
    assert set(headline.pruners) <= set(labels)
    scored = [
        pruner.label
        for pruner in suite.pruners
        if pruner.plugin.levels != "none" and not pruner.plugin.control and pruner.name != "small"
    ]
    assert list(headline.pruners) == scored
    assert set(headline.cams) == {cam.label for cam in suite.cams}


def test_its_seeds_and_levels_carry_a_rank(suite: Suite) -> None:
    assert suite.seeds == tuple(range(len(suite.seeds)))
    assert len(suite.seeds) >= LEAST_TO_RANK
    for pruner in suite.pruners:
        if pruner.plugin.levels == "continuous" and pruner.name != "small":
            levels = suite.levels_of(pruner.plugin)
            assert levels in (GRID["dense"], GRID["masked"]), pruner.label


def test_nothing_in_it_is_chosen_on_images_that_weights_have_seen(suite: Suite) -> None:
    recipes = [recovery for recovery in suite.recoveries if recovery is not None]
    recipes += [model.plugin.adapt for model in suite.models if model.plugin.adapt is not None]
    assert recipes
    assert {recipe.keep for recipe in recipes} == {"last"}
