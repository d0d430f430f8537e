"""Factorisation of ids and relabelling of codes."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey import _core

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)


def pieces_of(ids: st.SearchStrategy[int]) -> st.SearchStrategy[list[list[int]]]:
    return st.lists(st.lists(ids, max_size=40), max_size=5)


@given(
    st.one_of(
        st.tuples(st.just(np.int64), st.lists(st.lists(st.one_of(st.integers(-3, 3), INT64), max_size=40), max_size=5)),
        st.tuples(
            st.just(np.uint64), st.lists(st.lists(st.one_of(st.integers(0, 5), UINT64), max_size=40), max_size=5)
        ),
    )
)
def test_codes_count_up_in_order_of_first_appearance(case: tuple[type, list[list[int]]]) -> None:
    dtype, pieces = case
    indexer = _core.IdIndexer()
    known: dict[int, int] = {}
    for piece in pieces:
        codes = indexer.encode(np.array(piece, dtype))
        assert codes.dtype == np.int32
        assert codes.tolist() == [known.setdefault(value, len(known)) for value in piece]
    assert indexer.ids().tolist() == list(known)
    if pieces:
        assert indexer.ids().dtype == dtype


def test_many_ids_survive_the_growth_of_the_table() -> None:
    ids = np.random.default_rng(0).integers(0, 200_000, 500_000) * 2**40
    indexer = _core.IdIndexer()
    codes = np.concatenate([indexer.encode(piece) for piece in np.array_split(ids, 7)])
    assert (indexer.ids()[codes] == ids).all()
    assert len(np.unique(codes)) == len(indexer.ids()) == len(np.unique(ids))


def test_one_indexer_has_one_dtype() -> None:
    indexer = _core.IdIndexer()
    indexer.encode(np.array([1], np.uint64))
    with pytest.raises(TypeError, match="ids must have dtype uint64, as in earlier calls"):
        indexer.encode(np.array([1], np.int64))
    with pytest.raises(TypeError, match="ids must have dtype int64 or uint64, not float64"):
        indexer.encode(np.array([1.0]))  # type: ignore[arg-type]


def test_threads_take_turns() -> None:
    indexer = _core.IdIndexer()
    ids = np.arange(100_000)
    found: list[bool] = []

    def encode(seed: int) -> None:
        mine = np.random.default_rng(seed).permutation(ids)
        codes = indexer.encode(mine)
        found.append(bool((indexer.ids()[codes] == mine).all()))

    threads = [threading.Thread(target=encode, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4
    assert sorted(indexer.ids().tolist()) == ids.tolist()


def test_relabel_in_place() -> None:
    codes = np.array([0, 2, 1, 2], np.int32)
    _core.relabel(codes, np.array([5, 7, 9], np.int32))
    assert codes.tolist() == [5, 9, 7, 9]


@pytest.mark.parametrize("bad", [3, -1])
def test_a_code_out_of_range_changes_nothing(bad: int) -> None:
    codes = np.array([0, 2, bad], np.int32)
    with pytest.raises(ValueError, match=rf"codes\[2\] is {bad}, expected a position in \[0, 3\)"):
        _core.relabel(codes, np.array([5, 7, 9], np.int32))
    assert codes.tolist() == [0, 2, bad]


def test_a_read_only_array_is_not_changed() -> None:
    codes = np.array([0], np.int32)
    codes.flags.writeable = False
    with pytest.raises(ValueError, match="codes is read-only"):
        _core.relabel(codes, np.array([1], np.int32))
    assert codes.tolist() == [0]
