"""The command line: a thin skin on importable functions."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from prunebench.cli.plugins import plugin_commands
from prunebench.cli.records import record_commands
from prunebench.cli.store import DEFAULT_STORE, StoreDir, store_commands
from prunebench.cli.ui import ui_commands
from prunebench.errors import RequestError

app = typer.Typer(
    name="prunebench",
    help="Does a pruned network still look where it looked?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # FACTORY[@WEIGHTS] is no markup
)
app.add_typer(store_commands, name="store")
app.add_typer(plugin_commands)
app.add_typer(record_commands)
app.add_typer(ui_commands)
out = Console()

Suite = Annotated[Path, typer.Argument(help="a suite's YAML file")]
Tracking = Annotated[
    str | None,
    typer.Option(help="MLflow tracking server; by default sqlite in the store, '' for none"),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Where = Annotated[
    str | None,
    typer.Option(help="choose cells: 'pruner == \"l1-unstructured\" and level > 0.3'"),
]
DEFAULT_CAMS = "grad-cam,grad-cam++,ablation-cam"


def main() -> None:
    """Entry point: a wrong request is one message and exit status 2."""
    try:
        app()
    except RequestError as error:
        _say(error)
        raise SystemExit(2) from None


@app.command()
def run(
    suite: Suite,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="plan only")] = False,
) -> None:
    """Run a suite, or what is missing of it."""
    from prunebench.leaderboard.board import board
    from prunebench.leaderboard.outputs import write_everything
    from prunebench.leaderboard.writers.terminal import to_terminal
    from prunebench.record import read_record
    from prunebench.results import list_records
    from prunebench.running import run as run_suite
    from prunebench.store import Store

    if dry_run:
        plan(suite, store, device, where)
        return
    seconds = None if max_time is None else _seconds(max_time)
    try:
        results = run_suite(
            suite, store, tracking_uri, executor, device, where, force or (), seconds
        )
    except KeyboardInterrupt:
        print("stopped; what was finished is in the store, run again to go on", file=sys.stderr)
        raise typer.Exit(130) from None
    out.print(to_terminal(board(results.records)))
    records = [read_record(path) for path in list_records(Store(store))]
    page = write_everything(board(records), store / "leaderboard")
    out.print(f"leaderboard: {page}", highlight=False, soft_wrap=True)
    if tracking_uri is None:
        shown = "" if store == DEFAULT_STORE else f" --store {store}"
        text = f"MLflow: {store / 'mlflow.db'} (prunebench ui{shown})"
        out.print(text, highlight=False, soft_wrap=True)
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
    raise typer.Exit(results.exit_status)


@app.command()
def plan(
    suite: Suite,
    store: StoreDir = DEFAULT_STORE,
    device: Device = "auto",
    where: Where = None,
) -> None:
    """Count cells and steps, what is stored already, and the time the rest may take."""
    from prunebench.plan.environment import current
    from prunebench.plan.estimate import summarise
    from prunebench.plan.identities import Identities
    from prunebench.plan.plan import plan_trials
    from prunebench.plan.trial import FIELDS
    from prunebench.plan.where import parse_where
    from prunebench.store import Store
    from prunebench.suite import load_suite

    loaded, place = load_suite(suite), Store(store)
    identities = Identities(loaded, current(device), place.digests, counting=True)
    test = parse_where(where, FIELDS) if where else None
    summary = summarise(plan_trials(identities, test), place.stored_keys(), place.times())
    table = Table("step", "distinct", "stored", title=f"{loaded.name}: {summary.cells:,} cells")
    for kind, count in summary.steps.items():
        table.add_row(kind, f"{count:,}", f"{summary.stored.get(kind, 0):,}")
    steps, stored = sum(summary.steps.values()), sum(summary.stored.values())
    table.add_row("all", f"{steps:,}", f"{stored:,}")
    out.print(table)
    out.print(f"{summary.networks:,} networks, baselines included", highlight=False)
    for waiting in identities.to_download():
        out.print(
            f"{waiting} is not downloaded yet: what is stored of it is not counted",
            markup=False,
            highlight=False,
        )
    missing = steps - stored
    known = missing - summary.unknown
    if missing:
        out.print(
            f"estimated time: {summary.seconds / 60:.1f} min for {known:,} of {missing:,} missing "
            f"steps ({summary.unknown:,} of a sort this store has not seen)"
            if known
            else f"estimated time: unknown, this store has seen none of the {missing:,} steps",
            highlight=False,
        )


@app.command("list")
def list_plugins(
    kind: Annotated[
        str | None, typer.Argument(help="datasets, models, pruners, cams, metrics")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """List plugins, broken ones with their reason."""
    from prunebench.plugins.catalogue import catalogue

    rows = catalogue(kind)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("kind", "name", "package", "what it is")
    for row in rows:
        text = row["summary"] if not row["broken"] else f"BROKEN: {row['broken']}"
        table.add_row(row["kind"], row["name"], row["package"], text)
    out.print(table)


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="dataset, model, pruner, cam or metric")],
    name: Annotated[str, typer.Argument(help="the plugin's name")],
) -> None:
    """Show a plugin: its card and its parameters."""
    from prunebench.plugins.catalogue import describe

    out.print(describe(kind, name), markup=False, highlight=False, soft_wrap=True)


@app.command()
def compare(
    baseline: Annotated[str, typer.Argument(help="FACTORY[@WEIGHTS]")],
    pruned: Annotated[str, typer.Argument(help="FACTORY[@WEIGHTS]")],
    data: Annotated[Path, typer.Option(help="folder of images; one folder a class gives labels")],
    classes: Annotated[int | None, typer.Option(help="number of classes")] = None,
    size: Annotated[str, typer.Option(help="images are resized to this: 224 or 224x160")] = "224",
    mean: Annotated[
        str | None,
        typer.Option(help="channel means; by default the baseline plugin's, or ImageNet's"),
    ] = None,
    std: Annotated[str | None, typer.Option(help="channel deviations, likewise")] = None,
    target_layer: Annotated[
        str | None, typer.Option(help="layer explained, or BASELINE'S,PRUNED'S")
    ] = None,
    cams: Annotated[str, typer.Option(help="explanation methods")] = DEFAULT_CAMS,
    class_policy: Annotated[str, typer.Option(help="baseline, label or own")] = "baseline",
    limit: Annotated[int, typer.Option(help="images at most")] = 500,
    save: Annotated[Path, typer.Option(help="folder of the report")] = Path("comparison"),
    unsafe_pickle: Annotated[
        bool, typer.Option("--unsafe-pickle", help="read whole pickles: they can run any code")
    ] = False,
) -> None:
    """Does a compressed network look where its baseline looks? Models and images in, report out."""
    from prunebench.comparison.compare_files import compare_files

    if unsafe_pickle:
        print("warning: a pickle can run any code; only open files you trust", file=sys.stderr)
    comparison = compare_files(
        baseline,
        pruned,
        data,
        classes=classes,
        size=size,
        mean=mean,
        std=std,
        target_layer=target_layer,
        cams=tuple(cams.split(",")),
        class_policy=class_policy,
        limit=limit,
        unsafe_pickle=unsafe_pickle,
    )
    with _writing(save):
        comparison.save(save)
    out.print(comparison.to_markdown(), markup=False, highlight=False, soft_wrap=True)
    out.print(f"report: {save / 'comparison.md'}", highlight=False, soft_wrap=True)


@app.command()
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
    """Write the leaderboard from records: tables, JSON, pictures and a site to open."""
    from prunebench.leaderboard.board import board
    from prunebench.leaderboard.outputs import write_everything
    from prunebench.leaderboard.writers.readme import update_readme
    from prunebench.leaderboard.writers.terminal import to_terminal
    from prunebench.record import read_record, read_records
    from prunebench.record.reading import keeping_all
    from prunebench.results import list_records
    from prunebench.store import Store

    target = out_dir or store / "leaderboard"
    with keeping_all(), _writing(target):
        if results is None:
            records = [read_record(path) for path in list_records(Store(store))]
        elif results.is_dir():
            records = read_records(results)
        else:
            raise RequestError("no such folder", where=str(results))
        sections = board(records)
        page = write_everything(sections, target)
        if readme is not None:
            update_readme(readme, sections)
        out.print(to_terminal(sections))
    out.print(f"leaderboard: {page}", highlight=False, soft_wrap=True)


def _say(error: RequestError) -> None:
    # One line, whatever an error of a plugin or a library that it quotes may hold.
    line = " ".join(part.strip() for part in str(error).splitlines())
    print(f"error: {line}", file=sys.stderr)


def _seconds(text: str) -> float:
    parts = re.fullmatch(r"(\d+(?:\.\d*)?)([smh]?)", text)
    if parts is None:
        raise RequestError(f"{text!r} is no time; expected 90s, 30m or 2h", where="--max-time")
    return float(parts[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[parts[2]]


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns a folder that cannot be written into a wrong request."""
    try:
        yield
    except OSError as error:
        raise RequestError(f"cannot be written: {error.strerror}", where=str(folder)) from error
