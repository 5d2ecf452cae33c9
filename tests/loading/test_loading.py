"""A row's network comes back: from the store where it was made, or from where it is published."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import prunebench as pb
from prunebench.cli import app
from prunebench.errors import RequestError
from prunebench.loading.published import fetch
from prunebench.record import Record, Weights, read_record
from prunebench.record.checking import check_record
from prunebench.results import Results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    suite = {
        "name": "small",
        "dataset": "digits",
        "model": {"digits-cnn": {"training": {"epochs": 1, "images": 60}}},
        "pruner": "l1-filter",
        "levels": [0.5],
        "metrics": ["params"],
    }
    store = tmp_path_factory.mktemp("made") / "store"
    return pb.run(suite, store, tracking_uri="", device="cpu", quiet=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNEBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "http://example.org/weights")
                self.end_headers()
            else:
                super().do_GET()

    (tmp_path / "served").mkdir()
    serving = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served"))
    )
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


def pruned(results: Results) -> Record:
    return next(record for record in results.records if record.role == "compressed")


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_a_row_gives_its_network(made: Results, tmp_path: Path) -> None:
    record = pruned(made)
    network = made.network(record)
    assert count(network.module) == record.mean("params")
    assert not network.module.training
    table = made.to_pandas().set_index("role", drop=False)
    same = made.network(table.loc["compressed"])
    inputs = torch.ones(2, 1, 32, 32)
    assert torch.equal(network.module(inputs), same.module(inputs))
    assert made.store is not None
    file = made.store / "records" / "small" / f"{record.id}.json"
    for row in (record, record.id, file):
        assert count(pb.load(row, made.store).module) == record.mean("params")
    with pytest.raises(RequestError, match="did you mean"):
        made.network(record.id + "x")
    with pytest.raises(RequestError, match="did you mean"):
        pb.load(record.id + "x", made.store)
    with pytest.raises(RequestError, match="publishes no weights; `prunebench reproduce"):
        pb.load(record, tmp_path / "empty")


def test_the_command_line_exports_a_row(made: Results, tmp_path: Path) -> None:
    record, target = pruned(made), tmp_path / "pruned.pt2"
    command = ["export", record.id, "--to", "pt2", "--output", str(target)]
    done = CliRunner().invoke(app, [*command, "--store", str(made.store)])
    assert done.exit_code == 0, done.output
    assert "images B×1×32×32, normalised with mean (0.306,)" in done.output
    assert torch.export.load(target).module()(torch.zeros(5, 1, 32, 32)).shape == (5, 10)


def publish(made: Results, folder: Path, url: str) -> Record:
    path = pb.export(made.network(pruned(made)), folder / "weights.safetensors")
    content = path.read_bytes()
    weights = Weights(
        url=f"{url}/{path.name}", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)
    )
    return pruned(made).model_copy(update={"weights": weights})


def change(record: Record, **fields: object) -> Record:
    assert record.weights is not None
    return record.model_copy(update={"weights": record.weights.model_copy(update=fields)})


def test_published_weights_are_fetched_once(
    made: Results, tmp_path: Path, cache: Path, server: str
) -> None:
    served = tmp_path / "served"
    record = publish(made, served, server)
    found = pb.load(record, tmp_path / "empty")
    inputs = torch.ones(2, 1, 32, 32)
    assert torch.equal(found.module(inputs), made.network(record.id).module(inputs))
    (served / "weights.safetensors").unlink()
    assert count(pb.load(record, tmp_path / "empty").module) == count(found.module)
    (kept,) = (cache / "weights").iterdir()
    kept.write_bytes(b"something else")
    with pytest.raises(RequestError, match="cannot be fetched: File not found"):
        pb.load(record, tmp_path / "empty")


def test_other_weights_than_published_are_not_read(
    made: Results, tmp_path: Path, cache: Path, server: str
) -> None:
    record = publish(made, tmp_path / "served", server)
    assert record.weights is not None
    size, empty = record.weights.bytes, tmp_path / "empty"
    cases = [
        ({"sha256": "0" * 64}, {}, "holds something else than the record says"),
        ({"bytes": size - 1}, {}, "is longer than"),
        ({"bytes": size + 1}, {}, f"ended after {size:,} of"),
        ({}, {"most_bytes": 100}, "expected 100 at most"),
        ({"url": "http://example.org/x"}, {}, "expected an address that begins with https"),
        ({"url": "ftp://127.0.0.1/x"}, {}, "expected an address that begins with https"),
        ({"url": f"{server}/away"}, {}, "expected an address that begins with https"),
        ({"url": str(tmp_path / "gone")}, {}, "cannot be fetched: No such file"),
    ]
    for fields, options, message in cases:
        with pytest.raises(RequestError, match=message):
            pb.load(change(record, **fields), empty, **options)
    assert not list((cache / "weights").iterdir())
    local = change(record, url=str(tmp_path / "served" / "weights.safetensors"))
    assert count(pb.load(local, empty).module) == record.mean("params")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://[bad/", "Invalid IPv6 URL"),
        ("http://127.0.0.1:port/", "nonnumeric port: 'port'"),
        ("http://127.0.0.1:1/a b", "control characters"),
        ("a\0b", "null byte"),
        ("hello\n\n", "the answer is not HTTP: 'hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "the answer ends in the middle",
        ),
    ],
)
def test_a_bad_address_or_answer_is_said_in_a_line(url: str, message: str, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if "\n" in url:  # it is the answer
            threading.Thread(target=answer, args=(listening, url.encode()), daemon=True).start()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises(RequestError, match=f"cannot be fetched: .*{message}") as error:
            fetch(Weights(url=url, sha256="0" * 64, bytes=10), quiet=True)
    assert error.value.where == url


def answer(listening: socket.socket, content: bytes) -> None:
    caller, _ = listening.accept()
    with caller:
        caller.recv(4096)
        caller.sendall(content)


def test_a_row_is_submitted_with_the_address_of_its_weights(made: Results, tmp_path: Path) -> None:
    record, path = pruned(made), tmp_path / "weights.safetensors"
    pb.export(made.network(record), path)
    others = [each.id for each in made.records if each.role in ("baseline", "control")]
    options = ["--store", str(made.store), "--to", str(tmp_path / "results")]
    command = ["submit", record.id, "--weights", str(path), "--weights-url"]
    assert CliRunner().invoke(app, ["submit", *others, *options]).exit_code == 0
    done = CliRunner().invoke(app, [*command, "https://example.org/w.safetensors", *options])
    assert done.exit_code == 0, (done.output, done.exception)
    written = read_record(tmp_path / "results" / f"{record.id}.json")
    assert written.weights is not None
    assert written.weights.bytes == path.stat().st_size
    refused = CliRunner().invoke(app, [*command, "weights.safetensors", *options, "--replace"])
    assert "an address https://HOST" in str(refused.exception)
    pb.export(made.network(others[0]), path)
    wrong = CliRunner().invoke(app, [*command, "https://example.org/w.safetensors", *options])
    assert "does not hold the network" in str(wrong.exception)
    assert not check_record(change(written, url="elsewhere"))
