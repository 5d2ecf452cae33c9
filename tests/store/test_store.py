from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from prunebench.errors import RequestError
from prunebench.store import Store, StoreError, leases

KEY = "ab" + "0" * 30


def test_an_artefact_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    tensors = {"a": torch.randn(3, 4), "b": torch.tensor([True, False])}
    assert store.commit(KEY, "scored", {"x": [1, 2.5, None]}, tensors, {"seconds": 1.0}, "ssim")
    found = Store(tmp_path).read(KEY)
    assert found.data == {"x": [1, 2.5, None]}
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors.items())
    assert store.stored_keys() == {KEY}
    assert store.times() == {("scored", "ssim"): 1.0}


def test_the_first_commit_wins(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.commit(KEY, "scored", {"n": 1}, {}, {})
    assert not store.commit(KEY, "scored", {"n": 2}, {}, {})
    assert store.read(KEY).data == {"n": 1}
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 1


def test_a_half_written_artefact_is_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    left = store.folder(KEY).parent / f".{KEY}-killed"
    left.mkdir(parents=True)
    (left / "tensors.safetensors").write_bytes(b"half")
    assert not store.has(KEY)
    assert KEY not in store.stored_keys()
    assert store.commit(KEY, "scored", {}, {}, {})
    os.utime(left, (0, 0))
    assert store.collect() == 1
    assert not left.exists()


def test_a_damaged_artefact_says_how_to_be_rid_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(KEY, "scored", {}, {"a": torch.ones(5)}, {})
    (store.folder(KEY) / "tensors.safetensors").write_bytes(b"short")
    with pytest.raises(StoreError, match=f"store rm {KEY}"):
        store.read(KEY)


@pytest.mark.parametrize("file", ["tensors.safetensors", "artefact.json"])
@pytest.mark.parametrize("what", ["zeros", "garbage", "a flipped bit"])
def test_other_content_of_the_right_size_is_damage(tmp_path: Path, file: str, what: str) -> None:
    store = Store(tmp_path)
    data = {"values": {"ssim": 0.5}, "by_class": {10: 1.0, 9: 2.0}}
    store.commit(KEY, "scored", data, {"a": torch.ones(5)}, {"seconds": 1.0})
    assert store.read(KEY).data["by_class"] == {"10": 1.0, "9": 2.0}
    path = store.folder(KEY) / file
    content = bytearray(path.read_bytes())
    if what == "a flipped bit":  # of a number
        content[-2 if file.startswith("tensors") else content.index(b"0.5") + 2] ^= 1
    else:
        content = bytearray(len(content)) if what == "zeros" else bytearray(b"\xff" * len(content))
    path.write_bytes(content)
    with pytest.raises(StoreError, match=f"store rm {KEY}"):
        assert store.read(KEY).tensors


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"kind": 1}', "[" * 100_000, "\xff"])
def test_an_artefact_that_is_none_is_damage(tmp_path: Path, content: str) -> None:
    store = Store(tmp_path)
    store.commit(KEY, "scored", {}, {}, {})
    (store.folder(KEY) / "artefact.json").write_text(content, encoding="latin-1")
    with pytest.raises(StoreError, match=f"store rm {KEY}"):
        store.read(KEY)


def test_artefacts_stored_before_there_were_digests_are_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(KEY, "scored", {"x": 1}, {"a": torch.ones(5)}, {"seconds": 1.0})
    path = store.folder(KEY) / "artefact.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in content.items() if "digest" not in k}))
    assert store.read(KEY).data == {"x": 1}
    assert store.read(KEY).tensors["a"].tolist() == [1.0] * 5
    blob = store.folder(KEY) / "tensors.safetensors"
    blob.write_bytes(bytes(blob.stat().st_size))
    with pytest.raises(StoreError, match=f"store rm {KEY}"):
        assert store.read(KEY).tensors


def test_what_an_interrupted_copy_left_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(KEY, "scored", {"x": 1}, {"a": torch.ones(5)}, {})
    (store.folder(KEY) / "artefact.json").unlink()
    assert store.stored_keys() == set()
    assert store.commit(KEY, "scored", {"x": 2}, {}, {})
    assert store.read(KEY).data == {"x": 2}
    assert len(list(store.folder(KEY).parent.iterdir())) == 1
    shutil.rmtree(store.folder(KEY))
    store.folder(KEY).write_text("a file in its place")
    assert store.stored_keys() == set()
    assert store.commit(KEY, "scored", {"x": 3}, {}, {})
    assert store.read(KEY).data == {"x": 3}


def test_a_file_in_place_of_a_shelf_is_one_message(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.folder(KEY).parent.write_text("")
    assert store.stored_keys() == set()
    assert not store.has(KEY)
    with pytest.raises(StoreError, match="cannot be written"):
        store.commit(KEY, "scored", {}, {}, {})


@pytest.mark.parametrize("text", ['{"schema": 1e999}', "[]", "", "[" * 100_000, '{"schema": null}'])
def test_a_header_that_is_none_is_no_store(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreError, match="is not a store"):
        Store(tmp_path)


def test_a_store_behind_links_that_go_round_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "store").symlink_to("store")
    for reading in (False, True):
        with pytest.raises(RequestError, match=r"store(/store.json)?: .*cannot be"):
            Store(tmp_path / "store", reading=reading)


def test_journal_and_failures_may_be_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(KEY, "scored", {}, {}, {"seconds": 2.0}, "ssim")
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b"\xff\n[]\n" + b"[" * 100_000 + b'\n{"kind": "a", "name": "b", ')
        journal.write(b'"seconds": 1e999}\n')
    assert store.times() == {("scored", "ssim"): 2.0}
    store.fail(KEY, "scored", "ValueError: no", "trace")
    (tmp_path / "failures" / ("cd" * 16 + ".json")).write_text("")
    (tmp_path / "failures" / ("ef" * 16 + ".json")).write_text("[]")
    told = {failure["key"][:2]: failure["message"] for failure in store.failures()}
    assert told["ab"] == "ValueError: no"
    assert "damaged" in told["cd"]
    assert "damaged" in told["ef"]


@pytest.mark.parametrize("text", ["{host} pid abc", "{host} " + "9" * 400 + " abc", "", "\xff a b"])
def test_a_lease_that_is_none_is_free(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    lease = text.format(host=socket.gethostname())
    (tmp_path / "leases" / KEY).write_text(lease, encoding="latin-1")
    with store.lease(KEY) as mine:
        assert mine


def test_a_store_that_is_only_read_is_left_as_it_is(tmp_path: Path) -> None:
    empty = Store(tmp_path / "nowhere", reading=True)
    assert not empty.exists
    assert (empty.stored_keys(), empty.failures(), empty.times()) == (set(), [], {})
    assert not (tmp_path / "nowhere").exists()
    Store(tmp_path / "store").commit(KEY, "scored", {"x": 1}, {}, {})
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "store").rglob("*"))
    found = Store(tmp_path / "store", reading=True)
    assert found.read(KEY).data == {"x": 1}
    assert sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "store").rglob("*")) == before


def test_a_full_disk_is_reported_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="disk is full"):
        store.commit(KEY, "scored", {}, {"a": torch.ones(5)}, {})
    monkeypatch.undo()
    assert not store.has(KEY)
    assert list(store.folder(KEY).parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file" / "store")


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(StoreError, match="schema 99"):
        Store(tmp_path)


def test_a_lease_belongs_to_one(tmp_path: Path) -> None:
    one, other = Store(tmp_path), Store(tmp_path)
    with one.lease(KEY) as mine:
        assert mine
        with other.lease(KEY) as theirs:
            assert not theirs
    with other.lease(KEY) as theirs:
        assert theirs


def test_the_lease_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom prunebench.store import Store\n"
        "lease = Store(sys.argv[1]).lease(sys.argv[2])\n"
        "assert lease.__enter__()\nos._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), KEY], check=False)
    assert (tmp_path / "leases" / KEY).is_file()
    with Store(tmp_path).lease(KEY) as mine:
        assert mine


def test_the_lease_of_a_silent_machine_is_taken_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    lease = tmp_path / "leases" / KEY
    lease.write_text("another-machine 1 abc")
    with store.lease(KEY) as mine:
        assert not mine
    silent = time.time() - leases.DEAD_AFTER - 1
    os.utime(lease, (silent, silent))
    with store.lease(KEY) as mine:
        assert mine


def test_a_living_lease_has_a_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT", 0.05)
    store = Store(tmp_path)
    with store.lease(KEY):
        os.utime(tmp_path / "leases" / KEY, (0, 0))
        until = time.monotonic() + 10
        while (tmp_path / "leases" / KEY).stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.05)
        assert (tmp_path / "leases" / KEY).stat().st_mtime > 0


def test_scratch_is_dropped_when_its_step_is_stored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.scratch(KEY).load() is None
    store.scratch(KEY).save({"epoch": torch.tensor(3)})
    state = Store(tmp_path).scratch(KEY).load()
    assert state is not None
    assert int(state["epoch"]) == 3
    store.commit(KEY, "baseline", {}, {}, {})
    assert store.scratch(KEY).load() is None


def test_a_damaged_checkpoint_is_as_good_as_none(tmp_path: Path) -> None:
    scratch = Store(tmp_path).scratch(KEY)
    shared = torch.ones(4)
    scratch.save({"a": shared, "b": shared})  # safetensors itself refuses shared memory
    scratch.file.write_bytes(scratch.file.read_bytes()[:20])
    assert scratch.load() is None
    assert scratch.load() is None
    scratch.save({"a": shared})
    content = bytearray(scratch.file.read_bytes())
    content[-40] ^= 1  # a bit of a number
    scratch.file.write_bytes(content)
    assert scratch.load() is None


def test_a_failure_is_no_artefact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail(KEY, "scored", "ValueError: no", "trace")
    assert not store.has(KEY)
    assert [failure["message"] for failure in store.failures()] == ["ValueError: no"]
    store.commit(KEY, "scored", {}, {}, {})
    assert store.failures() == []
