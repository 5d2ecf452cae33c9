"""The result of ``compare``: what was found, and its page and figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.comparison.compared import ComparedNetworks
from prunebench.comparison.figure import draw
from prunebench.comparison.page import write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Comparison(ComparedNetworks):
    """What ``compare`` found: ``scores``, ``per_image`` and the rest of ``ComparedNetworks``."""

    def to_markdown(self) -> str:
        """Return the page as markdown, without the figure."""
        return write_page(self)

    def figure(self) -> Figure:
        """Draw the images whose attention moved most, each with both networks' maps."""
        return draw(self.pictures)

    def save(self, folder: Path | str) -> Path:
        """Write comparison.md, comparison.png and per_image.csv.

        Args:
            folder: Where to; made if it is not there.

        Returns:
            The path of comparison.md.
        """
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        self.figure().savefig(root / "comparison.png", dpi=150)
        self.per_image.to_csv(root / "per_image.csv", index=False)
        page = root / "comparison.md"
        shown = (
            "## Where attention moved most\n\n"
            "![Images with the maps of both networks](comparison.png)\n"
        )
        page.write_text(f"{self.to_markdown()}\n{shown}", encoding="utf-8")
        return page
