from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunebench.networks import Architecture, Network
from prunebench.plugins.preparing import prepared
from prunebench.pruners.filters import filter_heatmaps
from prunebench.pruners.filters.feature_scores import compute_influences
from prunebench.pruners.filters.filter_heatmaps import compute_heatmaps, draw_picture
from prunebench.pruners.filters.interpretable import Influences, Interpretable

ENDS = {"0": 3, "3": 5, "7": 9}  # of the tiny network's layers: where their maps are


def products(network: Any, image: Tensor) -> dict[str, Tensor]:
    """Gradient of the predicted class's logit times feature map, at each layer, for one image."""
    found = {}
    for name, end in ENDS.items():
        maps = network[:end](image[None]).detach().requires_grad_()
        logits = network[end:](maps)[0]
        (gradient,) = torch.autograd.grad(logits[logits.argmax()], maps)
        found[name] = (gradient * maps).detach()[0]
    return found


def images_of(context: Any, count: int = 6) -> list[Tensor]:
    return [image for inputs, _ in context.batches(count, 6) for image in inputs]


def test_scores_are_those_of_a_loop(tiny: Any, make_context: Any) -> None:
    network = tiny()
    context = make_context(network)
    found = Influences(images=6).compute(network, context)
    expected: dict[str, list[Tensor]] = {name: [] for name in ENDS}
    for image in images_of(context):
        for name, product in products(network, image).items():
            influence = product.clamp(min=0).flatten(1).sum(1) if name != "7" else product.relu()
            expected[name].append(influence / influence.mean())
    for name, each in expected.items():
        assert torch.allclose(found[name].float(), torch.stack(each).mean(0), atol=1e-4)
        assert float(found[name].mean()) == pytest.approx(1)


def test_an_image_without_any_influence_says_nothing() -> None:
    maps = torch.rand(2, 3, 4, 4)
    gradients = torch.ones_like(maps)
    gradients[1] = -1
    found = compute_influences(maps, gradients)
    assert not found[0].isnan().any()
    assert found[1].isnan().all()


def test_heatmaps_are_kept_beside_the_scores(tiny: Any, make_context: Any) -> None:
    network = tiny()
    context = make_context(network)
    found = Influences(images=6, shown=2).compute(network, context)
    assert set(found) == {*ENDS, "heatmap/0", "heatmap/3", "image/shown"}
    first = images_of(context, 2)
    for name in ("0", "3"):
        heatmaps = found[f"heatmap/{name}"]
        assert heatmaps.dtype == torch.uint8
        for image, heatmap in zip(first, heatmaps, strict=True):
            expected = products(network, image)[name].clamp(min=0)
            expected = expected / expected.max() * 255
            assert heatmap.shape == expected.shape
            assert (heatmap.float() - expected).abs().max() <= 0.51
    shown = found["image/shown"]
    assert shown.shape == (2, 3, 8, 8)
    assert (shown.amin((1, 2, 3)).tolist(), shown.amax((1, 2, 3)).tolist()) == ([0, 0], [255, 255])


def test_many_heatmaps_are_kept_smaller(
    tiny: Any, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny()
    context = make_context(network)
    whole = compute_heatmaps(network, context, 2)
    monkeypatch.setattr(filter_heatmaps, "BYTES", 2 * 32 * 16)
    small = compute_heatmaps(network, context, 2)
    assert small["heatmap/0"].shape == (2, 12, 4, 4)
    assert small["heatmap/3"].shape == (2, 20, 4, 4)
    assert torch.equal(small["image/shown"], whole["image/shown"])
    mean = whole["heatmap/0"][0, 0].float().view(4, 2, 4, 2).mean((1, 3))
    largest = whole["heatmap/0"][0].float().view(12, 4, 2, 4, 2).mean((2, 4)).max()
    assert (small["heatmap/0"][0, 0].float() - mean / largest * 255).abs().max() <= 1


def compressed(tiny: Any, make_context: Any, level: float) -> tuple[Any, Network, Any, Any]:
    pruner = Interpretable(images=6, shown=1)
    network = tiny()
    context = prepared(pruner.prepare(), network, make_context(network))
    pruned = pruner.compress(copy.deepcopy(network), level, context)
    architecture = Architecture(factory="tiny", classes=5, channels=3, size=(8, 8), mean=(), std=())
    return network, Network(pruned, architecture), pruner, context


def frames(pixels: Tensor) -> int:
    """Pixels in the colour of the frame around a removed filter; text is drawn softly."""
    return int((pixels == torch.tensor(filter_heatmaps.FRAME).byte()).all(2).sum())


def test_picture_frames_what_was_removed(tiny: Any, make_context: Any) -> None:
    _, whole, pruner, context = compressed(tiny, make_context, 0.0)
    before = pruner.pictures(whole, context)["filters"]
    baseline, pruned, pruner, context = compressed(tiny, make_context, 0.5)
    found = pruner.pictures(pruned, context)["filters"]
    assert found.dtype == torch.uint8
    assert found.shape == before.shape == (found.shape[0], 512, 3)
    gone = sum(
        baseline[place].out_channels - pruned.module[place].out_channels  # type: ignore[index]
        for place in (0, 3)
    )
    assert gone > 0
    around = 4 * (30 - 1)  # pixels around a tile of 30
    assert frames(found) - frames(before) == gone * around


def test_picture_shows_the_filters_in_their_order(
    tiny: Any, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, pruned, pruner, context = compressed(tiny, make_context, 0.5)
    drawn: list[tuple[bytes, bool]] = []
    plain = filter_heatmaps._draw_tile

    def spy(values: Any, side: int, gone: bool) -> Any:
        drawn.append((values.tobytes(), gone))
        return plain(values, side, gone)

    monkeypatch.setattr(filter_heatmaps, "_draw_tile", spy)
    pruner.pictures(pruned, context)
    scores = context.prepared["scores"]
    heatmaps = (scores["heatmap/0"][0].double() / 255).sqrt()
    order = scores["0"].argsort(stable=True, descending=True).tolist()
    assert [pixels for pixels, _ in drawn[:12]] == [heatmaps[k].numpy().tobytes() for k in order]
    # What is framed is what compression has really taken away.
    left = pruned.module[0].weight  # type: ignore[index]
    same = [bool((left == weight).flatten(1).all(1).any()) for weight in network[0].weight]
    assert [gone for _, gone in drawn[:12]] == [not same[k] for k in order]


def test_many_filters_are_shown_in_part() -> None:
    from prunebench.pruners.filters.coupling import Channel

    network = nn.Sequential(nn.Conv2d(1, 300, 1))
    prepared = {
        "heatmap/0": torch.randint(256, (1, 300, 4, 4), dtype=torch.uint8),
        "image/shown": torch.zeros(1, 1, 8, 8, dtype=torch.uint8),
    }
    channels = [Channel("0", (index,), {}, 0.0) for index in range(300)]
    assert draw_picture(channels, prepared, network).shape[1] == 512
    assert draw_picture([], prepared, network).shape == (64, 512, 3)
