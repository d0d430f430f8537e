"""Commands of the pages that tests/docs does not type: other tests do, or nobody can here, and why. One list of each.

A command that is on neither list is typed; one that cannot be typed fails until it is listed here with its reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .reading import Command


@dataclass(frozen=True)
class Elsewhere:
    """Commands that another test types.

    Attributes:
        page: a pattern of their pages.
        command: a pattern of how they begin.
        test: file of that test.
        words: that stand in it: the page that it reads, or what of the command it types.
    """

    page: str
    command: str
    test: str
    words: str

    def covers(self, command: Command) -> bool:
        """Whether a command is one of them."""
        return bool(re.fullmatch(self.page, command.page) and re.match(self.command, command.text))


@dataclass(frozen=True)
class Unrun:
    """Commands that no test types.

    Attributes:
        command: a pattern of how they begin.
        reason: why.
    """

    command: str
    reason: str

    def covers(self, command: Command) -> bool:
        """Whether a command is one of them."""
        return bool(re.match(self.command, command.text))


ELSEWHERE = (
    Elsewhere(r"docs/start\.md", "", "tests/docs/test_start.py", "start.md"),
    Elsewhere(r"examples/foreign-service/README\.md", "", "tests/e2e/test_foreign_service.py", "foreign-service"),
    Elsewhere(r"README\.md", "make demo", "tests/e2e/test_demo.py", "run_demo(tmp_path)"),
    Elsewhere(r"README\.md", "covey demo --traffic 0", "tests/e2e/test_demo.py", '"--traffic", "0"'),
    Elsewhere(r"README\.md", "covey demo --fault", "tests/e2e/test_bad_candidates.py", '"--fault", fault.text'),
    Elsewhere(r"README\.md", r"covey analyze \.\./shared", "tests/test_readme.py", "is_what_the_command_prints"),
    Elsewhere(r"docs/dashboard\.md", "covey demo --dashboard", "tests/e2e/test_demo.py", '"--dashboard"'),
    Elsewhere(r"docs/together\.md", "covey", "tests/together/test_commands.py", "together.md"),
    Elsewhere(r"docs/churn\.md", "covey churn", "tests/churn/test_commands.py", "churn.md"),
    Elsewhere(r"docs/int.*\.md", "covey .*--outbox", "tests/interventions/test_commands.py", "interventions.md"),
    Elsewhere(r"docs/int.*\.md", "covey .*deliver --s", "tests/interventions/test_delivery.py", "interventions.md"),
    Elsewhere(r"docs/int.*\.md", "covey .*plan .*--s", "tests/interventions/test_remote_plan.py", "interventions.md"),
    Elsewhere(r"docs/tuning\.md", "covey", "tests/tune/test_commands.py", "tuning.md"),
    Elsewhere(r"docs/regions\.md", "covey fleet", "tests/fleet/test_commands.py", "regions.md"),
    Elsewhere(r"docs/regions\.md", "covey demo --regions", "tests/e2e/test_demo_regions.py", '"--regions", "3"'),
    Elsewhere(r"docs/retention\.md", "covey retention", "tests/retention/test_commands.py", "retention.md"),
    Elsewhere(r"docs/evolution\.md", "covey evolve", "tests/evolve/test_commands.py", "evolution.md"),
    Elsewhere(r"docs/experiments\.md", "python|covey", "tests/cli/test_experiment.py", '"experiments"'),
    Elsewhere(r"docs/segments\.md", "python|covey", "tests/cli/test_experiment.py", '"segments"'),
    Elsewhere(r"docs/notebook\.md", "covey generate", "tests/notebook/test_pages.py", "notebook.md"),
    Elsewhere(r"docs/terminal\.md", "covey", "tests/test_readme.py", "terminal.md"),
    Elsewhere(r"docs/reports\.md", "covey", "tests/cli/test_reports_page.py", "reports.md"),
    Elsewhere(r"docs/clients\.md", r"python|\.cache/bin/covey-go", "tests/e2e/test_clients.py", "clients.md"),
    Elsewhere(r"docs/gates\.md", "covey gates aa", "tests/cli/test_gates_aa.py", "--inject"),
    Elsewhere(r"docs/gates\.md", "covey gates verify", "tests/cli/test_gates_verify.py", "--picture"),
    Elsewhere(r"docs/planning\.md", r"covey \S+ \S+ --prometheus", "tests/cli/test_prometheus_range.py", "prometheus"),
    Elsewhere(r"docs/engines\.md", "covey analyze events", "tests/distributed/test_ray.py", "engines.md"),
    Elsewhere(r"docs/engines\.md", "covey serve", "tests/server/test_discovery_on_ray.py", 'ray_address="local"'),
    Elsewhere(r"docs/engines\.md", "grpcurl", "tests/server/test_discovery_on_ray.py", "ENGINE_RAY"),
    Elsewhere(r"docs/federation\.md", "covey federate", "tests/federation/test_regions.py", "federation.md"),
    Elsewhere(r"docs/replicas\.md", "covey serve --data", "tests/server/test_shared_store.py", "--store-url"),
    Elsewhere(r"docs/replicas\.md", "covey serve --replicas", "tests/server/test_replicas.py", "--replicas"),
    Elsewhere(r"docs/scale\.md", r"\S+ benchmarks/scale_model", "tests/benchmarks/test_scale.py", "scale_model"),
    Elsewhere(r"docs/upgrades\.md", "covey upgrade", "tests/upgrades/test_rolling_upgrade.py", '"upgrade", "plan"'),
    Elsewhere(r"docs/upgrades\.md", "covey state migrate", "tests/upgrades/test_rolling_upgrade.py", '"migrate"'),
    Elsewhere(r"docs/replicas\.md", "kill -HUP", "tests/server/test_replicas.py", "SIGHUP"),
)  # fmt: skip

UNRUN = (
    Unrun("docker ", "there is no engine; tests/deployment/test_docker.py reads the file and runs its health check"),
    Unrun("kubectl ", "there is no cluster; tests/deployment/test_kubernetes.py reads what would be applied"),
    Unrun(r"systemctl (status|restart)|journalctl ", "systemd is not process 1 where tests run"),
    Unrun("dmesg", "the kernel's log is not of this container"),
    Unrun("echo 'show info' . socat", "it asks the HAProxy of the people who read it"),
    Unrun(r"pip install 'covey\[|python3 -m venv /opt/covey", "covey is not in a registry; CI installs it from source"),
    Unrun(
        "covey analyze s3://",
        "there is no store; tests/distributed/test_ray.py reads by URI, and its cluster is Ray's own",
    ),
    Unrun("createdb ", "the tests of a shared store make their own cluster of PostgreSQL"),
    Unrun("make (?!demo)", "they build, or run this suite and longer ones; each is asked of make without being run"),
    Unrun(
        r"\.venv/bin/python benchmarks/scale_costs", "it measures for minutes, and needs a core of its own for h2load"
    ),
    Unrun(r"(COVEY_ISA=baseline )?\.venv/bin/python -m pytest", "it is this suite; what it names is looked for"),
)
