"""What ``import prunebench as pb`` promises."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import prunebench as pb

Write = Callable[..., Path]


def _python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_importing_costs_no_torch() -> None:
    heavy = "{'torch', 'torchvision', 'numpy', 'pandas', 'mlflow', 'pydantic', 'matplotlib'}"
    assert _python(f"import sys, prunebench; print({heavy} & set(sys.modules))") == "set()\n"
    heavy = "{'torch', 'torchvision', 'pandas', 'mlflow', 'matplotlib'}"
    program = f"import sys; from prunebench import load_suite; print({heavy} & set(sys.modules))"
    assert _python(program) == "set()\n"


def test_explaining_imports_what_it_needs() -> None:
    heavy = "{'torch._dynamo', 'torch.distributed.tensor', 'torchvision', 'mlflow'}"
    program = f"""
import sys, torch, prunebench as pb
from torch import nn
network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
images, methods = torch.rand(2, 3, 8, 8), ["grad-cam", "ablation-cam"]
pb.explain(network, images, methods, target_layer="1", quiet=True)
print({heavy} & set(sys.modules))
"""
    assert _python(program) == "set()\n"


@pytest.mark.slow
def test_no_module_takes_the_place_of_a_function() -> None:
    program = """
import importlib, pkgutil, types
import prunebench as pb
before = {name: getattr(pb, name) for name in pb.__all__}
for module in pkgutil.walk_packages(pb.__path__, "prunebench."):
    if module.name != "prunebench.__main__":
        importlib.import_module(module.name)
from prunebench.metrics import ssim
for name in pb.__all__:
    assert getattr(pb, name) is before[name], name
for name in ("run", "compare", "explain", "load_suite"):
    assert isinstance(getattr(pb, name), types.FunctionType), name
for name in ("ssim", "sam", "sp2ps", "iou", "soft_iou"):
    assert isinstance(getattr(pb.metrics, name), types.FunctionType), name
assert pb.metrics.ssim is ssim
print("fine")
"""
    assert _python(program) == "fine\n"


@pytest.mark.slow
def test_a_module_imported_first_does_not_either() -> None:
    program = """
import types
import prunebench.metrics.maps, prunebench.running, prunebench.comparison.compare
import prunebench.cams.explaining
import prunebench.suite, prunebench.results, prunebench.comparison
from prunebench import compare, explain, load_suite, metrics, run
assert all(isinstance(each, types.FunctionType) for each in (compare, explain, load_suite, run))
assert isinstance(metrics, types.ModuleType) and callable(metrics.sp2ps)
print("fine")
"""
    assert _python(program) == "fine\n"


def test_every_public_name_is_there_and_documented() -> None:
    for name in pb.__all__:
        found = getattr(pb, name)
        assert isinstance(found, ModuleType) or inspect.isclass(found) or callable(found)
        assert (found.__doc__ or "").strip(), name
    assert issubclass(pb.RequestError, Exception)


def test_plugins_are_listed() -> None:
    found = pb.list_plugins("pruner")
    assert list(found.columns) == ["kind", "name", "summary", "package"]
    row = found.set_index("name").loc["l1-filter"]
    assert (row["kind"], row["package"]) == ("pruner", "prunebench")
    assert row["summary"]
    with pytest.raises(pb.RequestError, match="did you mean"):
        pb.list_plugins("prunner")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'prunebench' has no attribute 'comparison_of'"):
        _ = pb.comparison_of
    with pytest.raises(ImportError):
        exec("from prunebench import nothing_of_this_name")


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        ("load_suite", {"path": ...}),
        (
            "run",
            {
                "suite": ...,
                "store": ".prunebench",
                "tracking_uri": None,
                "executor": "local",
                "device": "auto",
            },
        ),
        (
            "compare",
            {
                "baseline": ...,
                "pruned": ...,
                "images": ...,
                "labels": None,
                "cams": ("grad-cam", "grad-cam++", "ablation-cam"),
                "target_layer": None,
                "class_policy": "baseline",
            },
        ),
        (
            "explain",
            {
                "model": ...,
                "images": ...,
                "cams": ("grad-cam",),
                "target_layer": None,
                "targets": None,
            },
        ),
    ],
)
def test_functions_take_what_they_promise(function: str, parameters: dict[str, object]) -> None:
    found = inspect.signature(getattr(pb, function)).parameters
    defaults = {
        name: ... if p.default is p.empty else p.default
        for name, p in list(found.items())[: len(parameters)]
    }
    assert defaults == parameters
    beyond = list(found.values())[len(parameters) :]
    assert all(p.default is not p.empty for p in beyond)


@pytest.mark.parametrize("name", ["ssim", "sam", "sp2ps", "iou", "soft_iou"])
def test_metrics_take_two_stacks_of_maps(name: str) -> None:
    maps = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    values = getattr(pb.metrics, name)(maps, maps)
    assert values.shape == (3,)
    assert values.tolist() == pytest.approx([1, 1, 1], abs=1e-6)


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 64, 4)
    ).eval()


@pytest.mark.slow
def test_explain_and_compare_in_a_few_lines(tmp_path: Path) -> None:
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    maps = pb.explain(_network(0), images, cams=("grad-cam", "grad-cam++"))
    assert list(maps) == ["grad-cam", "grad-cam++"]
    assert all(each.shape == (8, 8, 8) for each in maps.values())
    assert all(each.min() >= 0 and each.max() <= 1 for each in maps.values())
    comparison = pb.compare(_network(0), _network(0), images, target_layer=("1", "1"))
    assert isinstance(comparison, pb.Comparison)
    assert comparison.scores["sp2ps"].tolist() == pytest.approx([1, 1, 1], abs=1e-6)
    assert len(comparison.per_image) == 8 * 3
    assert "grad-cam++" in comparison.to_markdown()
    comparison.save(tmp_path / "report")
    assert (tmp_path / "report" / "comparison.md").is_file()


def test_run_takes_a_path_or_a_suite(toy_suite: Write, tmp_path: Path) -> None:
    path = toy_suite(
        model="{toy-cnn: {training: {epochs: 1}}}",
        pruners="[l1-unstructured]",
        levels="[0.3]",
        recovery=None,
        cams=None,
        metrics="[params]",
    )
    suite = pb.load_suite(path)
    assert isinstance(suite, pb.Suite)
    options = {"store": tmp_path / "store", "tracking_uri": "", "device": "cpu", "quiet": True}
    results = pb.run(suite, **options)
    assert isinstance(results, pb.Results)
    assert pb.run(str(path), **options).records == results.records
    assert list(results.to_pandas()["pruner"]) == ["baseline", "none", "l1-unstructured"]
    assert "l1-unstructured" in results.leaderboard()


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert pb.__version__ == version("prunebench")
    with pytest.raises(SystemExit) as end:
        _main("--version")
    assert end.value.code == 0
    assert capsys.readouterr().out == f"prunebench {pb.__version__}\n"


def _main(*arguments: str) -> None:
    from prunebench.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["prunebench", *arguments])
        main()
