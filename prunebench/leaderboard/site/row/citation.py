"""A card's paper as people and as BibTeX cite it."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from prunebench.leaderboard.writers.cells import plain
from prunebench.plugins.cards import Paper

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{special: f"\\{special}" for special in "&%$#_{}"},
}


def format_bibtex(paper: Paper) -> str:
    """Write the paper as an entry for BibTeX; what its text holds is never a command.

    The kind is ``misc``, which every style prints with the fields that are there: a card does not
    tell a journal from a conference.
    """
    authors = [name for name in re.split(r",\s*|\s+and\s+", plain(paper.authors)) if name]
    names = " and ".join("others" if name.startswith("et al") else name for name in authors)
    fields = {
        "title": f"{{{_escape_latex(paper.title)}}}",
        "author": _escape_latex(names),
        "year": str(paper.year),
    }
    if paper.arxiv:
        fields |= {"eprint": _strip_identifier(paper.arxiv), "archiveprefix": "arXiv"}
    if paper.doi:
        fields["doi"] = _strip_identifier(paper.doi)
    if paper.url:
        fields["url"] = _strip_identifier(paper.url)
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{_make_key(paper, authors)},\n{lines}}}"


def find_address(paper: Paper) -> str | None:
    """Return where the paper is to be read: by DOI, on arXiv, or at its own address."""
    if paper.doi:
        return f"https://doi.org/{quote(paper.doi)}"
    if paper.arxiv:
        return f"https://arxiv.org/abs/{quote(paper.arxiv)}"
    if paper.url and re.match(r"https?://", paper.url):
        return paper.url
    return None


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in plain(text))


def _strip_identifier(text: str) -> str:
    """Return an identifier or address without what would end its field."""
    return re.sub(r"[\s{}\\%]", "", plain(text))


def _make_key(paper: Paper, authors: list[str]) -> str:
    """Make a key such as ``li2017pruning`` of first author, year and first word of the title."""
    last = authors[0].split()[-1] if authors else "anonymous"
    first = next((word for word in re.findall(r"\w+", paper.title) if len(word) > 2), "")
    folded = unicodedata.normalize("NFKD", f"{last}{paper.year}{first}")
    return re.sub(r"[^a-z0-9]", "", folded.lower()) or "paper"
