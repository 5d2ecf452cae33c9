"""The result of ``compare``: what was found, and its pages, figure and conditions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.comparison.answer import give_answer
from prunebench.comparison.compared import ComparedNetworks
from prunebench.comparison.figure import draw
from prunebench.comparison.gate import Least, check_conditions, list_conditions
from prunebench.comparison.page import write_page
from prunebench.comparison.page_html import render_fragment, render_page
from prunebench.comparison.strips import list_strips
from prunebench.comparison.verdict import give_verdict
from prunebench.progress import counting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTEBOOK_PICTURES = 3
FIGURE = (
    "## Where attention moved most\n\n![Images with the maps of both networks](comparison.png)\n"
)


class Comparison(ComparedNetworks):
    """What ``compare`` found: ``scores``, ``per_image`` and the rest of ``ComparedNetworks``."""

    def __repr__(self) -> str:
        return f"Comparison: {self.answer}"

    def _repr_html_(self) -> str:
        return render_fragment(self, pictures=NOTEBOOK_PICTURES)

    @property
    def verdict(self) -> str:
        """Whether the pruned network still looks where the baseline looked, and why.

        The lower end of the interval of Sp2PS is held against the published threshold of each
        method that has one, and the interval against those of the controls.
        """
        return give_verdict(self)

    @property
    def answer(self) -> str:
        """Whether the pruned network may be shipped, with accuracy, in one sentence."""
        return give_answer(self)

    def check(
        self,
        *,
        sp2ps: Least = None,
        ssim: Least = None,
        iou: Least = None,
        soft_iou: Least = None,
        pe_score: Least = None,
        agreement: float | None = None,
        max_drop: float | None = None,
    ) -> tuple[str, ...]:
        """Return the conditions that are not met, one line each: what was found and wanted.

        What counts is the worse end of the 95% interval over images. Where the verdict is
        withheld, or a value cannot be told, a condition is not met.

        Args:
            sp2ps: The least Sp2PS, by every explanation method, or ``{method: least}``.
            ssim: The least SSIM, likewise.
            iou: The least IoU, likewise.
            soft_iou: The least soft IoU, likewise.
            pe_score: The least PE score, likewise.
            agreement: The least share of images for which both predict the same class.
            max_drop: The most points (of 100) that accuracy may have fallen.

        Raises:
            RequestError: A bound is out of its range, a method was not compared, or a drop is
                bounded and there are no labels.
        """
        wanted = {"sp2ps": sp2ps, "ssim": ssim, "iou": iou, "soft_iou": soft_iou}
        wanted |= {"pe_score": pe_score, "agreement": agreement}
        conditions = list_conditions(wanted, max_drop)
        return tuple(each.line for each in check_conditions(self, conditions) if not each.met)

    def to_markdown(self) -> str:
        """Return the page as markdown, without the figure."""
        return write_page(self)

    def to_html(self) -> str:
        """Return the page as one HTML file that needs no other."""
        return render_page(self)

    def figure(self) -> Figure:
        """Draw the images whose attention moved most, and Sp2PS beside that of the controls."""
        return draw(self.pictures, list_strips(self) if len(self.controls) else ())

    def save(self, folder: Path | str, quiet: bool = True) -> Path:
        """Write comparison.html, comparison.md, comparison.png and per_image.csv.

        Args:
            folder: Where to; made if it is not there.
            quiet: Show no progress.

        Returns:
            The path of comparison.md.
        """
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        page = root / "comparison.md"
        with counting(3, "files of the report", quiet) as progress:
            self.figure().savefig(root / "comparison.png", dpi=150)
            progress(1)
            (root / "comparison.html").write_text(self.to_html(), encoding="utf-8", newline="\n")
            progress(2)
            page.write_text(f"{self.to_markdown()}\n{FIGURE}", encoding="utf-8")
            self.per_image.to_csv(root / "per_image.csv", index=False)
            progress(3)
        return page
