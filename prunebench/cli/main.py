"""The command line: its commands put together."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from prunebench.cli.comparison import comparison_commands
from prunebench.cli.leaderboard import leaderboard_commands
from prunebench.cli.messages import show_messages
from prunebench.cli.networks import network_commands
from prunebench.cli.plugins import plugin_commands
from prunebench.cli.records import record_commands
from prunebench.cli.store import store_commands
from prunebench.cli.suites import suite_commands
from prunebench.cli.ui import ui_commands
from prunebench.errors import RequestError

app = typer.Typer(
    name="prunebench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # FACTORY[@WEIGHTS] is no markup
)
app.add_typer(suite_commands)
app.add_typer(plugin_commands)
app.add_typer(comparison_commands)
app.add_typer(leaderboard_commands)
app.add_typer(record_commands)
app.add_typer(network_commands)
app.add_typer(store_commands, name="store")
app.add_typer(ui_commands)


def _print_version(wanted: bool) -> None:
    if wanted:
        from prunebench import __version__

        print(f"prunebench {__version__}")
        raise typer.Exit


@app.callback()
def describe(
    version: Annotated[
        bool,
        typer.Option("--version", help="print the version", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Does a pruned network still look where it looked?"""  # noqa: D401


def main() -> None:
    """Run a command; a wrong request is one message and exit status 2."""
    try:
        with show_messages():
            app()
    except RequestError as error:
        # One line, whatever an error of a plugin or a library that it quotes may hold.
        line = " ".join(part.strip() for part in str(error).splitlines())
        print(f"error: {line}", file=sys.stderr)
        raise SystemExit(2) from None
