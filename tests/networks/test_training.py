from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from prunebench.data import Data, Normalisation, Split
from prunebench.networks.augmentation import augment
from prunebench.networks.network import apply_masks, make_masks_permanent
from prunebench.networks.training import DivergedError, compute_learning_rate, train
from prunebench.plugins.recipe import Recipe
from prunebench.store import Store

CPU = torch.device("cpu")


@pytest.fixture
def data() -> Data:
    draw = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        labels = torch.randint(3, (count,), generator=draw)
        pixels = torch.randint(100, (count, 1, 8, 8), generator=draw, dtype=torch.uint8)
        pixels[torch.arange(count), 0, labels * 2] += 120
        return Split(pixels, labels)

    return Data(split(90), split(30), split(30), ("a", "b", "c"), Normalisation((0.5,), (0.5,)))


def _module() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(144, 3),
    )


def _train(
    module: nn.Module, data: Data, recipe: Recipe, **options: object
) -> list[dict[str, object]]:
    curve, _ = train(module, data, data.normalisation, recipe, 0, CPU, **options)  # type: ignore[arg-type]
    return curve  # type: ignore[return-value]


class KilledError(Exception):
    pass


@pytest.mark.parametrize(
    ("optimizer", "keep", "precision"),
    [
        *((o, k, "float32") for o in ("sgd", "adam", "adamw") for k in ("best", "last")),
        ("sgd", "best", "bf16"),
    ],
)
def test_interrupted_training_ends_as_it_would_have(
    data: Data, tmp_path: Path, optimizer: str, keep: str, precision: str
) -> None:
    recipe = Recipe(
        epochs=5,
        optimizer=optimizer,
        keep=keep,
        batch_size=32,
        augment="crop-flip",
        precision=precision,
    )
    calm = _module()
    curve = _train(calm, data, recipe)

    class Dying:
        """Scratch space whose process dies right after the third save."""

        def __init__(self) -> None:
            self.scratch = Store(tmp_path).scratch("ab" * 16)
            self.saves = 0

        def save(self, state: Mapping[str, Tensor]) -> None:
            self.scratch.save(state)
            self.saves += 1
            if self.saves == 3:
                raise KilledError

        def load(self) -> dict[str, Tensor] | None:
            return self.scratch.load()

    with pytest.raises(KilledError):
        _train(_module(), data, recipe, checkpoint=Dying())
    resumed = _module()
    again = _train(resumed, data, recipe, checkpoint=Store(tmp_path).scratch("ab" * 16))
    assert again == curve
    state = resumed.state_dict()
    assert all(torch.equal(state[k], v) for k, v in calm.state_dict().items())


def test_training_depends_on_the_seed_alone(data: Data) -> None:
    recipe = Recipe(epochs=2, batch_size=32)
    one, other = _module(), _module()
    _train(one, data, recipe)
    torch.rand(7)  # whatever else draws numbers changes nothing
    _train(other, data, recipe)
    assert torch.equal(one[5].weight, other[5].weight)
    different = _module()
    train(different, data, data.normalisation, recipe, 1, CPU)
    assert not torch.equal(one[5].weight, different[5].weight)


def test_the_epoch_kept_is_the_best_on_validation(data: Data) -> None:
    from prunebench.networks.evaluation import evaluate

    module = _module()
    curve = _train(module, data, Recipe(epochs=6, lr=0.3, batch_size=16))
    best = max(point["validation_accuracy"] for point in curve)
    assert evaluate(module, data.validation, data.normalisation, CPU) == best


def test_zeros_stay_zero_with_momentum_and_weight_decay(data: Data) -> None:
    module = _module()
    mask = (torch.arange(144 * 3).reshape(3, 144) % 3 > 0).float()
    apply_masks(module, {"5.weight": mask})
    _train(module, data, Recipe(epochs=2, momentum=0.9, weight_decay=0.1, batch_size=16))
    masks = make_masks_permanent(module)
    assert torch.equal(masks["5.weight"], mask)
    assert (module[5].weight[mask == 0] == 0).all()
    assert (module[5].weight[mask == 1] != 0).all()


def test_a_checkpoint_of_another_training_is_as_good_as_none(data: Data, tmp_path: Path) -> None:
    recipe = Recipe(epochs=2, lr=0.05)
    expected = _train(_module(), data, recipe)
    other = Store(tmp_path).scratch("ab" * 16)
    state = {"module/0.weight": torch.zeros(1), "curve": torch.zeros(1, 4)}
    for tensors in ({"a": torch.ones(3)}, state, {**state, "best_accuracy": torch.zeros(1)}):
        other.save(tensors)
        again = _train(_module(), data, recipe, checkpoint=other)
        assert again == expected


def test_a_loss_that_is_no_number_is_an_error(data: Data) -> None:
    with pytest.raises(DivergedError, match="smaller lr"):
        _train(_module(), data, Recipe(epochs=5, lr=1e30))


def test_learning_rates() -> None:
    steps = Recipe(epochs=10, lr=1.0, milestones=(5, 8), gamma=0.1)
    assert [compute_learning_rate(steps, e) for e in (0, 4, 5, 8)] == pytest.approx(
        [1, 1, 0.1, 0.01]
    )
    cosine = Recipe(epochs=10, lr=1.0, schedule="cosine")
    assert [compute_learning_rate(cosine, e) for e in (0, 5)] == pytest.approx([1, 0.5])


def test_crops_and_flips_move_whole_images() -> None:
    draw = torch.Generator().manual_seed(0)
    inputs = torch.zeros(50, 2, 16, 16)
    inputs[:, 0, 8, 8], inputs[:, 1, 8, 8] = 1, 2
    moved = augment(inputs, "crop-flip", draw)
    assert moved.shape == inputs.shape
    assert torch.equal(moved.sum((2, 3)), inputs.sum((2, 3)))
    places = moved[:, 0].flatten(1).argmax(1)
    assert torch.equal(places, moved[:, 1].flatten(1).argmax(1))
    assert len(places.unique()) > 10
    assert torch.equal(augment(inputs, "none", draw), inputs)
