"""The guides do what they say: their Python runs, their suites are valid, their files exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from prunebench.suite import load_suite

REPOSITORY = Path(__file__).parent.parent.parent
GUIDES = sorted((REPOSITORY / "docs" / "guides").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in GUIDES if blocks(page, "python")], ids=lambda page: page.stem
)
def test_the_python_of_a_guide_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    (tmp_path / "guide.py").write_text("\n".join(blocks(page, "python")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "guide.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_suite_of_the_guide_is_valid(tmp_path: Path) -> None:
    (block,) = blocks(REPOSITORY / "docs" / "guides" / "write-a-suite.md", "yaml")
    (tmp_path / "my-suite.yaml").write_text(block, encoding="utf-8")
    suite = load_suite(tmp_path / "my-suite.yaml")
    assert [pruner.label for pruner in suite.pruners][1:] == [
        "l1-unstructured",
        "l1-filter(target=macs)",
    ]


def test_every_file_that_answers_a_question_is_there() -> None:
    text = (REPOSITORY / "docs" / "where.md").read_text(encoding="utf-8")
    named = re.findall(r"`(prunebench/[\w/]+\.py)`", text)
    assert len(named) == 10
    assert [name for name in named if not (REPOSITORY / name).is_file()] == []


def test_the_navigation_holds_every_page() -> None:
    navigation = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(REPOSITORY / "docs") for page in (REPOSITORY / "docs").rglob("*.md")]
    assert [str(page) for page in pages if str(page) not in navigation] == []
