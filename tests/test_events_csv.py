"""Events from comma-separated values: ids as they are written, the same events as from Parquet, errors with rows."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import covey
from covey.generate import GenerationPlan, write_parquet


@pytest.fixture
def written(tmp_path):
    """Writes text and answers its path."""

    def write(text, name="events.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_the_same_events_as_from_parquet(tmp_path, suffix):
    parquet, text = tmp_path / "events.parquet", tmp_path / f"events{suffix}"
    write_parquet(GenerationPlan(learner_count=200, weeks=4, seed=1), parquet, with_kinds=False)
    plain = pa.BufferOutputStream()
    pa_csv.write_csv(pq.read_table(parquet), plain)
    content = plain.getvalue().to_pybytes()
    text.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    expected = covey.read_parquet(parquet).traits().discover(k=4)
    found = covey.read_csv(text).traits().discover(k=4)
    assert found.fingerprint() == expected.fingerprint()
    assert found.traits.learner_ids.equals(expected.traits.learner_ids)


@pytest.mark.parametrize(
    ("written_ids", "ids"),
    [
        (["42", "7", "-3"], [-3, 7, 42]),
        (["007", "7"], ["007", "7"]),
        (["1.0", "1"], ["1", "1.0"]),
        (["9223372036854775808", "1"], ["1", "9223372036854775808"]),
        (["+5", "5"], ["+5", "5"]),
        (["NA", "null"], ["NA", "null"]),
        (["true", "false"], ["false", "true"]),
    ],
)
def test_ids_are_what_is_written(written, written_ids, ids):
    """No guess at a type makes one learner of two: "007" is not "7"."""
    text = "learner_id,time\n" + "".join(f"{learner},2026-01-31\n" for learner in written_ids)
    assert covey.read_csv(written(text)).learner_ids.to_arrow().to_pylist() == ids


def test_an_empty_field_is_null(written):
    events = covey.read_csv(
        written(
            "learner_id,time,domain,capability,weight\n1,2026-01-31T09:00:00Z,,01,\n1,2026-01-31T10:00:00+01:00,a,1,2.5\n"
        )
    )
    assert events.domains == ("a", None)
    assert events.capabilities == ("01", "1")
    assert events.weight.tolist() == [1.0, 2.5]
    assert events.time_us.tolist() == [1769850000000000, 1769850000000000]


def test_numbers_count_in_their_unit(written):
    events = covey.read_csv(written("who,day\n1,2\n"), mapping={"learner": "who", "time": "day", "time_unit": "day"})
    assert events.time_us.tolist() == [2 * 86_400_000_000]


def test_domains_by_key(written, tmp_path):
    pq.write_table(pa.table({"site": [10, 20], "type": ["quiz", "forum"]}), tmp_path / "sites.parquet")
    events = covey.read_csv(
        written("learner_id,time,site\n1,2026-01-31,10\n1,2026-02-01,20\n"),
        mapping={"capability": "site", "domain_from": f"{tmp_path / 'sites.parquet'}:site:type"},
    )
    assert events.domains == ("forum", "quiz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; expected a line of column names"),
        ("learner_id,time\n", "there are no rows"),
        ("learner_id;time\n1;2026-01-31\n", "parted by ';'; expected commas"),
        ("learner_id,time\n1,2026-01-31,3\n", "Expected 2 columns, got 3"),
        ("learner_id,time\n1,2026-01-31\n1,2026-02-31\n", r"column 'time', row 1 .*'2026-02-31'; expected an ISO 8601"),
        ("learner_id,time\n1,31/01/2026\n", r"row 0 .*'31/01/2026'"),
        ("learner_id,time,weight\n1,2026-01-31,\n1,2026-01-31,much\n", r"column 'weight', row 1 .*'much'"),
        ("learner_id,time\n1,5\n", "time_unit"),
        ("learner_id,time\n,2026-01-31\n", r"column 'learner_id', row 0 .*null"),
        ("learner_id,learner_id,time\n1,1,2026-01-31\n", "two columns of this name"),
        (
            "who,time\n1,2026-01-31\n",
            r"no such column.*: who, time\..*--learner COLUMN, in Python mapping=\{'learner': COLUMN\}",
        ),
        (b"learner_id,time\n\xff,2026-01-31\n", "expected UTF-8 text"),
    ],
)
def test_bad_files_say_what_and_where(written, text, message):
    with pytest.raises(covey.InputError, match=message) as caught:
        covey.read_csv(written(text))
    assert "events.csv" in str(caught.value)


def test_a_file_that_is_not_there_or_not_compressed(tmp_path, written):
    with pytest.raises(covey.InputError, match="no such file"):
        covey.read_csv(tmp_path / "absent.csv")
    with pytest.raises(covey.InputError, match="cannot be read"):
        covey.read_csv(written("learner_id,time\n1,2026-01-31\n", "events.csv.gz"))
