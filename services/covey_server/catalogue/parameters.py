"""Trait parameters and weights between the wire and the library."""

from __future__ import annotations

from dataclasses import asdict

from covey.errors import InputError
from covey.parameters import TRAIT_NAMES, TraitParameters, trait_weight_tuple
from covey.v1 import traits_pb2
from covey_server.errors import CallError, invalid


def parameters_of(message: traits_pb2.TraitParameters, field: str = "trait_parameters") -> TraitParameters:
    """The library's parameters; an absent field has its default.

    Raises:
        CallError: INVALID_ARGUMENT that names the first field out of its range.
    """
    given = {descriptor.name: value for descriptor, value in message.ListFields()}
    # A field that is refused alone is to blame; if none is, the combination is.
    for name, value in given.items():
        _checked({name: value}, f"{field}.{name}")
    return _checked(given, field)


def parameters_message(parameters: TraitParameters) -> traits_pb2.TraitParameters:
    """All parameters by value, so that what is stored keeps its meaning when a default changes."""
    return traits_pb2.TraitParameters(**asdict(parameters))


def trait_weights_of(message: traits_pb2.TraitVector) -> tuple[float, ...]:
    """The trait weights of a cohort model, as decimals: they travel as float32, and roots must be of what was meant."""
    return tuple(float(f"{getattr(message, name):.7g}") for name in TRAIT_NAMES)


def checked_trait_weights(message: traits_pb2.TraitVector, field: str) -> tuple[float, ...]:
    """The trait weights that a caller gives.

    Raises:
        CallError: INVALID_ARGUMENT that names the field, unless they are numbers of 0 and more with sum 1.
    """
    weights = trait_weights_of(message)
    try:
        return trait_weight_tuple(weights)
    except InputError:
        raise invalid(field, f"expected numbers of 0 and more with sum 1, found {weights}") from None


def _checked(given: dict[str, float | int], field: str) -> TraitParameters:
    try:
        return TraitParameters(**given)  # type: ignore[arg-type]
    except InputError as error:
        raise _refused(field, error) from None


def _refused(field: str, error: InputError) -> CallError:
    return invalid(field, f"{error.problem}; expected {error.expected}" if error.expected else error.problem)
