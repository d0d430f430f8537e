"""What `covey demo` refuses before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.cli import main


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nonsense", "fault 'nonsense' is unknown; expected one of error-rate=SHARE"),
        ("error-rate=lots", "'error-rate=lots'"),
        ("latency=300@0.05", "'latency=300@0.05'"),
    ],
)
def test_a_fault_is_checked_before_the_start(
    fault: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep, report = tmp_path / "keep", tmp_path / "report"
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--fault", "error-rate=0.03", "--fault", fault, "--keep", str(keep), "--report", str(report)])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith("covey: --fault: ")
    assert words in err
    assert err.count("\n") == 1
    assert not keep.exists()
    assert not report.exists()
