"""How layers' outputs are read as maps and put back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunebench.errors import RequestError
from prunebench.networks.layout import (
    Layout,
    TokenGrids,
    contradicts,
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


GRIDS = {
    "rows": st.integers(2, 16),
    "columns": st.integers(2, 16),
    "patch": st.integers(2, 16),
    "prefix": st.integers(0, 8),
}


@given(**GRIDS)
def test_a_grid_is_found_right_or_refused_as_not_clear(
    rows: int, columns: int, patch: int, prefix: int
) -> None:
    try:
        found = find_token_grid(rows * columns + prefix, (rows * patch, columns * patch))
    except RequestError as error:
        assert f"{rows}×{columns} behind {prefix}" in str(error)  # noqa: PT017
    else:
        assert found == (rows, columns)


@given(**GRIDS)
def test_a_network_that_tells_is_believed(rows: int, columns: int, patch: int, prefix: int) -> None:
    told = TokenGrids(frozenset({(rows, columns), (rows * patch, columns * patch)}), prefix)
    tokens = rows * columns + prefix
    assert find_token_grid(tokens, (rows * patch, columns * patch), told) == (rows, columns)


def test_tokens_that_were_dropped_on_the_way_form_no_grid() -> None:
    told = TokenGrids(frozenset({(14, 14)}), 1)
    assert find_token_grid(197, (224, 224), told) == (14, 14)
    with pytest.raises(RequestError, match="101 tokens form no grid"):
        find_token_grid(101, (224, 224), told)


@pytest.mark.parametrize(
    ("shape", "layout", "image", "wrong"),
    [
        ((1, 7, 7, 768), "maps", (224, 224), True),
        ((1, 7, 7, 768), "channels-last", (224, 224), False),
        ((1, 768, 7, 7), "channels-last", (224, 224), True),
        ((1, 768, 7, 10), "maps", (224, 320), False),
        ((1, 7, 10, 768), "maps", (224, 320), True),
        ((1, 64, 4, 16), "maps", (224, 224), False),  # neither has the image's proportions
        ((1, 7, 7, 7), "maps", (224, 224), False),
        ((1, 197, 192), "tokens", (224, 224), False),
    ],
)
def test_shapes_that_speak_against_a_layout(
    shape: tuple[int, ...], layout: Layout, image: tuple[int, int], wrong: bool
) -> None:
    assert contradicts(shape, layout, image) == wrong


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
