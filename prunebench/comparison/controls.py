"""Controls of a comparison: networks between which the pruned one's preservation is read.

The floor is the baseline's architecture with random weights: so much do maps agree by chance. A
network that was trained again (the baseline fine-tuned by the same recipe, or the next seed) says
how far training alone moves them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.metrics.randomisation import randomise
from prunebench.networks.network import make_masks_permanent
from prunebench.networks.shared_weights import make_twin
from prunebench.networks.wrappers import unwrap
from prunebench.seeding import derive, seeded

FLOOR = "random"
"""The label of the control that stands for chance."""

Controls = Mapping[str, nn.Module | str]
"""Networks by label; the word ``random`` in a network's place draws the baseline's weights anew."""

RESERVED = ("baseline", "pruned")


def read_controls(controls: Controls, baseline: nn.Module) -> dict[str, nn.Module]:
    """Return the networks to be compared with the baseline, by label.

    Args:
        controls: What was asked for.
        baseline: The network before pruning.

    Raises:
        RequestError: A label is empty or taken, or a control is no network.
    """
    found = {}
    for label, control in controls.items():
        if not label.strip() or label in RESERVED:
            raise RequestError(
                f"a control cannot be called {label!r}; expected a name of its own, such as "
                "'random', 'fine-tuned' or 'twin'"
            )
        if isinstance(control, nn.Module):
            found[label] = control
        elif control == FLOOR:
            found[label] = draw_random(baseline)
        else:
            raise RequestError(
                f"control {label!r} is {control!r}; expected a torch.nn.Module, or 'random' for "
                "the baseline with random weights"
            )
    return found


def load_controls(
    texts: Iterable[str],
    baseline: nn.Module,
    load: Callable[[str], nn.Module],
    build: Callable[[], nn.Module],
) -> dict[str, nn.Module]:
    """Load the controls of a command line: ``random``, or ``LABEL=MODEL``.

    Args:
        texts: What was asked for.
        baseline: The network before pruning.
        load: Loads a model.
        build: Builds the baseline's architecture with the weights that its code begins with.

    Raises:
        RequestError: One cannot be read or loaded, or two have one label.
    """
    found: dict[str, nn.Module] = {}
    for text in texts:
        label, equals, model = text.partition("=")
        label = label.strip()
        if label in found:
            raise RequestError(f"two controls are called {label!r}", where="--control")
        if equals:
            found[label] = load(model)
        elif label == FLOOR:
            found[label] = draw_random(baseline, _build_anew(build))
        else:
            raise RequestError(
                f"{text!r}; expected random, or LABEL=MODEL such as twin=FACTORY@WEIGHTS",
                where="--control",
            )
    return found


def _build_anew(build: Callable[[], nn.Module]) -> nn.Module | None:
    with drawing():
        try:
            return build()
        except RequestError:  # a network that came without its code
            return None


def draw_random(baseline: nn.Module, built: nn.Module | None = None) -> nn.Module:
    """Return the baseline's architecture with random weights.

    A network that was built anew has the weights that its code begins with. Where there is none,
    or it holds the baseline's own weights (its code loads them), or its layers have other sizes,
    each layer of a copy draws its weights as PyTorch begins with them.

    Args:
        baseline: The network; it is left as it was.
        built: The same architecture, built anew under the floor's seed (see ``drawing``).
    """
    if built is not None and not _shares_weights(baseline, built):
        return built.eval()
    # A twin can be copied where masks have made weights that deepcopy refuses.
    network = deepcopy(make_twin(unwrap(baseline)))
    make_masks_permanent(network)
    with drawing():
        for index, layer in enumerate(network.modules()):
            _redraw(layer, index)
    return network.eval()


def drawing() -> AbstractContextManager[int]:
    """Seed the draw of random weights, as suites do for their own."""
    return seeded(0, "random weights")


def _shares_weights(baseline: nn.Module, built: nn.Module) -> bool:
    """Tell whether two networks differ in shape or have a matrix or kernel in common."""
    first, second = dict(baseline.named_parameters()), dict(built.named_parameters())
    if {k: v.shape for k, v in first.items()} != {k: v.shape for k, v in second.items()}:
        return True
    return any(
        torch.equal(value.cpu(), second[name].cpu())
        for name, value in first.items()
        if _is_drawn(value)
    )


def _is_drawn(value: Tensor) -> bool:
    """Tell whether a parameter begins with random numbers, rather than zeros or ones."""
    return value.dim() > 1 and value.is_floating_point() and bool((value != value.max()).any())


@torch.no_grad()
def _redraw(layer: nn.Module, index: int) -> None:
    before = [parameter.clone() for parameter in layer.parameters(recurse=False)]
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
    kept = [
        torch.equal(old, new)
        for old, new in zip(before, layer.parameters(recurse=False), strict=True)
        if _is_drawn(old)
    ]
    if any(kept) or (before and not callable(reset)):
        randomise(layer, derive(0, "random weights", index))
