"""Writes the claims of the last full run into README.md, between two markers: `make bench-readme`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import verdict

HERE = Path(__file__).parent
BEGIN, END = "<!-- claims: begin -->", "<!-- claims: end -->"


def replaced(text: str, between: str) -> str:
    """The document with what is between the markers replaced.

    Raises:
        ValueError: where a marker is missing or stands twice.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected {BEGIN} and then {END}, once each")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}\n{between}\n{END}{tail}"


def main() -> int:
    """Read latest.json and latest-machine.json, write README.md."""
    results, provenance = HERE / "out" / "latest.json", HERE / "out" / "latest-machine.json"
    if not results.exists() or not provenance.exists():
        print(f"there is no {results}: run `make bench` first", file=sys.stderr)
        return 1
    rows, known = json.loads(results.read_text()), json.loads(provenance.read_text())
    readme = HERE.parent / "README.md"
    readme.write_text(replaced(readme.read_text(), verdict.readme_table(rows, known["benchmark_of"], known["machine"])))
    print(f"{len(rows)} claims written to {readme.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
