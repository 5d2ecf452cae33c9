"""How a suite's experiment opens in MLflow: which charts are shown, and what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from prunebench.leaderboard.writers.markup import escape
from prunebench.record import Record
from prunebench.tracking.names import COST, PARAMETER, metric_name, metrics

VIEW = "prunebench"
"""Name of the shared view, as it stands in the address."""
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""The experiment's tag where MLflow keeps that view. What is not said there, or not known to the
MLflow that reads it, is as by default."""
OPENED, FOLDED = True, False
MOST_GROUPS = 60  # sections of maps' metrics; the tag holds 20,000 characters


def address(server: str, experiment: str) -> str:
    """Return the address at which MLflow shows an experiment as ``view`` arranges it.

    Args:
        server: Such as ``http://127.0.0.1:5000``.
        experiment: The experiment's id.
    """
    page = f"{server}/#/experiments/{experiment}/runs"
    return f"{page}?viewStateShareKey={VIEW}&compareRunsMode=CHART"


def view(records: Iterable[Record]) -> str:
    """Return the shared view of a suite as JSON: trade-offs first, parts of costs folded away.

    Args:
        records: The suite's records. Charts are of metrics that some of them have.
    """
    records = list(records)
    names = {name for record in records for name in metrics(record)}
    of_maps = sorted(name for name in names if "/" in name and not name.startswith(COST))
    kept = _sp2ps(records, names) or of_maps[:3]
    macs, weights, accuracy = f"{COST}macs_ratio", f"{COST}weights_ratio", "accuracy"
    trade_offs = [(accuracy, name) for name in kept[:1]]
    trade_offs += [(cost, name) for name in kept[:1] for cost in (macs, weights)]
    trade_offs += [(cost, accuracy) for cost in (macs, weights)]
    charts = [_scatter(x, y) for x, y in trade_offs if {x, y} <= names]
    axes = [name for name in (macs, weights, accuracy, *kept) if name in names]
    charts.append(_parallel(axes))
    sections = [("Trade-offs", OPENED), ("Model metrics", OPENED), ("sp2ps", OPENED)]
    groups = {name.rpartition("/")[0] for name in of_maps} - {"sp2ps"}
    last = (COST.rstrip("/"), "curve", PARAMETER.rstrip("/"))
    sections += [(group, FOLDED) for group in (*sorted(groups)[:MOST_GROUPS], *last)]
    order = next((f"metrics.`{name}`" for name in (*kept, accuracy) if name in names), None)
    state = {
        **({"orderByKey": order, "orderByAsc": False} if order else {}),
        "selectedColumns": [f"metrics.`{name}`" for name in axes],
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,  # keeps the order of the sections
        "compareRunSections": [_section(name, shown) for name, shown in sections],
        "compareRunCharts": charts,
    }
    return json.dumps(state)


def note(records: Iterable[Record]) -> str:
    """Return what an experiment says of itself, in markdown."""
    records = list(records)
    models = sorted({record.model.partition("(")[0] for record in records})
    datasets = sorted({record.dataset for record in records})
    what = f"{' and '.join(map(escape, models))} on {' and '.join(map(escape, datasets))}"
    return (
        f"What compression does to {what}: accuracy, cost, and whether the network still looks "
        "where it looked. One run a network; the run `board` holds the ranking, and every "
        "network's artefacts hold its heatmaps beside the baseline's."
    )


def _sp2ps(records: Iterable[Record], names: set[str]) -> list[str]:
    """Return Sp2PS by explanation method, those with heatmaps first: the suite's first."""
    shown = [heat.cam for record in records for heat in record.heatmaps if heat.cam]
    first = dict.fromkeys(metric_name(f"sp2ps/{cam}") for cam in shown)
    rest = dict.fromkeys(sorted(name for name in names if name.startswith("sp2ps/")))
    return [name for name in first | rest if name in names]


def _section(name: str, shown: bool) -> dict[str, Any]:
    # A section that is not reordered takes the generated charts of its metrics.
    return {"uuid": f"section/{name}", "name": name, "display": shown, "isReordered": False}


def _scatter(x: str, y: str) -> dict[str, Any]:
    axes = {"xaxis": _axis(x), "yaxis": _axis(y)}
    return _chart("SCATTER", f"{x}/{y}") | axes | {"runsCountToCompare": 100}


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def _parallel(metric_keys: list[str]) -> dict[str, Any]:
    chosen = {"selectedParams": [], "selectedMetrics": metric_keys, "showAllRuns": True}
    return _chart("PARALLEL", "all") | chosen


def _chart(kind: str, name: str) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{kind}/{name}",
        "metricSectionId": "section/Trade-offs",
        "isGenerated": False,
        "deleted": False,
    }
