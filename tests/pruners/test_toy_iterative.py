from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from toy_iterative import ActivationMean, InputMean, ToyLottery

from prunebench.networks.network import make_masks_permanent
from prunebench.networks.prunable_layers import find_prunable_layers


class Scratch:
    def __init__(self) -> None:
        self.state: dict[str, Any] | None = None

    def save(self, state: Any) -> None:
        self.state = dict(state)

    def load(self) -> dict[str, Any] | None:
        return self.state


def left(network: Any) -> int:
    return sum(int((layer.weight != 0).sum()) for layer in find_prunable_layers(network).values())


@pytest.fixture
def prepared(tiny: Any, make_context: Any) -> dict[str, Any]:
    network = tiny()
    found: dict[str, Any] = {}
    for preparation in (*ActivationMean().needs(), ActivationMean()):
        context = make_context(network, prepared=found)
        found = found | {preparation.name: preparation.compute(network, context)}
    return found


def test_preparations_build_upon_each_other(prepared: dict[str, Any]) -> None:
    assert set(prepared) == {InputMean.name, ActivationMean.name}
    assert prepared[ActivationMean.name]["mean"].shape == (12,)


def test_each_round_removes_a_fifth_of_what_is_left_and_rewinds(
    tiny: Any, make_context: Any, prepared: dict[str, Any]
) -> None:
    baseline, network = tiny(), tiny()
    count = left(network)
    for k in (1, 2, 3):
        before = left(network)
        context = make_context(baseline, round=k, prepared=prepared)
        network = ToyLottery().compress(network, ToyLottery().level_of_round(k), context)
        masks = make_masks_permanent(network)
        assert left(network) == before - round(0.2 * before)
        assert left(network) == pytest.approx(count * (1 - ToyLottery().level_of_round(k)), abs=3)
        for name, mask in masks.items():
            assert torch.equal(network.state_dict()[name], baseline.state_dict()[name] * mask)
        with torch.no_grad():  # as a recovery would
            for name, mask in masks.items():
                network.get_parameter(name).add_(0.01 * mask)


def test_interrupted_round_resumes_from_its_checkpoint(
    tiny: Any, make_context: Any, prepared: dict[str, Any]
) -> None:
    def stop(fraction: float, text: str) -> None:
        raise KeyboardInterrupt

    scratch = Scratch()
    context = make_context(tiny(), prepared=prepared, checkpoint=scratch)
    whole = ToyLottery().compress(tiny(), 0.2, copy.copy(context))
    scratch.state = None
    with pytest.raises(KeyboardInterrupt):
        ToyLottery().compress(
            tiny(),
            0.2,
            make_context(tiny(), prepared=prepared, checkpoint=scratch, progress=stop),
        )
    assert scratch.state is not None
    again = ToyLottery().compress(tiny(), 0.2, make_context(tiny(), checkpoint=scratch))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
