"""The table of roles and methods, as docs/access.md has it: `python -m covey_server.access.matrix` prints it."""

from __future__ import annotations

from covey.access.principals import READERS, Role
from covey_server.access.rules import ALLOWED_ROLES, OPEN_METHODS

_PREFIX = "/covey.v1."


def markdown() -> str:
    """One line a method, one column a role; strangers have the last."""
    heads = ["method", *(role.value for role in Role), "stranger"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for method, allowed in ALLOWED_ROLES.items():
        name = method.removeprefix(_PREFIX).removeprefix("/").replace("/", ".")
        lines.append(_line([name, *(_mark(role in allowed) for role in Role), ""]))
    lines.append(_line(["GET /metrics", *(_mark(role in READERS) for role in Role), ""]))
    everybody = [_mark(True)] * (len(Role) + 1)
    open_names = [method.removeprefix("/").replace("/", ".") for method in sorted(OPEN_METHODS)]
    lines.extend(_line([name, *everybody]) for name in (*open_names, "GET /healthz"))
    return "\n".join(lines) + "\n"


def _mark(allowed: bool) -> str:
    return "yes" if allowed else ""


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201
