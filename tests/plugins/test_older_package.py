"""A package written for prunebench 0.1, and the names of modules that it imports."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import prunebench as pb
from prunebench.conformance import CheckResult
from prunebench.old_names import MOVED, RENAMED
from prunebench.plugins import finding

OLDER = Path(__file__).parents[1] / "toys" / "older"
PENALTY = "older-penalty(pruner={l1-unstructured: {scope: layerwise}}, strength=0.1)"
MERGED = {"prunebench.compression"}
"""Modules that nothing outside the core had a use for, and of which nothing is left."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package, as pip would have left it."""
    folder = tmp_path / "site"
    shutil.copytree(OLDER, folder)
    monkeypatch.syspath_prepend(str(folder))
    for name in [*sys.modules]:
        if name.partition(".")[0] == "older_package" or name.partition(".")[2] in MOVED:
            monkeypatch.delitem(sys.modules, name)
    finding.entries.cache_clear()
    yield folder
    finding.entries.cache_clear()
    for name in [*sys.modules]:
        if name.partition(".")[0] == "older_package":
            del sys.modules[name]


@pytest.mark.slow
def test_it_runs_in_a_suite(site: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        results = pb.run(
            site / "suite.yaml", tmp_path / "store", tracking_uri="", device="cpu", quiet=True
        )
    assert not results.failed
    found = [str(each.message) for each in caught if "older_package" in str(each.filename)]
    assert sorted(message.partition(";")[0] for message in found) == [
        "prunebench.context is now prunebench.plugins.context",
        "prunebench.network is now prunebench.networks.network",
        "prunebench.objective is now prunebench.plugins.objective",
        "prunebench.pruners.nested is now prunebench.plugins.nesting",
        "prunebench.pruners.weights.masking is now prunebench.pruners.weights.masks",
    ]
    networks = {(record.model, record.pruner) for record in results.records}
    models = {"older-cnn", "older-cnn(ready=True)"}
    assert {model for model, _ in networks} == models
    for model in models:
        assert {
            (model, "baseline"),
            (model, "none"),
            (model, "older-narrow"),
            (model, PENALTY),
        } <= networks
    values = {record.pruner: record.values for record in results.records}[PENALTY]
    assert {name for name in values if name.startswith("older")} == {
        f"{metric}/{cam}"
        for metric in ("older_overlap_10", "older_overlap_20", "older_overlap_10(power=2.0)")
        for cam in ("older-cam", "older-cam(power=2.0)")
    }
    means = [values[f"older_overlap_{name}/older-cam"].mean for name in ("10", "20")]
    assert 0 < means[0] < means[1] <= 100
    plugins = results.records[0].provenance["plugins"]
    assert plugins["cams/older-cam"] == "2 (older-package 1.0)"


@pytest.mark.filterwarnings("ignore:prunebench.* is now :DeprecationWarning")
def test_every_module_of_the_older_release_is_found_by_its_name() -> None:
    for name in (OLDER / "modules.txt").read_text().split():
        assert name in MERGED or find_spec(name) is not None, name


def test_every_new_name_is_a_module_and_no_old_name_is_one() -> None:
    for old, new in MOVED.items():
        assert find_spec(f"prunebench.{new}") is not None, new
        assert find_spec(f"prunebench.{new}").origin is not None, f"{new} has moved on"  # type: ignore[union-attr]
        path = Path(pb.__file__).parent.joinpath(*old.split("."))
        assert not path.with_suffix(".py").exists(), old


def import_anew(name: str, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("prunebench.network", "prunebench.networks.network"),
        ("prunebench.pruners.nested", "prunebench.plugins.nesting"),
        ("prunebench.quantised.layers", "prunebench.networks.quantised.layers"),
    ],
)
def test_an_old_name_gives_the_same_things_and_warns_once(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = f"{old} is now {new}; the old name is gone in prunebench"
    parent = old.rpartition(".")[0]
    if parent.removeprefix("prunebench.") in MOVED:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            importlib.import_module(parent)
    with pytest.warns(DeprecationWarning, match=re.escape(message)) as caught:
        module = import_anew(old, monkeypatch)
    assert len(caught) == 1
    theirs = vars(importlib.import_module(new))
    public = [name for name in theirs if not name.startswith("_")]
    assert public
    assert all(getattr(module, name) is theirs[name] for name in public)
    assert module is importlib.import_module(old)  # without a warning, which would be an error


def test_an_old_package_gives_what_the_new_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunebench.record.checking import check_record

    with pytest.warns(DeprecationWarning, match=r"is now prunebench\.record\.checking"):
        package = import_anew("prunebench.checking", monkeypatch)
    assert package.check_record is check_record  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:prunebench.* is now :DeprecationWarning")
def test_renamed_functions_are_in_their_old_modules() -> None:
    for module, names in RENAMED.items():
        old = importlib.import_module(f"prunebench.{module}")
        new = importlib.import_module(f"prunebench.{MOVED[module]}")
        for before, now in names.items():
            assert getattr(old, before) is getattr(new, now)


@pytest.mark.filterwarnings("ignore:prunebench.* is now :DeprecationWarning")
def test_what_the_older_templates_import_is_there() -> None:
    for line in (OLDER / "imports.txt").read_text().splitlines():
        module, name = line.split()
        assert hasattr(importlib.import_module(module), name), line


def test_old_words_of_names_that_stay_warn() -> None:
    with pytest.warns(DeprecationWarning, match="place is now location; the old name"):
        error = pb.RequestError("no", place=("pruner", 0))
    assert error.location == ("pruner", 0)
    with pytest.warns(DeprecationWarning, match="place is now location"):
        assert error.place == ("pruner", 0)
    with pytest.warns(DeprecationWarning, match="Outcome is now CheckResult"):
        from prunebench.conformance import Outcome
    assert Outcome is CheckResult


def test_the_facades_give_no_warning_and_a_wrong_name_is_not_found() -> None:
    program = """
import warnings
warnings.simplefilter("error", DeprecationWarning)
from prunebench.plugin import Plugin, plugin
from prunebench.recipe import Recipe
from prunebench.pruners import Context, Pruner
import sys
assert not {"torch"} & set(sys.modules)
try:
    import prunebench.netwrok
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "No module named 'prunebench.netwrok'", done.stderr


def test_an_old_name_in_our_own_code_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeprecationWarning, match=r"is now prunebench\.networks\.training"):
        import_anew("prunebench.training", monkeypatch)
