"""One pass of a batch through a network, kept as the trace that explanation methods read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from prunebench.cams.cam import Trace
from prunebench.cams.crossing_values import CannotCut
from prunebench.cams.network_cut import Cut, cut_network
from prunebench.cams.target_layer import Output, find_layer, tell_token_grids, watch_outputs
from prunebench.errors import RequestError
from prunebench.networks.classifier import UNFIT, make_classifier
from prunebench.networks.layout import (
    Layout,
    find_channel_axis,
    from_maps,
    to_maps,
)
from prunebench.networks.shared_weights import make_twin
from prunebench.plugins.context import NOTHING, Prepared
from prunebench.seeding import derive

__all__ = ["Tracer", "trace"]

Resume = Callable[[Tensor, Tensor], Tensor]
"""The target layer's output b×..., in its own layout, and the images (b) it belongs to, in;
logits b×K, out."""


class Tracer:
    """Traces batches of one network at one target layer.

    The network is cut in two at the layer (see ``cut_network``): each batch passes through both
    parts once, and only the second runs again where a method asks for it. A network that cannot be
    cut is run as a whole with the layer's output replaced, which is always right and slower.

    All this happens to a twin on the same weights (see ``make_classifier``): the network itself is
    never touched. Where the target layer runs several times, its last run is explained. The network
    must not change while its tracer is in use.

    A network in half precision is explained in single precision, or what flows back through it is
    rounded to nothing; one whose own code casts to half precision (autocast) in double precision,
    which it does not cast. The class explained by default is the one it predicts as it is.

    Args:
        module: The network; images B×C×H×W in, logits B×K out.
        target_layer: Name of the layer whose output is explained.
        example: Images as they will be explained, of which the first is used, on the network's
            device.
        layout: How the layer's output is read as maps.

    Attributes:
        uncut: Why the network could not be cut, so that every pass is a whole one; empty if it
            could.

    Raises:
        RequestError: There is no such layer, or the network is no classifier of such images.
    """

    def __init__(
        self, module: nn.Module, target_layer: str, example: Tensor, layout: Layout = "maps"
    ) -> None:
        self.target_layer = target_layer
        self.layout = layout
        self.uncut = ""
        self._cut: Cut | None = None
        with torch.inference_mode(False):
            example = example.detach().clone()
            self.module = make_classifier(module, example)
            find_layer(self.module, target_layer)
            self._answers: nn.Module | None = None
            size = (example.shape[-2], example.shape[-1])
            outputs = watch_outputs(self.module, example)
            self._told = tell_token_grids(self.module, outputs, size)
            self._precision = find_precision(example, outputs)
            if self._precision is not example.dtype:
                self._answers = self.module
                self.module = convert(self.module, example, self._precision)
                example = example.to(self._precision)
            try:
                # A twin of its own: following the code may leave symbols in what it keeps.
                parts = make_twin(self.module)
                self._cut = cut_network(self.module, parts, target_layer, example)
            except CannotCut as reason:
                self.uncut = str(reason)
        self.layer = self.module.get_submodule(target_layer)

    def __call__(
        self,
        images: Tensor,
        classes: Tensor | None = None,
        seeds: tuple[int, ...] = (),
        prepared: Prepared = NOTHING,
    ) -> Trace:
        """Run a batch forward, and backward only as far as the target layer.

        Args:
            images: Normalised images, B×C×H×W, on the network's device.
            classes: The class explained in each image, B; or, bool, B×K, the labels that it has, of
                which the one with the largest logit is explained. By default the prediction.
            seeds: A seed for each image, for methods that draw random numbers.
            prepared: For methods that learn: what their preparations computed of this network.

        Raises:
            RequestError: The layer's output is no batch of maps or does not reach the logits, the
                network gives no logits, or a class does not exist.
        """
        answers = None
        with torch.inference_mode(False), torch.enable_grad():
            images = images.detach().clone() if images.is_inference() else images.detach()
            if self._answers is not None:
                with torch.no_grad():
                    answers = self._answers(images).float()
                images = images.to(self._precision)
            run = self._run_in_parts if self._cut else self._run_whole
            try:
                leaf, logits, resume = run(images)
            except UNFIT:
                self._check_batch(images)
                raise
            logits = logits.to(leaf.dtype)
        size = (images.shape[-2], images.shape[-1])
        try:
            maps = to_maps(leaf.detach(), self.layout, size, self._told)
        except RequestError as error:
            self._fail(f"cannot be explained: {error.message}")
        explained = _check_classes(classes, logits if answers is None else answers)
        if self._cut is None and not logits.requires_grad:
            self._fail("does not reach the logits, or is run without gradients")
        module, layout, told = self.module, self.layout, self._told

        def differentiate() -> Tensor:
            if not logits.requires_grad:  # what follows rounds, as a quantised network does
                self._fail("has no gradient; methods that need none can explain it")
            with torch.inference_mode(False), torch.enable_grad():
                score = logits.gather(1, explained[:, None]).sum()
                (found,) = torch.autograd.grad(score, leaf, retain_graph=True)
            return to_maps(found, layout, size, told)

        def run_tail(activations: Tensor, indices: Tensor) -> Tensor:
            output = leaf.detach()[indices]
            with torch.no_grad():
                return resume(from_maps(activations, layout, output), indices).to(leaf.dtype)

        def ablate(indices: Tensor, channels: Tensor) -> Tensor:
            output = leaf.detach()[indices]
            by_channel = output.movedim(find_channel_axis(layout, output), 1)
            by_channel[torch.arange(len(channels), device=channels.device), channels] = 0
            with torch.no_grad():
                return resume(output, indices).to(leaf.dtype)

        def predict(changed: Tensor) -> Tensor:
            with torch.no_grad():
                found: Tensor = module(changed)
            return found.to(leaf.dtype)

        return Trace(
            activations=maps,
            logits=logits.detach(),
            classes=explained,
            images=images,
            differentiate=differentiate,
            resume=run_tail,
            ablate=ablate,
            predict=predict,
            # Ablating takes a channel from tokens without a position too, which maps do not show.
            affine=self._cut is not None and self._cut.affine and leaf.numel() == maps.numel(),
            seeds=seeds,
            module=module,
            target_layer=self.target_layer,
            layout=layout,
            prepared=prepared,
            answers=answers,
        )

    def _run_in_parts(self, images: Tensor) -> tuple[Tensor, Tensor, Resume]:
        parts = self._cut
        assert parts is not None
        with torch.no_grad():
            output, values = parts.run_head(images)
        leaf = self._make_leaf(output)
        logits = parts.run_tail(leaf, values)
        return leaf, logits, lambda changed, indices: parts.run_tail(changed, values, indices)

    def _run_whole(self, images: Tensor) -> tuple[Tensor, Tensor, Resume]:
        leaves: list[Tensor] = []

        def start_here(_layer: nn.Module, _inputs: Any, output: Any) -> Tensor:
            leaves.append(self._make_leaf(output))
            # What follows may work in place: on this copy, never on the activations kept.
            return leaves[-1].clone()

        with _hook(self.layer, start_here):
            logits = self.module(images)
        if not leaves:
            self._fail("takes no part in the network's output")
        last = len(leaves)

        def resume(changed: Tensor, indices: Tensor) -> Tensor:
            calls = 0

            def replace(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
                nonlocal calls
                calls += 1
                return changed.clone() if calls == last else output

            with _hook(self.layer, replace):
                found: Tensor = self.module(images[indices])
            return found

        return leaves[-1], logits, resume

    def _make_leaf(self, output: Any) -> Tensor:
        """Make the layer's output the beginning of a graph of its own."""
        if not isinstance(output, Tensor):
            self._fail(f"gives {type(output).__name__}; a layer that can be explained gives maps")
        if not output.is_floating_point():
            self._fail(
                f"gives {output.dtype}, through which no gradient flows; explain the network as it "
                "was before it was converted"
            )
        return output.clone().detach().requires_grad_()

    def _check_batch(self, images: Tensor) -> None:
        """Refuse a network that takes one image, but not so many at once."""
        if len(images) == 1:
            return
        try:
            with torch.no_grad():
                self.module(images)
        except torch.OutOfMemoryError:
            raise
        except UNFIT as error:
            raise RequestError(
                f"the network cannot take {len(images)} images at once ({error}); give batch_size=1"
            ) from error

    def _fail(self, problem: str) -> NoReturn:
        raise RequestError(f"layer {self.target_layer!r} {problem}")


def trace(
    module: nn.Module,
    target_layer: str,
    images: Tensor,
    classes: Tensor | None = None,
    seed: int = 0,
    layout: Layout = "maps",
) -> Trace:
    """Trace one batch; see ``Tracer``.

    Args:
        module: The network.
        target_layer: Name of the layer whose output is explained.
        images: Normalised images, B×C×H×W, on the network's device.
        classes: The class explained in each image, B; by default the network's prediction.
        seed: From which each image's own seed is made.
        layout: How the layer's output is read as maps.
    """
    seeds = tuple(derive(seed, "explanation", index) for index in range(len(images)))
    return Tracer(module, target_layer, images, layout)(images, classes, seeds)


HALF = (torch.float16, torch.bfloat16)


def find_precision(example: Tensor, outputs: Mapping[str, Output]) -> torch.dtype:
    """Find the number format in which a network is explained: its own, or one better than half.

    Args:
        example: A normalised input, in the network's number format.
        outputs: Of its layers, which autocast in its code may have cast.
    """
    if not any(output.kind in HALF for output in outputs.values()):
        return example.dtype
    return torch.float32 if example.dtype in HALF else torch.float64


def convert(network: nn.Module, example: Tensor, precision: torch.dtype) -> nn.Module:
    """Copy a network that computes in half precision, in a better one.

    Args:
        network: As ``make_classifier`` made it.
        example: A normalised input, B×C×H×W.
        precision: Number format of the copy.

    Raises:
        RequestError: Its code insists on half precision.
    """
    converted = make_twin(network).to(precision)
    try:
        with torch.no_grad():
            converted(example[:1].to(precision))
    except RuntimeError as error:
        raise RequestError(
            "a network that computes in half precision is explained in "
            f"{'single' if precision is torch.float32 else 'double'} precision, in which its code "
            f"does not run ({error}); give one whose code casts nothing"
        ) from None
    return converted


def _check_classes(classes: Tensor | None, logits: Any) -> Tensor:
    if not (isinstance(logits, Tensor) and logits.dim() == 2):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise RequestError(f"the network's output is {found}; expected logits, B×K")
    if classes is None:
        return logits.detach().argmax(1)
    if classes.dim() == 2:
        return _choose_label(classes, logits)
    if classes.shape != logits.shape[:1]:
        raise RequestError(
            f"{tuple(classes.shape)} classes for {len(logits)} images; expected one an image"
        )
    indices = classes.to(logits.device, torch.int64)
    wrong = indices[(indices < 0) | (indices >= logits.shape[1])]
    if len(wrong):
        raise RequestError(
            f"class {int(wrong[0])} does not exist: the network has {logits.shape[1]} classes"
        )
    return indices


def _choose_label(labels: Tensor, logits: Tensor) -> Tensor:
    """Return, of the labels that each image has, the one with the largest logit."""
    if labels.shape != logits.shape:
        raise RequestError(
            f"labels of {labels.shape[1]} classes for a network of {logits.shape[1]} classes"
        )
    if not (has := labels.any(1)).all():
        raise RequestError(
            f"{int((~has).sum())} of {len(labels)} images have no label that could be explained; "
            "leave them out, or explain predictions"
        )
    known = labels.to(logits.device)
    return logits.detach().masked_fill(~known, -torch.inf).argmax(1)


@contextmanager
def _hook(layer: nn.Module, function: Callable[..., Any]) -> Iterator[None]:
    handle = layer.register_forward_hook(function)
    try:
        yield
    finally:
        handle.remove()
