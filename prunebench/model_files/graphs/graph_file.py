"""What is read of a file that holds a network as a graph."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


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
