"""What plugins are tried on: handwritten digits, and two networks trained on them briefly."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.data import Data, Split
from prunebench.networks import Architecture, Network
from prunebench.networks.network import to_tensors
from prunebench.networks.training import train
from prunebench.plugins import choose
from prunebench.plugins.recipe import Recipe
from prunebench.seeding import seeded

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=3, lr=0.05, batch_size=64, schedule="cosine", keep="last")

Which = Literal["digits-cnn", "awkward"]
FACTORIES: dict[Which, str] = {
    "digits-cnn": "digits-cnn",
    "awkward": f"{Path(__file__).with_name('networks.py')}:awkward",
}


@cache
def load_digits() -> Data:
    """Return scikit-learn's handwritten digits at 16×16, each its own mask."""
    data: Data = choose("datasets", "digits").plugin.load()

    def smaller(split: Split) -> Split:
        assert isinstance(split.pixels, Tensor)
        pixels = F.avg_pool2d(split.pixels.float(), 2).round().to(torch.uint8)
        return Split(pixels, split.labels).with_images_as_masks()

    train_, validation, test = map(smaller, (data.train, data.validation, data.test))
    return Data(train_, validation, test, data.class_names, data.normalisation)


@cache
def train_network(which: Which, epochs: int = RECIPE.epochs) -> Network:
    """Return a network after some epochs of its training; made once a process, so copy it."""
    data = load_digits()
    architecture = Architecture(
        factory=FACTORIES[which],
        classes=data.classes,
        channels=1,
        size=(16, 16),
        mean=data.normalisation.mean,
        std=data.normalisation.std,
    )
    with seeded(0, "conformance"):
        module = architecture.build()
    train(module, data, data.normalisation, RECIPE, 0, CPU, stop=epochs)
    module.zero_grad()
    return Network(module.eval(), architecture)


def load_test_images(count: int) -> Tensor:
    """Return the first test images, normalised, N×1×16×16."""
    data = load_digits()
    pixels = data.test.pixels[torch.arange(count)]
    return data.normalisation(pixels)


def predict_logits(network: Network, images: Tensor) -> Tensor:
    """Return a network's logits, N×K, without gradient."""
    with torch.no_grad():
        found: Tensor = network.module(images.to(network.example().device))
    return found


def digest_network(network: Network) -> str:
    """Return a digest of a network's architecture and of every bit of its tensors."""
    content = save(to_tensors(network))
    text = network.architecture.model_dump_json().encode()
    return hashlib.sha256(text + content).hexdigest()


def describe_state(module: nn.Module) -> tuple[object, ...]:
    """Return all that a method must leave alone in a network: values, flags, gradients, hooks."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    content = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors}
    return (
        hashlib.sha256(save(content)).hexdigest(),
        [(name, p.requires_grad, p.grad is None) for name, p in module.named_parameters()],
        [(name, layer.training, count_hooks(layer)) for name, layer in module.named_modules()],
    )


def count_hooks(layer: nn.Module) -> int:
    """Return the number of hooks on a layer, forward and backward."""
    kinds = ("forward", "forward_pre", "backward", "backward_pre")
    return sum(len(getattr(layer, f"_{kind}_hooks")) for kind in kinds)


@contextmanager
def note_generators(noted: set[str]) -> Iterator[None]:
    """Add to a set the global generators that are drawn from or seeded meanwhile."""
    before = _global_state()
    yield
    noted |= {name for name, state in _global_state().items() if state != before[name]}


def _global_state() -> dict[str, Any]:
    numpy_state: Any = np.random.get_state(legacy=True)
    states = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "NumPy": repr(numpy_state[2:]) + bytes(numpy_state[1]).hex(),
        "Python": random.getstate(),
    }
    if torch.cuda.is_available():
        states["CUDA"] = [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()]
    return states


@contextmanager
def change_global_generators() -> Iterator[None]:
    """Put all global generators into another state, and back."""
    with seeded(1, "other global state"):
        yield
