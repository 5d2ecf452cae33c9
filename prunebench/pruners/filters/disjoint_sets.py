"""Sets of numbers that grow together."""

from __future__ import annotations


class DisjointSets:
    """The numbers 0, 1, ... n−1, each in a set of its own until sets are united.

    Args:
        count: n.
    """

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def find(self, number: int) -> int:
        """Return the smallest number of its set."""
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def unite(self, one: int, other: int) -> None:
        """Unite the sets of two numbers."""
        first, second = sorted((self.find(one), self.find(other)))
        self._parents[second] = first

    def list_sets(self) -> tuple[tuple[int, ...], ...]:
        """List the sets, each in rising order, by their smallest numbers."""
        sets: dict[int, list[int]] = {}
        for number in range(len(self._parents)):
            sets.setdefault(self.find(number), []).append(number)
        return tuple(map(tuple, sets.values()))
