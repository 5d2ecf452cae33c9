"""How the page of the papers writes numbers, rows and works."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.papers.cards.printed import count_decimals
from prunebench.leaderboard.papers.cards.work import Quantity, Work
from prunebench.leaderboard.writers.cells import plain


def format_signed(value: float, digits: int, *, plus: bool = False) -> str:
    """Write a number with a true minus sign; zero has none."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return f"{'−' if value < 0 else '+' if plus else ''}{text}"


def count_digits(printed: str | None) -> int:
    """Return how many decimals ours is written with: as many as theirs, and at least one."""
    return max(1, count_decimals(printed or ""))


def format_measured(
    quantity: Quantity, value: float | None, digits: int, *, plus: bool = False
) -> str:
    """Write a number of ours in the source's unit; with a plus if the source prints one."""
    if value is None:
        return "–"
    return format_signed(value, digits, plus=plus) + ("%" if quantity.unit == "percent" else "")


def has_sign(printed: str | None) -> bool:
    """Return whether a number was printed with its sign."""
    return bool(printed) and str(printed)[0] in "+-−"


def title_row(row: Row, levels: int = 0) -> str:
    """Return a row's title: network, pruner and level, or how many levels are meant."""
    record = row.first
    network = plain(record.model).partition("(")[0]
    if record.role == "baseline":
        return f"{network}, baseline"
    if record.role == "control":
        return f"{network}, none (training only)"
    level = f"{levels} levels" if levels else format_level(row)
    return f"{network}, {plain(record.pruner)}, {level}"


def title_axis(quantity: Quantity) -> str:
    """Return a column's title as the heading of an axis."""
    return f"{quantity.title} (%)" if quantity.unit == "percent" else quantity.title


def find_shared(each: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return what all of several lists hold, in the order of the first."""
    lists = list(each)
    return tuple(text for text in lists[0] if all(text in one for one in lists)) if lists else ()


def format_citation(work: Work) -> str:
    """Write authors, year, title and venue on one line."""
    year = f" ({work.year})" if work.year else ""
    venue = f" {work.venue}." if work.venue else ""
    return f"{work.authors}{year}. {work.title}.{venue}"


def list_addresses(work: Work) -> list[tuple[str, str]]:
    """Return where a work is to be found: (address, name)."""
    found = []
    if work.doi:
        found.append((f"https://doi.org/{work.doi}", f"doi:{work.doi}"))
    if work.arxiv:
        found.append((f"https://arxiv.org/abs/{work.arxiv}", f"arXiv:{work.arxiv}"))
    if work.url:
        found.append((work.url, work.url.removeprefix("https://")))
    return found


def explain_missing_seeds(rows: Sequence[Row]) -> list[str]:
    """Return one sentence if networks of some seeds are missing, else nothing."""
    few = sum(bool(row.missing) for row in rows)
    return [f"Of {few} of {len(rows)} rows not all seeds were measured."] if few else []
