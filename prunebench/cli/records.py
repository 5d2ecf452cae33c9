"""The command line's ``validate``, ``submit`` and ``reproduce``: rows that can be checked."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prunebench.cli.store import DEFAULT_STORE, StoreDir, TrustStore
from prunebench.cli.writing import refuse_unwritable
from prunebench.errors import RequestError
from prunebench.input_files import is_folder

if TYPE_CHECKING:
    from prunebench.record import Record
    from prunebench.reproduction.reproduced_number import ReproducedNumber

record_commands = typer.Typer()
out = Console()

PUBLISHED = Path("leaderboard/results")
MET = {True: "[green]yes[/]", False: "[bold red]no[/]", None: "[dim]not judged[/]"}


@record_commands.command()
def validate(
    paths: Annotated[
        list[Path], typer.Argument(help="suites (.yaml), records (.json), folders of records")
    ],
) -> None:
    """Check suites without running anything, and records before they are published."""
    records = [path for path in paths if is_folder(path) or path.suffix == ".json"]
    problems = 0
    for path in paths:
        if path not in records:
            problems += _print_problems(_check_suite(path))
    if records:
        problems += _print_problems(_check_records(records))
    if problems:
        raise typer.Exit(2)


def _print_problems(problems: Iterable[str]) -> int:
    """Print problems to the standard error; return how many there are."""
    count = 0
    for problem in problems:
        count += 1
        # One line each, whatever an error of a plugin or a library that it quotes may hold.
        print("error:", " ".join(part.strip() for part in problem.splitlines()), file=sys.stderr)
    return count


def _check_suite(path: Path) -> Iterator[str]:
    """Yield what is wrong with a suite."""
    from prunebench.plan.environment import Environment
    from prunebench.plan.keys import Identities
    from prunebench.plan.plan import plan_trials
    from prunebench.store.digests import Digests
    from prunebench.suite import load_suite

    try:
        identities = Identities(load_suite(path), Environment(), Digests())
        networks = sum(1 for _ in plan_trials(identities))
    except RequestError as error:
        yield str(error)
    else:
        out.print(f"{path}: fine, {networks} networks", highlight=False, soft_wrap=True)


def _check_records(paths: Sequence[Path]) -> Iterator[str]:
    """Yield everything wrong with records, each held against all of them."""
    from prunebench.record import read_record
    from prunebench.record.checking import RecordIndex, check_record
    from prunebench.record.reading import keeping_all

    for folder in (path for path in paths if path.is_dir()):
        for path in _list_folder(folder):
            if path.suffix != ".json" or path.is_symlink() or not path.is_file():
                yield f"{path}: is no record; expected files ID.json and nothing else"
    files = _list_files(paths)
    if not files:
        yield f"{', '.join(map(str, paths))}: no records; expected files ID.json"
        return
    found: dict[Path, Record] = {}
    with keeping_all():
        for file in files:
            try:
                found[file] = read_record(file)
            except RequestError as error:
                yield str(error)
    others, fine = RecordIndex(found.values()), 0
    folders = {path.resolve() for path in paths if path.is_dir()}
    for file, record in found.items():
        published = file.parent.resolve() in folders
        problems = [str(each) for each in check_record(record, others, published=published)]
        if published and file.name != f"{record.id}.json":
            problems.append(f"id: {record.id!r} is not the file's name")
        fine += not problems
        yield from (f"{file}: {problem}" for problem in problems)
    out.print(f"{fine} of {len(found)} records are fine", highlight=False)


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise RequestError(f"cannot be read: {error.strerror}", where=str(folder)) from None


def _list_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files of records in folders, and files as they are, each once."""
    found: dict[Path, Path] = {}
    for path in paths:
        # Links and folders are refused where they are found, and never followed.
        inside = (file for file in sorted(path.glob("*.json")) if not file.is_symlink())
        files = [file for file in inside if file.is_file()] if path.is_dir() else [path]
        found |= {file.resolve(): file for file in files}
    return list(found.values())


@record_commands.command()
def submit(
    runs: Annotated[list[str], typer.Argument(help="suites, records' names, or files")],
    store: StoreDir = DEFAULT_STORE,
    to: Annotated[Path, typer.Option(help="folder of published records")] = PUBLISHED,
    replace: Annotated[bool, typer.Option("--replace", help="replace rows that are there")] = False,
    weights: Annotated[
        Path | None, typer.Option(help="the one row's network, of `export --to safetensors`")
    ] = None,
    weights_url: Annotated[
        str | None, typer.Option(help="where you publish that file: https://...")
    ] = None,
) -> None:
    """Copy chosen records to the published results, if they pass all checks."""
    from prunebench.leaderboard.publish import submit as publish
    from prunebench.record.files import find_records
    from prunebench.store import Store

    opened = Store(store, reading=True)
    chosen = find_records(opened, runs)
    published = None
    if weights is not None or weights_url is not None:
        if weights is None or weights_url is None or len(chosen) != 1:
            raise RequestError("expected --weights and --weights-url together, and one record")
        from prunebench.loading.published import describe_weights
        from prunebench.record import read_record

        published = describe_weights(read_record(chosen[0]), weights, weights_url, opened)
    with refuse_unwritable(to):
        written = publish(chosen, to, replace=replace, weights=published)
    out.print(f"{len(written)} records in {to}; `make leaderboard` shows them", soft_wrap=True)


@record_commands.command()
def reproduce(
    row: Annotated[str, typer.Argument(help="a published record's id, or a record's file")],
    results: Annotated[Path, typer.Option(help="folder of published records")] = PUBLISHED,
    store: Annotated[
        Path | None, typer.Option(help="folder of results; by default a fresh one, removed again")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="what relative paths in the row's suite are relative to")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; as the record says")] = None,
    trust_store: TrustStore = False,
) -> None:
    """Make a published row again from its record alone, and compare every figure."""
    from prunebench.record.files import find_published
    from prunebench.reproduction.reproduce import reproduce as rebuild

    record = find_published(row, results)
    found = rebuild(record, store, folder=folder, device=device, trust_store=trust_store)
    _print_figures(found.figures)
    if found.elsewhere:
        out.print("made elsewhere, so figures may differ within their tolerance:")
        for difference in found.elsewhere:
            out.print(f"  {difference}", markup=False, highlight=False, soft_wrap=True)
    else:
        out.print("made on a machine like the record's: figures must be equal, times apart")
    judged = [figure for figure in found.figures if figure.met is not None]
    missed = [figure for figure in judged if not figure.met]
    out.print(f"{len(judged) - len(missed)} of {len(judged)} figures met", highlight=False)
    for figure in missed:
        reason = f": {figure.note}" if figure.note else ""
        out.print(f"not met: {figure.name}{reason}", markup=False, highlight=False, soft_wrap=True)
    if missed:
        raise typer.Exit(1)


def _print_figures(figures: Iterable[ReproducedNumber]) -> None:
    """Print every figure as published and as rebuilt."""
    table = Table("figure", "published", "rebuilt", "difference", "tolerance", "met")
    for column in table.columns[1:]:
        column.no_wrap = True
    table.columns[0].overflow = "fold"
    for figure in figures:
        table.add_row(
            escape(figure.name),
            _format_number(figure.published, 5),
            _format_number(figure.rebuilt, 5),
            _format_number(figure.difference, 2),
            _format_number(figure.tolerance, 2),
            MET[figure.met],
        )
    out.print(table)


def _format_number(number: float | None, digits: int) -> str:
    return "–" if number is None else f"{number:.{digits}g}"
