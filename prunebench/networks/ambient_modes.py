"""Modes of torch that are on where we are called, and would change what a network computes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

DEVICES = ("cpu", "cuda", "xpu", "mps")
"""Kinds of devices that have an autocast of their own."""


@contextmanager
def leave_ambient_modes() -> Iterator[None]:
    """Run networks as they are: not in inference mode, not compiled, not in autocast's precision.

    What is compiled runs as it was written, or layers would not be seen in it. What a network does
    in its own code, such as autocast there, stays.
    """
    with ExitStack() as left:
        left.enter_context(torch.inference_mode(False))
        if (
            "torch._dynamo" in sys.modules
        ):  # else nothing is compiled, and importing it takes seconds
            left.enter_context(torch.compiler.set_stance("force_eager"))
        for device in DEVICES:
            if torch.is_autocast_enabled(device):
                left.enter_context(torch.autocast(device, enabled=False))
        yield
