"""Write the catalogue of plugins for the documentation, from their cards (a hook of mkdocs)."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from prunebench.plugins import KINDS, Entry, entries
from prunebench.plugins.cards import Card, read_card

TITLES = {
    "datasets": "Data sets",
    "models": "Models",
    "pruners": "Pruners",
    "cams": "Explanation methods",
    "metrics": "Metrics",
}


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the catalogue to the pages of the site."""
    files.append(File.generated(config, "catalogue.md", content="\n".join(write_catalogue())))
    return files


def write_catalogue() -> Iterator[str]:
    """Yield the lines of the page: a section a kind, an entry a plugin that ships."""
    yield "# Catalogue\n"
    yield "Each plugin with its parameters: `prunebench show KIND NAME`.\n"
    for kind in KINDS:
        yield f"## {TITLES[kind]}\n"
        for entry in (claims[0] for claims in entries(kind).values()):
            if entry.package == "prunebench":
                yield from _describe(entry)


def _describe(entry: Entry) -> Iterator[str]:
    card = read_card(entry)
    if card is None:
        return
    yield f"### `{entry.name}`\n"
    yield f"**{_escape(card.title)}.** {_escape(card.summary)}\n"
    yield from _tell_paper(card)
    if card.choices:
        yield "What was chosen where the source is silent:\n"
        yield from (f"- {_escape(choice)}" for choice in card.choices)
        yield ""
    if card.published:
        yield "Published: \n"
        yield from (
            f"- {_escape(each.what)}: {_escape(str(each.value))} ({_escape(each.source)})"
            for each in card.published
        )
        yield ""


def _tell_paper(card: Card) -> Iterator[str]:
    paper = card.paper
    if paper is None:
        return
    links = [
        f"[doi:{paper.doi}](https://doi.org/{paper.doi})" if paper.doi else "",
        f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else "",
        f"<{paper.url}>" if paper.url else "",
    ]
    told = f"{_escape(paper.authors)} ({paper.year}). *{_escape(paper.title)}*."
    yield " ".join([told, *filter(None, links)]) + "\n"


def _escape(text: str) -> str:
    """Escape what markdown or HTML would take for its own."""
    plain = html.escape(text, quote=False)
    return "".join(f"\\{sign}" if sign in "\\`*_[]" else sign for sign in plain)
