"""The models of a comparison, all opened for the same images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from prunebench.data import Normalisation
from prunebench.errors import RequestError
from prunebench.model_files.model_text import ModelText
from prunebench.model_files.opened_model import InputShape, OpenedModel, open_model
from prunebench.model_files.told import read_told
from prunebench.networks.distillation import make_translation


@dataclass(frozen=True)
class ModelOpener:
    """Opens models so that each sees the same images as it was trained to.

    Attributes:
        seen: How the images are normalised.
        inputs: Their shape.
        asked: Whether that normalisation was asked for, and is meant for every model.
        unsafe_pickle: Read whole pickles.
    """

    seen: Normalisation
    inputs: InputShape
    asked: bool
    unsafe_pickle: bool

    def open(self, model: ModelText) -> OpenedModel:
        """Open a model; where its file tells another normalisation, it is given that one.

        Raises:
            RequestError: It cannot be opened.
        """
        opened = open_model(model, self.inputs, unsafe_pickle=self.unsafe_pickle)
        own = read_told(model, unsafe_pickle=self.unsafe_pickle).normalisation
        if self.asked or own is None or own == self.seen or len(own.mean) != len(self.seen.mean):
            return opened
        translate = make_translation(self.seen, own)
        opened.module.register_forward_pre_hook(lambda _module, images: (translate(images[0]),))
        note = "sees images normalised as its own file tells"
        return replace(opened, notes=(*opened.notes, note))

    def build_anew(self, factory: str, classes: int) -> nn.Module:
        """Build a factory's network with fresh weights.

        Raises:
            RequestError: There is no factory.
        """
        if not factory:
            raise RequestError(
                "a file that holds a whole network cannot build it with other weights"
            )
        return open_model(ModelText(factory), replace(self.inputs, classes=classes)).module
