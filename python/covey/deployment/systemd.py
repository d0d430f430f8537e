"""Hardened units: what every process of covey gives up, and what each of them needs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

USER = "covey"
CONFIGURATION = "/etc/covey/covey.toml"

_HARDENING: tuple[tuple[str, str], ...] = (
    ("NoNewPrivileges", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("PrivateDevices", "yes"),
    ("DevicePolicy", "closed"),
    ("PrivateTmp", "yes"),
    ("PrivateUsers", "yes"),
    ("PrivateMounts", "yes"),
    ("RemoveIPC", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged @resources"),
    ("SystemCallErrorNumber", "EPERM"),
    ("UMask", "0077"),
)


@dataclass(frozen=True, slots=True)
class Unit:
    """One service.

    Attributes:
        program: its command, and the name of its unit.
        description: one line.
        after: units that it is started after, where they are started at all.
        stop_seconds: how long it may take to stop.
        own: what it needs beside what all share.
        calls: system calls that it needs beside what all may make.
        libraries: of an extra of covey's, without which it does not start.
    """

    program: str
    description: str
    after: str
    stop_seconds: int
    own: tuple[tuple[str, str], ...] = ()
    calls: str = ""
    libraries: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Of the unit."""
        return f"{self.program}.service"

    def text(self, programs: Path) -> str:
        """The unit.

        Args:
            programs: folder of covey's commands.
        """
        service = (
            ("Type", "exec"),
            ("User", USER),
            ("Group", USER),
            ("ExecStart", f"{programs / self.program} --config {CONFIGURATION}"),
            ("ConfigurationDirectory", "covey"),
            ("Restart", "on-failure"),
            ("RestartSec", "2"),
            ("TimeoutStopSec", str(self.stop_seconds)),
            ("LimitNOFILE", "65536"),
            *self.own,
        )
        parts = [
            "# Written by `covey deploy systemd`. Change it by `systemctl edit`, or write it again.",
            "[Unit]",
            f"Description={self.description}",
            "Wants=network-online.target",
            f"After=network-online.target {self.after}".rstrip(),
            # A wrong configuration is told once, not every two seconds for ever.
            "StartLimitIntervalSec=60",
            "StartLimitBurst=5",
            "",
            "[Service]",
            *(f"{name}={value}" for name, value in service),
            "RestartPreventExitStatus=2",
            "",
            *(f"{name}={value}" for name, value in _HARDENING),
            # After the lists that it is an exception of.
            *([f"SystemCallFilter={self.calls}"] if self.calls else []),
            "",
            "[Install]",
            "WantedBy=multi-user.target",
        ]
        return "\n".join(parts) + "\n"


UNITS = (
    Unit(
        "covey-server",
        "covey: analyses, outcomes and rollouts over gRPC",
        "postgresql.service",
        # The drain's grace of 10 s, and what is stored at the end.
        30,
        (("StateDirectory", "covey"), ("StateDirectoryMode", "0700")),
        # Discoveries lower their own priority.
        "setpriority",
    ),
    Unit("covey-controller", "covey: drives rollouts on the service's own metrics", "covey-server.service", 15),
    Unit(
        "covey-dashboard",
        "covey: pages on which people watch and steer rollouts",
        "covey-server.service",
        15,
        libraries=("starlette", "uvicorn"),
    ),
)

_SYSUSERS = f'u {USER} - "covey" /var/lib/covey\n'
_SAMPLE = """\
# All keys: docs/configuration.md, or `covey config reference`. Check it with `covey config check --config FILE`.
[server]
data_directory = "/var/lib/covey"

[controller]
replica = ["data=127.0.0.1:50051,metrics=http://127.0.0.1:9464/metrics"]

[dashboard]
listen = "127.0.0.1:8080"
"""


def files(programs: Path, installed: Collection[str]) -> dict[str, str]:
    """What is written, by file name.

    Args:
        programs: folder of covey's commands.
        installed: names of the commands that there are.
    """
    units = {unit.file_name: unit.text(programs) for unit in UNITS if unit.program in installed}
    return {**units, "covey-sysusers.conf": _SYSUSERS, "covey.toml": _SAMPLE}


def is_hidden(programs: Path) -> bool:
    """Whether the units could not see the commands there: homes are hidden from them, and each has its own /tmp."""
    return any(programs.is_relative_to(hidden) for hidden in ("/home", "/root", "/run/user", "/tmp", "/var/tmp"))  # noqa: S108
