"""Which numbers become values of a record, and why others do not."""

from __future__ import annotations

import math

import pytest
import torch

from prunebench.record import Value
from prunebench.recording.values import _mean, _number


@pytest.mark.parametrize("number", [math.nan, math.inf, -1e300])
def test_a_number_beyond_a_record_is_null_with_a_reason(number: float) -> None:
    found = _number(number, timed=False)
    assert found.mean is None
    assert found.reason


def test_a_mean_beyond_a_record_is_null_with_a_reason() -> None:
    found = _mean(torch.tensor([1e200, 2e200, math.nan], dtype=torch.float64))
    assert (found.mean, found.n, found.undefined) == (None, 0, 3)
    assert "1.5e+200 is beyond" in (found.reason or "")
    assert _number(1e30, timed=False) == Value(mean=1e30)
