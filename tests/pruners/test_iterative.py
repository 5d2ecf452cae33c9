from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import prunebench as pb
from prunebench import RequestError
from prunebench.networks.network import make_masks_permanent
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.plan.keys import plugin_identity
from prunebench.plugins import choose
from prunebench.pruners.iterative import EarlierWeights, Iterative
from prunebench.pruners.pruner import Pruner
from prunebench.pruners.weights.magnitude import L1Unstructured
from prunebench.pruners.weights.mask_pruner import MaskPruner
from prunebench.store.digests import Digests

Write = Callable[..., Path]


def zeros(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: layer.weight.detach() == 0 for name, layer in find_prunable_layers(network).items()
    }


def left(network: nn.Module) -> int:
    return sum(int((~gone).sum()) for gone in zeros(network).values())


def recovered(network: nn.Module, seed: int) -> nn.Module:
    """As after a recovery: other values and statistics, the same zeros and sizes."""
    found = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in found.state_dict().values():
            if tensor.is_floating_point():
                noise = 1 + 0.5 * torch.rand(tensor.shape, generator=generator)
                tensor.mul_(noise)
    return found


def rounds(
    pruner: Iterative, baseline: nn.Module, count: int, make_context: Any, **others: Any
) -> list[tuple[nn.Module, nn.Module]]:
    """The recovered network each round begins with, and what it makes of it."""
    found = []
    network = origin = baseline
    for k in range(1, count + 1):
        context = make_context(baseline, round=k, origin=copy.deepcopy(origin), **others)
        pruned: Any = pruner.compress(copy.deepcopy(network), pruner.level_of_round(k), context)
        make_masks_permanent(pruned)
        found.append((network, pruned))
        network, origin = recovered(pruned, k), pruned
    return found


@pytest.mark.parametrize("rewind", ["none", "trained"])
def test_each_round_takes_the_smallest_of_the_recovered_weights(
    rewind: str, tiny: Any, make_context: Any
) -> None:
    pruner = Iterative(rewind=rewind, rounding="nearest", fraction=0.3)
    for before, after in rounds(pruner, tiny(), 4, make_context):
        values = torch.cat(
            [m.weight.detach().flatten() for m in find_prunable_layers(before).values()]
        )
        kept = values[values != 0].abs()
        threshold = kept.sort().values[round(0.3 * len(kept)) - 1]
        gone = torch.cat([mask.flatten() for mask in zeros(after).values()])
        assert torch.equal(gone, values.abs() <= threshold)


@pytest.mark.slow
def test_survivors_and_statistics_are_those_of_the_baseline(tiny: Any, make_context: Any) -> None:
    baseline = recovered(tiny(), 99)  # with statistics of its own
    for _, after in rounds(Iterative(), baseline, 3, make_context):
        gone = zeros(after)
        for name, value in after.state_dict().items():
            layer = name.removesuffix(".weight")
            kept = ~gone[layer] if name.endswith(".weight") and layer in gone else True
            assert torch.equal(value, baseline.state_dict()[name] * kept)


def test_survivors_keep_their_recovered_values_without_rewinding(
    tiny: Any, make_context: Any
) -> None:
    for before, after in rounds(Iterative(rewind="none"), tiny(), 3, make_context):
        for name, gone in zeros(after).items():
            weight = find_prunable_layers(before)[name].weight
            assert torch.equal(find_prunable_layers(after)[name].weight, weight * ~gone)
        assert torch.equal(
            after.state_dict()["1.running_mean"], before.state_dict()["1.running_mean"]
        )


def test_rewinding_to_an_epoch_takes_the_prepared_weights(tiny: Any, make_context: Any) -> None:
    early = recovered(tiny(), 7)
    pruner = Iterative(rewind=2)
    (preparation,) = pruner.prepare()
    context = make_context(tiny(), earlier=lambda epoch: {2: early}[epoch])
    held = {preparation.name: preparation.compute(tiny(), context)}
    for _, after in rounds(pruner, tiny(), 3, make_context, prepared=held):
        for name, gone in zeros(after).items():
            weight = find_prunable_layers(early)[name].weight
            assert torch.equal(find_prunable_layers(after)[name].weight, weight * ~gone)
        assert torch.equal(after.state_dict()["1.running_var"], early.state_dict()["1.running_var"])


@pytest.mark.parametrize("method", ["l1-filter", "random-filter"])
def test_filters_are_chosen_when_recovered_and_cut_when_rewound(
    method: str, tiny: Any, make_context: Any
) -> None:
    baseline = tiny()
    with torch.no_grad():
        baseline[0].weight.copy_(torch.arange(1.0, 13).view(12, 1, 1, 1).expand(12, 3, 3, 3))
    sizes = [sum(p.numel() for p in baseline.parameters())]
    for before, after in rounds(Iterative(pruner=method, fraction=0.25), baseline, 3, make_context):
        count = sum(p.numel() for p in after.parameters())
        assert count / sum(p.numel() for p in before.parameters()) == pytest.approx(0.75, abs=0.06)
        sizes.append(count)
        # Every filter left is one of the baseline's, bit for bit, on the inputs that are left.
        filters = after[0].weight.detach()[:, 0, 0, 0]  # type: ignore[index]
        assert set(filters.tolist()) <= set(map(float, range(1, 13)))
        values = {float(v) for v in baseline[3].weight.detach().flatten()}
        assert {float(v) for v in after[3].weight.detach().flatten()} <= values  # type: ignore[index]
    assert sizes == sorted(sizes, reverse=True)


def test_importance_is_that_of_the_recovered_network(tiny: Any, make_context: Any) -> None:
    network = tiny()
    with torch.no_grad():
        network[0].weight[5] *= 1e-3  # small after the recovery, not before
    context = make_context(tiny(), round=2, origin=tiny())
    pruner = Iterative(pruner={"l1-filter": {"rates": {"0": 1.0}}}, fraction=0.04)
    found: Any = pruner.compress(network, 0.0, context)
    kept = [k for k in range(12) if k != 5]
    assert torch.equal(found[0].weight, tiny()[0].weight[kept])


def test_what_is_prepared_is_prepared_from_each_round_s_network(
    tiny: Any, make_context: Any
) -> None:
    pruner = Iterative(pruner={"l1-unstructured": {"scope": "sensitivity"}}, fraction=0.5)
    counts = [left(after) for _, after in rounds(pruner, tiny(), 2, make_context)]
    whole = left(tiny())
    assert counts[0] == whole - (-(-whole // 2) + 1)
    assert counts[1] == counts[0] - (-(-counts[0] // 2) + 1)


def test_a_layer_may_lose_everything_but_not_the_network(tiny: Any, make_context: Any) -> None:
    baseline = tiny()
    with torch.no_grad():
        baseline[0].weight *= 1e-4
    ((_, after),) = rounds(Iterative(fraction=0.5), baseline, 1, make_context)
    assert zeros(after)["0"].all()
    with torch.no_grad():
        for layer in find_prunable_layers(baseline).values():
            layer.weight.zero_()
        baseline[9].weight[0, :2] = 1.0
    with pytest.raises(RequestError, match=r"round 1: 2 weights are left, of which .* take 2"):
        rounds(Iterative(), baseline, 1, make_context)
    with pytest.raises(RequestError, match="would take 0"):
        rounds(Iterative(rounding="nearest"), baseline, 1, make_context)


def test_a_round_that_would_empty_a_layer_is_refused(tiny: Any, make_context: Any) -> None:
    pruner = Iterative(
        pruner={"l1-filter": {"rates": {"0": 1.0}, "target": "channels"}}, fraction=0.3, rounds=30
    )
    with pytest.raises(RequestError, match=r"round \d+: .*(layer '0'|no filter can be removed)"):
        rounds(pruner, tiny(), 30, make_context)


class Shifting(Pruner):
    """Does something else than to rank."""

    def compress(self, network: nn.Module, level: float, context: Any) -> nn.Module:
        with torch.no_grad():
            for layer in find_prunable_layers(network).values():
                layer.weight.add_(level)
        return network


class Ranking(MaskPruner):
    version: ClassVar[int] = 1

    def scores(self, network: nn.Module, context: Any) -> dict[str, Tensor]:
        return L1Unstructured().scores(network, context)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunebench.plugins import finding as plugins

    known = dict(plugins.entries("pruners"))
    for name, of in (("shifting", Shifting), ("ranking", Ranking)):
        entry = plugins.Entry("pruners", name, f"{__name__}:{of.__name__}", "test")
        entry.__dict__["plugin_class"] = of
        known[name] = (entry,)
    monkeypatch.setattr(plugins, "entries", lambda kind: known)


def test_other_methods_are_iterated_without_rewinding(
    others: None, tiny: Any, make_context: Any
) -> None:
    pruner = Iterative(pruner="shifting", rewind="none", fraction=0.25, rounding="nearest")
    found: Any = pruner.compress(tiny(), 0.0, make_context(tiny(), round=1))
    assert torch.allclose(found[0].weight, tiny()[0].weight + 0.25, atol=1e-3)
    with pytest.raises(RequestError, match=r"'shifting' does more than rank .* expected none"):
        Iterative(pruner="shifting")


def test_a_new_version_of_the_method_within_is_a_new_method(
    others: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity() -> str:
        pruner = Iterative(pruner="ranking")
        return json.dumps(plugin_identity("iterative", pruner, Digests()))

    first = identity()
    monkeypatch.setattr(Ranking, "version", 2)
    assert identity() != first


def test_labels_tell_what_differs_from_the_default() -> None:
    def label(**parameters: Any) -> str:
        return choose("pruners", "iterative", parameters).label

    assert label() == label(pruner="l1-unstructured") == "iterative"
    assert label(pruner={"l1-unstructured": {}}) == "iterative"
    assert label(pruner={"l1-unstructured": {"scope": "global"}}) == "iterative"
    assert label(rounds=3) == "iterative"  # the first three of 25 are the same
    assert label(pruner="l1-filter") == label(pruner={"l1-filter": None}) != label()
    assert label(pruner="l1-filter") == "iterative(pruner=l1-filter)"
    inner = {"l1-filter": {"scope": "layerwise"}}
    assert label(pruner=inner) == "iterative(pruner={l1-filter: {scope: layerwise}})"


@pytest.mark.parametrize(
    ("parameters", "message", "location"),
    [
        ({"pruner": "l1-filtre"}, "did you mean 'l1-filter'", ("pruner",)),
        (
            {"pruner": {"l1-filter": {"scop": "erk"}}},
            "did you mean 'scope'",
            ("pruner", "l1-filter", "scop"),
        ),
        ({"pruner": {"l1-filter": {}, "none": {}}}, "a pruner's name", ("pruner",)),
        ({"pruner": 3}, "pruner", ("pruner",)),
        ({"pruner": "iterative"}, "fraction of what is left", ("pruner",)),
        ({"pruner": "none"}, "fraction of what is left", ("pruner",)),
        ({"rewind": "traned"}, "did you mean 'trained'", ("rewind",)),
        ({"rewind": -1}, "number of epochs", ("rewind",)),
        ({"rewind": True}, "number of epochs", ("rewind",)),
        ({"fraction": 1.0}, "less than 1", ("fraction",)),
    ],
)
def test_wrong_requests_are_refused(
    parameters: dict[str, Any], message: str, location: tuple[str, ...]
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        choose("pruners", "iterative", parameters)
    assert caught.value.location == location


def test_paths_within_are_anchored_and_their_content_counts(tmp_path: Path) -> None:
    from prunebench.pruners.distillation import DistillationPruner

    (tmp_path / "a.pt").write_text("a")
    found = DistillationPruner.anchored({"student": {"digits-cnn": {"weights": "a.pt"}}}, tmp_path)
    assert DistillationPruner(**found).files() == [tmp_path / "a.pt"]
    before = plugin_identity("distillation", DistillationPruner(**found), Digests())
    (tmp_path / "a.pt").write_text("another")
    assert plugin_identity("distillation", DistillationPruner(**found), Digests()) != before
    assert str(tmp_path) not in json.dumps(before)
    assert Iterative.anchored({"pruner": "no-such"}, tmp_path) == {"pruner": "no-such"}


def run(path: Path, store: Path) -> pb.Results:
    return pb.run(path, store=store, tracking_uri="", device="cpu", quiet=True)


@pytest.mark.slow
def test_rounds_of_a_suite_rewind_to_an_epoch_computed_once(
    toy_suite: Write, tmp_path: Path
) -> None:
    """The toy model trains three epochs; its last is the baseline where the last one is kept."""
    path = toy_suite(
        pruners="[{iterative: {rounds: 3, rewind: 3}}, {iterative: {rounds: 3}}]",
        model="{toy-cnn: {training: {epochs: 3, lr: 0.05, batch_size: 30, keep: last}}}",
        metrics="[accuracy, params]",
        cams=None,
        levels=None,
    )
    results = run(path, tmp_path / "store")
    assert results.exit_status == 0
    pruned = [record for record in results.records if record.role == "compressed"]
    by_epoch, trained = pruned[:3], pruned[3:]
    assert [record.round for record in pruned] == [1, 2, 3, 1, 2, 3]
    assert [record.pruner for record in pruned] == ["iterative(rewind=3)"] * 3 + ["iterative"] * 3
    for a, b in zip(by_epoch, trained, strict=True):
        # Trained again to its end, the baseline is what it was, bit for bit.
        assert a.reached == b.reached
        assert a.values == b.values
        assert a.images_seen == b.images_seen + 3 * 120
    journal = (tmp_path / "store" / "journal.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["kind"] == "prepared" for line in journal) == 1
    assert [round(r.level or 0, 3) for r in trained] == [0.2, 0.36, 0.488]


@pytest.mark.slow
def test_an_epoch_the_baseline_never_had_is_refused(toy_suite: Write, tmp_path: Path) -> None:
    path = toy_suite(
        pruners="[{iterative: {rounds: 1, rewind: 4}}]", metrics="[params]", cams=None, levels=None
    )
    results = run(path, tmp_path / "store")
    assert results.exit_status == 1
    failures = " ".join(p.read_text() for p in (tmp_path / "store" / "failures").iterdir())
    assert "no epoch 4" in failures
    assert "3 epochs" in failures


def test_earlier_weights_share_one_preparation() -> None:
    assert Iterative(rewind=2).prepare() == (EarlierWeights(epoch=2),)
    assert Iterative(rewind=2, rounds=3).prepare() == Iterative(rewind=2).prepare()
    assert Iterative().prepare() == ()


def test_a_method_that_trains_beforehand_is_refused_at_once() -> None:
    with pytest.raises(RequestError, match="trains something before it prunes"):
        choose("pruners", "iterative", {"pruner": "isp", "rewind": "none"})
    choose("pruners", "iterative", {"pruner": {"isp": {"interpretation": 0}}, "rewind": "none"})
