"""Pages from templates: everything that a page shows is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

NAVIGATION = (
    ("index.html", "Board"),
    ("pruners.html", "Pruners"),
    ("gallery.html", "Gallery"),
    ("correlations.html", "Correlations"),
    ("papers.html", "Papers"),
    ("questions.html", "Questions"),
    ("speed.html", "Why not faster?"),
)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("prunebench.leaderboard.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(site: Path, page: str, template: str, **context: Any) -> None:
    """Write one page.

    Args:
        site: The site's folder.
        page: The page's place in it, such as ``pruners/l1-filter.html``.
        template: The template's name.
        **context: What the template shows; text is escaped.
    """
    root = "../" * page.count("/")
    text = (
        _environment()
        .get_template(template)
        .render(root=root, page=page, navigation=NAVIGATION, **context)
    )
    target = site / page
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="\n")
