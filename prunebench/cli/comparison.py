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

FAILED = 3
"""The exit status where a condition is not met: 1 is a crash, 2 a wrong request."""
DEFAULT_CAMS = "grad-cam,grad-cam++,ablation-cam"


MODEL = (
    "FACTORY@WEIGHTS, such as torchvision/resnet18@weights.pt (#NAME chooses one of several "
    "networks in it); or a file or folder that holds the whole network"
)


@comparison_commands.command()
def compare(
    baseline: Annotated[str, typer.Argument(help=MODEL)],
    pruned: Annotated[
        str, typer.Argument(help="the same; layers may be smaller than the factory's")
    ],
    data: Annotated[Path, typer.Option(help="folder of images; one folder a class gives labels")],
    classes: Annotated[int | None, typer.Option(help="number of classes")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="images are resized to this, as 224 or 224x160; else as told, or 224"),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="channel means; by default as told beside the weights, or ImageNet's"),
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
    control: Annotated[
        list[str],
        typer.Option(
            help="read the result against this: random (random weights), or LABEL=MODEL, such as "
            "the baseline fine-tuned alike; may be repeated",
            metavar="random|LABEL=MODEL",
        ),
    ] = [],  # noqa: B006  (typer copies it)
    cost: Annotated[bool, typer.Option(help="count and time both networks")] = True,
    fail_under: Annotated[
        list[str],
        typer.Option(
            help="end with status 3 below this: sp2ps=0.9, or grad-cam:sp2ps=0.9 for one method; "
            "also ssim, iou, soft_iou, pe_score, agreement; may be repeated",
            metavar="NAME=VALUE",
        ),
    ] = [],  # noqa: B006
    max_drop: Annotated[
        float | None,
        typer.Option(help="end with status 3 if accuracy fell by more points", metavar="POINTS"),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="write verdict, scores and conditions to this file")
    ] = None,
) -> None:
    """Compare where two networks look: models and images in, report out.

    Ends with status 3 where a condition (--fail-under, --max-drop) is not met.
    """
    from prunebench.comparison.compare_files import compare_files
    from prunebench.comparison.gate import (
        check_conditions,
        check_methods,
        list_conditions,
        parse_condition,
    )
    from prunebench.comparison.report import write_report

    methods = tuple(cams.split(","))
    conditions = [*map(parse_condition, fail_under), *list_conditions({}, max_drop)]
    check_methods(conditions, methods)
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
        cams=methods,
        class_policy=class_policy,
        limit=limit,
        unsafe_pickle=unsafe_pickle,
        controls=control,
        cost=cost,
        labelled=max_drop is not None,
    )
    checked = check_conditions(comparison, conditions)
    with refuse_unwritable(save):
        comparison.save(save, quiet=False)
    if json is not None:
        with refuse_unwritable(json):
            write_report(json, comparison, checked)
    out.print(comparison.to_markdown(), markup=False, highlight=False, soft_wrap=True)
    for name in ("comparison.md", "comparison.html"):
        out.print(f"report: {save / name}", markup=False, highlight=False, soft_wrap=True)
    if checked and all(each.met for each in checked):
        out.print(f"passed: {len(checked)} conditions", highlight=False)
    if failed := [each.line for each in checked if not each.met]:
        for line in failed:
            print(f"failed: {line}", file=sys.stderr)
        raise typer.Exit(FAILED)
