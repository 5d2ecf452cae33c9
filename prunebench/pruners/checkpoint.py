"""A network compressed elsewhere, as a row of the board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from prunebench.errors import RequestError
from prunebench.input_files import is_file
from prunebench.model_files.model_text import parse_model
from prunebench.networks.factory import Code, find_source_file, read_code, read_source
from prunebench.plugins import choose
from prunebench.plugins.context import Context
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.model_files.layer_sizes import Attributes
    from prunebench.networks import Network


class CheckpointPruner(Pruner):
    """Takes a compressed network from a file instead of compressing the baseline.

    ``checkpoint/LABEL: {model: FACTORY@WEIGHTS}`` shows it under a name of its own. Layers may be
    smaller than the factory's. Weights that are exactly zero stay zero in the recovery.
    """

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "none"

    model: str = Field(
        description="FACTORY[@WEIGHTS]: a model plugin's name, torchvision/NAME or "
        "file.py:function; weights in safetensors or a state dict of torch.save, of layers as "
        "large as the factory's or smaller"
    )
    parameters: dict[str, Any] = Field({}, description="parameters of the model plugin or function")
    mean: tuple[float, ...] = Field((), description="channel means; the baseline's by default")
    std: tuple[float, ...] = Field((), description="deviations; the baseline's by default")
    name: str = Field("", description="a label")

    @field_validator("model")
    @classmethod
    def _readable(cls, model: str) -> str:
        if not parse_model(model).factory:
            raise ValueError(
                f"{model!r} is a file without a factory; write FACTORY@{model}: suites store "
                "networks without pickle, and must be able to build them again"
            )
        return model

    @classmethod
    def anchored(cls, parameters: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Anchor parameters as for all plugins; in ``model``, the files of factory and weights."""
        model = parameters.get("model")
        if not isinstance(model, str):
            return parameters
        factory, weights, part = parse_model(model)
        factory = str(folder / factory) if factory and find_source_file(factory) else factory
        if weights is None:
            return parameters | {"model": factory}
        anchored = f"{folder / weights}#{part}" if part else f"{folder / weights}"
        return parameters | {"model": f"{factory}@{anchored}" if factory else anchored}

    def files(self) -> list[Path]:
        """List the weights and the source file of ``file.py:function``."""
        factory, weights, _ = parse_model(self.model)
        found = [path for path in (weights, find_source_file(factory)) if path]
        for path in found:
            if not is_file(path):
                raise RequestError("no such file", where=str(path))
        return found

    def changed_parameters(self) -> dict[str, Any]:
        """Return these as for all plugins; of paths, the name without its folders."""
        factory, weights, part = parse_model(self.model)
        source = find_source_file(factory)
        named = factory if source is None else f"{source.name}:{factory.rpartition(':')[2]}"
        shown = f"{named}@{weights.name}" if weights else named
        shown += f"#{part}" if part else ""
        changed = super().changed_parameters() | {"model": shown}
        return {key: value for key, value in changed.items() if key != "name"}

    def code(self) -> tuple[Code, ...]:
        """Return the function of ``file.py:function`` and its text as it is now."""
        factory = parse_model(self.model).factory
        if find_source_file(factory) is None:
            return ()
        return (read_code(factory, self.model_dump(mode="json")["parameters"]),)

    def compress(self, network: nn.Module, level: float, context: Context) -> Network:
        """Build the network and load its weights.

        Returns:
            The network. Where neither this plugin nor the model's plugin names a normalisation,
            its architecture's ``mean`` and ``std`` are empty: the baseline's are meant.

        Raises:
            RequestError: There is no such factory or file, the weights do not fit, or the outputs
                are not the data set's classes.
        """
        from prunebench.networks import Architecture, Network
        from prunebench.pruners.output_check import check_network
        from prunebench.pruners.weights.masks import mask_zeros
        from prunebench.seeding import seeded

        factory = parse_model(self.model).factory
        _, channels, height, width = context.example.shape
        mean, std = self._choose_normalisation(channels)
        architecture = Architecture(
            factory=factory,
            parameters=self.parameters,
            classes=context.classes,
            channels=channels,
            size=(height, width),
            mean=mean,
            std=std,
            source=read_source(path) if (path := find_source_file(factory)) else "",
        )
        with seeded(context.seed, "weights that will be replaced"):
            module = architecture.build()
        resized = self._load_weights(module, context.example.cpu())
        module.to(context.device)
        check_network(module, context.example, context.classes, f"the network {self.model}")
        if resized:
            architecture = architecture.model_copy(update={"resized": resized})
        return Network(module, architecture, mask_zeros(module))

    def check(self, network: nn.Module, context: Context) -> None:
        """Build the network and load its weights, to see whether they fit."""
        self.compress(network, 0.0, context)

    def _choose_normalisation(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values and len(values) != channels:
                raise RequestError(
                    f"pruner 'checkpoint': parameter {name!r} has {len(values)} values, expected "
                    f"{channels}: one for each channel of the images"
                )
        if bool(self.mean) != bool(self.std):
            raise RequestError("pruner 'checkpoint': give both 'mean' and 'std', or neither")
        factory = parse_model(self.model).factory
        if self.mean or find_source_file(factory):
            return self.mean, self.std
        demanded = choose("models", factory, self.parameters).plugin.normalisation()
        return (demanded.mean, demanded.std) if demanded else ((), ())

    def _load_weights(self, module: nn.Module, example: Tensor) -> Attributes:
        """Load the weights; return the sizes of layers that are smaller than the factory's."""
        from prunebench.model_files.loaded_weights import fit_weights, load_weights
        from prunebench.model_files.weights import read_network

        factory, weights, part = parse_model(self.model)
        if weights:
            found = read_network(weights, part)
            return fit_weights(module.eval(), found, example, where=str(weights)).resized
        if find_source_file(factory) is None:
            published = choose("models", factory, self.parameters).plugin.pretrained()
            if published is None:
                raise RequestError(
                    f"the model {self.model!r} is untrained; write {self.model}@WEIGHTS, with the "
                    "file of its weights"
                )
            load_weights(module, published, where=factory)
        return {}
