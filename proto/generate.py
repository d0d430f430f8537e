"""Write the Python code, the type stubs and the descriptor set of `covey/v1` below an output folder.

Used by the build (`proto/CMakeLists.txt`) and by `make proto`:

    python proto/generate.py PROTO_FOLDER OUTPUT_FOLDER
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc


def well_known_folders() -> list[Path]:
    """Folders of the imported contracts: google/protobuf, and google/api with google/rpc."""
    # The namespace package `google` has one folder per installed distribution.
    import google

    folders = [Path(str(files("grpc_tools"))) / "_proto"]
    folders += [
        Path(entry).parent for entry in google.__path__ if (Path(entry) / "api" / "field_behavior.proto").exists()
    ]
    return folders


def main(proto_folder: Path, output_folder: Path) -> int:
    """Run protoc once over every file; returns its exit status."""
    sources = sorted(proto_folder.glob("covey/v1/*.proto"))
    if not sources:
        print(f"no .proto file below {proto_folder}/covey/v1", file=sys.stderr)
        return 1
    package = output_folder / "covey" / "v1"
    package.mkdir(parents=True, exist_ok=True)
    status = protoc.main(
        [
            "protoc",
            *(f"--proto_path={folder}" for folder in [proto_folder, *well_known_folders()]),
            f"--python_out={output_folder}",
            f"--grpc_python_out={output_folder}",
            f"--mypy_out={output_folder}",
            f"--mypy_grpc_out={output_folder}",
            "--include_imports",
            f"--descriptor_set_out={package / 'covey.binpb'}",
            *(str(source) for source in sources),
        ]
    )
    if status == 0:
        (package / "__init__.py").write_text(
            '"""Messages and services of covey.v1, generated from proto/covey/v1."""\n'
        )
    return int(status)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
