"""The command line's ``export``: a row's network as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from prunebench.cli.records import PUBLISHED
from prunebench.cli.store import DEFAULT_STORE, StoreDir, TrustStore
from prunebench.cli.writing import refuse_unwritable

network_commands = typer.Typer()
out = Console()


@network_commands.command()
def export(
    row: Annotated[str, typer.Argument(help="a record's id, or its file")],
    to: Annotated[str, typer.Option(help="pt2, onnx, safetensors or pt")],
    output: Annotated[Path | None, typer.Option(help="the file; by default ROW.FORMAT")] = None,
    store: StoreDir = DEFAULT_STORE,
    results: Annotated[Path, typer.Option(help="folder of published records")] = PUBLISHED,
    trust_store: TrustStore = False,
) -> None:
    """Write the network of a row to a file that other programs read, without pickle."""
    from prunebench.loading.load import load
    from prunebench.networks.portable import check_format
    from prunebench.networks.portable import export as write

    form = check_format(to)
    network = load(row, store, results, trusted=trust_store)
    path = output or Path(f"{Path(row).stem if row.endswith('.json') else row}.{form}")
    with refuse_unwritable(path.parent):
        write(network, path, form)
    look = network.architecture
    shape = f"B×{look.channels}×{look.size[0]}×{look.size[1]}"
    out.print(
        f"{path}: images {shape}, normalised with mean {look.mean}, deviation {look.std}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
