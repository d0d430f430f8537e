"""A file of credentials with one token per role, and channels that bring them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from covey.access.credentials import Credential, digest, new_token, text_of
from covey.access.principals import Principal, Role
from covey.v1 import (
    access_pb2,
    analyzer_pb2,
    churn_pb2,
    evolution_pb2,
    experiments_pb2,
    federation_pb2,
    interventions_pb2,
    outcomes_pb2,
    retention_pb2,
    rollouts_pb2,
    together_pb2,
    tuning_pb2,
)

NOW = datetime.now(UTC)
SERVICES = [
    file.services_by_name[name]
    for file, name in (
        (analyzer_pb2.DESCRIPTOR, "AnalyzerService"),
        (outcomes_pb2.DESCRIPTOR, "OutcomeService"),
        (experiments_pb2.DESCRIPTOR, "ExperimentService"),
        (retention_pb2.DESCRIPTOR, "RetentionService"),
        (evolution_pb2.DESCRIPTOR, "EvolutionService"),
        (together_pb2.DESCRIPTOR, "TogetherService"),
        (churn_pb2.DESCRIPTOR, "ChurnService"),
        (tuning_pb2.DESCRIPTOR, "TuningService"),
        (interventions_pb2.DESCRIPTOR, "InterventionService"),
        (federation_pb2.DESCRIPTOR, "FederationService"),
        (rollouts_pb2.DESCRIPTOR, "RolloutService"),
        (access_pb2.DESCRIPTOR, "AccessService"),
    )
]
METHODS: dict[str, Any] = {
    f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods
}
"""Descriptors of every method of the contract, by full name."""
ON_CONTROL_PORT = ("covey.v1.RolloutService/", "covey.v1.AccessService/")


class TokensFile:
    """A credentials file.

    Attributes:
        path: of the file.
        tokens: the secrets by principal; each role has a principal of its name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tokens: dict[str, str] = {}
        self._known: list[Credential] = []
        for role in Role:
            signs = frozenset({"engineering"}) if role is Role.APPROVER else frozenset[str]()
            self.add(role.value, {role}, signs)

    def add(
        self,
        name: str,
        roles: set[Role],
        signs_for: frozenset[str] = frozenset(),
        expire_time: datetime | None = None,
        certificate: str = "",
    ) -> None:
        token = new_token()
        self.tokens[name] = token
        self._known.append(
            Credential(
                id=f"id-{len(self._known)}",
                principal=Principal(name, frozenset(roles), signs_for),
                token_sha256="" if certificate else digest(token),
                certificate=certificate,
                create_time=NOW,
                expire_time=expire_time or NOW + timedelta(days=1),
            )
        )
        self.write()

    def revoke(self, name: str) -> None:
        self._known = [known for known in self._known if known.principal.name != name]
        self.write()

    def write(self) -> None:
        temporary = self.path.with_suffix(".new")
        temporary.write_text(text_of(self._known))
        temporary.replace(self.path)

    def metadata(self, name: str) -> list[tuple[str, str]]:
        """What a caller brings."""
        return [("authorization", f"Bearer {self.tokens[name]}")]
