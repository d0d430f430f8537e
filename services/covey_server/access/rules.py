"""Which roles may call which method: one line a method, and a method without a line is nobody's.

A test holds the table against the descriptors of every service, and calls each method as each role.
"""

from __future__ import annotations

from collections.abc import Mapping

from covey.access.principals import EVERY_ROLE, READERS, Role

_SERVICES = frozenset({Role.INGEST, Role.ADMIN})
_OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})
_ADMINS = frozenset({Role.ADMIN})
_APPROVERS = frozenset({Role.APPROVER})
_CONTROLLERS = frozenset({Role.CONTROLLER})

_ROLES: Mapping[str, Mapping[str, frozenset[Role]]] = {
    "covey.v1.AnalyzerService": {
        # A controller's calls are probes, which the method itself checks.
        "AnalyzeLearner": _SERVICES | _CONTROLLERS,
        "AnalyzeLearners": _SERVICES,
        "CreateDataset": _SERVICES | _OPERATORS,
        "GetDataset": EVERY_ROLE,
        "ListDatasets": EVERY_ROLE,
        "DeleteDataset": _ADMINS,
        "AppendEvents": _SERVICES,
        "DiscoverCohorts": _OPERATORS,
        "GetJob": READERS,
        "ListJobs": READERS,
        "WatchJob": READERS,
        "CancelJob": _OPERATORS,
        "GetCohortModel": READERS,
        "ListCohortModels": READERS,
        "DeleteCohortModel": _ADMINS,
        # What is known of one person is for the services that serve them, not for everybody who watches a rollout.
        "GetLearnerCohort": _SERVICES,
        "DeleteLearner": _ADMINS,
        "CreateVariant": _OPERATORS,
        "GetVariant": READERS,
        "ListVariants": READERS,
        "GetServerInfo": EVERY_ROLE,
    },
    # Names learners.
    "covey.v1.ChurnService": {"ScoreChurn": _SERVICES},
    # Plans and actions name learners; an effect is of sums.
    "covey.v1.InterventionService": {
        "PlanInterventions": _SERVICES,
        "ListInterventionActions": _SERVICES,
        "AdvanceInterventionActions": _SERVICES,
        "ReportInterventionEffect": READERS,
    },
    "covey.v1.EvolutionService": {"GetEvolution": READERS},
    "covey.v1.OutcomeService": {"ReportOutcomes": _SERVICES},
    # Sums over learners, and nothing of one learner.
    "covey.v1.ExperimentService": {
        "AnalyzeExperiment": READERS,
        "AnalyzeExperimentRows": READERS,
        "PlanExperiment": EVERY_ROLE,
    },
    # Sums that no one can read alone; opening a run reads every learner of a dataset.
    "covey.v1.FederationService": {
        "OpenRegion": _OPERATORS,
        "JoinRegion": _OPERATORS,
        "AskRegion": _OPERATORS,
        "CloseRegion": _OPERATORS,
        "ListRegionAnswers": READERS,
    },
    "covey.v1.RetentionService": {"GetRetention": READERS},
    # Both name learners.
    "covey.v1.TogetherService": {"FindSimilarLearners": _SERVICES, "FormGroups": _SERVICES},
    # Names no learner, and takes minutes; what it drafts is what an operator creates.
    "covey.v1.TuningService": {"TuneAnalyzer": _OPERATORS},
    "covey.v1.RolloutService": {
        "CreateRollout": _OPERATORS,
        "GetRollout": READERS,
        "ListRollouts": READERS,
        "WatchRollout": READERS,
        "ListEntries": READERS,
        "ListRecords": READERS,
        "StartRollout": _OPERATORS,
        "PauseRollout": _OPERATORS,
        "ResumeRollout": _OPERATORS,
        "PromoteRollout": _OPERATORS,
        "PostponeRollout": _OPERATORS,
        "AbortRollout": _OPERATORS,
        # Whose signature it may be is checked with the request: see `Principal.may_sign_for`.
        "ApproveRollout": _APPROVERS,
        "DenyRollout": _APPROVERS,
        "RevokeApproval": _APPROVERS,
        "ReportIncident": _OPERATORS,
        "ResolveIncident": _OPERATORS,
        "AcknowledgeRollout": _OPERATORS,
        "AcquireLease": _CONTROLLERS,
        "CommitDecision": _CONTROLLERS,
        "PullNotifications": _CONTROLLERS,
        "AdvanceNotifications": _CONTROLLERS,
    },
    "covey.v1.AccessService": {"GetCaller": EVERY_ROLE},
    # The shape of the API is public; that a server is there and speaks it is for those it knows.
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": EVERY_ROLE},
}

PROBE_ROLES = _CONTROLLERS
"""May ask for an answer of a variant of their choice."""
OPEN_METHODS = frozenset(
    {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List"}
)
"""Everybody's: load balancers bring no credentials, and learn only whether the server serves."""


def _by_method() -> dict[str, frozenset[Role]]:
    return {f"/{service}/{method}": roles for service, methods in _ROLES.items() for method, roles in methods.items()}


ALLOWED_ROLES: Mapping[str, frozenset[Role]] = _by_method()
"""Roles by full method name, such as "/covey.v1.RolloutService/AbortRollout"."""
