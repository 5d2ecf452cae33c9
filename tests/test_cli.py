"""The command line: what it prints, its exit status, and one message for every wrong request."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from prunebench.cli import main
from prunebench.plugins import choose
from prunebench.store import Store

Write = Callable[..., Path]
LITTLE = {
    "model": "{toy-cnn: {training: {epochs: 1}}}",
    "pruners": "[l1-unstructured]",
    "levels": "[0.3]",
    "recovery": None,
    "cams": "[grad-cam]",
    "explain": "{images: 6}",
}


class Done(NamedTuple):
    status: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Calls the command line in this process; an exception that escapes it fails the test."""

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["prunebench", *map(str, arguments)])
        status: object = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        assert isinstance(status, int)
        return Done(status, *capsys.readouterr())

    return call


@pytest.fixture
def run(command: Command, tmp_path: Path) -> Command:
    """``prunebench run`` into the store of this test, without MLflow."""

    def call(suite: Path, *options: object, store: Path = tmp_path / "store") -> Done:
        quiet = ("--tracking-uri", "", "--device", "cpu")
        return command("run", suite, "--store", store, *quiet, *options)

    return call


@pytest.fixture
def little(toy_suite: Write) -> Write:
    """Writes a suite of two networks besides the baseline."""

    def write(file: str = "toy.yaml", **lines: str | None) -> Path:
        return toy_suite(file, **{**LITTLE, **lines})

    return write


@pytest.fixture
def finished(
    run: Command, little: Write, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store in which the little suite is finished; computed once, copied for each test."""
    original = tmp_path_factory.getbasetemp() / "finished-store"
    if not original.exists():
        assert run(little(), store=original).status == 0
    shutil.copytree(original, tmp_path / "store")
    return tmp_path / "store"


def refused(done: Done, *words: str) -> None:
    """Exit status 2 and one line that says why, or the usage message of a wrong option."""
    assert done.status == 2, done
    assert "Traceback" not in done.out + done.err
    assert done.err.startswith("error: "), done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    for word in words:
        assert word in done.err, done.err


# --- wrong requests ---------------------------------------------------------------------------


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
    assert len(list((finished / "records").rglob("*.json"))) == 3


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


def write_images(folder: Path, count: int = 12) -> None:
    random = np.random.default_rng(0)
    for name in ("left", "right"):
        (folder / name).mkdir(parents=True)
        for number in range(count // 2):
            pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


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


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
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
        (["store", "rm", "abcdef"], ["no result 'abcdef'"]),
        (["ui"], ["nothing was run yet"]),
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


@pytest.mark.parametrize(
    "arguments", [["run"], ["walk"], ["run", "x.yaml", "--no-such-option"], ["store", "mv"]]
)
def test_wrong_usage_is_status_2(arguments: list[str], command: Command) -> None:
    done = command(*arguments)
    assert done.status == 2
    assert "Usage" in done.err
    assert "Traceback" not in done.err


# --- running ----------------------------------------------------------------------------------


def test_a_run_ends_with_a_board_and_paths(little: Write, run: Command, tmp_path: Path) -> None:
    done = run(little())
    assert done.status == 0
    assert "l1-unstructured" in done.out
    board = tmp_path / "store" / "leaderboard" / "README.md"
    assert f"board: {board}" in done.out
    assert "l1-unstructured" in board.read_text()
    assert done.err == ""


def test_failed_cells_are_status_1_and_named(
    little: Write, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = little(metrics="[params, toy-crash]", cams=None)
    monkeypatch.setenv("TOY_CRASH", "1")
    done = run(suite)
    assert done.status == 1
    assert "l1-unstructured" in done.out
    assert "this metric was told to fail" in done.err
    assert "3 steps failed" in done.err
    assert "Traceback" not in done.err
    monkeypatch.delenv("TOY_CRASH")
    assert run(suite).status == 0


def test_a_run_out_of_time_is_status_1_and_can_be_resumed(little: Write, run: Command) -> None:
    done = run(little(), "--max-time", "0s")
    assert done.status == 1
    assert "run again to go on" in done.err
    assert run(little(), "--max-time", "1h").status == 0


def _counts(done: Done) -> tuple[int, int]:
    """Distinct and stored steps, as ``plan`` shows them."""
    row = next(line for line in done.out.splitlines() if " all " in line)
    numbers = [int(word) for word in row.replace(",", "").split() if word.isdecimal()]
    return numbers[0], numbers[1]


def test_plan_counts_what_is_stored_and_computes_nothing(
    little: Write, run: Command, command: Command, tmp_path: Path
) -> None:
    place = ("--store", tmp_path / "store", "--device", "cpu")
    before = command("plan", little(), *place)
    assert before.status == 0
    distinct, stored = _counts(before)
    assert distinct > 10
    assert stored == 0
    assert "3 networks" in before.out
    assert "estimated time" in before.out
    dry = run(little(), "--dry-run")
    assert dry.status == 0
    assert _counts(dry) == (distinct, 0)
    assert Store(tmp_path / "store").stored_keys() == set()
    assert run(little()).status == 0
    after = command("plan", little(), *place)
    assert _counts(after) == (distinct, distinct)
    assert "estimated time" not in after.out
    more = command("plan", little(levels="[0.3, 0.4]"), *place)
    assert _counts(more)[1] == distinct
    assert _counts(command("plan", little(), *place, "--where", 'cam == "grad-cam"'))[0] < distinct


def test_validate_looks_at_every_suite(little: Write, command: Command, tmp_path: Path) -> None:
    good, bad = little("good.yaml"), little("bad.yaml", levels="[7]")
    done = command("validate", good)
    assert done.status == 0
    assert f"{good}: fine, 3 networks" in done.out
    done = command("validate", bad, good)
    refused(done, "bad.yaml:", "level 7")
    assert "good.yaml: fine" in done.out
    assert not (tmp_path / ".prunebench").exists()


def test_an_interrupted_run_says_how_to_go_on(toys: Path, toy_suite: Write, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prunebench", "run", str(toy_suite(seeds="[0, 1, 2, 3]"))]
    store = tmp_path / "store"
    process = subprocess.Popen(
        [*command, "--store", str(store), "--tracking-uri", "", "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": str(toys)},
        # A shell in the background hands an ignored SIGINT down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (store / "journal.jsonl").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert err.strip().splitlines()[-1].startswith("stopped; what was finished is in the store")
    assert "Traceback" not in err
    assert Store(store).stored_keys()


# --- looking ----------------------------------------------------------------------------------


def test_list_names_every_plugin(toys: Path, command: Command) -> None:
    done = command("list")
    assert done.status == 0
    for name in ("digits", "resnet20", "l1-filter", "ablation-cam", "sp2ps", "toy-cam"):
        assert name in done.out
    rows = json.loads(command("list", "--json").out)
    assert {row["kind"] for row in rows} == {"dataset", "model", "pruner", "cam", "metric"}
    assert all(set(row) == {"kind", "name", "package", "broken", "summary"} for row in rows)
    assert not any(row["broken"] for row in rows if row["package"] == "prunebench")
    pruners = json.loads(command("list", "pruners", "--json").out)
    assert pruners == [row for row in rows if row["kind"] == "pruner"]
    assert json.loads(command("list", "pruner", "--json").out) == pruners


def test_show_tells_card_and_parameters(command: Command) -> None:
    done = command("show", "pruner", "l1-filter")
    assert done.status == 0
    assert "pruner l1-filter (package prunebench" in done.out
    assert "target (" in done.out
    assert "default 'params'" in done.out


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["list", "--json"], ["show", "pruner", "l1-filter"], ["run", "--help"]],
)
def test_looking_imports_no_torch(arguments: list[str]) -> None:
    program = (
        "import atexit, sys\n"
        "heavy = {'torch', 'torchvision', 'mlflow', 'numpy', 'pandas', 'matplotlib'}\n"
        "atexit.register(lambda: print('heavy:', sorted(heavy & set(sys.modules))))\n"
        f"sys.argv = ['prunebench', *{arguments!r}]\n"
        "from prunebench.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


# --- the board and the store ------------------------------------------------------------------


def test_the_board_is_made_from_the_store_or_from_what_was_submitted(
    finished: Path, command: Command, tmp_path: Path
) -> None:
    done = command("leaderboard", "--store", finished)
    assert done.status == 0
    assert "l1-unstructured" in done.out
    published = tmp_path / "published"
    done = command("submit", "toy", "--store", finished, "--to", published)
    assert done.status == 0
    assert "3 records" in done.out
    names = [path.stem for path in published.glob("*.json")]
    assert len(names) == 3
    assert command("submit", names[0], "--store", finished, "--to", published).status == 0
    empty, board = tmp_path / "empty", tmp_path / "board"
    done = command("leaderboard", "--store", empty, "--results", published, "--out", board)
    assert done.status == 0
    ours = (board / "README.md").read_text()
    assert ours == (finished / "leaderboard" / "README.md").read_text()


def test_a_record_is_replaced_only_when_asked(
    finished: Path, command: Command, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    command("submit", "toy", "--store", finished, "--to", published)
    record = next(published.glob("*l1-unstructured*.json"))
    original = record.read_text()
    changed = json.loads(original)
    changed["images_seen"] = 12345
    record.write_text(json.dumps(changed))
    refused(command("submit", "toy", "--store", finished, "--to", published), "images_seen")
    done = command("submit", "toy", "--store", finished, "--to", published, "--replace")
    assert done.status == 0
    assert record.read_text() == original


def test_the_board_of_an_empty_store_says_so(command: Command, tmp_path: Path) -> None:
    done = command("leaderboard", "--store", tmp_path / "store")
    assert done.status == 0
    assert "No records yet" in done.out


def test_store_ls_rm_and_gc(finished: Path, little: Write, run: Command, command: Command) -> None:
    done = command("store", "ls", "--store", finished)
    assert done.status == 0
    for kind in ("baseline", "compressed", "explained", "scored"):
        assert kind in done.out
    baseline = next(
        key for key in Store(finished).stored_keys() if Store(finished).read(key).kind == "baseline"
    )
    refused(command("store", "rm", baseline[:5], "--store", finished), "no result")
    assert command("store", "rm", baseline[:8], "--store", finished).status == 0
    assert not Store(finished).has(baseline)
    left = Store(finished).folder(baseline).parent / f".{baseline}-killed"
    left.mkdir()
    assert command("store", "ls", "--store", finished).status == 0
    os.utime(left, (0, 0))
    assert "1 leftovers" in command("store", "gc", "--store", finished).out
    assert not left.exists()
    assert run(little()).status == 0
    assert Store(finished).has(baseline)


# --- comparing two models ---------------------------------------------------------------------

FACTORY = """
from torch import nn

def small(classes=2, width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes),
    )

def grey(classes=2):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )

def word():
    return "no network"
"""


@pytest.fixture
def two_models(tmp_path: Path) -> tuple[str, str]:
    """A network with random weights and the same with half of its filters zero."""
    (tmp_path / "nets.py").write_text(FACTORY)
    namespace: dict[str, Callable[..., nn.Module]] = {}
    exec(FACTORY, namespace)
    torch.manual_seed(0)
    network = namespace["small"]()
    save_file(network.state_dict(), tmp_path / "before.safetensors")
    with torch.no_grad():
        network[0].weight[:4] = 0
    save_file(network.state_dict(), tmp_path / "after.safetensors")
    write_images(tmp_path / "images")
    factory = f"{tmp_path / 'nets.py'}:small"
    before, after = (f"{factory}@{tmp_path / name}" for name in ("before", "after"))
    return f"{before}.safetensors", f"{after}.safetensors"


def test_compare_writes_a_page_and_a_picture(
    two_models: tuple[str, str], command: Command, tmp_path: Path
) -> None:
    place = ("--data", tmp_path / "images", "--size", 16, "--save", tmp_path / "report")
    done = command("compare", *two_models, *place)
    assert done.status == 0, done.err
    page = (tmp_path / "report" / "comparison.md").read_text()
    for cam in ("grad-cam", "grad-cam++", "ablation-cam"):
        assert cam in page
        assert cam in done.out
    assert "accuracy of the baseline" in page  # two folders, two classes: labels
    assert Image.open(tmp_path / "report" / "comparison.png").size[0] > 100
    assert f"report: {tmp_path / 'report' / 'comparison.md'}" in done.out
    assert done.err == ""


def test_a_whole_pickle_is_read_only_when_asked_and_with_a_warning(
    two_models: tuple[str, str], command: Command, tmp_path: Path
) -> None:
    (tmp_path / "whole.pt").unlink(missing_ok=True)
    namespace: dict[str, Callable[..., nn.Module]] = {}
    exec(FACTORY, namespace)
    torch.save(namespace["small"](), tmp_path / "whole.pt")
    pickled = f"{tmp_path / 'nets.py'}:small@{tmp_path / 'whole.pt'}"
    place = ("--data", tmp_path / "images", "--size", 16, "--save", tmp_path / "report")
    place = (*place, "--cams", "grad-cam")
    refused(command("compare", two_models[0], pickled, *place), "whole.pt: cannot be read")
    done = command("compare", two_models[0], pickled, *place, "--unsafe-pickle")
    assert done.status == 0
    assert done.err.startswith("warning: a pickle can run any code")


@pytest.mark.parametrize(
    ("pruned", "options", "words"),
    [
        ("nets.py:smal", [], ["no function 'smal'", "did you mean 'small'?"]),
        ("gone.py:small", [], ["gone.py: no such file"]),
        ("nets.py:word", [], ["expected a torch.nn.Module"]),
        ("nets.py:small@gone.pt", [], ["gone.pt: no such file"]),
        ("digits-cnn@after.safetensors", [], ["the weights do not fit the model"]),
        ("resnet21", [], ["unknown model 'resnet21'"]),
        ("nets.py:grey", [], ["pruned network: cannot take images of 3×16×16"]),
        ("nets.py:small", ["--size", "big"], ["--size"]),
        ("nets.py:small", ["--mean", "a,b"], ["--mean"]),
        ("nets.py:small", ["--std", "0,0,0"], ["deviation"]),
        ("nets.py:small", ["--data", "gone"], ["gone: no such folder"]),
        ("nets.py:small", ["--cams", "gradcam"], ["did you mean 'grad-cam'?"]),
        ("nets.py:small", ["--class-policy", "mine"], ["mine"]),
        ("nets.py:small", ["--target-layer", "9"], ["no layer '9'"]),
        ("nets.py:small", ["--target-layer", "2"], ["1×1", "at least 4×4"]),
        ("nets.py:small", ["--limit", "0"], ["limit 0"]),
        ("nets.py:small", ["--classes", "3"], ["the weights do not fit the model"]),
        (
            "nets.py:small",
            ["--classes", "2", "--save", "nets.py/report"],
            ["nets.py/report: cannot be written"],
        ),
    ],
)
def test_a_wrong_comparison_is_one_message(
    pruned: str,
    options: list[str],
    words: list[str],
    two_models: tuple[str, str],
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    place = ["--data", "images", "--size", "16", "--cams", "grad-cam", *options]
    refused(command("compare", two_models[0], pruned, *place), *words)


def test_a_baseline_that_cannot_take_the_images_is_one_message(
    two_models: tuple[str, str], command: Command, tmp_path: Path
) -> None:
    grey = f"{tmp_path / 'nets.py'}:grey"
    done = command("compare", grey, two_models[1], "--data", tmp_path / "images", "--size", 16)
    refused(done, "baseline network: cannot take images of 3×16×16")
