"""A million cells are planned on a laptop, before anything is computed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEVELS, SEEDS = 833, 100

# In a process of its own, whose memory is the plan's. Hashing is what planning cannot do without:
# a key for each step, of which a cell has two or three.
CODE = """
import hashlib, json, sys, time
from prunebench.store.digests import Digests
from prunebench.plan.environment import Environment
from prunebench.plan.estimate import summarise
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.suite import load_suite

start = time.perf_counter()
identities = Identities(load_suite(sys.argv[1]), Environment(), Digests())
cells = summarise(plan_trials(identities), set(), {}).cells
planned = time.perf_counter()
for number in range(cells):
    hashlib.blake2b(f"cell {number}".encode(), digest_size=16).hexdigest()
hashed = time.perf_counter()
found = {"cells": cells, "seconds": planned - start, "hashing": hashed - planned}
try:
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    found["mib"] = int(status["VmHWM"].split()[0]) / 1024
except OSError:
    pass
print(json.dumps(found))
"""


def test_planning(benchmark: Any, note: Callable[..., None], tmp_path: Path) -> None:
    suite = tmp_path / "large.yaml"
    suite.write_text(
        "name: large\ndataset: digits\nmodel: digits-cnn\n"
        "pruners: [l1-unstructured, random-unstructured]\n"
        f"levels: {[k / 1000 for k in range(1, LEVELS + 1)]}\nseeds: {list(range(SEEDS))}\n"
        "recovery: {epochs: 1}\ncams: [grad-cam, grad-cam++, ablation-cam]\n"
        "metrics: [ssim, sam]\n"
    )
    command = [sys.executable, "-c", CODE, str(suite)]
    printed = benchmark.pedantic(subprocess.check_output, args=(command,), rounds=1)
    found = json.loads(printed)
    assert found["cells"] >= 1_000_000
    note("planning 1,000,000 cells", found["seconds"] / found["cells"] * 1e6, "s", "under 30 s")
    note("planned cells a second", found["cells"] / found["seconds"], "")
    note("planning a cell / hashing a string", found["seconds"] / found["hashing"], "×")
    if "mib" in found:
        note("peak memory of planning", found["mib"], "MiB", "under 1,024 MiB")
