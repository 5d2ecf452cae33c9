"""Which rows draw a work's figures again: the experiment's own first, and a curve where any can."""

from __future__ import annotations

import random
from typing import Any

import pytest
from drawing import experiment, measured

from prunebench.leaderboard.board import board
from prunebench.leaderboard.papers.cards.registry import read_works
from prunebench.leaderboard.papers.compare import compare_experiment
from prunebench.leaderboard.papers.regenerated import RegeneratedFigures, regenerate
from prunebench.record import Record

OTHER = {"model": "resnet20(deep)"}


def drawn(records: list[Record], **changes: Any) -> tuple[RegeneratedFigures, ...]:
    return regenerate(experiment(**changes), board(records))


def suites(found: tuple[RegeneratedFigures, ...]) -> list[str]:
    return [each.place.section.first.suite for each in found]


def levels(one: RegeneratedFigures) -> list[list[list[float | None]]]:
    """Of each figure and method."""
    return [
        [[row.first.level for row in method.rows] for method in figure.methods]
        for figure in one.figures
    ]


def test_the_same_experiment_draws_all_its_figures_by_rising_level() -> None:
    (found,) = drawn(measured(levels=(0.6, 0.2, 0.4)))
    assert found.place.exact
    assert levels(found) == [[[0.2, 0.4, 0.6]], [[0.2, 0.4, 0.6]], [[0.2, 0.4, 0.6]] * 2]
    assert found.start is not None
    assert found.start.first.role == "control"


def test_similar_rows_draw_only_where_there_are_none_of_the_same() -> None:
    similar = measured(changed=OTHER, suite="zoo", protocol="p2")
    (alone,) = drawn(similar)
    assert not alone.place.exact
    assert all("another network: resnet20 (Its network there)" in why for why in alone.why)
    assert suites(drawn([*measured(), *similar])) == ["papers-digits"]


def test_a_single_level_stands_as_points_and_similar_rows_add_the_curve() -> None:
    similar = measured(changed=OTHER, suite="zoo", protocol="p2")
    small = measured(levels=(0.6,), suite="papers-digits-small", changed={"dataset": "copies"})
    first, second = drawn([*similar, *small])
    assert suites((first, second)) == ["papers-digits-small", "zoo"]
    assert not any(figure.has_levels for figure in first.figures)
    assert all(figure.has_levels for figure in second.figures)
    # Other single levels add nothing.
    more = measured(levels=(0.4,), changed=OTHER | {"device": "cuda"}, suite="b", protocol="p3")
    assert len(drawn([*similar, *small, *more])) == 2


def test_a_copy_of_the_data_is_similar() -> None:
    (found,) = drawn(measured(changed={"dataset": "copies"}))
    assert not found.place.exact
    one = experiment()
    assert (
        compare_experiment(one, board(measured(changed={"dataset": "copies"}))).state
        == "similar rows only"
    )
    assert compare_experiment(one, board(measured())).state == "run"
    assert compare_experiment(one, ()).state == "not run yet"


@pytest.mark.parametrize("suite", ["papers-digits", "papers-digits-small"])
def test_the_experiments_own_suite_comes_before_more_levels(suite: str) -> None:
    own = measured(levels=(0.2, 0.4), suite=suite, changed={"explained_images": 100}, protocol="p9")
    others = measured(levels=(0.1, 0.2, 0.3), suite="papers-digits2")
    assert suites(drawn([*others, *own])) == [suite]


def test_numbers_do_not_decide() -> None:
    better = measured(changed={"device": "cuda"}, protocol="p2")
    better = [
        one.model_copy(
            update={"values": one.values | {"accuracy": one.values["params"]}}  # far above all
        )
        for one in better
    ]
    (found,) = drawn([*better, *measured()])
    assert found.place.section.first.protocol == "p1"


def test_of_a_methods_variants_that_with_most_levels_then_the_plainest_is_drawn() -> None:
    names = ("l1-filter(target=macs)", "l1-filter", "random-filter")
    (found,) = drawn(measured(pruners=names))
    assert found.figures[0].methods[0].pruner == "l1-filter"
    more = measured(levels=(0.8,), pruners=names[:1])
    (found,) = drawn([*measured(pruners=names), *more])
    assert found.figures[0].methods[0].pruner == "l1-filter(target=macs)"


def test_methods_stand_in_the_order_of_the_card_not_of_the_board() -> None:
    maps = {"pruners": ["random-filter", "l1-filter"], "cams": {"grad-cam": "figure 3"}}
    (found,) = drawn(measured(), curves=[], heatmaps=maps)
    assert [method.pruner for method in found.figures[0].methods] == maps["pruners"]


def test_rows_that_have_nothing_to_show_draw_nothing() -> None:
    (found,) = drawn(measured(heatmaps=()))
    assert len(found.figures) == 2  # no heatmaps kept
    (found,) = drawn(measured(pruners=("random-filter",)))
    assert [figure.asked for figure in found.figures] == [
        experiment().curves[1],
        experiment().heatmaps,
    ]
    assert drawn(measured(pruners=("fpgm",))) == ()
    assert drawn([]) == ()


def test_without_a_control_the_baseline_is_the_start() -> None:
    (found,) = drawn([one for one in measured() if one.role != "control"])
    assert found.start is not None
    assert found.start.first.role == "baseline"


def test_the_order_of_records_changes_nothing() -> None:
    records = [*measured(), *measured(changed=OTHER, suite="zoo", protocol="p2")]
    first = drawn(records)
    random.Random(0).shuffle(records)
    assert drawn(records) == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "name", "model", "pruners", "suite"),
    [
        (
            "sp2ps",
            "figures-cifar10",
            "sp2ps-cifar10(training={epochs: 2})",
            ("l1-unstructured", "random-unstructured", "l1-filter(scope=layerwise)"),
            "papers-sp2ps-cifar10-small",
        ),
        (
            "interpretable-pruning",
            "figure-2",
            "resnet20(adapt={epochs: 2})",
            ("interpretable", "hrank", "l1-filter", "random-filter"),
            "papers-interpretable-cifar10-small",
        ),
    ],
)
def test_records_of_the_small_suites_draw_the_cards_figures(
    work: str, name: str, model: str, pruners: tuple[str, ...], suite: str
) -> None:
    (one,) = (found for found in read_works()[work].experiments if found.name == name)
    conditions = {"dataset": "parquet(path=cifar10-jpeg)", "model": model}
    records = measured(pruners=pruners, suite=suite, changed=conditions)
    elsewhere = conditions | {"model": "resnet20(adapt={epochs: 9})"}
    zoo = measured(
        levels=(0.1, 0.2, 0.3, 0.4), pruners=pruners, changed=elsewhere, suite="zoo", protocol="p0"
    )
    (found,) = regenerate(one, board([*zoo, *records]))
    assert found.place.section.first.suite == suite
    assert [figure.asked for figure in found.figures] == list(one.figures)
    assert not found.place.exact
