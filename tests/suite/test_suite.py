from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prunebench.errors import RequestError
from prunebench.suite import load_suite

Write = Callable[..., Path]


def test_a_suite_is_the_product_of_its_lists(toy_suite: Write) -> None:
    suite = load_suite(toy_suite(seeds="[0, 1]"))
    assert [pruner.name for pruner in suite.pruners] == [
        "none",
        "l1-unstructured",
        "random-unstructured",
    ]
    assert suite.levels == (0.3, 0.6)
    assert suite.seeds == (0, 1)
    assert suite.recoveries[0] is not None
    assert suite.recoveries[0].lr == 1e-3


def test_pruners_that_count_channels_may_have_levels_of_their_own(toy_suite: Write) -> None:
    pruners = "[lamp, l1-filter, isp, int8-after, int8-after: {pruner: lamp}, gradual]"
    suite = load_suite(toy_suite(levels="{dense: [0.1, 0.5], masked: [0.9]}", pruners=pruners))
    assert {each.label: suite.levels_of(each.plugin) for each in suite.pruners[1:]} == {
        "lamp": (0.9,),
        "l1-filter": (0.1, 0.5),
        "isp": (0.1, 0.5),
        "int8-after": (0.1, 0.5),
        "int8-after(pruner=lamp)": (0.9,),
        "gradual": (0.9,),
    }


def test_paths_are_relative_to_the_suite(toy_suite: Write, tmp_path: Path) -> None:
    suite = load_suite(toy_suite())
    assert suite.datasets[0].plugin.files() == [tmp_path / "seed.txt"]


@pytest.mark.slow
def test_the_committed_suites_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEBENCH_DATA", "/data")
    monkeypatch.setenv("PRUNEBENCH_WEIGHTS", "/weights")
    monkeypatch.setenv("IMAGENET", "/imagenet")
    benchmarks = Path(__file__).parent.parent.parent / "benchmarks"
    suites = sorted(benchmarks.rglob("*.yaml"))
    assert suites
    for path in suites:  # named for their folder and file
        named = "-".join(path.relative_to(benchmarks).with_suffix("").parts)
        assert load_suite(path).name == named


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"pruners": "[l1-unstructurd]"}, "did you mean 'l1-unstructured'"),
        ({"pruners": "[{l1-unstructured: {scop: global}}]"}, "did you mean 'scope'"),
        (
            {"pruners": "[{l1-unstructured: {scope: everywhere}}]"},
            "'global', 'layerwise', 'erk' or 'sensitivity'",
        ),
        ({"pruners": "[l1-unstructured, l1-unstructured]"}, "listed twice"),
        ({"levels": "[0.2, 1.0]"}, r"level 1.0 is outside \[0, 1\)"),
        ({"levels": "[-0.1]"}, "outside"),
        ({"levels": "['0.2']"}, "is not a number"),
        ({"levels": "[]"}, "empty list"),
        ({"levels": None}, "'levels' is missing"),
        ({"levels": "{masked: [0.2, 0.2]}"}, "listed twice"),
        ({"levels": "{masked: []}"}, "empty list"),
        ({"levels": "{mask: [0.2]}"}, "did you mean 'masked'"),
        ({"levels": "{dense: [0.2]}"}, "'masked' is missing, which pruner 'l1-unstructured' needs"),
        ({"metrics": "[]"}, "empty list"),
        ({"seeds": "[zero]"}, "not a whole number"),
        ({"recovery": "{epochs: two}"}, "epochs"),
        ({"recovery": "{epoch: 2}"}, "did you mean 'epochs'"),
        ({"explain": "{images: 0}"}, "images"),
        ({"explain": "{target_layer: {resnet20: layer3}}"}, "not a model of this suite"),
        ({"cams": None}, "'cams' is missing"),
        ({"name": "../escape"}, "letters, digits"),
        ({"modles": "[x]"}, "did you mean 'models'"),
        ({"models": "[toy-cnn]"}, "mean the same"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(
    toy_suite: Write, lines: dict[str, str | None], message: str
) -> None:
    path = toy_suite(**lines)
    with pytest.raises(RequestError, match=message) as caught:
        load_suite(path)
    assert str(caught.value).startswith(str(path))
    key, value = next(iter(lines.items()))
    if value is not None and key != "cams":
        written = [line.startswith(f"{key}:") for line in path.read_text().split("\n")].index(True)
        assert caught.value.where == f"{path}:{written + 1}"


def test_a_suite_made_in_python_may_not_list_a_label_twice(toy_suite: Write) -> None:
    """Keys and results are told apart by labels, which leave the folders of data sets out."""
    suite = load_suite(toy_suite())
    with pytest.raises(RequestError, match=r"'toy-images\(path=seed.txt\)' is listed twice"):
        replace(suite, datasets=suite.datasets * 2)
