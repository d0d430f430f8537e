"""Lint the public contract and hold it against the released one: `python proto/check.py`.

buf resolves imports inside one workspace only, so the contract and the `google/*` files that it imports (they come
with googleapis-common-protos) are laid side by side in a temporary folder. `proto/released.binpb` is the descriptor set
of the last release; what it promises stays.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PROTO = Path(__file__).resolve().parent
BUF = Path(sysconfig.get_path("scripts")) / "buf"


def lay_out(workspace: Path) -> None:
    """Copy the contract, its imports and buf's configuration into `workspace`."""
    import google.api

    imported = Path(next(iter(google.api.__path__))).parent
    shutil.copytree(PROTO, workspace / "proto", ignore=shutil.ignore_patterns("*.py", "*.txt", "*.binpb"))
    for folder in ("api", "rpc"):
        shutil.copytree(
            imported / folder, workspace / "imports" / "google" / folder, ignore=shutil.ignore_patterns("*.py*")
        )
    configuration = (PROTO.parent / "buf.yaml").read_text()
    (workspace / "buf.yaml").write_text(
        configuration.replace("  - path: proto\n", "  - path: proto\n  - path: imports\n")
    )


def main() -> int:
    """Run buf's three checks; returns 1 where any fails."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        lay_out(workspace)
        checks = [
            [BUF, "lint", "proto"],
            [BUF, "format", "--diff", "--exit-code", "proto"],
            [BUF, "breaking", "proto", "--against", PROTO / "released.binpb", "--exclude-imports"],
        ]
        statuses = [subprocess.run(check, cwd=workspace, check=False).returncode for check in checks]
    return int(any(statuses))


if __name__ == "__main__":
    sys.exit(main())
