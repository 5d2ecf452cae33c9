"""What a stage works with: the store, the device, and what was loaded for the last step."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor

from prunebench.data import Data
from prunebench.execution.stages.stored_code import check_code
from prunebench.networks import Architecture, Network
from prunebench.networks.network import from_tensors
from prunebench.plan.environment import Environment
from prunebench.plan.steps import Step
from prunebench.store import Artefact, Store


class Result(NamedTuple):
    """What a stage computed: JSON data and tensors."""

    data: dict[str, Any]
    tensors: dict[str, Tensor]


class Workspace:
    """Loads what steps read and keeps the last of it, since neighbours read the same.

    Args:
        store: Where results are.
        environment: The device to use.
    """

    def __init__(self, store: Store, environment: Environment) -> None:
        self.store = store
        self.environment = environment
        self.device = torch.device(environment.device)
        self.progress: Callable[[float, str], None] = lambda fraction, text: None
        torch.set_num_threads(environment.threads)
        if self.device.type == "cuda":  # the precision stated, and the same result every time
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        self._data = lru_cache(maxsize=1)(self._load_data)
        self._network = lru_cache(maxsize=3)(self._load_network)
        self._maps = lru_cache(maxsize=4)(self._load_maps)
        self._steps: dict[str, Step] = {}

    def data(self, step: Step) -> Data:
        """Load the images of a ``dataset`` step."""
        self._steps[step.key] = step
        return self._data(step.key)

    def _load_data(self, key: str) -> Data:
        loaded: Data = self._steps.pop(key).plugin.plugin.load()
        return loaded

    def artefact(self, step: Step) -> Artefact:
        """Read a step's result."""
        return self.store.read(step.key)

    def network(self, step: Step) -> Network:
        """Load a step's network, in evaluation mode, on the device; copy it before a change."""
        return self._network(step)

    def _load_network(self, step: Step) -> Network:
        artefact = self.store.read(step.key)
        try:
            architecture = Architecture.model_validate(artefact.data.get("architecture"))
        except ValidationError:
            raise artefact.damaged("artefact.json has no 'architecture'") from None
        if not self.store.trusted:
            check_code(architecture, step, artefact)
        network = from_tensors(architecture, artefact.tensors).to(self.device)
        network.module.requires_grad_(True).eval()
        return network

    def maps(self, step: Step, size: tuple[int, int]) -> Tensor:
        """Load an ``explained`` step's maps at input size, in [0, 1], M×H×W."""
        return self._maps(step.key, size)

    def _load_maps(self, key: str, size: tuple[int, int]) -> Tensor:
        from prunebench.cams.maps import decode, upsample

        codes = self.store.read(key).tensors["maps"].to(self.device)
        return upsample(decode(codes), size)
