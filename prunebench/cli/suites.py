"""The command line's ``run`` and ``plan``: suites, carried out or counted."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from prunebench.cli.leaderboard import tell_left_out
from prunebench.cli.store import DEFAULT_STORE, StoreDir, TrustStore
from prunebench.cli.writing import refuse_unwritable
from prunebench.errors import RequestError

if TYPE_CHECKING:
    from prunebench.plan.estimate import Summary
    from prunebench.results import Results

suite_commands = typer.Typer()
out = Console()

SuiteFile = Annotated[Path, typer.Argument(help="a suite's YAML file")]
Tracking = Annotated[
    str | None,
    typer.Option(help="MLflow tracking server; by default sqlite in the store, '' for none"),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Where = Annotated[
    str | None,
    typer.Option(help="choose cells: 'pruner == \"l1-unstructured\" and level > 0.3'"),
]


@suite_commands.command()
def run(
    suite: SuiteFile,
    store: StoreDir = DEFAULT_STORE,
    tracking_uri: Tracking = None,
    executor: Annotated[str, typer.Option(help="where steps are carried out: local")] = "local",
    device: Device = "auto",
    where: Where = None,
    force: Annotated[
        list[str] | None, typer.Option(help="do again: a kind of step, a plugin, or a key")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(help="start no step after this: 90s, 30m, 2h")
    ] = None,
    trust_store: TrustStore = False,
    jobs: Annotated[
        str | None,
        typer.Option(help="tasks at once, each in a process of one thread: a number, or auto"),
    ] = None,
    log_models: Annotated[
        bool, typer.Option("--log-models", help="log the networks to MLflow, too")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="plan only")] = False,
) -> None:
    """Run a suite, or what is missing of it."""
    from prunebench.running import run as run_suite

    if dry_run:
        plan(suite, store, device, where)
        return
    seconds = None if max_time is None else _read_seconds(max_time)
    try:
        results = run_suite(
            suite,
            store,
            tracking_uri,
            executor,
            device,
            where,
            force or (),
            seconds,
            trust_store=trust_store,
            jobs=jobs,
            log_models=log_models,
        )
    except KeyboardInterrupt:
        print("stopped; what was finished is in the store, run again to go on", file=sys.stderr)
        raise typer.Exit(130) from None
    try:
        _write_board(results, store)
    finally:  # what failed is told, even if the board cannot be written
        _print_problems(results, store)
    if tracking_uri is None:
        shown = "" if store == DEFAULT_STORE else f" --store {store}"
        text = f"MLflow: {store / 'mlflow.db'} (prunebench ui{shown})"
        out.print(text, highlight=False, soft_wrap=True)
    raise typer.Exit(results.exit_status)


def _write_board(results: Results, store: Path) -> None:
    """Print the board of a run's records, and write that of all records of the store."""
    from prunebench.leaderboard.board import board
    from prunebench.leaderboard.outputs import write_everything
    from prunebench.leaderboard.writers.terminal import to_terminal
    from prunebench.record.files import list_records
    from prunebench.record.reading import read_readable
    from prunebench.store import Store

    out.print(to_terminal(board(results.records)))
    broken: list[RequestError] = []
    records = read_readable(list_records(Store(store)), broken)
    tell_left_out(broken)
    with refuse_unwritable(store / "leaderboard"):
        page = write_everything(board(records), store / "leaderboard")
    out.print(f"leaderboard: {page}", highlight=False, soft_wrap=True)


def _print_problems(results: Results, store: Path) -> None:
    """Print to the standard error what failed and what is left to do."""
    for key, message in results.failed.items():
        print(f"failed: step {key[:8]}: {message}", file=sys.stderr)
    if results.failed or results.blocked:
        print(
            f"{len(results.failed)} steps failed and {results.blocked} could not be done without "
            f"them; details in {store / 'failures'}; the next run tries again",
            file=sys.stderr,
        )
    if results.undone:
        print(f"stopped with {results.undone} steps to do; run again to go on", file=sys.stderr)
    if results.tracking_error:
        print(
            f"MLflow was not filled ({results.tracking_error}); run again to fill it",
            file=sys.stderr,
        )


@suite_commands.command()
def plan(
    suite: SuiteFile,
    store: StoreDir = DEFAULT_STORE,
    device: Device = "auto",
    where: Where = None,
) -> None:
    """Count cells and steps, what is stored already, and the time the rest may take."""
    from prunebench.plan.cell_filter import no_cell_fits, parse_where
    from prunebench.plan.environment import current
    from prunebench.plan.estimate import summarise
    from prunebench.plan.keys import Identities
    from prunebench.plan.plan import plan_trials
    from prunebench.plan.trial import FIELDS
    from prunebench.store import Store
    from prunebench.suite import load_suite

    loaded, results = load_suite(suite), Store(store, reading=True)
    identities = Identities(loaded, current(device), results.digests, counting=True)
    test = parse_where(where, FIELDS) if where else None
    summary = summarise(plan_trials(identities, test), results.stored_keys(), results.times())
    if where and not summary.cells:
        raise no_cell_fits(where, loaded)
    _print_steps(loaded.name, summary)
    for waiting in identities.to_download():
        out.print(
            f"{waiting} is not downloaded yet: what is stored of it is not counted",
            markup=False,
            highlight=False,
        )
    _print_time(summary)


def _print_steps(name: str, summary: Summary) -> None:
    """Print how many steps of each kind there are, and how many are stored."""
    table = Table("step", "distinct", "stored", title=f"{name}: {summary.cells:,} cells")
    for kind, count in summary.steps.items():
        table.add_row(kind, f"{count:,}", f"{summary.stored.get(kind, 0):,}")
    table.add_row("all", f"{sum(summary.steps.values()):,}", f"{sum(summary.stored.values()):,}")
    out.print(table)
    out.print(f"{summary.networks:,} networks, baselines included", highlight=False)


def _print_time(summary: Summary) -> None:
    """Print how long the missing steps may take, if any are missing."""
    missing = sum(summary.steps.values()) - sum(summary.stored.values())
    known = missing - summary.unknown
    if missing:
        out.print(
            f"estimated time: {summary.seconds / 60:.1f} min for {known:,} of {missing:,} missing "
            f"steps ({summary.unknown:,} of a sort this store has not seen)"
            if known
            else f"estimated time: unknown, this store has seen none of the {missing:,} steps",
            highlight=False,
        )


def _read_seconds(text: str) -> float:
    """Read a time such as ``30m``, in seconds."""
    parts = re.fullmatch(r"(\d+(?:\.\d*)?)([smh]?)", text)
    if parts is None:
        raise RequestError(f"{text!r} is no time; expected 90s, 30m or 2h", where="--max-time")
    return float(parts[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[parts[2]]
