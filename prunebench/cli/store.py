"""The command line's ``prunebench store``: look into the store, or tidy it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from prunebench.errors import RequestError

store_commands = typer.Typer(help="Look into the store, or tidy it.", no_args_is_help=True)
StoreDir = Annotated[Path, typer.Option("--store", help="folder of results")]
TrustStore = Annotated[
    bool, typer.Option("--trust-store", help="run Python code that only the store names")
]
DEFAULT_STORE = Path(".prunebench")
out = Console()


@store_commands.command("ls")
def store_ls(store: StoreDir = DEFAULT_STORE) -> None:
    """Count what is stored, and list what failed."""
    from prunebench.store import Store, StoreError

    results = Store(existing_store(store), reading=True)
    sizes: dict[str, list[int]] = {}
    damaged: list[RequestError] = []
    for key in sorted(results.stored_keys()):
        try:
            artefact = results.read(key)
        except StoreError as error:
            damaged.append(error)
            continue
        size = sum(file.stat().st_size for file in artefact.folder.iterdir())
        sizes.setdefault(artefact.kind, []).append(size)
    table = Table("step", "stored", "MB")
    for kind, each in sorted(sizes.items()):
        table.add_row(kind, f"{len(each):,}", f"{sum(each) / 1e6:,.1f}")
    out.print(table)
    for failure in results.failures():
        print(f"failed: {failure['kind']} {failure['key'][:8]}: {failure['message']}")
    for problem in damaged:
        print(f"error: {problem}", file=sys.stderr)
    if damaged:
        raise typer.Exit(2)


def existing_store(store: Path) -> Path:
    """Return a store's folder; refuse one where there is none."""
    from prunebench.store import Store

    if not Store(store, reading=True).exists:
        raise RequestError("there is no store", where=str(store))
    return store


@store_commands.command("gc")
def store_gc(store: StoreDir = DEFAULT_STORE) -> None:
    """Remove what killed processes left half written."""
    from prunebench.store import Store

    out.print(f"{Store(existing_store(store)).collect()} leftovers removed")


@store_commands.command("rm")
def store_rm(
    keys: Annotated[list[str], typer.Argument(help="keys, or their first six digits or more")],
    store: StoreDir = DEFAULT_STORE,
) -> None:
    """Remove results by key; the next run makes them again."""
    from prunebench.store import Store

    results = Store(existing_store(store))
    known = results.stored_keys()
    for wanted in keys:
        found = [key for key in known if len(wanted) >= 6 and key.startswith(wanted)]
        if not found:
            raise RequestError(f"no result {wanted!r}; `prunebench store ls` lists them")
        for key in found:
            results.remove(key)
