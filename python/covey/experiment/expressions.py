"""Arithmetic on means of columns, such as `revenue / (1 - retained)`: read as an expression, never run as a program."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from covey.errors import InputError
from covey.stats.special import Floats

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"log": np.log, "sqrt": np.sqrt, "exp": np.exp}
_EXPECTED = "column names, numbers, + - * / ** and log(), sqrt(), exp()"
_LONGEST = 500


@lru_cache(maxsize=64)
def names_in(expression: str) -> tuple[str, ...]:
    """The columns that an expression names, in the order of their first appearance.

    Raises:
        InputError: it is no such expression, or names no column or more than eight.
    """
    found: list[str] = []
    _walk(_parsed(expression), expression, found)
    names = tuple(dict.fromkeys(found))
    if not 1 <= len(names) <= 8:
        raise InputError(f"the formula '{expression}' names {len(names)} columns", expected="1 to 8")
    return names


def evaluate(expression: str, values: Mapping[str, Floats]) -> Floats:
    """The value of an expression where its names stand for arrays of one shape; what is not defined is not finite."""
    with np.errstate(all="ignore"):
        return np.asarray(_value(_parsed(expression), values), dtype=np.float64)


def _parsed(expression: str) -> ast.expr:
    try:
        if len(expression) > _LONGEST:
            raise ValueError
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"'{expression[:80]}' is no formula", expected=_EXPECTED) from None


def _walk(node: ast.expr, expression: str, names: list[str]) -> None:
    if isinstance(node, ast.Name):
        names.append(node.id)
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        _walk(node.left, expression, names)
        _walk(node.right, expression, names)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        _walk(node.operand, expression, names)
    elif isinstance(node, ast.Call) and _function(node) is not None:
        _walk(node.args[0], expression, names)
    elif not (isinstance(node, ast.Constant) and type(node.value) in {int, float}):
        raise InputError(f"'{expression}' has '{ast.unparse(node)[:40]}' in it", expected=_EXPECTED)


def _function(node: ast.Call) -> Callable[[Any], Any] | None:
    if isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
        return _FUNCTIONS.get(node.func.id)
    return None


def _value(node: ast.expr, values: Mapping[str, Floats]) -> Any:
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, values)
    if isinstance(node, ast.Call):
        function = _function(node)
        assert function is not None
        return function(_value(node.args[0], values))
    assert isinstance(node, ast.Constant)
    return np.float64(node.value)  # type: ignore[arg-type]
