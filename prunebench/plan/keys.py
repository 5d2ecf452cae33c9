"""Keys: what a step is named by in the store, and of what that name is a hash.

A key is a hash of what a step is (its kind and version, its plugin with its version, changed
parameters and files' content, its seed, the part of the environment its result depends on) and of
its parents' keys; not of its place in a suite, of a path or of time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prunebench.datasets import Dataset
from prunebench.datasets.downloads import NotDownloaded
from prunebench.plan.environment import Environment
from prunebench.plan.step_kinds import Carries, Kind
from prunebench.plan.steps import Step
from prunebench.plugins import Chosen
from prunebench.plugins.base import Plugin
from prunebench.store.digests import Digests
from prunebench.suite import Suite


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


@dataclass(frozen=True)
class Identities:
    """What enters keys beside the tree itself.

    Attributes:
        suite: What to measure.
        environment: Where it will run; enters keys as far as results depend on it.
        digests: Digests of data and weights.
        counting: Whether to plan without data sets that a run would download first. What is
            counted is right, unless two of them turn out to be the same; the keys are not those
            that the run will have.
    """

    suite: Suite
    environment: Environment
    digests: Digests
    counting: bool = False

    def of(self, chosen: Chosen[Any]) -> dict[str, Any]:
        """Return what enters the key of a plugin of the suite.

        Raises:
            NotDownloaded: Its files are not here yet, and the plan is not only counted.
        """
        # Once a plan, since a data set may have very many files. A suite lists no label twice.
        name = (chosen.kind, chosen.label)
        if name not in self._found:
            self._found[name] = self._look_at(chosen)
        return self._found[name]

    def _look_at(self, chosen: Chosen[Any]) -> dict[str, Any]:
        try:
            return plugin_identity(chosen.name, chosen.plugin, self.digests)
        except NotDownloaded:
            if not self.counting:
                raise
            return {"label": chosen.label, "content": "not downloaded"}

    def to_download(self) -> list[str]:
        """Return labels of the data sets that were planned without their files."""
        return [one.label for one in self.suite.datasets if "label" in self.of(one)]

    @cached_property
    def _found(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {}
