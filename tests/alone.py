"""What failed beside other tests, three times alone: tells a race with a busy machine from a fault, and names both.

The suite runs more real processes with real deadlines than a small machine has processors. A test that failed there and
passes three times out of three alone is reported as a race, to be mended, and stops nobody. One that fails alone stops
everybody; so do more than three, and a run that failed without a failed test.

    make test || python -m tests.alone
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST_RACES = 3
TIMES = 3
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def failed_tests(cache: Path) -> list[str]:
    """The tests that failed in the last run, as pytest keeps them; empty where it kept none."""
    return sorted(json.loads(cache.read_text())) if cache.exists() else []


def verdict(failed: list[str], passes_alone: dict[str, int]) -> tuple[bool, list[str]]:
    """Whether all of it was the machine's doing, and what to say.

    Args:
        failed: the tests that failed beside others.
        passes_alone: how often each of them passed alone, out of `TIMES`.
    """
    if not failed:
        return False, ["The run failed without a failed test: see above."]
    if len(failed) > MOST_RACES:
        return False, [f"{len(failed)} tests failed; more than {MOST_RACES} at once are no accident of the machine."]
    lines = [
        f"RACE  {test}: failed beside others, passed {TIMES} of {TIMES} times alone; mend it"
        if passes_alone[test] == TIMES
        else f"FAULT {test}: failed beside others, passed {passes_alone[test]} of {TIMES} times alone"
        for test in failed
    ]
    return all(passes_alone[test] == TIMES for test in failed), lines


def passes(test: str) -> bool:
    """Whether a test passes in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    return subprocess.run(command, check=False).returncode == 0


def main() -> int:
    """Judges the last run; 0 where it was the machine."""
    failed = failed_tests(LAST_FAILED)
    again = failed if len(failed) <= MOST_RACES else []
    was_the_machine, lines = verdict(failed, {test: sum(passes(test) for _ in range(TIMES)) for test in again})
    print("\n".join(lines))
    return 0 if was_the_machine else 1


if __name__ == "__main__":
    sys.exit(main())
