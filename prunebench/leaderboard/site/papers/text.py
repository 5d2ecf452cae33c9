"""How the page of the papers writes numbers, rows and works."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prunebench.leaderboard.board.rows import Row, level_name
from prunebench.leaderboard.papers.cards.printed import decimals
from prunebench.leaderboard.papers.cards.work import Quantity, Work
from prunebench.leaderboard.writers.cells import plain


def signed(value: float, digits: int, *, plus: bool = False) -> str:
    """A number with a true minus sign; zero has none."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return f"{'−' if value < 0 else '+' if plus else ''}{text}"


def digits_of(printed: str | None) -> int:
    """With how many decimals ours is written: as many as theirs, and at least one."""
    return max(1, decimals(printed or ""))


def measured(quantity: Quantity, value: float | None, digits: int, *, plus: bool = False) -> str:
    """A number of ours in the unit of the source; with a plus where the source prints one."""
    if value is None:
        return "–"
    return signed(value, digits, plus=plus) + ("%" if quantity.unit == "percent" else "")


def has_sign(printed: str | None) -> bool:
    """Whether a number was printed with its sign."""
    return bool(printed) and str(printed)[0] in "+-−"


def row_title(row: Row, levels: int = 0) -> str:
    """What a row of ours is called: network, compressor and level, or how many levels are meant."""
    record = row.first
    network = plain(record.model).partition("(")[0]
    if record.role == "baseline":
        return f"{network}, baseline"
    if record.role == "control":
        return f"{network}, none (training only)"
    level = f"{levels} levels" if levels else level_name(row)
    return f"{network}, {plain(record.pruner)}, {level}"


def axis_title(quantity: Quantity) -> str:
    """A column as the heading of an axis."""
    return f"{quantity.title} (%)" if quantity.unit == "percent" else quantity.title


def shared(each: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """What all of several lists hold, in the order of the first."""
    lists = list(each)
    return tuple(text for text in lists[0] if all(text in one for one in lists)) if lists else ()


def citation(work: Work) -> str:
    """Authors, year, title and venue on one line."""
    year = f" ({work.year})" if work.year else ""
    venue = f" {work.venue}." if work.venue else ""
    return f"{work.authors}{year}. {work.title}.{venue}"


def addresses(work: Work) -> list[tuple[str, str]]:
    """Where a work is to be found: (address, name)."""
    found = []
    if work.doi:
        found.append((f"https://doi.org/{work.doi}", f"doi:{work.doi}"))
    if work.arxiv:
        found.append((f"https://arxiv.org/abs/{work.arxiv}", f"arXiv:{work.arxiv}"))
    if work.url:
        found.append((work.url, work.url.removeprefix("https://")))
    return found


def seeds_missing(rows: Sequence[Row]) -> list[str]:
    """One sentence where networks of some seeds were asked for and are not there; else nothing."""
    few = sum(bool(row.missing) for row in rows)
    return [f"Of {few} of {len(rows)} rows not all seeds were measured."] if few else []
