"""How a layer's output is read as maps: convolutions give them, transformers give tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prunebench.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

Layout = Literal["maps", "channels-last", "tokens"]
"""``maps``: B×C×h×w. ``channels-last``: B×h×w×C. ``tokens``: B×T×C, the grid's rows one after the
other, behind up to eight tokens that have no position (class token, registers). A tokens' layout
reads an output of four dimensions as maps."""

MOST_PREFIX = 8


def to_maps(output: Tensor, layout: Layout, image: tuple[int, int]) -> Tensor:
    """Read a layer's output as maps.

    Args:
        output: Of the layer, in its layout.
        layout: Its layout.
        image: Height and width of the network's input, whose shape the grid of tokens has.

    Returns:
        Maps, B×C×h×w; where possible a view of the output.

    Raises:
        RequestError: The output has another number of dimensions, or its tokens form no grid.
    """
    if output.dim() == 3 and layout == "tokens":
        height, width = find_token_grid(output.shape[1], image)
        placed = output[:, output.shape[1] - height * width :]
        return placed.transpose(1, 2).reshape(len(placed), -1, height, width)
    if output.dim() != 4:
        raise RequestError(
            f"its output is {tuple(output.shape)}; a layer that can be explained gives maps, "
            "B×C×h×w, or, where the layout is 'tokens', B×T×C"
        )
    return output.permute(0, 3, 1, 2) if layout == "channels-last" else output


def from_maps(maps: Tensor, layout: Layout, output: Tensor) -> Tensor:
    """Put maps B×C×h×w back into a layer's layout.

    Args:
        maps: In place of the output's own.
        layout: Of the output.
        output: The layer's output, from which tokens without a position are taken.
    """
    if output.dim() == 4:
        return maps.permute(0, 2, 3, 1) if layout == "channels-last" else maps
    placed = maps.flatten(2).transpose(1, 2)
    prefix = output[:, : output.shape[1] - placed.shape[1]]
    import torch

    return torch.cat([prefix, placed], dim=1)


def find_channel_axis(layout: Layout, output: Tensor) -> int:
    """Find the dimension of a layer's output that holds its channels."""
    return 1 if output.dim() == 4 and layout != "channels-last" else output.dim() - 1


def find_token_grid(tokens: int, image: tuple[int, int]) -> tuple[int, int]:
    """Find height and width of the grid of patches behind a sequence of tokens.

    The finest grid of square patches that leaves up to eight tokens over.

    Args:
        tokens: Length of the sequence.
        image: Height and width of the image.

    Raises:
        RequestError: There is no such grid.
    """
    height, width = image
    for patch in range(1, min(image) + 1):
        rows, columns = height // patch, width // patch
        if rows * columns <= tokens:
            if tokens - rows * columns <= MOST_PREFIX:
                return rows, columns
            break
    raise RequestError(
        f"{tokens} tokens form no grid of square patches of an image of {height}×{width}"
    )
