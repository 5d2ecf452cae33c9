"""Maps of a trace by pytorch-grad-cam."""

from __future__ import annotations

import io
import warnings
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import pytorch_grad_cam
import torch
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit
from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from prunebench.cams.cam import Trace
from prunebench.errors import RequestError
from prunebench.networks.layout import TokenGrids, to_maps
from prunebench.networks.shared_weights import make_twin
from prunebench.seeding import content_seed, seeded


def compute_library_maps(method: type[Any], trace: Trace) -> Tensor:
    """Explain each image of a trace by a class of pytorch-grad-cam.

    Args:
        method: The class.
        trace: Its module is left untouched: the library works on a twin.

    Returns:
        The library's maps, B×H×W, float32, on the images' device.

    Raises:
        RequestError: The library cannot explain this layer of this network.
    """
    assert trace.module is not None
    # The library asks for gradients at hooked layers, some methods for second ones too.
    network = make_twin(trace.module, trained=True)
    maps = [trace.images.new_zeros(0, *trace.images.shape[2:], dtype=torch.float32)]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for stream in (redirect_stdout, redirect_stderr):  # progress bars and notices
            stack.enter_context(stream(io.StringIO()))
        try:
            explainer = _make_explainer(method, network, trace)
            for index, (image, explained) in enumerate(
                zip(torch.split(trace.images, 1), trace.classes.tolist(), strict=True)
            ):
                drawn = method is pytorch_grad_cam.RandomCAM
                # A solver that starts from chance starts alike in every network.
                seed = trace.seeds[index] if drawn else content_seed(image)
                with seeded(seed, "pytorch-grad-cam"):
                    found = _call_explainer(
                        explainer, image.detach().clone().requires_grad_(), explained
                    )
                maps.append(torch.from_numpy(np.float32(found)).to(trace.images.device))
            _release(network)
        except RequestError:
            raise
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise RequestError(
                f"pytorch-grad-cam's {method.__name__} cannot explain layer "
                f"{trace.target_layer!r} of {type(trace.module).__name__}: "
                f"{type(error).__name__}: {reason}"
            ) from error
    return torch.cat(maps)


def _make_explainer(method: type[Any], network: nn.Module, trace: Trace) -> Any:
    if method is pytorch_grad_cam.FullGrad:  # finds its own layers, convolutions and BatchNorms
        return method(network, [])
    size = trace.images.shape[2], trace.images.shape[3]
    grid = (trace.activations.shape[2], trace.activations.shape[3])

    def reshape(output: Tensor) -> Tensor:
        # Cloned: the library keeps a view, which a following in-place activation would change.
        return to_maps(output, trace.layout, size, TokenGrids(frozenset({grid}))).clone()

    if method is pytorch_grad_cam.ShapleyCAM and trace.layout != "maps":
        raise RequestError(
            f"pytorch-grad-cam's ShapleyCAM reads maps only; layer {trace.target_layer!r} gives "
            f"{trace.layout}"
        )
    options = {}
    if method is pytorch_grad_cam.AblationCAM:
        # A fresh one: the library's default is one object for all, and keeps what it last saw.
        options["ablation_layer"] = (
            AblationLayer() if trace.layout == "maps" else AblationLayerVit()
        )
    return method(network, [network.get_submodule(trace.target_layer)], reshape, **options)


def _call_explainer(explainer: Any, image: Tensor, explained: int) -> Any:
    if isinstance(explainer, pytorch_grad_cam.FinerCAM):  # compares with classes it finds itself
        return explainer(image, None, target_idx=explained)
    return explainer(image, [ClassifierOutputTarget(explained)])


def _release(network: nn.Module) -> None:
    # The library's own release fails where a gradient is a view, and would keep what it hooked.
    for layer in network.modules():
        for hook in layer._forward_hooks.values():
            owner = getattr(hook, "__self__", None)
            if isinstance(owner, ActivationsAndGradients):
                owner.activations, owner.gradients = [], []
