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


def bibtex(paper: Paper) -> str:
    """The paper as an entry for BibTeX; what its text holds is never a command.

    The kind is ``misc``, which every style prints with the fields that are there: a card does not
    tell a journal from a conference.
    """
    authors = [name for name in re.split(r",\s*|\s+and\s+", plain(paper.authors)) if name]
    names = " and ".join("others" if name.startswith("et al") else name for name in authors)
    fields = {
        "title": f"{{{_text(paper.title)}}}",
        "author": _text(names),
        "year": str(paper.year),
    }
    if paper.arxiv:
        fields |= {"eprint": _bare(paper.arxiv), "archiveprefix": "arXiv"}
    if paper.doi:
        fields["doi"] = _bare(paper.doi)
    if paper.url:
        fields["url"] = _bare(paper.url)
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{_key(paper, authors)},\n{lines}}}"


def address(paper: Paper) -> str | None:
    """Where the paper is to be read: by DOI, on arXiv, or at its own address."""
    if paper.doi:
        return f"https://doi.org/{quote(paper.doi)}"
    if paper.arxiv:
        return f"https://arxiv.org/abs/{quote(paper.arxiv)}"
    if paper.url and re.match(r"https?://", paper.url):
        return paper.url
    return None


def _text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in plain(text))


def _bare(text: str) -> str:
    """An identifier or address, without what would end its field."""
    return re.sub(r"[\s{}\\%]", "", plain(text))


def _key(paper: Paper, authors: list[str]) -> str:
    """Such as ``li2017pruning``: the first author's last word, the year, the title's first word."""
    last = authors[0].split()[-1] if authors else "anonymous"
    first = next((word for word in re.findall(r"\w+", paper.title) if len(word) > 2), "")
    folded = unicodedata.normalize("NFKD", f"{last}{paper.year}{first}")
    return re.sub(r"[^a-z0-9]", "", folded.lower()) or "paper"
