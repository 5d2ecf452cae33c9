"""Memory of explaining a batch, beside that of only passing it through the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

IMAGES = 256

# In a process of its own, whose peak is this one thing's. The peak before it, after a first image,
# is taken off: interpreter, libraries and weights.
CODE = """
import json, sys, torch
from prunebench.cams.explained_batches import explain_batches, split_batches
from prunebench.cams.explaining import choose_cams
from prunebench.plugins import choose

what, device, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.manual_seed(0)
module = choose("models", "resnet56").plugin.build(10, 3, (32, 32)).eval().to(device)
cams = choose_cams(sys.argv[4:])
images = torch.randn(count, 3, 32, 32, device=device)

def run(images):
    if what == "forward":
        with torch.inference_mode():
            return module(images)
    return explain_batches(module, "layer3", split_batches(images, None, count), cams)

def peak():
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    # Not getrusage, whose peak a process inherits from the one that started it.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["VmHWM"].split()[0]) * 1024

run(images[:1])
before = peak()
run(images)
print(json.dumps({"bytes": peak() - before}))
"""
CAMS = ("grad-cam", "grad-cam++", "xgrad-cam", "hires-cam", "layer-cam", "elementwise-cam")


def peak(what: str, device: torch.device) -> float:
    command = [sys.executable, "-c", CODE, what, device.type, str(IMAGES), *CAMS, "ablation-cam"]
    # glibc then returns each tensor's memory as soon as it is freed, so that the peak is what was
    # in use at once and not what the allocator had kept.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
    printed = subprocess.check_output(command, env=environment)
    found: float = json.loads(printed)["bytes"] / 2**20
    return found


def test_peak_memory(benchmark: Any, note: Callable[..., None], device: torch.device) -> None:
    if device.type == "cpu" and not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell a process's peak memory")
    forward = peak("forward", device)
    explaining = benchmark.pedantic(peak, args=("explain", device), rounds=1)
    setting = f"ResNet-56, a batch of {IMAGES} images of 32×32, once"
    note(f"memory of a plain forward pass ({setting})", forward, "MiB")
    note("memory of seven CAMs, once / of the forward pass", explaining / forward, "×", "≤ 1.5 ×")
