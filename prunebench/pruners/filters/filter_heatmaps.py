"""Heatmaps of what each filter adds to a prediction: made, kept small, and drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.plugins.context import Context
from prunebench.pruners.filters.coupling import Channel
from prunebench.pruners.filters.feature_maps import FeatureReader, choose_batch_size
from prunebench.pruners.filters.feature_scores import differentiate_prediction

BYTES = 6 * 2**20
"""All heatmaps together, at most."""
SIDES = (16, 8, 4, 2, 1)
"""Height and width of a heatmap, at most: the first with which all of them fit."""

WIDTH = 512  # pixels of a picture
IMAGE = 56  # pixels of the image in it
TILES = (30, 20, 13)  # pixels of a heatmap in it: the first with which a layer's filters fit
ROWS = 2  # of heatmaps of a layer, at most
LAYERS = 3
LINE = 16  # pixels of a line of text
INK, FRAME = (40, 40, 40), (214, 39, 40)


def compute_heatmaps(network: nn.Module, context: Context, images: int) -> dict[str, Tensor]:
    """Compute the heatmaps of every convolution's filters.

    The heatmap of filter k is max(g_k A_k, 0), of its feature map A and the gradient g of the
    largest logit.

    Args:
        network: The network; it is left as it is.
        context: Its training images are used.
        images: Of how many images.

    Returns:
        As ``heatmap/LAYER``, of each image and filter, B×C×h×w, 8-bit, at most 16×16, averaged
        over smaller areas where that is less than the feature map; 255 is the layer's largest
        value in that image. As ``image/shown``, the images themselves, B×channels×H×W, 8-bit, from
        their smallest to their largest value.
    """
    reader = FeatureReader(network, gradients=True)
    found: dict[str, list[Tensor]] = {}
    for inputs, _ in context.batches(images, choose_batch_size(context.example)):
        features = reader.read(inputs)
        gradients = differentiate_prediction(features)
        maps = {name: each.detach() for name, each in features.maps.items() if each.dim() == 4}
        for name, each in maps.items():
            heat = _shrink((gradients[name] * each).clamp(min=0), SIDES[0])
            found.setdefault(f"heatmap/{name}", []).append(_to_bytes(heat))
        lowest = inputs.amin((1, 2, 3), keepdim=True)
        found.setdefault("image/shown", []).append(_to_bytes(_shrink(inputs - lowest, IMAGE)))
    return _shrink_to_fit({name: torch.cat(each) for name, each in found.items()})


def _shrink(maps: Tensor, side: int) -> Tensor:
    height, width = maps.shape[-2:]
    return F.adaptive_avg_pool2d(maps, (min(height, side), min(width, side)))


def _to_bytes(maps: Tensor) -> Tensor:
    largest = maps.amax((1, 2, 3), keepdim=True).clamp(min=1e-30)
    return (maps / largest * 255).round().byte()


def _shrink_to_fit(heatmaps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Shrink the heatmaps where there are too many; leave the images as they are."""
    images = {"image/shown": heatmaps.pop("image/shown")}
    for side in SIDES:
        sizes = [each.shape for each in heatmaps.values()]
        if sum(b * c * min(h, side) * min(w, side) for b, c, h, w in sizes) <= BYTES:
            break
    return images | {k: _to_bytes(_shrink(v.float(), side)) for k, v in heatmaps.items()}


def draw_picture(
    channels: Iterable[Channel], prepared: Mapping[str, Tensor], compressed: nn.Module
) -> Tensor:
    """Draw the filters' heatmaps of the first image, and which filters were removed.

    Shown are some layers, from the first to the last, of each the most influential filters first;
    of many filters, some, evenly. Removed ones are grey in a red frame.

    Args:
        channels: Of the network before: what may be removed, of each layer in the order of removal.
        prepared: What ``compute_heatmaps`` found in it.
        compressed: The network after.

    Returns:
        RGB, H×512×3, 8-bit.
    """
    order: dict[str, list[int]] = {}
    for channel in channels:
        if f"heatmap/{channel.layer}" in prepared:
            order.setdefault(channel.layer, []).extend(channel.indices)
    names = [list(order)[index] for index in _choose_evenly(len(order), LAYERS)]
    bands = [
        _draw_layer(name, order[name], prepared[f"heatmap/{name}"][0], compressed) for name in names
    ]
    height = IMAGE + 8 + sum(band.height + 6 for band in bands)
    canvas = Image.new("RGB", (WIDTH, height), "white")
    shown = prepared["image/shown"][0].cpu()
    photo = shown.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    canvas.paste(_resize(photo, IMAGE), (4, 4))
    legend = "each filter's heatmap for this image, most influential first"
    write = ImageDraw.Draw(canvas)
    write.text((IMAGE + 12, 12), legend, INK)
    write.text((IMAGE + 12, 12 + LINE), "grey in a red frame: removed", FRAME)
    top = IMAGE + 8
    for band in bands:
        canvas.paste(band, (0, top))
        top += band.height + 6
    return torch.from_numpy(np.array(canvas))


def _draw_layer(
    name: str, order: list[int], heatmaps: Tensor, compressed: nn.Module
) -> Image.Image:
    """Draw one layer: a line of text above its tiles."""
    layer: Any = compressed.get_submodule(name)
    gone = set(order[: len(heatmaps) - layer.out_channels])
    side, columns = _lay_out(len(order))
    tiles = [list(reversed(order))[index] for index in _choose_evenly(len(order), ROWS * columns)]
    rows = -(-len(tiles) // columns)
    band = Image.new("RGB", (WIDTH, LINE + rows * (side + 1)), "white")
    part = f", {len(tiles)} of them shown" if len(tiles) < len(order) else ""
    text = f"{name}: {layer.out_channels} of {len(heatmaps)} filters kept{part}"
    ImageDraw.Draw(band).text((4, 1), text, INK)
    # The root lets weak positions be seen beside the strongest filter's.
    values = (heatmaps.cpu().double() / 255).sqrt().numpy()
    for number, index in enumerate(tiles):
        row, column = divmod(number, columns)
        tile = _draw_tile(values[index], side, index in gone)
        band.paste(tile, (4 + column * (side + 1), LINE + row * (side + 1)))
    return band


def _lay_out(count: int) -> tuple[int, int]:
    """Return the height and width of a layer's tiles, and how many stand in a row."""
    fitting = (side for side in TILES if count <= ROWS * ((WIDTH - 8) // (side + 1)))
    side = next(fitting, TILES[-1])
    return side, (WIDTH - 8) // (side + 1)


def _draw_tile(values: Any, side: int, gone: bool) -> Image.Image:
    if not gone:
        colours = mpl.colormaps["viridis"](values)[..., :3] * 255
        return _resize(colours.round().astype(np.uint8), side)
    grey = np.repeat((90 + 110 * values).round().astype(np.uint8)[..., None], 3, 2)
    tile = _resize(grey, side)
    ImageDraw.Draw(tile).rectangle((0, 0, side - 1, side - 1), outline=FRAME)
    return tile


def _resize(pixels: Any, side: int) -> Image.Image:
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)


def _choose_evenly(count: int, most: int) -> list[int]:
    """Choose at most ``most`` of 0 ... count-1, evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]
