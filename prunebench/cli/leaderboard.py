"""The command line's ``prunebench leaderboard``: the board, from records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from prunebench.cli.store import DEFAULT_STORE, StoreDir, existing_store
from prunebench.cli.writing import refuse_unwritable
from prunebench.errors import RequestError
from prunebench.input_files import is_folder

if TYPE_CHECKING:
    from prunebench.record import Record

leaderboard_commands = typer.Typer()
out = Console()


@leaderboard_commands.command()
def leaderboard(
    results: Annotated[
        Path | None, typer.Option(help="folder of published records; by default the store's")
    ] = None,
    store: StoreDir = DEFAULT_STORE,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="where the board is written; by default the store")
    ] = None,
    readme: Annotated[
        Path | None, typer.Option(help="a README to put a small board into, between its marks")
    ] = None,
) -> None:
    """Write the leaderboard from records: tables, JSON, pictures and a site to open.

    Records that cannot be read are left out and named, with exit status 2.
    """
    from prunebench.leaderboard.board import board
    from prunebench.leaderboard.outputs import write_everything
    from prunebench.leaderboard.writers.readme import update_readme
    from prunebench.leaderboard.writers.terminal import to_terminal
    from prunebench.record.reading import keeping_all

    target = out_dir or store / "leaderboard"
    broken: list[RequestError] = []
    records = _read_records(results, store, broken)
    with keeping_all(), refuse_unwritable(target):
        sections = board(records)
        page = write_everything(sections, target)
        if readme is not None:
            update_readme(readme, sections)
        out.print(to_terminal(sections))
    out.print(f"leaderboard: {page}", highlight=False, soft_wrap=True)
    if broken:
        tell_left_out(broken)
        raise typer.Exit(2)


def tell_left_out(broken: list[RequestError]) -> None:
    """Print to the standard error which records are not on the board."""
    for error in broken:
        print(f"error: left out of the board: {error}", file=sys.stderr)


def _read_records(results: Path | None, store: Path, broken: list[RequestError]) -> list[Record]:
    """Read the records of a folder, or those of the store."""
    from prunebench.record.files import list_records
    from prunebench.record.reading import read_readable, read_records
    from prunebench.store import Store

    if results is None:
        return read_readable(list_records(Store(existing_store(store), reading=True)), broken)
    if not is_folder(results):
        raise RequestError("no such folder", where=str(results))
    try:
        next(results.iterdir(), None)
    except OSError as error:
        raise RequestError(f"cannot be read: {error.strerror}", where=str(results)) from None
    return read_records(results, broken=broken)
