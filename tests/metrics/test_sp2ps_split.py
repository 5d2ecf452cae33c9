"""Sp2PS in parts: every image in its part, and the parts whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from prunebench.errors import RequestError
from prunebench.metrics import Evidence, sp2ps
from prunebench.plugins import choose


@pytest.fixture
def readings() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    baseline = torch.eye(4)[[2, 0, 1, 2, 3, 3, 2, 0]]
    pruned = baseline.clone()
    pruned[[0, 4]] = torch.eye(4)[[1, 0]]  # images 0 and 4 flip
    return {
        "maps": torch.rand(5, 12, 12, generator=generator),
        "baseline_maps": torch.rand(5, 12, 12, generator=generator),
        "predictions": pruned,
        "baseline_predictions": baseline,
        "explained": torch.tensor([4, 1, 0, 6, 7]),
        "classes": torch.tensor([3, 0, 2, 2, 0]),
    }


def split(readings: dict[str, Tensor], **parameters: Any) -> dict[str, Tensor]:
    load: dict[str, Callable[[], Tensor]] = {
        name: (lambda value=value: value)  # type: ignore[misc]
        for name, value in readings.items()
    }
    metric = choose("metrics", "sp2ps-split", parameters).plugin
    return dict(metric.compute(Evidence(load, torch.device("cpu"))))


def test_every_image_is_in_its_part(readings: dict[str, Tensor]) -> None:
    whole = sp2ps(readings["baseline_maps"], readings["maps"])
    expected = {
        "sp2ps_kept": [1, 3, 4],
        "sp2ps_flipped": [0, 2],
        "sp2ps_class_0": [1, 4],
        "sp2ps_class_2": [2, 3],
        "sp2ps_class_3": [0],
    }
    found = split(readings)
    assert set(found) == set(expected)
    for name, images in expected.items():
        assert torch.equal(found[name], whole[images])


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("prediction", {"sp2ps_kept", "sp2ps_flipped"}),
        ("class", {"sp2ps_class_0", "sp2ps_class_2", "sp2ps_class_3"}),
    ],
)
def test_one_split_alone(readings: dict[str, Tensor], by: str, names: set[str]) -> None:
    assert set(split(readings, by=by)) == names


def test_a_part_without_images_is_left_out(readings: dict[str, Tensor]) -> None:
    same = readings | {"predictions": readings["baseline_predictions"]}
    found = split(same, by="prediction")
    assert set(found) == {"sp2ps_kept"}
    assert len(found["sp2ps_kept"]) == 5


def test_a_network_that_returns_nan_keeps_no_prediction(readings: dict[str, Tensor]) -> None:
    broken = readings | {"predictions": torch.full((8, 4), torch.nan)}
    assert set(split(broken, by="prediction")) == {"sp2ps_flipped"}


def test_undefined_images_stay_in_their_part(readings: dict[str, Tensor]) -> None:
    readings["maps"][3] = readings["baseline_maps"][3] = 0
    found = split(readings)
    assert found["sp2ps_kept"].isnan().tolist() == [False, True, False]
    assert found["sp2ps_class_2"].isnan().tolist() == [False, True]


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(RequestError, match="by"):
        choose("metrics", "sp2ps-split", {"by": "size"})
