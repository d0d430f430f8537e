"""Learner shards and durations of a page: read whole, or an absence of the right type."""

from __future__ import annotations

from dataclasses import replace

import pytest

from covey.rollout.gates.look import durations_of, shards_of
from covey.rollout.spec import load_spec
from covey.v1 import evidence_pb2 as pb
from covey_controller.evidence import GATED_METHODS, Subject, check_against, read_counters
from covey_controller.page import Page
from covey_controller.scrape import AbsenceError
from covey_controller.spread import read_durations, read_shards

from .pages import BASELINE, CANDIDATE, LIMIT, ROLLOUT, page
from .world import PLAN

VARIANTS = (BASELINE, CANDIDATE)
SUBJECT = Subject(ROLLOUT, VARIANTS, (LIMIT,), frozenset(), compares_latencies=True)
SHARDS = (
    "# TYPE covey_shard_requests_total counter\n"
    f'covey_shard_requests_total{{variant="{BASELINE}",shard="0",result="served"}} 7\n'
    f'covey_shard_requests_total{{variant="{BASELINE}",shard="99",result="error"}} 2\n'
    f'covey_shard_requests_total{{variant="{CANDIDATE}",shard="3",result="served"}} 5\n'
    f'covey_shard_requests_total{{variant="{CANDIDATE}",shard="3",result="unavailable"}} 1\n'
    f'covey_shard_requests_total{{variant="{CANDIDATE}",shard="3",result="shed"}} 4\n'
    f'covey_shard_requests_total{{variant="variants/other",shard="3",result="error"}} 9\n'
)
EDGES = ("0.001", "0.01", "+Inf")


def buckets(counts: dict[tuple[str, str], tuple[int, ...]] | None = None) -> str:
    """Cumulative buckets by method and variant; another method and another variant are there too."""
    counts = counts or {
        ("AnalyzeLearner", BASELINE): (1, 4, 6),
        ("AnalyzeLearners", BASELINE): (10, 10, 10),
        ("AnalyzeLearner", CANDIDATE): (0, 2, 5),
        ("AnalyzeLearners", CANDIDATE): (0, 0, 0),
        ("StartDiscovery", CANDIDATE): (0, 0, 9),
        ("AnalyzeLearner", "variants/other"): (3, 2, 1),
    }
    lines = ["# TYPE covey_request_duration_seconds histogram\n"]
    for (method, variant), numbers in counts.items():
        for edge, number in zip(EDGES, numbers, strict=True):
            labels = f'le="{edge}",method="{method}",variant="{variant}"'
            lines.append(f"covey_request_duration_seconds_bucket{{{labels}}} {number}\n")
    return "".join(lines)


GOOD = page() + SHARDS + buckets()


def parse(text: str) -> Page:
    return Page(text, lines=1000, oldest_timestamp=1000.0)


def test_shards_are_read_by_variant_and_kind_of_answer() -> None:
    reading = read_counters(parse(GOOD), "a", SUBJECT)
    base, mine = reading.shards
    assert (base.variant, mine.variant) == VARIANTS
    assert (base.request_counts[0], base.error_counts[0]) == (7, 0)
    assert (base.request_counts[99], base.error_counts[99], base.unavailable_counts[99]) == (2, 2, 0)
    assert (mine.request_counts[3], mine.error_counts[3], mine.unavailable_counts[3]) == (6, 1, 1), "shed is apart"
    assert sum(mine.request_counts) == 6
    gates = shards_of(reading, CANDIDATE)
    assert gates is not None
    assert gates.trials.shape == (100,)
    assert gates.events[:, 3].tolist() == [1, 1]


def test_durations_are_read_where_a_statement_compares_them() -> None:
    reading = read_counters(parse(GOOD), "a", SUBJECT)
    base, mine = reading.durations
    assert list(base.edges_seconds) == [0.001, 0.01]
    assert not mine.edges_seconds, "one grid per page is enough"
    assert list(base.request_counts) == [11, 3, 2], "of both methods, not cumulative"
    assert list(mine.request_counts) == [0, 2, 3]
    gates = durations_of(reading, CANDIDATE)
    assert gates is not None
    assert gates.edges_seconds == (0.001, 0.01)
    assert not read_counters(parse(GOOD), "a", replace(SUBJECT, compares_latencies=False)).durations


def test_only_a_relative_statement_asks_for_durations() -> None:
    assert not Subject.of(ROLLOUT, load_spec(PLAN, "plan")).compares_latencies
    assert Subject.of(ROLLOUT, load_spec(f"{PLAN}  - statement: p99 worse than baseline\n", "plan")).compares_latencies


def test_a_page_without_shards_has_none_and_one_without_requests_has_zeros() -> None:
    assert read_shards(parse(page()), VARIANTS) == []
    empty = read_shards(parse(page() + SHARDS.splitlines(keepends=True)[0]), VARIANTS)
    assert [sum(one.request_counts) for one in empty] == [0, 0]
    assert len(empty[0].request_counts) == 100


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ('shard="0",result="served"} 7', 'shard="0",result="served"} NaN', pb.ABSENCE_TYPE_NAN),
        ('shard="0",result="served"} 7', 'shard="0",result="served"} -7', pb.ABSENCE_TYPE_NAN),
        ('shard="0",result="served"} 7', 'shard="0",result="served"} 7.5', pb.ABSENCE_TYPE_NAN),
        ('shard="0",result="served"} 7', 'shard="0",result="served"} 7 500000', pb.ABSENCE_TYPE_STALE),
        ('shard="0",result="served"} 7', 'shard="0",result="served"} many', pb.ABSENCE_TYPE_SCRAPE_FAILED),
        ('shard="0",result="served"} 7', 'shard="0",shard="0"} 7', pb.ABSENCE_TYPE_SCRAPE_FAILED),
        ('shard="0",result="served"} 7', 'shard="0",result="served"} 7000', pb.ABSENCE_TYPE_SCRAPE_FAILED),
        ('shard="0"', 'shard="100"', pb.ABSENCE_TYPE_NAN),
        ('shard="0"', 'shard="-1"', pb.ABSENCE_TYPE_NAN),
        (SHARDS, SHARDS + SHARDS, pb.ABSENCE_TYPE_DUPLICATE_SERIES),
        (buckets(), buckets() + buckets(), pb.ABSENCE_TYPE_DUPLICATE_SERIES),
        (buckets(), "", pb.ABSENCE_TYPE_NO_SERIES),
        ('le="0.01"', 'le="nan"', pb.ABSENCE_TYPE_NAN),
        ('le="0.01"', 'le="0.02"', pb.ABSENCE_TYPE_SCRAPE_FAILED),
        ('le="+Inf"', 'le="9"', pb.ABSENCE_TYPE_SCRAPE_FAILED),
        (
            buckets(),
            buckets({("AnalyzeLearner", v): (3, 2, 5) for v in VARIANTS}),
            pb.ABSENCE_TYPE_SCRAPE_FAILED,
        ),
    ],
)
def test_what_cannot_be_believed_is_an_absence(old: str, new: str, kind: pb.AbsenceType.ValueType) -> None:
    assert old in GOOD
    with pytest.raises(AbsenceError) as caught:
        read_counters(parse(GOOD.replace(old, new, 1)), "a", SUBJECT)
    assert caught.value.kind == kind


def test_broken_durations_of_others_are_nobodys_business() -> None:
    found = read_durations(parse(GOOD.replace('variant="variants/other"} 1', 'variant="variants/other"} NaN')),
                           VARIANTS, GATED_METHODS)  # fmt: skip
    assert len(found) == 2


def test_a_shard_or_a_duration_that_falls_is_a_reset() -> None:
    before = read_counters(parse(GOOD), "a", SUBJECT)
    fewer = buckets({("AnalyzeLearner", variant): (0, 1, 1) for variant in VARIANTS})
    for old, new in (('result="served"} 5', 'result="served"} 4'), (buckets(), fewer)):
        assert old in GOOD
        fallen = GOOD.replace(old, new, 1)
        with pytest.raises(AbsenceError) as caught:
            check_against(read_counters(parse(fallen), "a", SUBJECT), before)
        assert caught.value.kind == pb.ABSENCE_TYPE_COUNTER_RESET
