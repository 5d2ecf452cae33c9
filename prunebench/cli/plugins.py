"""The command line's ``list``, ``show``, ``new`` and ``check``: plugins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

plugin_commands = typer.Typer()
out = Console()

Kind = Annotated[str, typer.Argument(help="pruner, model, cam, metric or dataset")]
STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}


@plugin_commands.command("list")
def list_plugins(
    kind: Annotated[
        str | None, typer.Argument(help="datasets, models, pruners, cams, metrics")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """List plugins, broken ones with their reason."""
    from prunebench.plugins.catalogue import make_catalogue

    rows = make_catalogue(kind)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("kind", "name", "package", "what it is")
    for row in rows:
        text = row["summary"] if not row["broken"] else f"BROKEN: {row['broken']}"
        table.add_row(row["kind"], row["name"], row["package"], text)
    out.print(table)


@plugin_commands.command()
def show(
    kind: Annotated[str, typer.Argument(help="dataset, model, pruner, cam or metric")],
    name: Annotated[str, typer.Argument(help="the plugin's name")],
) -> None:
    """Show a plugin: its card and its parameters."""
    from prunebench.plugins.catalogue import describe_plugin

    out.print(describe_plugin(kind, name), markup=False, highlight=False, soft_wrap=True)


@plugin_commands.command()
def new(
    kind: Kind,
    name: Annotated[str, typer.Argument(help="the plugin's name, such as my-pruner")],
    folder: Annotated[Path, typer.Option("--dir", help="where its folder is made")] = Path("."),
) -> None:
    """Write a package with a plugin that works, to be changed into your own."""
    from prunebench.plugins.scaffold import new_package

    for path in new_package(kind, name, folder):
        out.print(str(path), highlight=False, markup=False, soft_wrap=True)
    out.print(f"next: pip install -e {folder / name}", highlight=False, soft_wrap=True)


@plugin_commands.command()
def check(
    name: Annotated[str, typer.Argument(help="the plugin's name")],
    parameters: Annotated[
        list[str] | None, typer.Argument(help="its parameters, each as NAME=VALUE")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="where plugins of several kinds have this name")
    ] = None,
) -> None:
    """Hold a plugin to the conformance kit."""
    from prunebench.cli.plugin_arguments import find_kind, read_parameters

    found, given = find_kind(name, kind), read_parameters(parameters or [])

    from prunebench.conformance import check as check_plugin
    from prunebench.conformance import conforms

    outcomes = check_plugin(found, name, given)
    table = Table("check", "", "reason", title=f"{found[:-1]} {escape(name)}")
    for outcome in outcomes:
        status = f"[{STYLES[outcome.status]}]{outcome.status}[/]"
        table.add_row(escape(outcome.name), status, escape(outcome.reason))
    out.print(table)
    if not conforms(outcomes):
        failed = sum(outcome.status == "failed" for outcome in outcomes)
        text = f"{failed} of {len(outcomes)} checks failed" if failed else "nothing was checked"
        out.print(text, highlight=False)
        raise typer.Exit(1)
