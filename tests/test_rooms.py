"""The house: which way arrows point, how long files are, and that every room is where the map says."""

from __future__ import annotations

import re
import statistics
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

from covey import __version__

PROJECT = Path(__file__).resolve().parent.parent
SOURCES = ("*.py", "*.cpp", "*.h", "*.hpp", "*.proto")


def sources() -> list[Path]:
    """Every source file of the house but generated ones."""
    folders = ("cpp", "proto", "python", "services", "tests", "benchmarks")
    found = [path for folder in folders for pattern in SOURCES for path in (PROJECT / folder).rglob(pattern)]
    return [path for path in found if "python/covey/v1" not in path.as_posix() and path.name != "__init__.py"]


def lint_imports(config: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sysconfig.get_path("scripts")) / "lint-imports"), "--config", str(config), "--no-cache"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)


def test_arrows_point_one_way() -> None:
    result = lint_imports(PROJECT / "pyproject.toml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_arrow_against_the_rule_is_found(tmp_path: Path) -> None:
    """The twin: a contract that the house breaks on purpose must be reported."""
    config = tmp_path / "pyproject.toml"
    config.write_text(
        '[tool.importlinter]\nroot_packages = ["covey"]\ninclude_external_packages = true\n'
        '[[tool.importlinter.contracts]]\nname = "upside down"\ntype = "forbidden"\n'
        'source_modules = ["covey.stats"]\nforbidden_modules = ["numpy"]\nallow_indirect_imports = true\n'
    )
    result = lint_imports(config)
    assert result.returncode != 0
    assert "upside down" in result.stdout


def test_files_stay_readable() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in sources()}
    assert statistics.median(lengths.values()) < 200
    too_long = {str(path.relative_to(PROJECT)): length for path, length in lengths.items() if length > 400}
    assert not too_long


def test_the_version_is_one() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


def test_decisions_have_numbers_of_their_own() -> None:
    """Two that were taken side by side easily get the same."""
    pages = sorted((PROJECT / "docs" / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:03}-" for number in range(1, len(pages) + 1)]
    assert [page.name for page in pages if not page.read_text().startswith(f"# {page.name[:3]}: ")] == []


def test_the_changelog_says_nothing_twice() -> None:
    """Entries that were written side by side are easily kept both."""
    entries = [line[:60] for line in (PROJECT / "CHANGELOG.md").read_text().splitlines() if line.startswith("- ")]
    assert sorted(set(entries)) == sorted(entries)


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "README.md"])
def test_every_path_on_the_map_exists(document: str) -> None:
    """Paths that a document names in code spans, such as `cpp/src/traits.cpp`, are there."""
    text = (PROJECT / document).read_text()
    named = re.findall(r"`((?:proto|cpp|python|services|tests|benchmarks|docs|examples)/[\w./-]*)`", text)
    assert named, f"{document} names no path"
    missing = [path for path in named if not (PROJECT / path).exists()]
    assert not missing


def test_the_map_names_every_room() -> None:
    """CONTRIBUTING's tree mentions every folder that holds sources."""
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    rooms = {path.parent.name for path in sources()}
    assert not sorted(room for room in rooms if f"{room}/" not in text)
