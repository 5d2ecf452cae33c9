"""Records as a small table for notebooks: HTML without scripts, everything in it escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from prunebench.record import Record

MOST_ROWS = 50
PICTURES = 3  # maps of one network


def to_html(records: Iterable[Record], title: str) -> str:
    """Return a table of networks: pruner, level, accuracy, Sp2PS with its interval, MACs, maps.

    Args:
        records: The networks.
        title: What stands above it.
    """
    listed = list(records)
    cams = sorted({name for each in listed for name in each.values if name.startswith("sp2ps/")})
    names = ["pruner", "level", "seed", "accuracy", *(f"Sp2PS {n[6:]}" for n in cams), "MACs", ""]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(f"<tr>{_write_row(each, cams)}</tr>" for each in listed[:MOST_ROWS])
    more = f"<p>and {len(listed) - MOST_ROWS} more</p>" if len(listed) > MOST_ROWS else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<div><p>{escape(title)}</p>{table}{more}</div>"


def _write_row(record: Record, cams: Iterable[str]) -> str:
    cells = [
        record.pruner,
        "" if record.level is None else f"{record.level:.0%}",
        str(record.seed),
        _write_share(record.mean("accuracy")),
        *(_write_interval(record, name) for name in cams),
        f"−{record.reached.macs:.0%}" if record.reached.macs > 0 else "–",
    ]
    if record.failure:
        cells[3:] = [f"failed: {record.failure}"]
        return "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return "".join(f"<td>{escape(cell)}</td>" for cell in cells) + f"<td>{_draw(record)}</td>"


def _write_share(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"


def _write_interval(record: Record, name: str) -> str:
    value = record.values.get(name)
    if value is None or value.mean is None:
        return "–"
    interval = "" if value.low is None else f" [{value.low:.3f}, {value.high:.3f}]"
    return f"{value.mean:.3f}{interval}"


def _draw(record: Record) -> str:
    """Return tiny pictures of a record's first image: the image itself, then its maps."""
    first = record.heatmaps[0].image if record.heatmaps else None
    shown = [each for each in record.heatmaps if each.image == first][:PICTURES]
    return "".join(
        f'<img alt="{escape(each.cam or "image")}" title="{escape(each.cam or "image")}" '
        f'width="32" src="data:image/png;base64,{escape(each.png)}">'
        for each in shown
    )
