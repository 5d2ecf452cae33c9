"""A step: one node of the experiment tree, named by a hash of what it is and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunebench.datasets import Dataset
from prunebench.plan.environment import Environment
from prunebench.plan.kinds import PREPARED, RECOVERED, Carries, Kind
from prunebench.plugins import Chosen
from prunebench.plugins.base import Plugin
from prunebench.store.digests import Digests


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


@dataclass(frozen=True)
class Blueprint:
    """All that steps of one kind, plugin and set of options share: hashed once, used often."""

    kind: Kind
    plugin: Any
    options: Mapping[str, Any]
    seed: int | None
    identity: str

    def step(self, *parents: tuple[str, Step]) -> Step:
        """Make the step with these parents."""
        text = self.identity + "".join([f"|{role}={step.key}" for role, step in parents])
        key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return Step(self.kind, key, self.plugin, self.options, self.seed, parents)


def blueprint(
    kind: Kind,
    *,
    plugin: Any = None,
    identity: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    environment: Environment | None = None,
    carries: Carries | None = None,
) -> Blueprint:
    """Describe steps of a kind.

    Args:
        kind: The kind of step.
        plugin: The plugin at work (``Chosen``, or a ``Preparation``).
        identity: What of the plugin enters the key: see ``plugin_identity``.
        options: JSON-like options that enter the key, those at their default left out.
        seed: The experiment's seed, where randomness is used.
        environment: Where it runs; enters the key as far as results depend on it.
        carries: How far results hold, where it is not the kind's own.
    """
    what = {
        "kind": kind.name,
        "version": kind.version,
        "plugin": identity,
        "options": {k: v for k, v in (options or {}).items() if v is not None},
        "seed": seed,
        "environment": environment.part(carries or kind.carries) if environment else {},
    }
    text = json.dumps(what, sort_keys=True, separators=(",", ":"))
    return Blueprint(kind, plugin, options or {}, seed, text)


def plugin_identity(name: str, plugin: Plugin, digests: Digests) -> dict[str, Any]:
    """Return what a plugin is in keys: name, version, changed parameters, files' content.

    Args:
        name: Its registered name.
        plugin: The plugin with its parameters.
        digests: Digests of files; a path never enters a key, the content behind it does.
    """
    found: dict[str, Any] = {"name": name, "version": plugin.version}
    if parameters := plugin.changed_parameters():
        found["parameters"] = parameters
    if files := plugin.files():
        if isinstance(plugin, Dataset):
            found["content"] = digests.of_tree(files)
        elif len(files) == 1:
            found["content"] = digests.of_files(files)
        else:  # which parameter a file belongs to matters
            by_path = {value: name for name, value in plugin if isinstance(value, Path)}
            found["content"] = [
                [by_path.get(path, str(place)), digests.of_file(path)]
                for place, path in enumerate(files)
            ]
    return found
