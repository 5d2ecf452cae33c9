"""One message and status 2 for every wrong request, and nothing computed is lost."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from calling import Command, Write, refused, write_images
from PIL import Image
from torch import nn

from prunebench.plugins import choose
from prunebench.store import Store


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({"pruners": "[l1-unstructred]"}, ["toy.yaml:", "did you mean 'l1-unstructured'?"]),
        ({"cams": "[grad-cam, gard-cam++]"}, ["unknown cam", "did you mean 'grad-cam++'?"]),
        ({"pruners": "[{l1-unstructured: {scop: global}}]"}, ["'scop'", "did you mean 'scope'?"]),
        ({"pruners": "[{l1-unstructured: {scope: all}}]"}, ["'scope'", "'all'"]),
        ({"model": "{toy-cnn: {width: wide}}"}, ["toy.yaml:", "'width'", "'wide'"]),
        ({"dataset": "{toy-images: {path: seed.txt, classes: 1}}"}, ["'classes'", "found 1"]),
        ({"dataset": "toy-images"}, ["'path' is required"]),
        ({"recovery": "{epoch: 1}"}, ["'epoch'", "did you mean 'epochs'?"]),
        ({"recovery": "{epochs: -1}"}, ["'epochs'", "found -1"]),
        ({"levels": "[0.3, 1.0]"}, ["level 1.0 is outside [0, 1)"]),
        ({"levels": "[-0.1]"}, ["level -0.1 is outside [0, 1)"]),
        ({"levels": "[.nan]"}, ["level '.nan' is not a number"]),
        ({"levels": "[0.3, 0.3]"}, ["listed twice"]),
        ({"levels": None}, ["'levels' is missing"]),
        ({"pruners": "[]"}, ["'pruners' is an empty list"]),
        ({"cams": "[]"}, ["'cams' is an empty list"]),
        ({"seeds": "[0, half]"}, ["'half' is not a whole number"]),
        ({"metric": "sam"}, ["'metrics' and 'metric' mean the same"]),
        ({"colour": "blue"}, ["unknown key 'colour'"]),
        ({"name": "-toy"}, ["name '-toy'"]),
        ({"name": "tôy"}, ["name 'tôy'"]),
        ({"name": "x" * 300}, ["name 'xxx"]),
        ({"dataset": "{toy-images: {path: nowhere.txt}}"}, ["nowhere.txt: cannot be read"]),
        ({"dataset": "{folder: {path: nowhere}}"}, ["nowhere: folder: no such folder"]),
        ({"dataset": "{toy-images: {path: '${NOT_SET_ANYWHERE}/x'}}"}, ["toy.yaml:", "is not set"]),
        ({"explain": "{target_layer: nope}"}, ["no layer 'nope'"]),
        ({"explain": "{target_layer: '5'}"}, ["1×1", "at least 4×4"]),
        ({"explain": "{target_layer: '7'}"}, ["no batch of maps"]),
        ({"explain": "{target_layer: {resnet20: conv1}}"}, ["'resnet20' is not a model"]),
        ({"model": "resnet20"}, ["resnet20 needs colour images"]),
        ({"model": "torchvision/resnet19"}, ["did you mean 'resnet18'?"]),
        ({"pruners": "[{checkpoint: {model: toy-cnn@nowhere.pt}}]"}, ["nowhere.pt: no such file"]),
    ],
)
def test_a_wrong_suite_is_one_message(
    lines: dict[str, str | None], words: list[str], little: Write, run: Command, tmp_path: Path
) -> None:
    refused(run(little(**lines)), *words)
    assert Store(tmp_path / "store").stored_keys() == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"name: a\ncams: [grad-cam]\nname: b\n", ["toy.yaml:3", "'name' is there twice (line 1"]),
        (b"name: [unclosed\n", ["toy.yaml:", "is not YAML"]),
        (b"name: bell \x07\n", ["toy.yaml: is not YAML: character 0x0007"]),
        (b"name: \xff\xfe\n", ["toy.yaml", "cannot be read"]),
        (b"name: !!python/object:os.system {}\n", ["tag", "not allowed"]),
        (b"- a\n- b\n", ["a suite is a mapping"]),
        (b"", ["a suite is a mapping"]),
        (b"seeds: [" + b"1" * 5000 + b"]\n", ["toy.yaml:1", "beyond what a number can be"]),
        (b"name: a\nlevels: [1e400]\n", ["toy.yaml:2", "beyond what a number can be"]),
        (b"name: " + b"[" * 10_000, ["is nested too deeply"]),
        (b"name: " + b"[" * 10_000 + b"]" * 10_000, ["is nested too deeply"]),
        (b"# " + b"x" * 4_000_001, ["is larger than"]),
    ],
)
def test_what_is_no_suite_is_one_message(
    text: bytes, words: list[str], run: Command, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "toy.yaml").write_bytes(text)
    refused(run(tmp_path / "toy.yaml"), *words)
    refused(command("validate", tmp_path / "toy.yaml"), *words)


def test_a_suite_that_is_not_there_is_one_message(run: Command, tmp_path: Path) -> None:
    refused(run(tmp_path / "nowhere.yaml"), "nowhere.yaml: no such file")
    refused(run(tmp_path), "cannot be read")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "tpu"], ["unknown device 'tpu'"]),
        (["--executor", "ray"], ["'ray' is not there yet"]),
        (["--executor", "lokal"], ["did you mean 'local'?"]),
        (["--where", "level >"], ["--where", "not an expression"]),
        (["--where", "levle > 0.3"], ["did you mean 'level'?"]),
        (["--where", "__import__('os')"], ["not understood"]),
        (["--where", "seed == 9"], ["no cell"]),
        (["--where", "pruner == 'l1-unstructred'"], ["did you mean 'l1-unstructured'?"]),
        (["--force", "toy-cm"], ["--force", "no step of the suite is 'toy-cm'"]),
        (["--max-time", "soon"], ["--max-time", "'soon' is no time"]),
        (["--max-time", "nan"], ["--max-time", "'nan' is no time"]),
        (["--max-time=-5s"], ["--max-time", "'-5s' is no time"]),
        (["--tracking-uri", "nonsense"], ["--tracking-uri", "'nonsense' is no tracking server"]),
    ],
)
def test_a_wrong_option_is_one_message_and_loses_nothing(
    options: list[str], words: list[str], finished: Path, little: Write, run: Command
) -> None:
    before = Store(finished).stored_keys()
    refused(run(little(), *options), *words)
    assert Store(finished).stored_keys() == before
    if "--where" in options:
        refused(run(little(), *options, "--dry-run"), *words)


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        ({}, ["--tracking-uri", "nonsense"]),
        ({"explain": "{images: 6, target_layer: '5'}"}, []),
        ({}, ["--force", "nothing-of-this-name"]),
    ],
)
def test_force_removes_nothing_before_the_request_is_known_to_be_right(
    lines: dict[str, str], options: list[str], finished: Path, little: Write, run: Command
) -> None:
    before = Store(finished).stored_keys()
    refused(run(little(**lines), "--force", "baseline", *options))
    assert Store(finished).stored_keys() == before


def test_a_wrong_suite_after_a_right_one_loses_nothing(
    finished: Path, little: Write, run: Command
) -> None:
    before = Store(finished).stored_keys()
    assert before
    refused(run(little(levels="[0.3, 2]")))
    refused(run(little(dataset="{toy-images: {path: gone.txt}}")))
    assert Store(finished).stored_keys() == before
    assert len(list((finished / "records").rglob("*.json"))) == 4


def jpeg(value: int) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(value).integers(0, 256, (16, 16), np.uint8)
    Image.fromarray(noise).save(out, "JPEG")
    return out.getvalue()


def write_parquet(folder: Path, *, corrupt: int | None = None) -> None:
    folder.mkdir()
    for split, count in (("train", 20), ("test", 8)):
        images = [jpeg(value) for value in range(count)]
        if split == "test" and corrupt is not None:
            images[corrupt] = images[corrupt][:100]
        rows = [{"bytes": content, "path": None} for content in images]
        table = pa.table({"image": rows, "label": [i % 2 for i in range(count)]})
        pq.write_table(table, folder / f"{split}.parquet")


def test_a_corrupt_jpeg_in_parquet_is_one_message_with_its_row(
    little: Write, run: Command, tmp_path: Path
) -> None:
    write_parquet(tmp_path / "images", corrupt=5)
    suite = little(dataset="{parquet: {path: images, channels: 1}}")
    refused(run(suite), "test.parquet, row 5")
    write_parquet(tmp_path / "whole")
    (tmp_path / "whole" / "test.parquet").write_bytes(b"PAR1 and nothing more")
    refused(run(little(dataset="{parquet: {path: whole, channels: 1}}")), "test.parquet")


def test_a_corrupt_png_in_a_folder_is_one_message_with_its_name(
    little: Write, run: Command, tmp_path: Path
) -> None:
    write_images(tmp_path / "images", 30)
    broken = tmp_path / "images" / "right" / "3.png"
    broken.write_bytes(broken.read_bytes()[:200])
    refused(run(little(dataset="{folder: {path: images}}")), "right/3.png")
    broken.write_bytes(b"no image at all")
    refused(run(little(dataset="{folder: {path: images}}")), "right/3.png")


class Stranger:
    """Something a pickle of weights must not hold."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("opened",)


def toy_weights(classes: int = 2) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = (
        choose("models", "toy-cnn").plugin.build(classes, 1, (16, 16)).state_dict()
    )
    return state


def not_there(path: Path) -> None:
    path.unlink(missing_ok=True)


def other_network(path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(3)}, path)


def whole_object(path: Path) -> None:
    torch.save(nn.Linear(2, 2), path)


def hostile(path: Path) -> None:
    path.write_bytes(pickle.dumps(Stranger()))


def three_classes(path: Path) -> None:
    torch.save(toy_weights(3), path)


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage")


def spoilt(change: Callable[[dict[object, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Writes weights that fit but for one thing."""

    def spoil(path: Path) -> None:
        state: dict[object, torch.Tensor] = dict(toy_weights(4))
        change(state)
        torch.save(state, path)

    return spoil


def name(state: dict[object, torch.Tensor]) -> object:
    return next(name for name, tensor in state.items() if tensor.ndim > 1)


def masked(state: dict[object, torch.Tensor]) -> None:
    stem = name(state)
    state[f"{stem}_orig"] = state.pop(stem)
    state[f"{stem}_mask"] = torch.ones(1)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoilt(lambda s: s[name(s)].fill_(torch.nan)), ["weights.pt: '", "are not finite"]),
        (spoilt(lambda s: s.update({name(s): s[name(s)] + 1j})), ["is complex"]),
        (spoilt(lambda s: s.update({name(s): s[name(s)].double() * 1e300})), ["are not finite"]),
        (spoilt(lambda s: s.update({name(s): s[name(s)].to(torch.int8)})), ["holds torch.int8"]),
        (spoilt(lambda s: s.update({name(s): s[name(s)].to_sparse()})), ["is sparse"]),
        (spoilt(lambda s: s.update({name(s): s[name(s)].to("meta")})), ["is a meta tensor"]),
        (spoilt(lambda s: s.update({3: torch.ones(1)})), ["holds no state dict"]),
        (spoilt(masked), ["weights.pt: the mask '", "is (1,)"]),
        (not_there, ["weights.pt: cannot be read: No such file"]),
        (other_network, ["weights.pt: the weights do not fit the model"]),
        (whole_object, ["weights.pt: cannot be read as weights"]),
        (hostile, ["weights.pt: cannot be read as weights"]),
        (three_classes, ["is the number of classes the data set's?"]),
        (garbage, ["weights.pt: cannot be read as weights"]),
    ],
)
def test_wrong_weights_are_one_message(
    spoil: Callable[[Path], None],
    words: list[str],
    little: Write,
    run: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    spoil(tmp_path / "weights.pt")
    refused(run(little(model="{toy-cnn: {weights: weights.pt}}")), *words)
    assert not (tmp_path / "opened").exists()


@pytest.mark.slow
def test_a_store_that_cannot_be_used_is_one_message(
    little: Write, run: Command, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()
    refused(run(little(), store=tmp_path / "a-file" / "store"), "cannot be written")
    refused(run(little(), store=tmp_path / "a-file"), "cannot be written")
    for header, words in (
        ('{"schema": 99}', "schema 99"),
        ('{"schema": "one"}', "is not a store"),
        ("[]", "is not a store"),
        ("", "is not a store"),
    ):
        (tmp_path / "store").mkdir(exist_ok=True)
        (tmp_path / "store" / "store.json").write_text(header)
        refused(run(little()), words)


@pytest.mark.slow
def test_a_board_that_cannot_be_written_loses_no_word_of_what_failed(
    finished: Path, little: Write, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_CRASH", "1")
    shutil.rmtree(finished / "leaderboard")
    (finished / "leaderboard").touch()
    refused(run(little()), f"{finished / 'leaderboard'}: cannot be written")
    done = run(little(metrics="[accuracy, toy-crash]", levels="[0.4]"))
    assert done.status == 2
    assert "steps failed" in done.err
    assert "leaderboard: cannot be written" in done.err


@pytest.mark.slow
def test_one_broken_record_takes_no_other_with_it(
    finished: Path, little: Write, run: Command, command: Command, tmp_path: Path
) -> None:
    (finished / "records" / "another").mkdir()
    (finished / "records" / "another" / "broken.json").write_text("{")
    shutil.rmtree(finished / "leaderboard")
    done = run(little())
    assert done.status == 0
    assert "left out of the board" in done.err
    assert "broken.json: is not JSON" in done.err
    board = (finished / "leaderboard" / "README.md").read_text()
    assert "l1-unstructured" in board
    for source in (["--store", finished], ["--results", finished / "records" / "another"]):
        done = command("leaderboard", *source, "--out", tmp_path / "board")
        refused(done, "broken.json: is not JSON")
    assert command("leaderboard", "--store", finished, "--out", tmp_path / "board").status == 2
    assert (tmp_path / "board" / "README.md").read_text() == board


@pytest.mark.slow
def test_a_damaged_artefact_is_listed_and_can_be_made_again(
    finished: Path, little: Write, run: Command, command: Command
) -> None:
    before = {path: path.read_text() for path in (finished / "records").rglob("*.json")}
    key = sorted(Store(finished).stored_keys())[0]
    path = Store(finished).folder(key) / "artefact.json"
    path.write_text(path.read_text().replace('"kind"', '"kinb"'))
    refused(command("store", "ls", "--store", finished), f"store rm {key}")
    assert command("store", "rm", key, "--store", finished).status == 0
    assert run(little()).status == 0
    assert {path: path.read_text() for path in before}.keys() == before.keys()
    assert command("store", "ls", "--store", finished).status == 0


@pytest.mark.slow
def test_a_store_that_is_read_is_not_written(
    finished: Path, little: Write, command: Command, tmp_path: Path
) -> None:
    def look() -> list[tuple[Path, int]]:
        return sorted((path, path.stat().st_mtime_ns) for path in finished.rglob("*"))

    plan = ("plan", little(), "--device", "cpu", "--store")
    assert command(*plan, finished).status == 0
    before = look()
    assert command("store", "ls", "--store", finished).status == 0
    assert command("leaderboard", "--store", finished, "--out", tmp_path / "board").status == 0
    assert command("submit", "toy", "--store", finished, "--to", tmp_path / "to").status == 0
    assert look() == before
    assert command(*plan, tmp_path / "nowhere").status == 0
    assert not (tmp_path / "nowhere").exists()


def test_folders_that_cannot_be_written_are_one_message(
    finished: Path, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()
    beyond = tmp_path / "a-file" / "beyond"
    words = f"{beyond}: cannot be written"
    refused(command("leaderboard", "--store", finished, "--out", beyond), words)
    refused(command("submit", "toy", "--store", finished, "--to", beyond), words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "pruner-s"], ["unknown kind 'pruner-s'", "did you mean 'pruners'?"]),
        (["show", "prunner", "none"], ["unknown kind 'prunner'"]),
        (["show", "pruner", "l1-filters"], ["did you mean 'l1-filter'?"]),
        (["submit", "nothing"], ["no record 'nothing'"]),
        (["leaderboard", "--results", "nowhere"], ["nowhere: no such folder"]),
        (["store", "rm", "abcdef"], ["there is no store"]),
        (["ui"], ["nothing was run yet"]),
        (["store", "ls", "--store", "nowhere"], ["nowhere: there is no store"]),
        (["store", "gc", "--store", "nowhere"], ["nowhere: there is no store"]),
        (["leaderboard", "--store", "nowhere"], ["nowhere: there is no store"]),
        (["leaderboard", "--out", "board"], [".prunebench: there is no store"]),
        (["validate", "x" * 300 + ".yaml"], ["cannot be read: File name too long"]),
        (["validate", "x" * 300 + ".json"], ["cannot be read: File name too long"]),
        (["validate", "/dev/zero"], ["is larger than"]),
        (["submit", "x" * 300], ["cannot be read: File name too long"]),
        (["leaderboard", "--results", "x" * 300], ["cannot be read: File name too long"]),
        (
            ["compare", "digits-cnn", "digits-cnn", "--data", "x" * 300],
            ["cannot be read: File name too long"],
        ),
        (["new", "pruner", "true"], ["'true' is read as another word than a name"]),
    ],
)
def test_other_commands_refuse_with_one_message(
    arguments: list[str],
    words: list[str],
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(command(*arguments), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["run"], ["walk"], ["run", "x.yaml", "--no-such-option"], ["store", "mv"]]
)
def test_wrong_usage_is_status_2(arguments: list[str], command: Command) -> None:
    done = command(*arguments)
    assert done.status == 2
    assert "Usage" in done.err
    assert "Traceback" not in done.err
