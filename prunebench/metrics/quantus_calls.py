"""Calling metrics of Quantus: silently, with seeds, a batch at a time."""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunebench.errors import RequestError, did_you_mean
from prunebench.metrics.metric import Evidence, NotApplicable
from prunebench.metrics.quantus_results import each_image, of_all_images
from prunebench.seeding import derive, seeded

INSIDE = 0.5
# They say what is printed, plotted and averaged, which is not Quantus's part here.
NOT_OPTIONS = {
    "self",
    "args",
    "kwargs",
    "aggregate_func",
    "default_plot_func",
    "disable_warnings",
    "display_progressbar",
    "return_aggregate",
}
# Focus explains mosaics of several images, which no data set here has.
NOT_OFFERED = {"Focus", "Metric"}
# Where maps became zero when an image or the network was perturbed; where a metric of Quantus
# cannot take colour images or this release of NumPy.
FAILURES = (AssertionError, AttributeError, IndexError, ValueError)


def library() -> ModuleType:
    """Import the module ``quantus``.

    Raises:
        RequestError: It is not installed.
    """
    try:
        with _silenced():
            import quantus
    except ImportError as error:
        raise RequestError(
            f"the metrics of Quantus need a library ({error}); `pip install 'prunebench[quantus]'`"
        ) from error
    module: ModuleType = quantus
    return module


def find(name: str) -> type[Any]:
    """Return the class of a metric.

    Raises:
        RequestError: Quantus has no such metric, or is not installed.
    """
    base = library().Metric
    known = {
        key: value
        for key, value in vars(library()).items()
        if inspect.isclass(value) and issubclass(value, base) and key not in NOT_OFFERED
    }
    if name not in known:
        raise RequestError(f"Quantus has no metric {name!r}; {did_you_mean(name, known)}")
    return known[name]


def build(name: str, options: dict[str, Any], **defaults: Any) -> Any:
    """Make a metric.

    Args:
        name: Its class.
        options: Arguments of its constructor; functions by their names in ``quantus.functions``.
        defaults: Arguments that it is given unless the options say otherwise, where it has them.

    Raises:
        RequestError: It has no such argument, or refuses the value.
    """
    found = find(name)
    parameters = inspect.signature(found.__init__).parameters
    known = {key: parameter for key, parameter in parameters.items() if key not in NOT_OPTIONS}
    for key in options:
        if key not in known:
            raise RequestError(
                f"quantus/{name} has no option {key!r}; {did_you_mean(key, known)}",
                location=("options", key),
            )
    given = {key: value for key, value in defaults.items() if key in parameters}
    for key, value in options.items():
        takes_function = "Callable" in str(known[key].annotation)
        given[key] = _function(value, key) if takes_function else value
    try:
        with _silenced():
            return found(**given, disable_warnings=True, display_progressbar=False)
    except (AssertionError, TypeError, ValueError) as error:
        raise RequestError(f"quantus/{name} refuses its options: {error}") from error


def _function(name: Any, option: str) -> Callable[..., Any] | None:
    """Return a function of Quantus by name, ``correlation_pearson``; None is its default."""
    if name is None:
        return None
    import quantus.functions

    modules = [m for m in vars(quantus.functions).values() if inspect.ismodule(m)]
    known: dict[str, Callable[..., Any]] = {
        key: value
        for module in modules
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }
    if name not in known:
        raise RequestError(
            f"option {option!r}: Quantus has no function {name!r}; {did_you_mean(str(name), known)}"
        )
    return known[name]


def evaluate(
    name: str, options: dict[str, Any], batch_size: int, evidence: Evidence
) -> float | Tensor:
    """Compute a metric of Quantus.

    Args:
        name: Its class.
        options: See ``build``.
        batch_size: Images a call.
        evidence: What is measured.

    Returns:
        A number for each image, M, NaN where Quantus gives none; or one number for all.

    Raises:
        NotApplicable: Quantus gives no number at all, or the data has no masks for a metric of
            localisation.
    """
    localises = find(name).evaluation_category.value == "Localisation"
    masks = evidence.masks >= INSIDE if localises else None
    usable = _not_empty(evidence.maps) & (True if masks is None else _not_empty(masks))
    results: list[tuple[Tensor, Any]] = []
    reason = "no image has both a map and an object" if localises else "every map is zero"
    for where, images in evidence.images(batch_size):
        (kept,) = usable[where].nonzero(as_tuple=True)
        if len(kept):
            # One seed for all batches, so that all images meet the same randomised networks.
            metric = build(name, options, **_defaults(evidence))
            arguments = _arguments(evidence, where, images, kept, masks)
            try:
                with seeded(evidence.seed, "quantus", where.start), _silenced():
                    results.append((kept + where.start, metric(**arguments)))
                reason = "all its values are undefined"
            except FAILURES as error:
                reason = f"{error}"
        done = where.start + len(images)
        evidence.progress(done / len(usable), f"{done} of {len(usable)} images")
    summarises = find(name).custom_postprocess is not library().Metric.custom_postprocess
    value = of_all_images(results) if summarises else each_image(results, len(usable))
    if not torch.as_tensor(value).isfinite().any():
        raise NotApplicable(f"Quantus gives no number for {name}: {reason}")
    return value


def _not_empty(maps: Tensor) -> Tensor:
    return (maps > 0).flatten(1).any(1)


def _defaults(evidence: Evidence) -> dict[str, int]:
    return {
        "seed": derive(evidence.seed, "quantus") % 2**31,
        "num_classes": evidence.network.architecture.classes,
        "return_aggregate": False,
    }


def _arguments(
    evidence: Evidence, where: slice, images: Tensor, kept: Tensor, masks: Tensor | None
) -> dict[str, Any]:
    """Return what a metric is called with.

    Args:
        evidence: What is measured.
        where: Where the batch stands among the explained images.
        images: The batch.
        kept: Which images of the batch are measured.
        masks: For metrics of localisation, which pixels belong to the object, M×H×W.
    """
    return {
        "model": evidence.network.module,
        "x_batch": _array(images[kept]),
        "y_batch": _array(evidence.classes[where][kept]),
        "a_batch": _array(evidence.maps[where][kept].float().unsqueeze(1)),
        "s_batch": None if masks is None else _array(masks[where][kept].unsqueeze(1)),
        "channel_first": True,
        "explain_func": _explainer(evidence, images, kept, where.start),
        "device": str(evidence.device),
        "batch_size": len(kept),
    }


def _explainer(
    evidence: Evidence, images: Tensor, kept: Tensor, first: int
) -> Callable[..., np.ndarray[Any, Any]]:
    """Return the explanation method as Quantus calls it: arrays in, b×1×H×W out."""
    original, classes = evidence.network.module, evidence.classes[first : first + len(images)]

    def explain(
        model: nn.Module, inputs: np.ndarray[Any, Any], targets: np.ndarray[Any, Any], **_: Any
    ) -> np.ndarray[Any, Any]:
        # The whole batch, since methods that draw random numbers do so by an image's index.
        changed, wanted = images.clone(), classes.clone()
        changed[kept] = torch.from_numpy(inputs).to(images)
        wanted[kept] = torch.from_numpy(targets).to(classes)
        module = None if model is original else model
        maps = evidence.explain(changed, wanted, module=module, first=first)
        return _array(maps[kept].float().unsqueeze(1))

    return explain


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = tensor.detach().cpu().numpy()
    return array


@contextmanager
def _silenced() -> Iterator[None]:
    """Suppress what Quantus prints and warns about."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
