"""How a layer's output is read as maps: convolutions give them, transformers give tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from prunebench.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

Layout = Literal["maps", "channels-last", "tokens"]
"""``maps``: B×C×h×w. ``channels-last``: B×h×w×C. ``tokens``: B×T×C, the grid's rows one after the
other, behind up to eight tokens that have no position (class token, registers). A tokens' layout
reads an output of four dimensions as maps."""

MOST_PREFIX = 8


class TokenGrids(NamedTuple):
    """Grids of a network's tokens, as the network tells them.

    Attributes:
        grids: Height and width of all maps that it makes, as its embedding of patches does.
        prefix: How many tokens stand before the grid; None where it does not say.
    """

    grids: frozenset[tuple[int, int]] = frozenset()
    prefix: int | None = None


NOTHING_TOLD = TokenGrids()


def to_maps(
    output: Tensor, layout: Layout, image: tuple[int, int], told: TokenGrids = NOTHING_TOLD
) -> Tensor:
    """Read a layer's output as maps.

    Args:
        output: Of the layer, in its layout.
        layout: Its layout.
        image: Height and width of the network's input, whose shape the grid of tokens has.
        told: What the network tells of the grids of its tokens.

    Returns:
        Maps, B×C×h×w; where possible a view of the output.

    Raises:
        RequestError: The output has another number of dimensions, or its tokens form no grid that
            is clear.
    """
    if output.dim() == 3 and layout == "tokens":
        height, width = find_token_grid(output.shape[1], image, told)
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


def find_token_grid(
    tokens: int, image: tuple[int, int], told: TokenGrids = NOTHING_TOLD
) -> tuple[int, int]:
    """Find height and width of the grid of patches behind a sequence of tokens.

    That is a grid the network itself makes, if one leaves no more tokens over than stand before
    it; or the only grid of square patches that does: of patches that divide the image, or, of a
    network that tells nothing, of any.

    Args:
        tokens: Length of the sequence.
        image: Height and width of the image.
        told: What the network tells.

    Raises:
        RequestError: There is no such grid, or more than one.
    """
    height, width = image
    patches = range(1, min(image) + 1)
    dividing = {(height // p, width // p) for p in patches if not (height % p or width % p)}
    others = {(height // p, width // p) for p in patches} if not told.grids else set()
    for candidates in (told.grids, dividing, others):
        over = {grid: tokens - grid[0] * grid[1] for grid in candidates}
        fitting = [grid for grid, left in over.items() if 0 <= left <= MOST_PREFIX]
        exact = [grid for grid in fitting if over[grid] == told.prefix]
        found = exact or fitting
        if len(found) > 1:
            shown = " or ".join(f"{h}×{w} behind {over[h, w]}" for h, w in sorted(found))
            raise RequestError(
                f"{tokens} tokens of an image of {height}×{width} may be {shown}; the network does "
                "not tell which, by the maps of a patch embedding or by num_prefix_tokens"
            )
        if found:
            return found[0]
    raise RequestError(
        f"{tokens} tokens form no grid of square patches of an image of {height}×{width}"
    )


def follows_image(size: tuple[int, int], image: tuple[int, int]) -> bool:
    """Tell whether maps of a height and width have an image's proportions, up to rounding."""
    return abs(size[0] * image[1] - size[1] * image[0]) <= max(image)


def contradicts(shape: Sequence[int], layout: Layout, image: tuple[int, int]) -> bool:
    """Tell whether an output's shape speaks for channels first where they are last, or the reverse.

    Args:
        shape: Of the output.
        layout: How it is to be read.
        image: Height and width of the image.
    """
    if len(shape) != 4:
        return False
    first, last = (shape[2], shape[3]), (shape[1], shape[2])
    read, other = (last, first) if layout == "channels-last" else (first, last)
    return follows_image(other, image) and not follows_image(read, image)
