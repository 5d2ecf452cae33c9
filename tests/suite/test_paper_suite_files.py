"""The suites in ``benchmarks/papers``: planned without their data, and held to the works' cards."""

from __future__ import annotations

import gzip
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import torch
from torch import nn

from prunebench.datasets import cifar10, mnist, stl10
from prunebench.leaderboard.papers.cards.printed import parse_number
from prunebench.leaderboard.papers.cards.registry import read_works
from prunebench.leaderboard.papers.cards.work import PublishedExperiment, Work
from prunebench.leaderboard.papers.differences import matches
from prunebench.plan.environment import Environment
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.pruners import Context
from prunebench.pruners.filters.hrank import HRank
from prunebench.pruners.filters.magnitude import L1Filter
from prunebench.store.digests import Digests
from prunebench.suite import Suite, load_suite

SUITES = Path(__file__).parent.parent.parent / "benchmarks" / "papers"
PATHS = sorted(SUITES.glob("*.yaml"))
REPEATED = [
    pytest.param(work, experiment, id=f"{name}/{experiment.name}")
    for name, work in read_works().items()
    for experiment in work.experiments
    if (experiment.suite or "").startswith("benchmarks/papers/")
]


@pytest.fixture(autouse=True)
def placeholders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the right names in the right places: plans look at no more of them."""
    raw, images = "data/mnist/MNIST/raw", "data/cifar10-jpeg"
    names = [f"{raw}/{file}.gz" for file in mnist.FILES]
    names += [f"{images}/{split}.parquet" for split in ("train", "test")]
    names += [f"cache/{cifar10.FOLDER}/{file}" for file in cifar10.FILES]
    names += [f"cache/{stl10.FOLDER}/{file}" for file in stl10.FILES]
    names += [f"imagenet/{split}/n01440764/image.JPEG" for split in ("train", "test")]
    for path in PATHS:
        found = re.findall(r"\$\{PRUNEBENCH_WEIGHTS\}/([\w.-]+)", path.read_text(encoding="utf-8"))
        names += [f"weights/{name}" for name in found]
    for name in names:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(gzip.compress(name.encode()))
    folders = {"DATA": "data", "WEIGHTS": "weights", "CACHE": "cache"}
    for variable, folder in folders.items():
        monkeypatch.setenv(f"PRUNEBENCH_{variable}", str(tmp_path / folder))
    monkeypatch.setenv("IMAGENET", str(tmp_path / "imagenet"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_suite_is_planned_where_its_files_are(path: Path) -> None:
    suite = load_suite(path)
    trials = list(plan_trials(Identities(suite, Environment(), Digests())))
    pairs = len(suite.datasets) * len(suite.models) * len(suite.seeds)
    assert len(trials) > pairs * len(suite.pruners)  # the untouched baseline is no pruner
    assert all(trial.cells for trial in trials)


QUESTIONS = sorted((SUITES.parent / "questions").glob("*.yaml"))


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_a_question_changes_one_thing_and_trains_no_network_of_its_own(path: Path) -> None:
    digests = Digests()
    asked, known = (load_suite(each) for each in (path, SUITES / "isp-cifar10-small.yaml"))
    networks = [
        [trial.network.key for trial in plan_trials(Identities(suite, Environment(), digests))]
        for suite in (asked, known)
    ]
    assert networks[0] == networks[1]
    options = [suite.explain.model_dump() for suite in (asked, known)]
    assert sum(options[0][name] != options[1][name] for name in options[0]) == 1


@pytest.mark.parametrize("path", sorted(SUITES.glob("*-small.yaml")), ids=lambda path: path.stem)
def test_a_small_suite_has_no_method_that_its_whole_one_has_not(path: Path) -> None:
    stem = path.stem.removesuffix("-small")
    while not (SUITES / f"{stem}.yaml").exists():
        stem, _, rest = stem.rpartition("-")
        assert rest, "a small suite is called after the suite that it reduces"
    small, whole = load_suite(path), load_suite(SUITES / f"{stem}.yaml")
    for kind in ("pruners", "cams"):
        names = [{use.name for use in getattr(suite, kind)} for suite in (small, whole)]
        assert names[0] <= names[1]
    assert set(small.levels) <= set(whole.levels)
    assert small.explain.images <= whole.explain.images
    assert {dataset.name for dataset in small.datasets} == {"parquet"}
    assert {dataset.name for dataset in whole.datasets} == {"cifar10"}


def repeated(experiment: PublishedExperiment) -> Suite:
    return load_suite(SUITES.parent.parent / str(experiment.suite))


@pytest.mark.parametrize(("work", "experiment"), REPEATED)
def test_a_suite_has_the_rows_that_its_card_looks_for(
    work: Work, experiment: PublishedExperiment
) -> None:
    suite = repeated(experiment)
    datasets, models, pruners = (
        [use.label for use in uses] for uses in (suite.datasets, suite.models, suite.pruners)
    )

    def finds(patterns: tuple[str, ...]) -> bool:
        return any(matches(label, patterns) for label in pruners)

    assert any(
        any(matches(label, rows.datasets) for label in datasets)
        and any(matches(label, rows.models) for label in models)
        and (not rows.pruners or finds(rows.pruners))
        for rows in (experiment.ours, *experiment.similar)
    )
    for row in experiment.rows:
        assert not row.pruners or finds(row.pruners), f"nothing for {row.label}"
        level = row.values.get("flops")
        if row.label.startswith(work.short) and isinstance(level, str):
            there = parse_number(level) / 100 in [
                pytest.approx(one, abs=0.005) for one in suite.levels
            ]
            assert there != ("No suite has this level." in (row.note or "")), row.label


@pytest.mark.parametrize(("work", "experiment"), REPEATED)
def test_a_whole_suite_has_the_works_own_data(work: Work, experiment: PublishedExperiment) -> None:
    suite, ours = repeated(experiment), experiment.ours
    same = any(matches(use.label, ours.models) for use in suite.models)
    assert same or all(rows.differs for rows in experiment.similar)
    if same:  # the first pattern alone lets an experiment count as run
        assert any(matches(use.label, ours.datasets[:1]) for use in suite.datasets)


@pytest.mark.parametrize("path", sorted(SUITES.glob("*-small.yaml")), ids=lambda path: path.stem)
def test_the_rows_of_a_small_suite_are_found_but_never_as_the_experiment_itself(path: Path) -> None:
    suite = load_suite(path)
    experiments = [
        experiment
        for work in read_works().values()
        for experiment in work.experiments
        if experiment.suite and path.stem.startswith(Path(experiment.suite).stem)
    ]
    found = [
        rows
        for experiment in experiments
        for rows in (experiment.ours, *experiment.similar)
        if any(matches(use.label, rows.datasets) for use in suite.datasets)
        and any(matches(use.label, rows.models) for use in suite.models)
        and any(not rows.pruners or matches(use.label, rows.pruners) for use in suite.pruners)
    ]
    assert found
    for experiment in experiments:
        assert not any(matches(use.label, experiment.ours.datasets[:1]) for use in suite.datasets)


@pytest.mark.parametrize(("work", "experiment"), REPEATED)
def test_a_suite_is_run_under_the_conditions_that_its_card_states(
    work: Work, experiment: PublishedExperiment
) -> None:
    suite, stated = repeated(experiment), experiment.conditions
    if stated.recovery is not None:
        (recovery,) = suite.recoveries
        assert recovery is not None
        found = recovery.model_dump(mode="json")
        assert {name: found[name] for name in stated.recovery} == stated.recovery
    if stated.explained_images is not None:
        assert suite.explain.images == stated.explained_images
    if stated.class_policy is not None:
        assert suite.explain.classes == stated.class_policy
    if stated.seeds is not None:
        assert len(suite.seeds) == stated.seeds


@pytest.mark.parametrize("stem", ["isp-cifar10", "isp-cifar10-small", "isp-imagenet"])
def test_the_published_row_of_isp_is_no_row_of_its_ablation(stem: str) -> None:
    (published,) = {
        row.pruners for e in read_works()["isp"].experiments for row in e.rows if row.label == "ISP"
    }
    rows = [use for use in load_suite(SUITES / f"{stem}.yaml").pruners if use.name == "isp"]
    whole = [
        use
        for use in rows
        if use.plugin.classification and use.plugin.interpretation and use.plugin.masks == "rbf"
    ]
    assert published
    assert [use for use in rows if any(fnmatchcase(use.label, p) for p in published)] == whole
    assert len(whole) == 1


RESNET56 = "[0.1]+[0.60]*35+[0.0]*2+[0.6]*6+[0.4]*3" + "+[0.1]+[0.4]" * 4
VGG16 = "[0.95]+[0.5]*6+[0.9]*4+[0.8]*2"


def spelled_out(rates: str) -> list[float]:
    """Rates as the authors of HRank write them: ``[0.5]*3+[0.9]`` is four."""
    terms = re.findall(r"\[([\d.]+)\](?:\*(\d+))?", rates)
    return [float(rate) for rate, times in terms for _ in range(int(times or 1))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "layers", "published", "level"),
    [
        ("hrank-cifar10-resnet56", r"layer\d\.\d\.conv1", spelled_out(RESNET56)[1::2], 0.5),
        ("hrank-cifar10-vgg16", r"features\.conv\d+", spelled_out(VGG16), 0.87),
    ],
)
@pytest.mark.parametrize("size", ["", "-small"])
def test_the_rates_of_hrank_are_the_authors_and_stay_so_at_their_level(
    stem: str, layers: str, published: list[float], level: float, size: str
) -> None:
    suite = load_suite(SUITES / f"{stem}{size}.yaml")
    (given,) = (
        use.plugin.rates
        for use in suite.pruners
        if isinstance(use.plugin, HRank) and use.plugin.rates
    )
    network = suite.models[0].plugin.build(10, 3, (32, 32)).eval()
    names = [name for name, _ in network.named_modules() if re.fullmatch(layers, name)]
    rates = dict(zip(names, published, strict=True))
    assert given == {name: rate for name, rate in rates.items() if rate}
    filters = channels(network)
    pruner = L1Filter(target="macs", rates=given)  # any ranking: the rates say how many
    left = channels(pruner.compress(network, level, context(network)))
    removed = {name: 1 - left[name] / filters[name] for name in names}
    # The nearest whole filter of 16 is as far as a thirty-second away.
    assert removed == pytest.approx(rates, abs=0.04)


def context(network: nn.Module) -> Context:
    return Context(
        example=torch.zeros(1, 3, 32, 32),
        batches=lambda images, batch_size: iter(()),
        classes=10,
        seed=0,
        device=torch.device("cpu"),
        baseline=network,
    )


def channels(network: nn.Module) -> dict[str, int]:
    return {n: m.out_channels for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}


@pytest.mark.slow
def test_a_fifth_of_the_filters_is_what_the_example_of_sp2ps_removes() -> None:
    suite = load_suite(SUITES / "sp2ps-cifar10.yaml")
    filters = [use.plugin for use in suite.pruners if isinstance(use.plugin, L1Filter)]
    network = suite.models[0].plugin.build(10, 3, (32, 32)).eval()
    assert 0.2 in suite.levels
    pruned = filters[0].compress(network, 0.2, context(network))
    assert next(iter(channels(pruned).values())) == 102  # of 128
