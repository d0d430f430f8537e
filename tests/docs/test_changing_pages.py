"""Pages that bring servers of their own, or change what there is: each typed alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .following import ALONE, BRINGS_A_SERVER, follow, typist_of
from .installed import Installed
from .reading import PROJECT
from .typist import Run


@pytest.mark.parametrize("page", BRINGS_A_SERVER)
def test_a_page_that_brings_its_server(
    page: str, tmp_path: Path, run: Run, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    typist = typist_of(tmp_path, None, run, authority, monkeypatch)
    if page == "README.md":
        # It asks nobody who they are: the configuration that is written to begin with.
        sample = (PROJECT / "services" / "deployment" / "systemd" / "covey.toml").read_text()
        (tmp_path / "covey.toml").write_text(sample.replace("/var/lib/covey", str(tmp_path / "configured")))
    try:
        follow(page, typist)
    finally:
        typist.close()


@pytest.mark.parametrize("page", [page for page in ALONE if page not in BRINGS_A_SERVER])
def test_a_page_that_changes_what_there_is(
    page: str, tmp_path: Path, installed: Installed, run: Run, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    typist = typist_of(tmp_path, installed, run, authority, monkeypatch)
    try:
        follow(page, typist, installed)
    finally:
        typist.close()
