"""A step: one node of the experiment tree, named by a hash of what it is and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prunebench.plan.step_kinds import PREPARED, RECOVERED, Kind
from prunebench.plugins import Chosen
from prunebench.plugins.base import Plugin


class Step:
    """One node. It can be pickled and holds all that is needed to carry it out.

    Attributes:
        kind: What kind of step it is.
        key: 32 hexadecimal digits.
        plugin: The plugin at work, with its parameters.
        options: Further options, as the stage of this kind expects them.
        seed: The experiment's seed; None where no randomness is used.
        parents: Steps whose results this one reads, by their role.
    """

    __slots__ = ("key", "kind", "options", "parents", "plugin", "seed")

    def __init__(
        self,
        kind: Kind,
        key: str,
        plugin: Any,
        options: Mapping[str, Any],
        seed: int | None,
        parents: tuple[tuple[str, Step], ...],
    ) -> None:
        self.kind = kind
        self.key = key
        self.plugin = plugin
        self.options = options
        self.seed = seed
        self.parents = parents

    def __repr__(self) -> str:
        return f"<{self.kind.name} {self.name} {self.key[:8]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def parent(self, role: str) -> Step:
        """Return the parent in a role."""
        return next(step for name, step in self.parents if name == role)

    @property
    def name(self) -> str:
        """The plugin's name; empty where none is at work."""
        return getattr(self.plugin, "name", "")

    def lineage(self) -> list[Step]:
        """Return a network's step and all networks it was made from, the baseline last."""
        found = [self]
        while found[-1].kind.changes_network:
            found.append(found[-1].parent("network"))
        return found

    def compressed(self) -> Step:
        """Return the last compression that a network's step comes from, or the baseline."""
        return next(step for step in self.lineage() if step.kind != RECOVERED)

    def prepared(self) -> dict[str, Step]:
        """Return all that was prepared for it, by name; what that needed itself comes first."""
        return {
            other.name: other
            for _, parent in self.parents
            if parent.kind == PREPARED
            for other in parent.ancestors(set())
            if other.kind == PREPARED
        }

    def has_parent(self, role: str) -> bool:
        """Tell whether there is a parent in a role."""
        return any(name == role for name, _ in self.parents)

    @property
    def runs_alone(self) -> bool:
        """Whether nothing else may run on its machine meanwhile, as for timing."""
        return getattr(_plugin(self), "carries", "") == "hardware"

    def ancestors(self, seen: set[str]) -> Iterator[Step]:
        """Yield this step after everything it needs, without steps that were seen before."""
        if self.key in seen:
            return
        seen.add(self.key)
        for _, parent in self.parents:
            if parent.key not in seen:
                yield from parent.ancestors(seen)
        yield self


def _plugin(step: Step) -> Plugin | None:
    return step.plugin.plugin if isinstance(step.plugin, Chosen) else None
