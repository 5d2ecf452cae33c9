from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunebench.seeding import derive, seeded


def _draws() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.rand()), random.random()


def test_a_derived_seed_is_the_same_on_every_machine() -> None:
    assert derive(0, "initialisation") == 4602181677623913897
    assert derive(7, "data order", 3) == 4601826705137731416


@given(st.integers(min_value=0), st.lists(st.text() | st.integers(), max_size=3))
def test_derived_seeds_fit_every_generator(seed: int, purpose: list[str | int]) -> None:
    value = derive(seed, *purpose)
    assert 0 <= value < 2**63
    torch.Generator().manual_seed(value)


def test_seeds_and_purposes_are_independent() -> None:
    purposes = [("a",), ("b",), ("a", "b"), ("ab",), ("a", 0), ("a", 1), ("a", 11), ("a", 1, 1)]
    found = {derive(seed, *purpose) for seed in range(20) for purpose in purposes}
    assert len(found) == 20 * len(purposes)


def test_equal_seeds_and_purposes_draw_equal_numbers() -> None:
    with seeded(3, "noise", 1) as value:
        first = _draws()
    with seeded(3, "noise", 1):
        assert _draws() == first
    with seeded(3, "noise", 2):
        others = _draws()
    assert all(a != b for a, b in zip(first, others, strict=True))
    assert value == derive(3, "noise", 1)


def test_what_is_drawn_outside_is_not_disturbed() -> None:
    with seeded(1, "outside"):
        expected = [_draws(), _draws()]
    with seeded(1, "outside"):
        before = _draws()
        with seeded(2, "inside"):
            _draws()
        assert [before, _draws()] == expected


def test_the_outside_is_restored_after_an_error() -> None:
    with seeded(1, "outside"):
        expected = _draws()
    with seeded(1, "outside"):
        with pytest.raises(ZeroDivisionError), seeded(2, "inside"):
            _draws()[0] / 0
        assert _draws() == expected
