"""The records of a store, to be compared with those of another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_records(store: Path) -> dict[str, Any]:
    """Records without what is measured, which differs from run to run."""
    found = {}
    for path in (store / "records").rglob("*.json"):
        record = json.loads(path.read_text())
        record["measured"] = record["times"] = None
        for value in record["values"].values():
            if value["measured"]:
                value["mean"] = None
        found[record["id"]] = record
    return found
