"""Fixtures for all tests: where the real images and weights are, where there are any."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


def _finder(variable: str, beside: str) -> Callable[[str], Path]:
    root = Path(os.environ.get(variable, REPOSITORY.parent / "shared" / beside))

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"{name} is not in {root}; set {variable} to where it is")
        return root / name

    return find


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Finds a folder of real images, ``shared_data("cifar10-jpeg")``, or skips the test."""
    return _finder("PRUNEBENCH_DATA", "data")


@pytest.fixture(scope="session")
def shared_weights() -> Callable[[str], Path]:
    """Finds a file of trained weights, or skips the test."""
    return _finder("PRUNEBENCH_WEIGHTS", "weights")
