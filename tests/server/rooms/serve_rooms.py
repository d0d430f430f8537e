"""The server of conftest.py as a process of its own, to be killed: `serve_rooms.py DIRECTORY` prints its port."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path


def main() -> None:
    spec = importlib.util.spec_from_file_location("rooms_conftest", Path(__file__).with_name("conftest.py"))
    assert spec is not None and spec.loader is not None
    conftest = importlib.util.module_from_spec(spec)
    sys.modules["rooms_conftest"] = conftest
    spec.loader.exec_module(conftest)
    server = conftest.Server(Path(sys.argv[1]), conftest.Clock())
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
