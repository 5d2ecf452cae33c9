"""What is read of a file that holds a network as a graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from prunebench.errors import RequestError
from prunebench.input_files import spell


@dataclass(frozen=True)
class GraphFile:
    """A network read from a graph file, with what the file tells of its images.

    Attributes:
        module: The network in evaluation mode: images B×C×H×W in, of any batch size; what the file
            gives, out.
        notes: What a reader had to decide or found, in words for a report.
        input_size: Height and width of the images, where the file tells them.
        channels: Of the images, where the file tells them.
        normalisation: Mean and deviation of each channel, where the file tells them.
    """

    module: nn.Module
    notes: tuple[str, ...]
    input_size: tuple[int, int] | None = None
    channels: int | None = None
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say in every refusal which file is meant."""
    try:
        yield
    except RequestError as error:
        raise RequestError(error.message, where=spell(path)) from None
