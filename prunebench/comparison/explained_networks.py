"""The networks of a comparison: chosen, checked, and explained for the same classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from prunebench.cams.arguments import Layer, name_layer
from prunebench.cams.cam import Cam
from prunebench.cams.explained_batches import Explained, explain_batches, split_batches
from prunebench.cams.explaining import choose_layer, learn_on
from prunebench.comparison.checks import ClassPolicy
from prunebench.comparison.controls import Controls, read_controls
from prunebench.errors import RequestError
from prunebench.networks.classifier import describe_dependence, make_classifier
from prunebench.networks.evaluation import to_module
from prunebench.networks.layout import Layout
from prunebench.networks.wrappers import unwrap
from prunebench.progress import counting

NETWORKS = ("baseline", "pruned")


@dataclass(frozen=True)
class ExplainedNetwork:
    """A network of a comparison, ready to be explained.

    Attributes:
        name: What messages call it: ``baseline``, ``pruned``, or ``control`` and its label.
        module: As ``make_classifier`` made it.
        layer: Its target layer.
        layout: How the layer's output is read as maps.
    """

    name: str
    module: nn.Module
    layer: str
    layout: Layout


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say in a refusal which network it is about."""
    try:
        yield
    except RequestError as error:
        where = name if name.startswith("control") else f"{name} network"
        raise RequestError(error.message, where=error.where or where) from error.__cause__


def _name_layers(
    modules: tuple[nn.Module, nn.Module],
    target_layer: Layer | tuple[Layer | None, Layer | None] | None,
) -> tuple[str | None, str | None]:
    """Return the names of the layers asked for in the baseline and in the pruned network."""
    if isinstance(target_layer, nn.Module):
        # A layer of one network, and the one of its name in the other.
        within = [module for module in modules if target_layer in set(unwrap(module).modules())]
        target_layer = name_layer(target_layer, (within or modules)[0])
    wanted = (
        target_layer if isinstance(target_layer, tuple | list) else (target_layer, target_layer)
    )
    if len(wanted) != 2:
        raise RequestError(
            f"{len(wanted)} target layers; expected one name, or the baseline's and the pruned "
            "network's"
        )
    found = []
    for module, name, layer in zip(modules, NETWORKS, wanted, strict=True):
        with _naming(name):
            found.append(name_layer(layer, module))
    return found[0], found[1]


def choose_networks(
    modules: dict[str, nn.Module],
    controls: Controls,
    images: Tensor,
    target_layer: Layer | tuple[Layer | None, Layer | None] | None,
    layout: Layout | tuple[Layout, Layout],
) -> list[ExplainedNetwork]:
    """Return baseline, pruned network and controls, each with its target layer.

    Args:
        modules: The two networks, by what messages call them; the baseline first.
        controls: See ``compare``; each is explained at the layer asked for in the baseline.
        images: Normalised images, N×C×H×W.
        target_layer: The layer asked for, one or the baseline's and the pruned network's.
        layout: How its output is read as maps, likewise.

    Raises:
        RequestError: A network cannot be explained so; the message names it.
    """
    baseline, pruned = modules.values()
    layers = _name_layers((baseline, pruned), target_layer)
    layouts = layout if isinstance(layout, tuple) else (layout, layout)
    read = read_controls(controls, baseline)
    modules = modules | {f"control {label!r}": module for label, module in read.items()}
    classifiers = {}
    for name, module in modules.items():
        with _naming(name):
            classifiers[name] = make_classifier(module, to_module(images[:1], unwrap(module)))
    found = []
    for name, module in classifiers.items():
        index = 1 if name == "pruned" else 0
        with _naming(name):
            layer = choose_layer(module, layers[index], images, layouts[index])
        found.append(ExplainedNetwork(name, module, layer, layouts[index]))
    return found


def describe_dependences(networks: Sequence[ExplainedNetwork], images: Tensor) -> tuple[str, ...]:
    """Return a warning for each network whose maps depend on more than the image."""
    found = []
    for network in networks:
        if depends := describe_dependence(network.module, to_module(images[:1], network.module)):
            found.append(
                f"the maps of the {network.name} network do not depend on the image alone, but on "
                f"{depends}"
            )
    return tuple(found)


def explain_all(
    networks: Sequence[ExplainedNetwork],
    images: Tensor,
    labels: Tensor | None,
    cams: dict[str, Cam],
    class_policy: ClassPolicy,
    batch_size: int,
    quiet: bool,
) -> list[Explained]:
    """Return maps, logits and explained classes of each network.

    Args:
        networks: The baseline first.
        images: Normalised images, N×C×H×W.
        labels: True classes, N or N×K, where they are known.
        cams: Explanation methods.
        class_policy: Whose class is explained; see ``compare``.
        batch_size: Images a batch.
        quiet: Show no progress.
    """
    prepared = [learn_on(images, network.module, cams, quiet) for network in networks]
    results: list[Explained] = []
    with counting(len(networks) * len(images), "images explained", quiet) as progress:
        for index, network in enumerate(networks):
            classes = labels if class_policy == "label" else None
            if class_policy != "own" and results:
                classes = results[0].classes
            with _naming(network.name):
                found = explain_batches(
                    network.module,
                    network.layer,
                    split_batches(images, classes, batch_size),
                    cams,
                    layout=network.layout,
                    prepared=prepared[index],
                    # As in a suite, each network draws random maps of its own.
                    seed=index,
                    progress=partial(_advance, progress, index * len(images)),
                )
            results.append(found)
    return results


def _advance(progress: Callable[[int], None], before: int, done: int) -> None:
    progress(before + done)
