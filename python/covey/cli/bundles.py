"""Options that several commands share, and the one thing that is made of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from types import SimpleNamespace
from typing import Any, get_type_hints


def bundled(parameter: str, make: Callable[..., Any], *, without: Sequence[str] = ()) -> Callable[..., Any]:
    """Gives a command the options of `make` in the place of one parameter, and the parameter what `make` makes of them.

    What `make` raises is raised by the command, before its own first line.

    Args:
        parameter: of the command, which has no default.
        make: whose parameters are options as a command declares them.
        without: parameters of `make` that are no options of this command and keep their defaults.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        options = [option for option in _parameters(make) if option.name not in without]
        names = [option.name for option in options]

        @wraps(command)
        def run(**values: Any) -> Any:
            made = make(**{name: values.pop(name) for name in names})
            return command(**{parameter: made}, **values)

        taken: list[inspect.Parameter] = []
        for own in _parameters(command, but=parameter):
            taken += options if own.name == parameter else [own]
        run.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined] # read by whoever asks for one
        run.__annotations__ = {option.name: option.annotation for option in taken}
        return run

    return decorate


def _parameters(function: Callable[..., Any], but: str = "") -> list[inspect.Parameter]:
    """With annotations that are no longer text; one that only type checkers can read is left out."""
    named = {name: text for name, text in function.__annotations__.items() if name not in ("return", but)}
    types = get_type_hints(
        SimpleNamespace(__annotations__=named), globalns=inspect.unwrap(function).__globals__, include_extras=True
    )
    return [
        parameter.replace(annotation=types.get(parameter.name, Any), kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(function).parameters.values()
    ]
