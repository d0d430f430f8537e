"""What a figure was taken on: processor, instruction set, compiler, versions of the rivals."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from covey import _core

PACKAGES = ("numpy", "pyarrow", "polars", "duckdb", "scikit-learn", "faiss-cpu", "grpcio", "protobuf")


def facts(date: str) -> dict[str, str]:
    """The machine in words; `date` is when the run began, as its caller says."""
    build = _core.build_info()
    return {
        "date": date,
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "memory": _gibibytes(_field("/proc/meminfo", "MemTotal")),
        "load when it began": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "instruction set": f"{_core.active_isa()} (of {', '.join(_core.available_isas())})",
        "COVEY_ISA": os.environ.get("COVEY_ISA", "not set"),
        "compiler": build["compiler"],
        "covey": build["version"],
        "Python": platform.python_version(),
    } | {package: _version(package) for package in PACKAGES}


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _gibibytes(kibibytes: str) -> str:
    return f"{int(kibibytes.split(maxsplit=1)[0]) / 2**20:.1f} GiB" if kibibytes else "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
