"""Where a run happens, as far as its numbers depend on it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prunebench.errors import RequestError


@dataclass(frozen=True)
class Environment:
    """Device and hardware.

    Attributes:
        device: ``cpu`` or ``cuda``.
        precision: Number format of the networks.
        processor: Name of the processor.
        accelerator: Name of the GPU, if the device is one.
        threads: Cores that a step may use.
        torch: Version of PyTorch.
    """

    device: str = "cpu"
    precision: str = "float32"
    processor: str = ""
    accelerator: str = ""
    threads: int = 1
    torch: str = ""

    def part(self, carries: str) -> dict[str, str | int]:
        """Return what a step's key holds of this: nothing, the number format, or the hardware."""
        if carries == "portable":
            return {}
        numeric: dict[str, str | int] = {"device": self.device, "precision": self.precision}
        if carries == "numeric":
            return numeric
        return numeric | {
            "processor": self.processor,
            "accelerator": self.accelerator,
            "threads": self.threads,
            "torch": self.torch,
        }


@cache
def current(device: str = "auto") -> Environment:
    """Detect the environment of this process.

    Args:
        device: ``cpu``, ``cuda``, or ``auto``: cuda where there is one.

    Raises:
        RequestError: The device does not exist here.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise RequestError(f"unknown device {device!r}; there is: auto, cpu, cuda")
    accelerator = "" if device == "cpu" else _gpu()
    if device == "cuda" and not accelerator:
        raise RequestError("device 'cuda' was asked for, but PyTorch finds no GPU here")
    return Environment(
        device="cuda" if accelerator else "cpu",
        processor=processor(),
        accelerator=accelerator,
        threads=cores(),
        torch=version("torch"),
    )


PACKAGES = ("prunebench", "torch", "torchvision", "torch-pruning", "fvcore")


def made_with(environment: Environment) -> dict[str, Any]:
    """Return packages and hardware, for a result's provenance."""
    return {
        "packages": _versions(),
        "processor": environment.processor,
        "accelerator": environment.accelerator,
        "threads": environment.threads,
    }


@cache
def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu() -> str:
    # Without a driver's device file there is no need to pay for importing torch.
    if platform.system() == "Linux" and not any(Path("/dev").glob("nvidia[0-9]*")):
        return ""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""
