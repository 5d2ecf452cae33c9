"""Archives of torch.export become networks of layers, and run no code of a stranger."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from exported_networks import IMAGES, Small, Tokens, export, hold_maps_to, make, settle
from torch import Tensor, nn

from prunebench import explain
from prunebench.errors import RequestError
from prunebench.model_files.graphs.exported_program import convert_program, read_exported_program

BATCH = torch.export.Dim("batch")


@pytest.fixture(scope="module")
def small() -> nn.Module:
    return make(Small)


@pytest.fixture(scope="module")
def archive(small: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(small, tmp_path_factory.mktemp("pt2") / "small.pt2")


def test_layers_have_the_names_and_weights_that_they_had(small: nn.Module, archive: Path) -> None:
    found = read_exported_program(archive)
    assert found.module.state_dict().keys() == small.state_dict().keys()
    for name, layer in small.named_modules():
        assert name in dict(found.module.named_modules())
        if not list(layer.children()):
            assert type(found.module.get_submodule(name)) is type(layer), name
    assert (found.input_size, found.channels) == ((16, 16), 3)
    assert "operators; equal to the exported program" in found.notes[0]


def test_maps_are_those_of_the_original(small: nn.Module, archive: Path) -> None:
    hold_maps_to(read_exported_program(archive).module, small)


def test_weights_are_shared_not_copied(small: nn.Module) -> None:
    program = torch.export.export(small, (IMAGES,), dynamic_shapes=({0: BATCH},))
    converted = convert_program(program).module
    given = {weight.data_ptr() for weight in program.state_dict.values()}
    assert {weight.data_ptr() for weight in converted.parameters()} <= given


@pytest.mark.parametrize("kind", [Small, Tokens])
@pytest.mark.parametrize("batch", [1, 2])
def test_exported_for_one_size_of_batches_takes_any(
    tmp_path: Path, kind: type[nn.Module], batch: int
) -> None:
    network = make(kind)
    converted = read_exported_program(export(network, tmp_path / "a.pt2", batch=batch)).module
    with torch.no_grad():
        assert torch.allclose(converted(IMAGES), network(IMAGES), atol=1e-5)


def test_decomposed_programs_have_layers_again(small: nn.Module) -> None:
    program = torch.export.export(small, (IMAGES,), dynamic_shapes=({0: BATCH},))
    converted = convert_program(program.run_decompositions()).module
    kinds = {type(layer) for layer in converted.modules()}
    assert {nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.MaxPool2d} <= kinds


def test_training_mode_is_refused(tmp_path: Path) -> None:
    program = torch.export.export(Small().train(), (IMAGES,), dynamic_shapes=({0: BATCH},))
    with pytest.raises(RequestError, match=r"training mode .*call model.eval\(\)"):
        convert_program(program)


def test_dropout_that_is_never_off_is_refused() -> None:
    class Noisy(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return self[0](nn.functional.dropout(x)).mean((2, 3))

    program = torch.export.export(Noisy(nn.Conv2d(3, 4, 3)), (IMAGES,))
    with pytest.raises(RequestError, match="training mode"):
        convert_program(program)


def test_a_batch_that_cannot_be_freed_names_the_remedy() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).mean((2, 3)).view(-1).view(2, 4) * torch.ones(2, 1)

    program = torch.export.export(Mixed().eval(), (IMAGES[:2],))
    with pytest.raises(RequestError, match=r'torch.export.Dim\("batch"\)'):
        convert_program(program)


def _rewrite(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return target


def _with_pickle(name: str, content: bytes) -> bytes:
    return pickle.dumps(Path) if name.endswith("inputs/model.pt") else content


def _with_text(key: str, text: str) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content

        def walk(told: object) -> object:
            if isinstance(told, dict):
                return {k: text if k == key else walk(v) for k, v in told.items()}
            return [walk(v) for v in told] if isinstance(told, list) else told

        return json.dumps(walk(json.loads(content))).encode()

    return change


@pytest.mark.parametrize(
    "change",
    [
        _with_pickle,
        _with_text("target", "torch.hub.load"),
        _with_text("target", "torch.ops.aten.from_file.default"),
        _with_text("expr_str", "__import__('os').system('true')"),
        _with_text("expr_str", "s1.func"),
        _with_text("in_spec", '[1, {"__enum__": true, "fqn": "this:x"}]'),
        _with_text("in_spec", '[1, {"\\u005f_enum__": true, "fqn": "this"}]'),
        lambda name, content: content.replace(b'"use_pickle": false', b'"use_pickle": true'),
        lambda name, content: content.replace(b'"weight_0"', b'"opaque_obj_0"'),
    ],
)
def test_what_could_run_code_is_refused(
    tmp_path: Path, archive: Path, change: Callable[[str, bytes], bytes]
) -> None:
    hostile = _rewrite(archive, tmp_path / "hostile.pt2", change)
    with pytest.raises(RequestError, match=r"hostile.pt2: holds .*could run code"):
        read_exported_program(hostile)


def test_a_trusted_archive_may_hold_pickles(tmp_path: Path, archive: Path) -> None:
    changed = _rewrite(archive, tmp_path / "a.pt2", lambda name, content: content)
    assert read_exported_program(changed, unsafe_pickle=True).channels == 3


def test_damaged_and_other_files_are_refused(tmp_path: Path, archive: Path) -> None:
    cut, text, script, zipped = (tmp_path / f"{name}.pt2" for name in ("cut", "text", "ts", "zip"))
    cut.write_bytes(archive.read_bytes()[:2000])
    text.write_text("a network")
    torch.jit.trace(nn.Flatten(), IMAGES).save(str(script))
    zipfile.ZipFile(zipped, "w").close()
    broken = _rewrite(
        archive, tmp_path / "b.pt2", lambda n, c: b"{" if n.endswith("model.json") else c
    )
    for path in (cut, text, script, zipped, broken, tmp_path / "none.pt2", tmp_path):
        with pytest.raises(RequestError) as refused:
            read_exported_program(path)
        assert str(path) in str(refused.value)


def test_what_is_in_memory_is_refused_with_the_way_to_convert_it(small: nn.Module) -> None:
    program = torch.export.export(small, (IMAGES,))
    with pytest.raises(RequestError, match=r"exported_program.convert_program\(program\).module"):
        explain(program, IMAGES)  # type: ignore[arg-type]


@pytest.mark.parametrize("cam", ["deep-lift", "lrp"])
def test_methods_with_rules_for_layers_know_them(cam: str) -> None:
    pytest.importorskip("captum")

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn, self.relu = (
                nn.Conv2d(3, 3, 3, padding=1),
                nn.BatchNorm2d(3),
                nn.ReLU(),
            )
            self.pool, self.fc = nn.AvgPool2d(4), nn.Linear(48, 5)

        def forward(self, x: Tensor) -> Tensor:
            out = self.relu(self.bn(self.conv(x)))
            out += x
            return self.fc(torch.flatten(self.pool(self.relu(out)), 1))

    network = make(Residual)
    program = torch.export.export(network, (IMAGES,), dynamic_shapes=({0: BATCH},))
    found, wanted = (
        explain(each, IMAGES, {"captum": {"name": cam}}, quiet=True)
        for each in (convert_program(program).module, network)
    )
    for name, maps in wanted.items():
        assert torch.allclose(found[name], maps, atol=1e-5)


def test_images_of_any_size_run_where_they_were_exported_so(tmp_path: Path) -> None:
    network, sizes = make(Small), dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    program = torch.export.export(network, (IMAGES,), dynamic_shapes=(sizes,))
    torch.export.save(program, tmp_path / "a.pt2")
    images = torch.randn(2, 3, 24, 20)
    with torch.no_grad():
        converted = read_exported_program(tmp_path / "a.pt2").module
        assert torch.allclose(converted(images), network(images), atol=1e-5)


def test_two_inputs_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    with pytest.raises(RequestError, match="takes 2 inputs; expected images alone"):
        convert_program(torch.export.export(Two(), (IMAGES, IMAGES)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head"), [("mobilenet_v3_small", "classifier.3"), ("resnet18", "fc")]
)
def test_pruned_networks_are_explained_as_before(tmp_path: Path, name: str, head: str) -> None:
    from pruned_networks import prune

    network = settle(prune(name, head), 64)
    converted = read_exported_program(export(network, tmp_path / "a.pt2", size=64)).module
    hold_maps_to(converted, network, torch.randn(2, 3, 64, 64))
