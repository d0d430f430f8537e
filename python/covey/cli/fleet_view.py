"""What `covey fleet` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from covey.cli.output import print_table, print_wrapped

if TYPE_CHECKING:
    from covey.fleet.coordinator import FleetLook
    from covey.v1.fleet_pb2 import FleetSpec

# Of what follows the time of an event.
_INDENT = len("00:00:00Z  ")


def print_fleet(fleet: FleetSpec, look: FleetLook) -> None:
    """The whole in a sentence, then a row per region."""
    from covey.fleet.spec import wave_numbers
    from covey.report import words

    numbers = wave_numbers(fleet)
    print_wrapped(f"{fleet.name}: {look.decision.state.value}: {words.clean(look.decision.sentence)}", 2)
    rows = [
        (view.name, str(numbers[view.name]), _state(view.exists, view.state), view.phase or "-",
         words.clean(look.decision.waits.get(view.name, "")))
        for view in look.views
    ]  # fmt: skip
    print_table(("region", "wave", "state", "phase", "why"), rows, left=frozenset({0, 2, 3, 4}))
    for verdict in (*look.gate.criteria, *look.gate.triggers):
        print_wrapped(f"all regions: {words.result(verdict)}: {words.clean(verdict.sentence)}", 2)


def print_turn(look: FleetLook, said: set[str], stream: TextIO | None = None) -> None:
    """What is new since the turns before, a line each."""
    from covey.report import words

    lines = [f"{action.region}: {action.verb}: {action.reason}" for action in look.done]
    lines += [f"{action.region}: {action.verb} did not succeed: {problem}" for action, problem in look.failed.items()]
    lines += [f"{view.name}: {look.decision.waits.get(view.name, '')}" for view in look.views]
    lines.append(f"{look.decision.state.value}: {look.decision.sentence}")
    for line in lines:
        if line not in said:
            print_wrapped(f"{look.time:%H:%M:%SZ}  {words.clean(line)}", _INDENT, stream or sys.stdout)
    # What is said again after something else was so in between is news again.
    said.clear()
    said.update(lines)


def decision_data(fleet: FleetSpec, look: FleetLook) -> dict[str, Any]:
    """The same for programs."""
    from covey.cli.connection import plain
    from covey.fleet.spec import fleet_digest, wave_numbers

    numbers = wave_numbers(fleet)
    return {
        "fleet": fleet.name,
        "fleet_digest": fleet_digest(fleet),
        "state": look.decision.state.value,
        "sentence": look.decision.sentence,
        "regions": [
            {
                "name": view.name,
                "wave": numbers[view.name],
                "reachable": view.reachable,
                "state": _state(view.exists, view.state),
                "phase": view.phase,
                "why": look.decision.waits.get(view.name, ""),
            }
            for view in look.views
        ],
        "next": [{"verb": it.verb, "region": it.region, "reason": it.reason} for it in look.decision.actions],
        "global_gate": [plain(verdict) for verdict in (*look.gate.criteria, *look.gate.triggers)],
    }


def _state(exists: bool, state: Any) -> str:
    from covey.report import words

    return words.state(state) if exists else "none yet"
