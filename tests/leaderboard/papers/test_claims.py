"""Verdicts on published numbers: they follow from protocol, seeds and interval, and no number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from synthetic import CONDITIONS, baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.leaderboard.papers.claims import Claim, count_claims, judge_experiment, judge_number
from prunebench.leaderboard.papers.compare import compare_experiment
from prunebench.leaderboard.site.papers import page as papers_page
from prunebench.record import Record

MEANS = (0.90, 0.92, 0.94)
"""Sp2PS under three seeds: 0.92 with Student's interval 0.8703 to 0.9697."""


def experiment(printed: Any = "0.95", **changes: Any) -> PublishedExperiment:
    """A published Sp2PS at half of the filters."""
    content: dict[str, Any] = {
        "name": "one",
        "title": "One table",
        "source": "table 1",
        "suite": "benchmarks/quick.yaml",
        "conditions": {
            "dataset": "Digits",
            "model": "Its network",
            "recovery": {"epochs": 2, "lr": 1e-3},
            "explained_images": 500,
        },
        "quantities": {
            "level": {"title": "removed", "unit": "percent", "ours": "level"},
            "maps": {"title": "Sp2PS", "ours": "sp2ps/grad-cam"},
        },
        "nearest": "level",
        "ours": {"datasets": ["digits", "copies*"], "models": ["digits-cnn"], "pruners": ["l1-*"]},
        "rows": [{"label": "a", "values": {"level": "50%", "maps": printed}}],
    }
    return PublishedExperiment.model_validate(content | changes)


def suite(means: Sequence[float] = MEANS, level: float = 0.5, **fields: Any) -> list[Record]:
    """One network under as many seeds as means of Sp2PS, with its controls."""
    seeds = tuple(range(len(means)))
    found = []
    for seed, mean in enumerate(means):
        common: dict[str, Any] = {"seeds": seeds, **fields, "seed": seed}
        found += [baseline(**common), control(**common), record(level=level, sp2ps=mean, **common)]
    return found


def judge(one: PublishedExperiment, records: Sequence[Record], key: str = "maps") -> Claim | None:
    (beside,) = compare_experiment(one, board(records)).rows
    return judge_number(one, beside, next(n for n in beside.numbers if n.key == key))


def verdict(one: PublishedExperiment, records: Sequence[Record], key: str = "maps") -> str | None:
    claim = judge(one, records, key)
    return claim and claim.verdict


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("0.92", "reproduced"),
        ("0.8703", "reproduced"),
        ("0.870", "reproduced"),
        ("0.869", "differs"),
        ("0.9697", "reproduced"),
        ("0.9699", "differs"),
        ("0.50", "differs"),
    ],
)
def test_inside_the_interval_over_seeds_is_reproduced_and_outside_differs(
    printed: str, said: str
) -> None:
    claim = judge(experiment(printed), suite())
    assert claim is not None
    assert claim.verdict == said
    where = "inside" if said == "reproduced" else "outside"
    assert claim.reasons[0].startswith(f"{where} [0.87")
    assert claim.reasons[0].endswith("over 3 seeds")


def test_what_is_printed_stands_for_all_that_round_to_it() -> None:
    equal = suite((0.924, 0.924, 0.924))
    assert verdict(experiment("0.92"), equal) == "reproduced"
    assert verdict(experiment("0.920"), equal) == "differs"


@pytest.mark.parametrize("means", [(0.95,), (0.95, 0.95)])
def test_fewer_than_three_seeds_claim_nothing_however_near(means: tuple[float, ...]) -> None:
    claim = judge(experiment(), suite(means))
    assert claim is not None
    assert claim.verdict == "similar protocol only"
    count = "1 seed" if len(means) == 1 else "2 seeds"
    assert claim.reasons == (f"{count}, of which 3 are needed",)


def test_a_missing_seed_claims_nothing() -> None:
    claim = judge(experiment(), suite(seeds=(0, 1, 2, 3)))
    assert claim == Claim("similar protocol only", ("3 of 4 seeds",))


def test_another_number_of_seeds_than_theirs_is_no_other_protocol() -> None:
    stated = experiment().conditions.model_dump() | {"seeds": 1}
    assert verdict(experiment(conditions=stated), suite()) == "reproduced"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recovery": {"epochs": 1, "lr": 1e-3}}, "fine-tuning epochs 1 (2 there)"),
        ({"explained_images": 100}, "100 images explained (500 there)"),
        ({"dataset": "copies(of=digits)"}, "data: copies(of=digits) (Digits there)"),
    ],
)
def test_another_protocol_claims_nothing_however_near(changes: dict[str, Any], reason: str) -> None:
    conditions = CONDITIONS.model_copy(update=changes)
    claim = judge(experiment(), suite((0.94, 0.95, 0.96), conditions=conditions))
    assert claim is not None
    assert claim.verdict == "similar protocol only"
    assert reason in claim.reasons


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"ours": experiment().ours.model_dump() | {"differs": ("its noise is another",)}},
            "its noise is another",
        ),
        ({"suite": None}, "no suite repeats the experiment so far"),
        (
            {"suite": "benchmarks/papers/digits.yaml"},
            "of the suite quick; papers-digits repeats the experiment",
        ),
        (
            {"rows": [{"label": "a", "values": {"level": "40%", "maps": "0.95"}}]},
            "the nearest level of ours has removed 50% (40% there)",
        ),
        (
            {
                "quantities": experiment().model_dump()["quantities"]
                | {"maps": {"title": "x", "ours": "sp2ps/grad-cam", "note": "Theirs is squared."}}
            },
            "Theirs is squared.",
        ),
    ],
)
def test_what_the_card_or_the_matcher_names_is_another_protocol(
    changes: dict[str, Any], reason: str
) -> None:
    claim = judge(experiment(**changes), suite())
    assert claim == Claim("similar protocol only", (reason,))


def test_a_similar_network_claims_nothing() -> None:
    similar = [{"datasets": ["digits"], "models": ["*"]}]
    elsewhere = suite(conditions=CONDITIONS.model_copy(update={"model": "resnet20"}))
    assert verdict(experiment(similar=similar), elsewhere) == "similar protocol only"


def test_levels_that_the_card_does_not_tell_apart_claim_nothing() -> None:
    one = experiment(nearest=None, rows=[{"label": "a", "values": {"maps": "0.92"}}])
    assert verdict(one, suite()) == "reproduced"
    claim = judge(one, [*suite(), *suite(level=0.2)])
    reason = "one of 2 rows of ours, which the card does not tell apart"
    assert claim == Claim("similar protocol only", (reason,))


def test_the_column_that_chose_our_row_is_not_reproduced_by_it() -> None:
    claim = judge(experiment(), suite(), "level")
    assert claim == Claim("similar protocol only", ("our row was chosen by this number",))


def test_a_number_over_levels_claims_nothing() -> None:
    quantities = {"most": {"title": "most", "ours": "max(sp2ps/grad-cam)"}}
    rows = [{"label": "a", "values": {"most": "0.95"}}]
    one = experiment(nearest=None, quantities=quantities, rows=rows)
    records = [r for level in (0.2, 0.5, 0.8) for r in suite(level=level)]
    claim = judge(one, records, "most")
    reason = "a number over levels has no interval over seeds"
    assert claim == Claim("similar protocol only", (reason,))


def test_a_difference_to_the_baseline_is_read_under_each_seed() -> None:
    quantities = {"drop": {"title": "drop", "unit": "percent", "ours": "- accuracy_drop"}}
    rows = [{"label": "a", "values": {"drop": "-3.0%"}}]
    one = experiment(nearest=None, quantities=quantities, rows=rows)
    seeds: dict[str, Any] = {"seeds": (0, 1, 2)}
    # The networks' accuracies vary far more than what each lost against its own baseline.
    records = [
        made
        for seed, accuracy in enumerate((0.7, 0.8, 0.9))
        for made in (
            baseline(accuracy, seed=seed, **seeds),
            record(accuracy=accuracy - 0.02 - 0.001 * seed, seed=seed, **seeds),
        )
    ]
    claim = judge(one, records, "drop")
    assert claim == Claim("differs", ("outside [−2.35, −1.85] over 3 seeds",))


def test_what_has_no_number_of_ours_was_not_run() -> None:
    assert judge(experiment(), ()) == Claim("not run", ("not run yet: benchmarks/quick.yaml",))
    free = experiment().model_dump()["quantities"] | {"maps": {"title": "x"}}
    claim = judge(experiment(quantities=free), suite())
    assert claim == Claim("not run", ("nothing of ours answers it",))
    unmeasured = [one.model_copy(update={"values": {}}) for one in suite()]
    assert verdict(experiment(), unmeasured) == "not run"


def test_words_are_no_number() -> None:
    one = experiment({"words": "hardly any"})
    assert judge(one, suite()) is None
    assert len(judge_experiment(compare_experiment(one, board(suite())))) == 1


def test_all_verdicts_are_counted_also_those_that_nothing_has() -> None:
    claims = [Claim("not run", ()), Claim("reproduced", ()), Claim("not run", ())]
    assert count_claims(claims) == "1 reproduced, 0 differ, 0 similar protocol only, 2 not run"


CARD = """\
title: A work
short: Work
kind: article
authors: A. Author
summary: It measures.
protocol: [By measuring.]
experiments:
  - name: one
    title: One table
    source: table 1
    suite: benchmarks/quick.yaml
    conditions: {dataset: digits, model: its, recovery: {epochs: 2, lr: 1e-3}}
    quantities:
      level: {title: removed, unit: percent, ours: level}
      maps: {title: Sp2PS, ours: sp2ps/grad-cam}
    nearest: level
    ours: {datasets: [digits], models: [digits-cnn]}
    rows:
      - {label: near, values: {level: 50%, maps: "0.92"}}
      - {label: far, values: {level: 50%, maps: "0.10"}}
      - {label: other, pruners: [], values: {level: 50%, maps: "0.92"}}
"""


def test_the_page_shows_verdicts_with_reasons_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunebench.leaderboard.papers.cards.registry import read_works

    (tmp_path / "work.yaml").write_text(CARD, encoding="utf-8")
    monkeypatch.setattr(papers_page, "read_works", lambda: read_works(tmp_path))
    papers_page.write(board(suite()), tmp_path)
    page = (tmp_path / "papers.html").read_text(encoding="utf-8")
    count = "1 reproduced, 1 differ, 2 similar protocol only, 2 not run"
    assert f"<b>Of its numbers: {count}.</b>" in page
    assert page.count(count) == 3  # in the list of works, at the work and at its experiment
    assert 'title="inside [0.870, 0.970] over 3 seeds">reproduced</span>' in page
    assert 'title="outside [0.870, 0.970] over 3 seeds">differs</span>' in page
    assert "Not run, nothing of ours beside other: no compressor of this kind here." in page
