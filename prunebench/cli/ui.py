"""The command line's ``prunebench ui``: MLflow on the embedded store."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from prunebench.cli.store import DEFAULT_STORE, StoreDir
from prunebench.errors import RequestError

ui_commands = typer.Typer()
out = Console()


@ui_commands.command()
def ui(
    store: StoreDir = DEFAULT_STORE,
    port: Annotated[int, typer.Option(help="port on this machine")] = 5000,
    open_page: Annotated[
        bool, typer.Option("--open", help="open the latest suite in a browser")
    ] = False,
) -> None:
    """Open MLflow on the embedded store; says where the latest suite's charts are."""
    if not (store / "mlflow.db").is_file():
        raise RequestError("nothing was run yet: `make bench` first", where=str(store))

    from prunebench.tracking import default_uri

    page = f"http://127.0.0.1:{port}"
    suite = _find_latest(store)
    if suite is not None:
        name, page = suite[0], _link_charts(page, suite[1])
        out.print(f"{name}: {page}", markup=False, highlight=False, soft_wrap=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--port", str(port)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as by the keyboard
    server = subprocess.Popen([*command, "--backend-store-uri", default_uri(store)])
    try:
        if open_page and _wait_for_answer(server, f"http://127.0.0.1:{port}/health"):
            webbrowser.open(page)
        raise SystemExit(server.wait())
    except KeyboardInterrupt:
        server.terminate()
        raise SystemExit(server.wait()) from None


def _find_latest(store: Path) -> tuple[str, str] | None:
    """Find the MLflow experiment, name and id, of the last suite run; None if there is none."""
    from prunebench.record.files import list_records
    from prunebench.store import Store
    from prunebench.tracking import default_uri
    from prunebench.tracking.experiment import connect

    client = connect(default_uri(store))
    files = sorted(list_records(Store(store, reading=True)), key=lambda file: file.stat().st_mtime)
    for name in dict.fromkeys(file.parent.name for file in reversed(files)):
        found = client.get_experiment_by_name(name)
        if found is not None:
            return name, str(found.experiment_id)
    return None


def _link_charts(server: str, experiment: str) -> str:
    from prunebench.tracking.view import address

    return address(server, experiment)


def _wait_for_answer(server: subprocess.Popen[bytes], page: str) -> bool:
    """Wait until a server answers; False if it stops before that."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(page, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False
