"""What an alert is: when it fires, whom it calls, and what it tells them to do."""

from __future__ import annotations

from dataclasses import dataclass, field

RUNBOOKS = "docs/runbooks"
"""Where the runbooks are, one per alert, unless `--runbooks` says where they were published."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A signal against its limit.

    Attributes:
        signal: PromQL that has data also where nothing is wrong.
        comparison: such as ">".
        limit: a number, or PromQL.
    """

    signal: str
    comparison: str
    limit: str

    @property
    def expression(self) -> str:
        """The series for which it holds."""
        return f"({self.signal}) {self.comparison} {self.limit}"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert rule.

    Attributes:
        name: also of its runbook.
        conditions: all of them must hold.
        severity: "page": somebody must come now; "ticket": within days; "none": for machines.
        summary: one line, a Prometheus template.
        description: what it means and what to do first.
        hold: how long the conditions must hold; a Prometheus duration.
        labels: further ones.
    """

    name: str
    conditions: tuple[Condition, ...]
    severity: str
    summary: str
    description: str
    hold: str = "0s"
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def expression(self) -> str:
        """PromQL that has series while something is wrong."""
        return " and ".join(condition.expression for condition in self.conditions)

    def rule(self, runbooks: str) -> dict[str, object]:
        """As a rule file has it.

        Args:
            runbooks: URL or folder of the runbooks.
        """
        return {
            "alert": self.name,
            "expr": self.expression,
            **({} if self.hold == "0s" else {"for": self.hold}),
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks.rstrip('/')}/{self.name}.md",
            },
        }
