"""The command line's ``prunebench compare``: two models and images, without a suite."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from prunebench.cli.writing import refuse_unwritable

comparison_commands = typer.Typer()
out = Console()

DEFAULT_CAMS = "grad-cam,grad-cam++,ablation-cam"


@comparison_commands.command()
def compare(
    baseline: Annotated[str, typer.Argument(help="FACTORY[@WEIGHTS]")],
    pruned: Annotated[str, typer.Argument(help="FACTORY[@WEIGHTS]")],
    data: Annotated[Path, typer.Option(help="folder of images; one folder a class gives labels")],
    classes: Annotated[int | None, typer.Option(help="number of classes")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="images are resized to this, such as 224 or 224x160; default 224"),
    ] = None,
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
    """Compare where two networks look: models and images in, report out."""
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
    with refuse_unwritable(save):
        comparison.save(save)
    out.print(comparison.to_markdown(), markup=False, highlight=False, soft_wrap=True)
    out.print(f"report: {save / 'comparison.md'}", highlight=False, soft_wrap=True)
