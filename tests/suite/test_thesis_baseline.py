from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest

import prunebench as pb


@pytest.mark.sweep
def test_the_thesis_network_reaches_97_percent_on_mnist(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "thesis.yaml").write_text(
        f"name: thesis\ndataset: {{mnist: {{root: '{shared_data('mnist')}'}}}}\n"
        "model: thesis-cnn\npruners: [none]\nseeds: [333, 334, 335]\nmetrics: [accuracy, params]\n"
    )
    results = pb.run(
        tmp_path / "thesis.yaml", store=tmp_path, tracking_uri="", device="cpu", quiet=True
    )
    baselines = [record for record in results.records if record.role == "baseline"]
    assert len(baselines) == 3
    assert baselines[0].mean("prunable_weights") == 2324
    assert mean(record.mean("accuracy") or 0 for record in baselines) >= 0.97
