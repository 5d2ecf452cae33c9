"""Any explanation method of pytorch-grad-cam, as ``library/NAME``."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from prunebench.cams.cam import Cam, Trace
from prunebench.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor


class Library(Cam):
    """An explanation method of pytorch-grad-cam, with the library's own code and defaults."""

    name: str = Field(description="the library's class, as in library/FinerCAM")

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in find_methods():
            raise RequestError(
                f"pytorch-grad-cam has no explanation method {name!r}; "
                f"{did_you_mean(name, find_methods())}"
            )
        return name

    @property
    def random(self) -> bool:  # type: ignore[override]
        """True if maps are drawn by chance, and so afresh for each network."""
        return self.name == "RandomCAM"

    def __call__(self, trace: Trace) -> Tensor:
        """Return the library's maps in [0, 1], B×H×W, float32.

        Images are explained one by one, each with its own seed.

        Raises:
            RequestError: The library cannot explain this layer of this network.
        """
        from prunebench.cams.library_maps import compute_library_maps

        return compute_library_maps(find_methods()[self.name], trace)


@cache
def find_methods() -> dict[str, type[Any]]:
    """Find the library's classes that explain images, by name."""
    import pytorch_grad_cam

    return {name: found for name, found in inspect.getmembers(pytorch_grad_cam) if _explains(found)}


def _explains(found: Any) -> bool:
    # Not all share a base class; all are made of a network and its layers, and then called with
    # images and targets.
    return (
        inspect.isclass(found)
        and _list_parameters(found.__init__)[1:3] == ["model", "target_layers"]
        and _list_parameters(getattr(found, "forward", found))[1:3] == ["input_tensor", "targets"]
    )


def _list_parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)
