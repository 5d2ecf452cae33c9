from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prunebench.leaderboard.board.orders import Height, Order, count_swaps


def order(bounds: list[tuple[float, float]]) -> Order:
    heights = {
        f"p{index}": Height(low + (high - low) / 2, low, high)
        for index, (low, high) in enumerate(bounds)
    }
    return Order("", dict(sorted(heights.items(), key=lambda item: -item[1].value)))


BOUNDS = st.tuples(st.integers(0, 8), st.integers(0, 3)).map(lambda b: (b[0] / 10, sum(b) / 10))


@given(st.lists(st.tuples(BOUNDS, BOUNDS), min_size=2, max_size=9))
def test_swaps_are_the_pairs_whose_intervals_say_so(bounds: list[Any]) -> None:
    first, second = (order(list(side)) for side in zip(*bounds, strict=True))
    told, turned, moved = 0, 0, set()
    for one, other in combinations(range(len(bounds)), 2):
        signs = []
        for side in (0, 1):
            (low, high), (other_low, other_high) = bounds[one][side], bounds[other][side]
            signs.append((low > other_high) - (other_low > high))
        told += 0 not in signs
        if signs[0] * signs[1] < 0:
            turned += 1
            moved |= {f"p{one}", f"p{other}"}
    found = count_swaps(first, second)
    assert (found.separated, found.reversed, set(found.moved)) == (told, turned, moved)
    assert count_swaps(second, first).reversed == turned
    assert count_swaps(first, first).reversed == 0
