"""The result as a table in Markdown, which people read as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from covey.rollout.verify.judge import Judged, Rate, WorldResult
from covey.rollout.verify.run import Verification
from covey.rollout.verify.worlds import Kind, Tried

_GATES = {
    "level": "level",
    "ratio": "ratio",
    "trigger": "trigger",
    "last 2 min": "> 1.5 % for 2 min",
    "any tick": "> 1.5 % in a tick",
    "z-test": "z-test, 5 %",
}

_OF_LEARNERS = (Tried.OUTCOME, Tried.SEGMENTS)


def tables_of(result: Verification) -> Iterator[str]:
    """Lines: false decisions, then power, then what does not hold."""
    healthy = [world for world in result.results if world.world.tried is Tried.ROLLBACK and world.world.is_healthy]
    harmful = [world for world in result.results if world.world.tried is Tried.ROLLBACK and not world.world.is_healthy]
    learners = [world for world in result.results if world.world.tried in _OF_LEARNERS]
    others = [world for world in result.results if world.world.tried not in {Tried.ROLLBACK, *_OF_LEARNERS}]
    yield from _table(
        ["healthy candidate, rolled back", *_GATES.values(), "bound", "holds"],
        [
            [
                world.world.name,
                *(_percent(world.rates[gate]) for gate in _GATES),
                f"{100 * max(judged.claim.bound for judged in world.judged):.3g} %" if world.judged else "",
                _holds(world),
            ]
            for world in healthy
        ],
    )
    yield from _table(
        ["harmful candidate, found", *(f"{name}, after" for name in _GATES.values()), "holds"],
        [[world.world.name, *(_found(world.rates[gate]) for gate in _GATES), _holds(world)] for world in harmful],
    )
    yield from _table(
        ["advance, latency, split", "decided", "99 % bounds", "median", "promised", "holds"],
        [
            [
                world.world.name,
                _percent(rate),
                f"{100 * rate.lower:.2f} to {100 * rate.upper:.2f} %",
                _minutes(rate),
                ", ".join(_promise(judged) for judged in world.judged),
                _holds(world),
            ]
            for world in others
            for rate in world.rates.values()
        ],
    )
    yield from _table(
        ["outcomes and segments", "gate", "decided", "99 % bounds", "median", "promised", "holds"],
        [
            [
                world.world.name,
                rate.gate,
                _percent(rate),
                f"{100 * rate.lower:.2f} to {100 * rate.upper:.2f} %",
                _minutes(rate),
                ", ".join(_promise(judged) for judged in world.judged if judged.claim.gate == rate.gate),
                ", ".join("yes" if judged.holds else "NO" for judged in world.judged if judged.claim.gate == rate.gate),
            ]
            for world in learners
            for rate in world.rates.values()
        ],
    )
    for world in result.results:
        for judged in world.judged:
            if not judged.holds:
                yield f"{world.world.name}: {judged.claim.gate}, {_promise(judged)}, saw {judged.value:.4g}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _percent(rate: Rate) -> str:
    return f"{100 * rate.share:.2f} %" if rate.share < 0.1 else f"{100 * rate.share:.1f} %"


def _found(rate: Rate) -> str:
    return f"{_percent(rate)}, {_minutes(rate)}" if rate.found else _percent(rate)


def _minutes(rate: Rate) -> str:
    return "" if rate.median_minutes is None else f"{rate.median_minutes:g} min"


def _promise(judged: Judged) -> str:
    if judged.claim.kind is Kind.FALSE:
        return f"at most {100 * judged.allowed:.3g} %"
    if judged.claim.kind is Kind.POWER:
        return f"at least {100 * judged.allowed:.3g} %"
    return f"within {judged.allowed:g} min"


def _holds(world: WorldResult) -> str:
    if not world.judged:
        return ""
    return "yes" if world.holds else "NO"
