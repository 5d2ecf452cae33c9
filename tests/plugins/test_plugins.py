from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from prunebench.cams import Cam
from prunebench.errors import RequestError
from prunebench.plugins import Chosen, choose, entries, find
from prunebench.plugins.base import from_function, plugin

if TYPE_CHECKING:
    from prunebench.cams import Trace


def one_cam(trace: Trace, *, power: float = 1.0, channels: int | None = None) -> Any:
    """Doubles what it is given."""
    return trace, power, channels


def demanding_cam(trace, *, temperature: float):
    return trace, temperature


@plugin(version=3, random=True)
def marked_cam(trace):
    return trace


def test_a_function_becomes_a_plugin_with_its_keywords_as_parameters() -> None:
    made = from_function(one_cam, Cam)
    assert list(made.model_fields) == ["power", "channels"]
    assert made.__doc__ == one_cam.__doc__
    assert (made.version, made.random) == (1, False)
    assert made()("trace") == ("trace", 1.0, None)
    assert made(power="2", channels=4)("trace") == ("trace", 2.0, 4)
    with pytest.raises(ValidationError, match="power"):
        made(power="much")
    with pytest.raises(ValidationError, match="unknown"):
        made(unknown=1)


def test_a_keyword_without_a_default_is_required() -> None:
    made = from_function(demanding_cam, Cam)
    with pytest.raises(ValidationError, match="temperature"):
        made()
    assert made(temperature=2)("trace") == ("trace", 2)


def test_a_function_can_be_marked_with_version_and_randomness() -> None:
    made = from_function(marked_cam, Cam)
    assert (made.version, made.random) == (3, True)
    assert (Cam.version, Cam.random) == (1, False)


def test_parameters_cannot_be_changed_afterwards() -> None:
    pruner = choose("pruners", "l1-unstructured").plugin
    with pytest.raises(ValidationError):
        pruner.scope = "layerwise"


def test_changed_parameters_are_those_that_differ_from_their_defaults(tmp_path: Path) -> None:
    same = choose("pruners", "l1-filter", {"scope": "global"})
    assert same.plugin.changed_parameters() == {}
    assert same.label == "l1-filter"
    other = choose("pruners", "l1-filter", {"target": "macs", "scope": "layerwise"})
    assert other.plugin.changed_parameters() == {"scope": "layerwise", "target": "macs"}
    assert other.label == "l1-filter(scope=layerwise, target=macs)"
    folder = choose("datasets", "folder", {"path": str(tmp_path / "images"), "size": 8})
    assert folder.plugin.changed_parameters() == {"size": 8}  # the content is in the key instead
    assert folder.label == "folder(path=images, size=8)"


def test_a_family_has_members() -> None:
    chosen = choose("models", "torchvision/resnet18")
    assert chosen.plugin.name == "resnet18"
    assert chosen.label == "torchvision/resnet18"
    trained = choose("models", "torchvision/resnet18", {"training": {"epochs": 1}})
    assert trained.label == "torchvision/resnet18(training={epochs: 1})"
    assert find("models", "torchvision/resnet18") is find("models", "torchvision")
    with pytest.raises(RequestError, match="'grad-cam' has no members"):
        choose("cams", "grad-cam/fast")


@pytest.mark.parametrize(
    ("kind", "name", "parameters", "message"),
    [
        ("pruners", "l1filter", {}, "unknown pruner 'l1filter'; did you mean 'l1-filter'?"),
        ("cams", "zzzzzz", {}, "unknown cam 'zzzzzz'; there is: ablation-cam, aem-rbf, aem-realx,"),
        (
            "pruners",
            "l1-filter",
            {"scop": "global"},
            "pruner 'l1-filter': unknown parameter 'scop'; did you mean 'scope'?",
        ),
        (
            "models",
            "digits-cnn",
            {"training": {"epoch": 1}},
            "model 'digits-cnn': unknown parameter 'epoch'; did you mean 'epochs'?",
        ),
        (
            "models",
            "digits-cnn",
            {"training": {"lr": -1}},
            "model 'digits-cnn': parameter 'training.lr': Input should be greater than 0, found -1",
        ),
        ("datasets", "folder", {}, "dataset 'folder': parameter 'path' is required"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    kind: str, name: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError) as refused:
        choose(kind, name, parameters)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_the_place_of_a_wrong_parameter_is_told() -> None:
    with pytest.raises(RequestError) as refused:
        choose("models", "digits-cnn", {"training": {"lr": -1}})
    assert refused.value.location == ("training", "lr")


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("kind", "name", "parameters"),
    [
        ("cams", "toy-cam", {"power": 2.0}),  # a class made from a function
        ("cams", "grad-cam++", {}),
        ("pruners", "l1-filter", {"target": "macs"}),
        ("models", "torchvision/resnet18", {"training": {"epochs": 1}}),
        ("datasets", "toy-images", {"path": "seed.txt"}),
    ],
)
def test_what_is_chosen_travels_to_other_processes(
    kind: str, name: str, parameters: dict[str, Any]
) -> None:
    chosen: Chosen[Any] = choose(kind, name, parameters)
    again = pickle.loads(pickle.dumps(chosen))
    assert (again.kind, again.name, again.label) == (kind, name, chosen.label)
    assert again.plugin.model_dump() == chosen.plugin.model_dump()
    assert type(again.plugin) is type(chosen.plugin)


def _register(site: Path, package: str, target: str) -> None:
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[prunebench.cams]\ncontested = {target}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Registers a package in one of several folders on the path."""

    def register(folder: str, package: str, target: str) -> None:
        _register(tmp_path / folder, package, target)
        monkeypatch.syspath_prepend(str(tmp_path / folder))
        entries.cache_clear()

    return register


@pytest.fixture(autouse=True)
def _forget_entries() -> Any:
    yield
    entries.cache_clear()


def test_two_packages_may_not_claim_one_name(site: Callable[[str, str, str], None]) -> None:
    site("a", "second", "x:y")
    assert find("cams", "contested").package == "second"
    site("b", "first", "x:y")
    with pytest.raises(RequestError, match="claimed by 'first' and 'second'; uninstall one"):
        find("cams", "contested")
    assert find("cams", "grad-cam").package == "prunebench"


def test_a_package_found_twice_on_the_path_is_one(site: Callable[[str, str, str], None]) -> None:
    site("a", "only", "x:y")
    site("b", "only", "x:y")
    assert find("cams", "contested").package == "only"


def test_a_plugin_is_imported_only_when_it_is_used(site: Callable[[str, str, str], None]) -> None:
    site("a", "lazy", "no_such_module_anywhere:cam")
    entry = find("cams", "contested")
    assert entry.target == "no_such_module_anywhere:cam"
    with pytest.raises(RequestError, match="package 'lazy' is broken: importing no_such_module"):
        _ = entry.plugin_class
