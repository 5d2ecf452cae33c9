"""The page of a comparison in a real browser: phone and desk, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_comparing import network

from prunebench.comparison.compare import compare

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it, long names included."""
    images = torch.randn(40, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    found = compare(
        network(), network(seed=1), images, torch.arange(40) % 4,
        names=["folder/" * 9 + f"{i}.png" for i in range(40)],
        class_names=["a very long name of a class " * 3 + str(i) for i in range(4)],
        controls={"random": "random", "fine-tuned-by-the-same-recipe": network(seed=2)},
        cost=True, quiet=True,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("report") / "comparison.html"
    path.write_text(found.to_html(), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_reads_well(browser: Any, page: Path, width: int, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, bypass_csp=True
    )
    tab = context.new_page()
    problems: list[str] = []
    tab.on("console", lambda message: problems.append(message.text))
    tab.on("request", lambda one: problems.append(one.url) if one.url[:5] == "http:" else None)
    tab.goto(page.as_uri())
    assert not tab.evaluate("document.documentElement.scrollWidth > innerWidth")
    found = axe.run(tab, options={"runOnly": RULES})
    assert [(each["id"], each["nodes"][0]["html"]) for each in found.response["violations"]] == []
    assert problems == []
    context.close()


@pytest.mark.slow
def test_the_policy_lets_the_page_show_itself(browser: Any, page: Path) -> None:
    context = browser.new_context(java_script_enabled=True)
    tab = context.new_page()
    refused: list[str] = []
    tab.on("console", lambda message: refused.append(message.text))
    tab.goto(page.as_uri())
    widths = tab.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert len(widths) == 90
    assert min(widths) > 0
    assert tab.evaluate("getComputedStyle(document.querySelector('.answer')).fontWeight") == "600"
    assert refused == []
    context.close()
