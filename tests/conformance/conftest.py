"""The faulty plugins, installed as a package of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_plugins import FAULTS, SOUND

from prunebench.plugins import finding as plugins


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Installs the faulty plugins, each under its class's name; returns their folder."""
    site = tmp_path_factory.mktemp("faulty")
    info = site / "faulty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    lines = []
    for kind, names in FAULTS.items():
        lines.append(f"[prunebench.{kind}]")
        everything = [*names, *([SOUND[kind]] if kind in SOUND else [])]
        lines += [f"{name} = faulty_plugins:{name}" for name in everything]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    shutil.copy(Path(__file__).with_name("faulty_plugins.py"), site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        plugins.entries.cache_clear()
        yield site
    plugins.entries.cache_clear()
