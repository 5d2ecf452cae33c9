"""Choosing cells by an expression: ``pruner == "l1-unstructured" and level > 0.3``."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from prunebench.errors import RequestError, did_you_mean
from prunebench.suite import Suite

LONGEST = 100_000  # characters
DEEPEST = 100  # expressions within one another

CellFilter = Callable[[Mapping[str, Any]], bool]

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def parse_where(text: str, fields: tuple[str, ...]) -> CellFilter:
    """Compile an expression to a test of one cell; nothing of it is executed as Python.

    Comparisons, ``and``, ``or``, ``not``, ``in`` and lists are understood. An order comparison
    with a field that a cell lacks (the level of ``none``) is false.

    Args:
        text: The expression.
        fields: Names that may be used.

    Raises:
        RequestError: It cannot be understood.
    """
    where = f"--where {text!r}"
    if len(text) > LONGEST:
        shown = f"--where {text[:40]!r}..."
        raise RequestError(f"has more than {LONGEST:,} characters", where=shown)
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise RequestError(f"is not an expression: {error.msg}", where=where) from None
    except (UnicodeEncodeError, ValueError, MemoryError, RecursionError):
        # Half a character, a zero byte; the parser says of deep nesting that it has no memory.
        raise RequestError("is not an expression", where=where) from None
    if _depth(tree) > DEEPEST:
        raise RequestError(f"is nested more than {DEEPEST} deep", where=where)

    def compiled(node: ast.expr) -> Callable[[Mapping[str, Any]], Any]:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                parts = [compiled(value) for value in values]
                return lambda cell: all(part(cell) for part in parts)
            case ast.BoolOp(op=ast.Or(), values=values):
                parts = [compiled(value) for value in values]
                return lambda cell: any(part(cell) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = compiled(operand)
                return lambda cell: not inner(cell)
            case ast.Compare(left=left, ops=ops, comparators=rights):
                terms = [compiled(term) for term in (left, *rights)]
                tests = [_COMPARISONS.get(type(op)) for op in ops]
                if None in tests:
                    raise RequestError("only == != < <= > >= in are understood", where=where)
                return lambda cell: _chain([term(cell) for term in terms], tests)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                entries = [compiled(item) for item in items]
                return lambda cell: [entry(cell) for entry in entries]
            case ast.Constant(value=str() | int() | float() | None as constant):
                return lambda cell: constant
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return lambda cell: -number
            case ast.Name(id=name):
                if name not in fields:
                    raise RequestError(
                        f"unknown field {name!r}; {did_you_mean(name, fields)}", where=where
                    )
                return lambda cell: cell[name]
        raise RequestError(f"{ast.unparse(node)!r} is not understood", where=where)

    test = compiled(tree)
    return lambda cell: bool(test(cell))


def no_cell_fits(text: str, suite: Suite) -> RequestError:
    """Return the refusal of an expression that chooses nothing, with the nearest name."""
    kinds = (suite.datasets, suite.models, suite.pruners, suite.cams, suite.metrics)
    known = {name for kind in kinds for each in kind for name in (each.name, each.label)}
    unknown = [word for word in _find_words(text) if word not in known]
    hint = f"; it has no {unknown[0]!r}, {did_you_mean(unknown[0], known)}" if unknown else ""
    return RequestError(f"no cell of the suite fits{hint}", where=f"--where {text!r}")


def _find_words(text: str) -> list[str]:
    """List the texts in an expression that was understood, such as names of pruners."""
    nodes = ast.walk(ast.parse(text, mode="eval"))
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def _depth(tree: ast.expr) -> int:
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(c, depth + 1) for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr)]
    return deepest


def _chain(values: list[Any], tests: list[Any]) -> bool:
    for test, left, right in zip(tests, values, values[1:], strict=False):
        try:
            if not test(left, right):
                return False
        except TypeError:  # a level of None has no order
            return False
    return True
