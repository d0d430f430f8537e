"""Makes the Go code of covey.v1 from the descriptor set that covey installs, and builds the client.

    python examples/go-client/generate.py [PROGRAM]

Needs Go, and covey in the Python that runs it (its `dev` extra has protoc). The code goes to `coveyv1/`, the program to
`.cache/bin/covey-go` of the project or to PROGRAM.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
MODULE = "example.com/covey-client"
PACKAGE = f"{MODULE}/coveyv1"
PLUGINS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0",
)


def main(program: Path) -> int:
    """Generates, then builds; the exit status of the first step that fails."""
    tools = program.parent
    tools.mkdir(parents=True, exist_ok=True)
    for plugin in PLUGINS:
        subprocess.run(["go", "install", plugin], env=os.environ | {"GOBIN": str(tools)}, cwd=HERE, check=True)
    descriptors = files("covey.v1").joinpath("covey.binpb")
    known = FileDescriptorSet.FromString(descriptors.read_bytes())
    sources = [file.name for file in known.file if file.name.startswith("covey/")]
    # The contract names no Go package, for it belongs to no language; each client gives it one of its own.
    packages = [f"M{source}={PACKAGE}" for source in sources]
    status = protoc.main(
        [
            "protoc",
            f"--descriptor_set_in={descriptors}",
            *(f"--plugin={tools / name}" for name in ("protoc-gen-go", "protoc-gen-go-grpc")),
            *(
                argument
                for kind in ("go", "go-grpc")
                for argument in (f"--{kind}_out={HERE}", f"--{kind}_opt={','.join([f'module={MODULE}', *packages])}")
            ),
            *sources,
        ]
    )
    if status:
        return int(status)
    return subprocess.run(["go", "build", "-o", str(program), "."], cwd=HERE, check=False).returncode


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(Path(given[0]).resolve() if given else HERE.parents[1] / ".cache" / "bin" / "covey-go"))
