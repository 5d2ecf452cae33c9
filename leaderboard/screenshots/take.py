"""Takes the README's screenshots of the site: `make screenshots`, with Chromium installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
SITE = HERE.parent / "site"
CIFAR = "cifar10-resnet20-parquet-resnet20-l1-unstructured-0.6-s0"
PAGES = {
    "board": ("index.html#q=resnet20", 1280, 1250),
    "row": ("row.html#{row}", 1280, 1000),
    "gallery": ("gallery.html", 1280, 900),
    "papers": ("papers.html#thesis-iterative-correlation", 1280, 1000),
}


def main() -> None:
    """Write one PNG a page beside this file."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        sys.exit("there is no Chromium here; on Debian: apt-get install chromium")
    row = next(path.stem for path in sorted((SITE / "rows").glob(f"{CIFAR}*.js")))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name, (page, width, height) in PAGES.items():
            tab = browser.new_page(viewport={"width": width, "height": height})
            tab.goto((SITE / "index.html").as_uri().replace("index.html", page.format(row=row)))
            tab.wait_for_timeout(2500)
            tab.screenshot(path=HERE / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
