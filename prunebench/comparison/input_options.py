"""Size and statistics of images, as the command line asks for them or files tell them."""

from __future__ import annotations

from collections.abc import Iterable

from prunebench.data import Normalisation, usual_normalisation
from prunebench.errors import RequestError
from prunebench.model_files.told import Told

DEFAULT_SIZE = (224, 224)


def choose_size(text: str | None, told: Iterable[Told]) -> tuple[int, int]:
    """Choose height and width of the images.

    Args:
        text: ``224``, or height and width as ``224x160``; None for what is told, else 224.
        told: What the models' files tell, the baseline's first.

    Raises:
        RequestError: The text is no size.
    """
    if text is None:
        return next((each.size for each in told if each.size), DEFAULT_SIZE)
    parts = text.split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise RequestError(f"{text!r} is no size; expected 224 or 224x160", where="--size")
    return int(parts[0]), int(parts[-1])


def choose_statistics(
    mean: str | None, std: str | None, told: Told, channels: int | None
) -> Normalisation:
    """Choose mean and deviation of the images.

    Args:
        mean: Channel means, separated by commas; None for what is told, else the usual ones.
        std: Channel deviations, likewise.
        told: What a model's file tells.
        channels: Of the images that the weights take; None where they are not known.

    Raises:
        RequestError: These are no numbers, or one for a network that takes colour.
    """
    default = told.normalisation or usual_normalisation(channels or 3)
    found = Normalisation(
        default.mean if mean is None else _read_numbers(mean, "--mean"),
        default.std if std is None else _read_numbers(std, "--std"),
    )
    if len(found.mean) == 1 and channels == 3:
        raise RequestError(
            f"{mean} is one mean, for grey images, and the baseline takes colour: give three",
            where="--mean",
        )
    return found


def _read_numbers(text: str, where: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise RequestError(
            f"{text!r} are no numbers separated by commas, such as 0.5,0.5,0.5", where=where
        ) from None
