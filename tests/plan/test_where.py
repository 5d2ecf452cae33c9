from __future__ import annotations

import pytest

from prunebench.errors import RequestError
from prunebench.plan.cell_filter import parse_where
from prunebench.plan.trial import FIELDS

CELL = {
    "dataset": "digits",
    "model": "digits-cnn",
    "pruner": "l1-unstructured",
    "level": 0.4,
    "round": None,
    "seed": 0,
    "cam": "grad-cam",
    "metric": "sp2ps",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('pruner == "l1-unstructured" and level > 0.3', True),
        ("level > 0.4", False),
        ("0.3 < level <= 0.4", True),
        ("not (seed in [1, 2])", True),
        ('cam in ["grad-cam", "ablation-cam"] or metric == "latency"', True),
        ("round > 3", False),
        ("round == None", True),
        ("level > -1", True),
    ],
)
def test_expressions_choose(text: str, expected: bool) -> None:
    assert parse_where(text, FIELDS)(CELL) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prunr == 'x'", "did you mean 'pruner'"),
        ("level >", "not an expression"),
        ("__import__('os').system('true')", "not understood"),
        ("level + 1 > 1", "not understood"),
        ("pruner is None", "only"),
        ("not " * 5000 + "True", "not an expression"),
        ("not " * 500 + "True", "nested more than 100 deep"),
        ("(" * 3000 + "1" + ")" * 3000, "not an expression"),
        ("pruner == '\ud800'", "not an expression"),
        ("level == " + "1" * 5000, "not an expression"),
        ("level == 1 or " * 10_000 + "level == 1", "more than 100,000 characters"),
        ("level\0", "not an expression"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        parse_where(text, FIELDS)
