"""The cut into splits: disjoint, whole, fixed, whatever else draws random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunebench.data import Split
from prunebench.datasets.splits import cut_validation, divide, draw_permutation
from prunebench.errors import RequestError

fractions = st.floats(0.01, 0.9)


@pytest.mark.slow
@settings(deadline=None)
@given(count=st.integers(20, 500), fraction=fractions, purpose=st.text(max_size=5))
def test_the_parts_are_disjoint_whole_and_of_the_size_asked_for(
    count: int, fraction: float, purpose: str
) -> None:
    kept, cut = divide(count, fraction, purpose)
    assert sorted(torch.cat([kept, cut]).tolist()) == list(range(count))
    assert len(cut) == max(1, round(count * fraction))


@pytest.mark.slow
@settings(deadline=None)
@given(count=st.integers(20, 500), fraction=fractions, seed=st.integers(0, 2**31))
def test_the_cut_ignores_and_keeps_the_state_of_other_generators(
    count: int, fraction: float, seed: int
) -> None:
    expected = divide(count, fraction, "a")
    torch.manual_seed(seed)
    np.random.seed(seed)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=True)
    again = divide(count, fraction, "a")
    assert all(torch.equal(a, b) for a, b in zip(expected, again, strict=True))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state(legacy=True)) == str(numpy_state)


@settings(deadline=None)
@given(count=st.integers(20, 500), a=fractions, b=fractions)
def test_a_larger_cut_contains_a_smaller_one(count: int, a: float, b: float) -> None:
    small, large = (set(divide(count, f, "x")[1].tolist()) for f in sorted((a, b)))
    assert small <= large


def test_the_permutation_is_the_one_of_all_published_results() -> None:
    # A change here moves images between splits: every result on every data set would be another.
    assert draw_permutation(12, "digits").tolist() == [6, 4, 1, 11, 9, 0, 3, 7, 5, 2, 8, 10]


def test_another_purpose_is_another_permutation() -> None:
    assert not torch.equal(draw_permutation(100, "a"), draw_permutation(100, "b"))


def test_images_keep_their_labels_and_boxes() -> None:
    numbers = torch.arange(50)
    pixels = numbers.to(torch.uint8).view(50, 1, 1, 1)
    boxes = numbers[:, None].repeat(1, 4)
    for part in cut_validation(Split(pixels, numbers, boxes), 0.3, "a"):
        assert torch.equal(part.pixels[torch.arange(len(part))].flatten().long(), part.labels)
        assert part.boxes is not None
        assert torch.equal(part.boxes[:, 0], part.labels)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(RequestError, match="1 images are too few"):
        divide(1, 0.1, "cifar10")
