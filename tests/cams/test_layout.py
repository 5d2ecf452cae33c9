"""How layers' outputs are read as maps and put back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunebench.errors import RequestError
from prunebench.networks.layout import (
    Layout,
    find_channel_axis,
    find_token_grid,
    from_maps,
    to_maps,
)


@pytest.mark.parametrize(
    ("tokens", "image", "grid"),
    [
        (197, (224, 224), (14, 14)),  # ViT-B/16, with a class token
        (196, (224, 224), (14, 14)),  # MLP-Mixer, without
        (50, (224, 224), (7, 7)),  # ViT-B/32
        (201, (224, 224), (14, 14)),  # with four registers, too
        (257, (224, 224), (16, 16)),  # patches of 14
        (1370, (518, 518), (37, 37)),  # DINOv2
        (1374, (518, 518), (37, 37)),  # DINOv2 with registers
        (65, (32, 32), (8, 8)),
        (17, (32, 32), (4, 4)),
        (33, (32, 64), (4, 8)),
        (1, (32, 32), (1, 1)),
    ],
)
def test_the_grid_behind_tokens(tokens: int, image: tuple[int, int], grid: tuple[int, int]) -> None:
    assert find_token_grid(tokens, image) == grid


@pytest.mark.parametrize(("tokens", "image"), [(0, (32, 32)), (46, (32, 32)), (210, (224, 224))])
def test_tokens_without_a_grid_are_refused(tokens: int, image: tuple[int, int]) -> None:
    with pytest.raises(RequestError, match=f"{tokens} tokens form no grid of square patches"):
        find_token_grid(tokens, image)


@given(
    rows=st.integers(3, 16),
    columns=st.integers(3, 16),
    patch=st.integers(4, 16),
    prefix=st.integers(0, 5),
)
def test_every_grid_of_patches_is_found_or_a_finer_one_that_also_fits(
    rows: int, columns: int, patch: int, prefix: int
) -> None:
    found = find_token_grid(rows * columns + prefix, (rows * patch, columns * patch))
    assert found[0] * found[1] <= rows * columns + prefix <= found[0] * found[1] + 8
    assert found >= (rows, columns)


def test_tokens_are_rows_one_after_the_other_behind_those_without_a_place() -> None:
    output = torch.arange(2 * 14 * 3.0).reshape(2, 14, 3)  # 12 places, 2 more tokens
    maps = to_maps(output, "tokens", (12, 16))
    assert maps.shape == (2, 3, 3, 4)
    for row in range(3):
        for column in range(4):
            assert torch.equal(maps[:, :, row, column], output[:, 2 + 4 * row + column])


def test_channels_last() -> None:
    output = torch.rand(2, 3, 4, 5)
    assert torch.equal(to_maps(output, "channels-last", (6, 8)), output.permute(0, 3, 1, 2))


LAYOUTS: list[tuple[Layout, tuple[int, ...]]] = [
    ("maps", (2, 5, 3, 4)),
    ("channels-last", (2, 3, 4, 5)),
    ("tokens", (2, 13, 5)),
    ("tokens", (2, 12, 5)),
    ("tokens", (2, 5, 3, 4)),  # a convolution in a transformer
]


@pytest.mark.parametrize(("layout", "shape"), LAYOUTS)
def test_round_trip(layout: Layout, shape: tuple[int, ...]) -> None:
    output = torch.rand(shape)
    maps = to_maps(output, layout, (12, 16))
    assert maps.shape == (2, 5, 3, 4)
    assert maps.data_ptr() in range(output.data_ptr(), output.data_ptr() + 4 * output.numel())
    assert torch.equal(from_maps(maps, layout, output), output)


@pytest.mark.parametrize(("layout", "shape"), LAYOUTS)
def test_changed_maps_leave_other_tokens_alone(layout: Layout, shape: tuple[int, ...]) -> None:
    output, changed = torch.rand(shape), torch.rand(2, 5, 3, 4)
    put = from_maps(changed, layout, output)
    assert put.shape == output.shape
    assert torch.equal(to_maps(put, layout, (12, 16)), changed)
    if shape == (2, 13, 5):
        assert torch.equal(put[:, 0], output[:, 0])


@pytest.mark.parametrize(("layout", "shape"), LAYOUTS)
def test_the_axis_of_channels(layout: Layout, shape: tuple[int, ...]) -> None:
    assert shape[find_channel_axis(layout, torch.empty(shape))] == 5


@pytest.mark.parametrize(
    ("layout", "shape"), [("maps", (2, 13, 5)), ("channels-last", (2, 60)), ("tokens", (2, 60))]
)
def test_other_outputs_are_refused(layout: Layout, shape: tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match=r"its output is \(2, .* gives maps, B×C×h×w"):
        to_maps(torch.empty(shape), layout, (12, 16))
