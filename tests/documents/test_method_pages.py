"""The pages about methods name files that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
PAGES = sorted((REPOSITORY / "docs" / "methods").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|yaml|md))`", text)
    assert len(named) >= 5
    assert [name for name in named if not (REPOSITORY / name).is_file()] == []


@pytest.mark.slow
def test_the_page_of_isp_names_its_own_imports() -> None:
    """Whatever of pruners/filters and cams/amortized the gates' training uses is on the page."""
    page = (REPOSITORY / "docs" / "methods" / "isp.md").read_text(encoding="utf-8")
    code = [
        (REPOSITORY / "prunebench" / "pruners" / "filters" / name).read_text(encoding="utf-8")
        for name in ("isp.py", "gate_training.py", "gates.py", "gated_macs.py")
    ]
    rooms = r"from (prunebench\.(?:pruners\.filters|cams\.amortized)\.\w+) import"
    used = {module.replace(".", "/") for text in code for module in re.findall(rooms, text)}
    explained = {f"prunebench/cams/amortized/{name}" for name in ("explainers", "options")}
    missing = {module for module in used - explained if f"`{module}.py`" not in page}
    assert missing == set()
