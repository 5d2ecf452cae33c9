"""Measure which structured pruners work on which architectures, and write the page that says so.

    python tools/write_pruning_matrix.py [MINUTES]

Cells that ``docs/pruners-and-architectures.csv`` holds are not measured again: delete those that
should be, or the file. Networks are untrained and see images of 64×64; all cells take some hours of
a core. It stops after MINUTES; those that tell most come first.
"""

from __future__ import annotations

import copy
import csv
import logging
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.networks import Architecture
from prunebench.networks.counting import count_total_macs
from prunebench.plugins import choose, entries
from prunebench.plugins.context import Context
from prunebench.plugins.preparing import prepared
from prunebench.pruners.filters import FilterPruner

ARCHITECTURES = (
    "torchvision/resnet18",
    "torchvision/vgg11_bn",
    "torchvision/densenet121",
    "torchvision/mobilenet_v2",
    "torchvision/mobilenet_v3_small",
    "torchvision/efficientnet_b0",
    "torchvision/shufflenet_v2_x1_0",
    "torchvision/convnext_tiny",
    "timm/ghostnet_100",
    "timm/cspresnet50",
    "timm/skresnet18",
    "timm/regnetx_002",
    "timm/convnextv2_atto",
    "timm/mobilevit_xxs",
    "timm/mixer_s32_224",
    "timm/vit_tiny_patch16_224",
)
SLOW = {
    "torchvision/vgg11_bn",
    "torchvision/densenet121",
    "torchvision/convnext_tiny",
    "timm/mobilevit_xxs",
}
TARGETS = ("params", "macs")
LEVELS = (0.3, 0.6)
FIRST, SECOND = "l1-filter", "taylor"  # by weights alone, and by gradients
LEFT_OUT = {"senpis"}  # runs the network once for each filter
SIZE = (64, 64)
NEAR = 0.01
CELLS = Path("docs/pruners-and-architectures.csv")
PAGE = Path("docs/pruners-and-architectures.md")


class Cell(NamedTuple):
    """What was asked of a method on an architecture."""

    architecture: str
    method: str
    target: str
    level: float


class Outcome(NamedTuple):
    """The fraction that is gone; or why none."""

    reached: float | None
    reason: str = ""


def list_methods() -> list[str]:
    """List the pruners that remove filters and train nothing."""
    named = {name: claims[0].plugin_class for name, claims in entries("pruners").items()}
    return [
        name
        for name, plugin in named.items()
        if name not in LEFT_OUT
        and issubclass(plugin, FilterPruner)
        and "training" not in plugin.model_fields
    ]


def list_cells() -> Iterator[Cell]:
    """Yield all cells, those first that tell most."""
    ordered = sorted(ARCHITECTURES, key=lambda each: each in SLOW)
    for architecture in ordered:
        yield from (Cell(architecture, FIRST, *of) for of in product(TARGETS, LEVELS))
    others = [each for each in list_methods() if each not in (FIRST, SECOND)]
    for level, target, methods in product(LEVELS, TARGETS, ([SECOND], others)):
        for architecture, method in product(ordered, methods):
            yield Cell(architecture, method, target, level)


def measure(cell: Cell) -> Outcome:
    """Prune an untrained network and count what is gone."""
    torch.manual_seed(0)
    whole = Architecture(
        factory=cell.architecture,
        classes=10,
        channels=3,
        size=SIZE,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    ).build()
    linear = [name for name, layer in whole.eval().named_modules() if isinstance(layer, nn.Linear)]
    images = torch.randn(4, 3, *SIZE)

    def batches(count: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield images, torch.arange(4)

    context = Context(
        example=images[:1],
        batches=batches,
        classes=10,
        seed=0,
        device=torch.device("cpu"),
        baseline=whole,
        fixed_channels=frozenset(linear[-1:]),
    )
    pruner = choose("pruners", cell.method, {"target": cell.target}).plugin
    try:
        pruner.check(whole, context)
        within = prepared(pruner.prepare(), whole, context)
        pruned = pruner.compress(copy.deepcopy(whole), cell.level, within)
    except RequestError as error:
        return Outcome(None, " ".join(error.message.split()))
    return Outcome(1 - _count(pruned, cell, images) / _count(whole, cell, images))


def _count(network: nn.Module, cell: Cell, images: Tensor) -> int:
    if cell.target == "macs":
        return count_total_macs(network, images)
    return sum(parameter.numel() for parameter in network.parameters())


def read_cells(path: Path = CELLS) -> dict[Cell, Outcome]:
    """Read what was measured."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {
            Cell(row["architecture"], row["method"], row["target"], float(row["level"])): Outcome(
                float(row["reached"]) if row["reached"] else None, row["reason"]
            )
            for row in csv.DictReader(file)
        }


def write_cells(cells: dict[Cell, Outcome]) -> None:
    """Write what was measured, in the order of the page."""
    order = {each: index for index, each in enumerate(ARCHITECTURES)}
    with CELLS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Cell._fields, *Outcome._fields])
        for cell in sorted(cells, key=lambda each: (order[each.architecture], each[1:])):
            reached, reason = cells[cell]
            writer.writerow([*cell, "" if reached is None else f"{reached:.4f}", reason])


def write_page(cells: dict[Cell, Outcome]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield "---\nhide: [navigation, toc]\n---\n"  # the tables are wide
    yield "# Which structured pruners work on which architectures\n"
    yield (
        "Asked is a level of parameters or of multiply-accumulates (MACs); shown is what the cut "
        f"network has less, counted again, in percent. **Bold**: more than {NEAR:.0%} from the "
        "level. **—**: refused; the reasons are below. Nothing: not measured.\n"
    )
    yield (
        "Networks are untrained, with ten classes and images of 64×64; methods keep their default "
        "options and none trains; `senpis`, which runs the network once for each filter, is left "
        "out. Images of another size change MACs, and with them which channels "
        "go. The numbers are also [a table](pruners-and-architectures.csv). To make this page "
        "again: `python tools/write_pruning_matrix.py`, which measures what the table lacks.\n"
    )
    for target, level in product(TARGETS, LEVELS):
        yield f"## {level:.0%} of the {'parameters' if target == 'params' else 'MACs'}\n"
        own = {cell: each for cell, each in cells.items() if cell[2:] == (target, level)}
        yield from _write_table(own)
    yield "## Why some are refused\n"
    yield from _write_reasons(cells)


def _write_table(cells: dict[Cell, Outcome]) -> Iterator[str]:
    known = {(cell.method, cell.architecture): each for cell, each in cells.items()}
    methods = [method for method in list_methods() if any(method == each for each, _ in known)]
    yield "| | " + " | ".join(methods) + " |"
    yield "|---|" + "---|" * len(methods)
    level = next(iter(cells)).level if cells else 0.0
    for architecture in ARCHITECTURES:
        shown = [_show(known.get((method, architecture)), level) for method in methods]
        yield f"| {architecture} | " + " | ".join(shown) + " |"
    yield ""


def _show(outcome: Outcome | None, level: float) -> str:
    if outcome is None:
        return ""
    if outcome.reached is None:
        return "**—**"
    shown = f"{100 * outcome.reached:.1f}"
    return shown if abs(outcome.reached - level) <= NEAR else f"**{shown}**"


def _write_reasons(cells: dict[Cell, Outcome]) -> Iterator[str]:
    asked: dict[tuple[str, str], list[Cell]] = {}
    for cell, outcome in cells.items():
        if outcome.reached is None:
            asked.setdefault((cell.architecture, outcome.reason), []).append(cell)
    for (architecture, reason), those in asked.items():
        methods = ", ".join(f"`{name}`" for name in _unique(cell.method for cell in those))
        yield f"- `{architecture}` with {methods}: {_escape(reason)}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _escape(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "*_[]<>" else sign for sign in text)


def main(minutes: float) -> None:
    """Measure what is missing, as long as there is time, and write the page."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    end, cells = time.monotonic() + 60 * minutes, read_cells()
    for cell in list_cells():
        if cell in cells:
            continue
        if time.monotonic() > end:
            break
        start = time.monotonic()
        cells[cell] = measure(cell)
        print(*cell, *cells[cell], f"{time.monotonic() - start:.1f} s", flush=True)
        write_cells(cells)
    PAGE.write_text("\n".join(write_page(read_cells())).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else float("inf"))
