"""covey's compiled core: traits, k-means, silhouette, hashes and id factorisation over NumPy columns; statistics.

Every function over columns releases the GIL while it works and takes arrays without a copy: a wrong dtype, a wrong
number of dimensions or a non-contiguous array is a `TypeError` that names the argument, a wrong length or value a
`ValueError` that names it. Results have the same bits on every instruction set, thread count and row order.

`threads` is at least 1. `isa` is None for the default implementation (the best one of this machine, or what the
environment variable COVEY_ISA names) or one of `available_isas()`.
"""

from collections.abc import Callable, Sequence
from mmap import mmap
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

_IdColumn = NDArray[np.int64] | NDArray[np.uint64]

class Cancelled(RuntimeError):  # noqa: N818 - an end that was asked for, as CancelledError elsewhere
    """Raised by a call whose `cancellation` was cancelled before its result was ready."""

class Cancellation:
    """Ends long calls early: hand it to them as `cancellation`, and cancel it from another thread.

    A call notices within about 5 ms of work, frees its threads and raises `Cancelled`.
    """

    def __init__(self) -> None: ...
    def cancel(self) -> None:
        """End the calls that hold this one, now and later; it is never taken back."""
    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""

class TraitParameters:
    """Parameters of the trait definitions.

    Raises:
        ValueError: from `compute_traits`, naming the parameter that is out of its range.
    """

    velocity_alpha: float
    """Weight of the newest week in the moving average of new capabilities, in (0, 1]."""
    velocity_kappa: float
    """New capabilities a week at which learning velocity is one half, > 0."""
    affinity_entropy_penalty: float
    """How far spread over domains lowers domain affinity, in [0, 1]."""
    frequency_window_days: int
    """Days of the interaction frequency, >= 1."""
    feedback_prior_acted: float
    """Beta prior of feedback responsiveness, >= 0; the two priors sum to more than 0."""
    feedback_prior_ignored: float
    """Beta prior of feedback responsiveness, >= 0."""
    retention_decay_per_day: float
    """Decay of retention strength, >= 0."""
    day_start_seconds: int
    """When a day begins, seconds after UTC midnight, in (-86400, 86400)."""
    def __init__(
        self,
        *,
        velocity_alpha: float = 0.3,
        velocity_kappa: float = 3.0,
        affinity_entropy_penalty: float = 0.3,
        frequency_window_days: int = 28,
        feedback_prior_acted: float = 1.0,
        feedback_prior_ignored: float = 1.0,
        retention_decay_per_day: float = 0.05,
        day_start_seconds: int = 0,
    ) -> None: ...

def days_of_activity(
    learner_index: NDArray[np.int32] | None,
    learner_count: int,
    time: NDArray[np.int64] | NDArray[np.uint32],
    as_of_us: int,
    words: int = 1,
    day_start_seconds: int = 0,
    threads: int = 1,
    isa: str | None = None,
    *,
    learner_offsets: NDArray[np.int64] | None = None,
    time_origin_us: int = 0,
    cancellation: Cancellation | None = None,
) -> dict[str, Any]:
    """On which days each learner had an event at or before `as_of_us`.

    Args:
        learner_index: as for `compute_traits`, as are `learner_offsets`, `time` and `time_origin_us`.
        learner_count: rows of the result.
        time: of the events.
        as_of_us: later events are ignored and counted.
        words: of 64 days, from the first day on; 1 to 64.
        day_start_seconds: when a day begins, seconds after UTC midnight.
        threads: at least 1.
        isa: see above.
        learner_offsets: in place of the index, rows grouped by learner.
        time_origin_us: what seconds count from.
        cancellation: ends the work early.

    Returns:
        first_day and last_day, int32, shape (learner_count,), floor((time - day start) / 86,400 s); a learner without
        events has the largest int32 and the smallest. active, uint64, shape (learner_count, words): bit d % 64 of word
        d // 64 is an event on day first_day + d. ignored_event_count, an int.
    """

def count_retained(
    first_day: NDArray[np.int32],
    last_day: NDArray[np.int32],
    active: NDArray[np.uint64],
    group: NDArray[np.int32],
    group_count: int,
    intervals: Sequence[tuple[int, int | None]],
    last_complete_day: int,
    threads: int = 1,
    *,
    cancellation: Cancellation | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Learners who have completed each interval of days after their first, and those of them active in it.

    Args:
        first_day: from `days_of_activity`, as are `last_day` and `active`.
        last_day: of the newest event.
        active: days of activity.
        group: int32, shape (n,): a number below `group_count`, or negative to leave the learner out.
        group_count: rows of the result.
        intervals: first and last day; None: every later day.
        last_complete_day: an interval is completed when its last day, or the first of one without a last, is not later.
        threads: at least 1.
        cancellation: ends the work early.

    Returns:
        Two int64 arrays of shape (group_count, intervals).
    """

def sort_histories(
    learner_index: NDArray[np.int32] | None,
    learner_count: int,
    time: NDArray[np.int64] | NDArray[np.uint32],
    threads: int = 1,
    *,
    learner_offsets: NDArray[np.int64] | None = None,
    time_origin_us: int = 0,
    cancellation: Cancellation | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets, shape (learner_count + 1,), and times of all events, each learner's together and ascending.

    Args:
        learner_index: as for `compute_traits`, as are `learner_offsets`, `time` and `time_origin_us`.
        learner_count: learners, with events or without.
        time: of the events.
        threads: at least 1.
        learner_offsets: in place of `learner_index`.
        time_origin_us: what seconds count from.
        cancellation: ends the work early.
    """

def history_features(
    offsets: NDArray[np.int64],
    time_us: NDArray[np.int64],
    as_of_us: int,
    threads: int = 1,
    *,
    cancellation: Cancellation | None = None,
) -> NDArray[np.float32]:
    """What the times before `as_of_us` say, a row per learner; NaN for one without any.

    Columns: events in the last 1, 3, 7, 14, 28, 56 days; active days in the same; active days in each of the three
    weeks before the last; days since the newest and since the first event; active days and events in all; longest gap,
    standard deviation of the gaps, gaps above 14 days, share of gaps at least as long as the silence now.

    Args:
        offsets: of `sort_histories`.
        time_us: of `sort_histories`.
        as_of_us: nothing at or after it is read.
        threads: at least 1.
        cancellation: ends the work early.
    """

def next_events(
    offsets: NDArray[np.int64],
    time_us: NDArray[np.int64],
    as_of_us: int,
    threads: int = 1,
    *,
    cancellation: Cancellation | None = None,
) -> NDArray[np.int64]:
    """Time of each learner's first event at or after `as_of_us`; the largest int64 where there is none.

    Args:
        offsets: of `sort_histories`.
        time_us: of `sort_histories`.
        as_of_us: an instant.
        threads: at least 1.
        cancellation: ends the work early.
    """

def compute_traits(
    learner_index: NDArray[np.int32] | None,
    learner_count: int,
    time: NDArray[np.int64] | NDArray[np.uint32],
    domain_index: NDArray[np.int32] | NDArray[np.uint16] | NDArray[np.uint8],
    domain_count: int,
    capability_index: NDArray[np.int32] | NDArray[np.uint16] | NDArray[np.uint8],
    capability_count: int,
    kind: NDArray[np.uint8] | None,
    action_taken: NDArray[np.uint8] | NDArray[np.bool_] | None,
    weight: NDArray[np.float32] | NDArray[np.float64] | None,
    as_of_us: int,
    parameters: TraitParameters,
    threads: int = 1,
    isa: str | None = None,
    *,
    learner_offsets: NDArray[np.int64] | None = None,
    time_origin_us: int = 0,
    cancellation: Cancellation | None = None,
) -> dict[str, NDArray[Any]]:
    """Traits of every learner from events in any row order (the definitions: DESIGN section 5).

    Args:
        learner_index: shape (n,), position of the learner, below `learner_count`; None where offsets are given.
        learner_count: length of every result column.
        time: shape (n,), within ±2**62 microseconds of the epoch: int64 microseconds since the epoch, or uint32
            seconds since `time_origin_us`.
        domain_index: shape (n,), below `domain_count`.
        domain_count: number of domains, the null domain included.
        capability_index: shape (n,), below `capability_count`.
        capability_count: number of capabilities, the null capability included.
        kind: shape (n,), numbers of the EventKind enum (4 is feedback, all others count alike); None: no feedback.
        action_taken: shape (n,), non-zero where feedback was acted upon; None: never.
        weight: shape (n,), finite and >= 0; None: 1.
        as_of_us: the instant the ages refer to; later events are counted and play no part.
        parameters: of the trait definitions.
        threads: at most this many threads; small inputs never start one.
        isa: implementation, see the module.
        learner_offsets: shape (learner_count + 1,), ascending from 0 to n: rows are grouped by learner and those of
            learner i are offsets[i] to offsets[i + 1]. In place of `learner_index`.
        time_origin_us: what uint32 seconds count from; 0 for microseconds.
        cancellation: ends the call early.

    Returns:
        Arrays of shape (learner_count,): float32 learning_velocity, domain_affinity, interaction_frequency,
        feedback_responsiveness, retention_strength, domain_entropy (bits) and momentum; int64 event_count; int32
        active_days; float64 tenure_days and recency_days. A learner without events at `as_of_us` has event_count 0
        and the zero-event values (0, 0, 0, a/(a+i), 0; momentum 0.5). Also ignored_event_count, int64 of shape ():
        the events after `as_of_us`.

    Raises:
        ValueError: an index, offset, time, weight or parameter out of range; the message names column and row.
        Cancelled: `cancellation` was cancelled.
    """

_Texts = tuple[NDArray[np.int64], NDArray[np.uint8]]

class TraitState:
    """State of learners that each event advances in O(1); `covey.trait_state.TraitState` is its friendly form.

    Learner ids are an int64 or uint64 array, or texts as (offsets, data) in Arrow's large_string layout; names are
    texts. Learners are numbered; a number holds until the next update or forget.
    """

    def __init__(self, parameters: TraitParameters) -> None: ...
    def update(
        self,
        learner_ids: _IdColumn | _Texts,
        learner_index: NDArray[np.int32] | None,
        time: NDArray[np.int64] | NDArray[np.uint32],
        domain_index: NDArray[np.int32] | NDArray[np.uint16] | NDArray[np.uint8],
        domain_names: _Texts,
        capability_index: NDArray[np.int32] | NDArray[np.uint16] | NDArray[np.uint8],
        capability_names: _Texts,
        kind: NDArray[np.uint8] | None,
        action_taken: NDArray[np.uint8] | NDArray[np.bool_] | None,
        weight: NDArray[np.float32] | NDArray[np.float64] | None,
        *,
        learner_offsets: NDArray[np.int64] | None = None,
        time_origin_us: int = 0,
        cancellation: Cancellation | None = None,
    ) -> None:
        """Add events; columns as for `compute_traits`. `Cancelled` leaves a state that refuses further work."""

    def traits(
        self,
        learners: NDArray[np.int64],
        as_of_us: int,
        parameters: TraitParameters,
        *,
        cancellation: Cancellation | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Columns as of `compute_traits`, one row for each learner number."""

    def learners(self) -> NDArray[np.int64]:
        """The numbers of all learners."""
    def find(self, learner_ids: _IdColumn | _Texts) -> NDArray[np.int64]:
        """The number of each id, -1 where it has no events."""
    def ids(self, learners: NDArray[np.int64]) -> _IdColumn | _Texts:
        """The ids of learner numbers: integers where all ids ever came as integers and fit one type, else texts."""
    def forget(self, learner_ids: _IdColumn | _Texts) -> int:
        """Remove learners; returns how many events they had."""
    def save(self, write: Callable[[bytes], object], *, cancellation: Cancellation | None = None) -> None:
        """Hand the bytes to `write`, in pieces of about 1 MiB."""
    @staticmethod
    def load(data: bytes | memoryview | mmap, *, cancellation: Cancellation | None = None) -> TraitState:
        """The state of saved bytes; ValueError where they are damaged or of another version."""
    @property
    def parameters(self) -> TraitParameters: ...
    @property
    def learner_count(self) -> int: ...
    @property
    def event_count(self) -> int: ...
    @property
    def newest_us(self) -> int: ...
    @property
    def byte_count(self) -> int: ...

class IdIndexer:
    """Incremental factorisation of int64 or uint64 ids (one dtype per indexer), at most 2**31 - 1 distinct ones."""

    def __init__(self) -> None: ...
    def encode(self, ids: _IdColumn) -> NDArray[np.int32]:
        """Codes of `ids`, shape (n,), numbered in order of first appearance over all calls."""
    def ids(self) -> _IdColumn:
        """The distinct ids by code; int64 before the first `encode`."""

def relabel(codes: NDArray[np.int32], new_code_of_old: NDArray[np.int32]) -> None:
    """Replace every code c by new_code_of_old[c], in place; a code out of range is an error that changes nothing."""

def hash_integers(ids: _IdColumn) -> NDArray[np.uint64]:
    """FNV-1a 64 of the decimal text of each id."""

def hash_strings(offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """FNV-1a 64 of each UTF-8 string; string i is data[offsets[i]:offsets[i + 1]] (Arrow's large_string buffers)."""

def crc32(pieces: Sequence[bytes | memoryview | mmap]) -> int:
    """CRC-32 (zlib's) of contiguous pieces one after the other, without the GIL and at about the speed of memory."""

def murmur3_x86_32(data: bytes, seed: int = 0) -> int:
    """MurmurHash3 x86 32-bit of `data`."""

def bucket_integers(salt: str, ids: _IdColumn) -> NDArray[np.uint32]:
    """Routing bucket murmur3_x86_32(utf8(salt + ":" + decimal text of the id)) of each id."""

def bucket_strings(salt: str, offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Routing bucket murmur3_x86_32(utf8(salt + ":" + id)) of each UTF-8 string (buffers as in `hash_strings`)."""

def seed_centroids(
    points: NDArray[np.float32],
    id_hashes: NDArray[np.uint64],
    k: int,
    seed: int,
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> NDArray[np.float32]:
    """k-means++ by exponential race on the ids' hashes, so that the choice never depends on a point's position.

    The first j rows are the answer for k = j: one call serves every smaller k.

    Args:
        points: shape (d, n), d <= 32, one row per trait, finite.
        id_hashes: shape (n,), from `hash_integers` or `hash_strings`.
        k: number of centroids, 1 <= k <= n.
        seed: 0 <= seed < 2**64.
        threads: at most this many threads.
        isa: implementation, see the module.
        cancellation: stops the call from another thread, which raises `Cancelled`.

    Returns:
        Shape (k', d): k' < k where there are fewer distinct points than k.
    """

class KMeansResult:
    """What `kmeans` found. Labels, sizes and inertia belong to `centroids`."""

    @property
    def centroids(self) -> NDArray[np.float32]:
        """Shape (k, d)."""
    @property
    def labels(self) -> NDArray[np.int32]:
        """Shape (n,): the lowest index among the nearest centroids."""
    @property
    def sizes(self) -> NDArray[np.int64]:
        """Shape (k,): points per label."""
    @property
    def inertia(self) -> float:
        """Sum of squared distances, in steps of 2**-32 per point."""
    @property
    def iterations(self) -> int:
        """Number of centroid updates."""
    @property
    def converged(self) -> bool:
        """Whether the last update changed no label."""

def kmeans(
    points: NDArray[np.float32],
    initial_centroids: NDArray[np.float32],
    max_iterations: int = 300,
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> KMeansResult:
    """Lloyd's algorithm with sums in fixed point: assign, then update and assign until no label changes.

    Args:
        points: shape (d, n), d <= 32, n <= 2**30, finite, C-contiguous: one row per trait.
        initial_centroids: shape (k, d), k >= 1.
        max_iterations: bound of the number of centroid updates, >= 0.
        threads: at most this many threads.
        isa: implementation, see the module.
        cancellation: stops the call from another thread, which raises `Cancelled`.

    Raises:
        ValueError: shapes that do not fit, values that are not finite or too large for the fixed-point sums.
    """

class PartialKMeans:
    """One part's share of Lloyd's iterations: sums that add over parts, in steps of 2**-32, exact in int64.

    Args:
        points: shape (d, n), d <= 32, finite; n may be 0. Kept, and not to be changed.
        centroids: shape (k, d): the first labels are for them.
        ranges: float32, shape (2, d): the lowest and the highest values in any part.
        max_iterations: how many steps may follow.
        threads: at most this many threads.
        isa: implementation, see the module.

    Raises:
        ValueError: for points outside of the ranges.
    """

    def __init__(
        self,
        points: NDArray[np.float32],
        centroids: NDArray[np.float32],
        ranges: NDArray[np.float32],
        max_iterations: int = 300,
        threads: int = 1,
        isa: str | None = None,
    ) -> None: ...
    def step(self, centroids: NDArray[np.float32]) -> None:
        """The labels for other centroids, shape (k, d)."""
    def finish(self) -> tuple[NDArray[np.int32], int]:
        """Labels (n,) and the sum of the squared distances in steps of 2**-32; no step may follow."""
    @property
    def sums(self) -> NDArray[np.int64]:
        """Shape (k, d): sums of the points per label in steps of 2**-32."""
    @property
    def sizes(self) -> NDArray[np.int64]:
        """Shape (k,)."""
    @property
    def changed(self) -> int:
        """Labels that the last step changed; n at first."""

class PartialSeeding:
    """One part's share of `seed_centroids`: the least winner of all parts is the next centroid of all.

    Args:
        points: shape (d, n), finite; n may be 0. Kept, and not to be changed.
        id_hashes: shape (n,).
        seed: as of `seed_centroids`.
        threads: at most this many threads.
        isa: implementation, see the module.
    """

    def __init__(
        self,
        points: NDArray[np.float32],
        id_hashes: NDArray[np.uint64],
        seed: int,
        threads: int = 1,
        isa: str | None = None,
    ) -> None: ...
    def winner(self, round: int) -> tuple[float, int, int] | None:  # noqa: A002
        """Score, id hash and position of the part's best after `round` centroids; None where no point is left."""
    def add_centroid(self, centroid: NDArray[np.float32]) -> None:
        """The next centroid, shape (d,)."""

def assign(
    points: NDArray[np.float32],
    centroids: NDArray[np.float32],
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Label of the nearest centroid (the lowest among equals) and the squared distance to it, each of shape (n,)."""

def nearest_points(
    points: NDArray[np.float32],
    queries: NDArray[np.float32],
    count: int,
    include: NDArray[np.bool_] | None = None,
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `count` nearest points to each query, exact: their numbers and squared distances, each of shape (q, count).

    Args:
        points: shape (d, n), finite.
        queries: shape (q, d), finite.
        count: 1 to 65,535.
        include: shape (n,), which points are candidates; all by default.
        threads: see `assign`.
        isa: see `assign`.
        cancellation: see `assign`.

    Returns:
        Nearest first, the lower number among equals; number -1 and an infinite distance where there are fewer.
    """

def silhouette(
    points: NDArray[np.float32],
    labels: NDArray[np.int32],
    k: int,
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> float:
    """Mean silhouette over all points, Euclidean and exact: n**2 distances, so call it with a sample.

    A point alone in its cluster, and one with no distance to any other, has silhouette 0.

    Args:
        points: shape (d, n), d <= 32, n <= 2**20, finite.
        labels: shape (n,), in [0, k).
        k: number of clusters; empty ones are allowed.
        threads: at most this many threads.
        isa: implementation, see the module.
        cancellation: stops the call from another thread, which raises `Cancelled`.

    Raises:
        ValueError: fewer than two non-empty clusters, a label out of range, shapes that do not fit.
    """

def silhouettes(
    points: NDArray[np.float32],
    labels: NDArray[np.int32],
    ks: Sequence[int],
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> NDArray[np.float64]:
    """`silhouette` of several labellings, shape (m,), each with the bits it has alone; every distance is made once.

    Args:
        points: shape (d, n), as of `silhouette`.
        labels: shape (m, n): labelling i in [0, ks[i]).
        ks: number of clusters of each labelling, m in all.
        threads: at most this many threads.
        isa: implementation, see the module.
        cancellation: ends the work early with `Cancelled`.

    Raises:
        ValueError: as `silhouette`, for any labelling.
    """

def smallest_hashes(id_hashes: NDArray[np.uint64], seed: int, count: int) -> NDArray[np.int64]:
    """Positions of the `count` smallest mix(seed, 65535, hash), ascending, ties by hash: the silhouette sample."""

class LearnerQuestion:
    """A plain AnalyzeLearnerRequest: packed columns, every value in its range, nothing unusual about it."""

    @property
    def message(self) -> bytes:
        """The request."""
    @property
    def learner_id(self) -> str: ...
    @property
    def segment(self) -> str: ...
    @property
    def as_of_us(self) -> int | None:
        """Microseconds since the epoch; None where the request leaves it to the server."""
    @property
    def event_count(self) -> int:
        """At least 1."""
    def bucket(self, salt: str) -> int:
        """Routing bucket of the learner, as `bucket_strings`."""

class LearnerQuestions:
    """The questions of an AnalyzeLearnersRequest by position."""

    def __len__(self) -> int: ...
    def message(self, position: int) -> bytes:
        """The AnalyzeLearnerRequest."""
    def question(self, position: int) -> LearnerQuestion | None:
        """The question; None unless it is plain."""
    def plain_positions(self) -> list[int]: ...
    def other_positions(self) -> list[int]: ...
    def buckets(self, salt: str, positions: list[int]) -> NDArray[np.uint32]:
        """Routing bucket of each learner; the questions are plain."""

class OnlineAnalyzer:
    """Answers plain questions with the bits of `compute_traits` and `assign`.

    Args:
        parameters: of the trait definitions.
        scale: shape (5,), of the traits.
        centroids: shape (k, 5), of the scaled traits; k = 0: no cohorts.
        tails: by cohort (one without cohorts) the serialized fields behind `traits` of an AnalyzeLearnerResponse.
        isa: implementation, see the module.
    """

    def __init__(
        self,
        parameters: TraitParameters,
        scale: NDArray[np.float32],
        centroids: NDArray[np.float32],
        tails: list[bytes],
        isa: str | None = None,
    ) -> None: ...
    def answer(self, question: LearnerQuestion, as_of_us: int) -> bytes | None:
        """The AnalyzeLearnerResponse at an instant; None without an event then.

        Keeps the interpreter up to 4,096 events: giving it away costs more than the answer.
        """
    def answer_many(
        self, questions: LearnerQuestions, positions: list[int], default_as_of_us: int
    ) -> list[bytes | None]:
        """`answer` at each question's instant, one call of the kernels for all that name the same one.

        Args:
            questions: of a message.
            positions: of plain ones.
            default_as_of_us: for those that name no instant.
        """

def read_question(message: bytes) -> LearnerQuestion | None:
    """A serialized AnalyzeLearnerRequest, unless it is not plain: then its message tells what it is."""

def read_questions(message: bytes) -> LearnerQuestions | None:
    """A serialized AnalyzeLearnersRequest; None where it has other than questions in it."""

class AppendedChunk:
    """A plain AppendEventsRequest with a packed chunk whose learners are integers."""

    @property
    def message(self) -> bytes:
        """The request."""
    @property
    def chunk_sequence(self) -> int: ...
    @property
    def row_count(self) -> int:
        """At least 1."""
    @property
    def newest_us(self) -> int:
        """Time of the newest event, microseconds since the epoch."""
    @property
    def domains(self) -> list[str]:
        """Names by position; empty where the column is absent."""
    @property
    def capabilities(self) -> list[str]:
        """As `domains`."""
    @property
    def layout(self) -> list[tuple[str, str, int]]:
        """(name, NumPy type, first byte in `message`) of each column that is there.

        Of learner_id, time, domain, capability, kind, action_taken, weight.
        """
    @property
    def shape(self) -> bytes:
        """Equal for chunks of the same columns, types and dictionaries."""

def read_chunk(message: bytes) -> AppendedChunk | None:
    """A serialized AppendEventsRequest, checked value by value; None unless it is plain."""

def learners_response(answers: list[bytes | None], failures: dict[int, bytes]) -> bytes:
    """A serialized AnalyzeLearnersResponse of the learners' responses; where there is none, of google.rpc.Statuses.

    Args:
        answers: by position.
        failures: by position of what has no answer.
    """

_MetricColumn = NDArray[np.float32] | NDArray[np.float64]
_Sums = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]

REPLICATE_LIMIT: int
"""Replicates are numbered below this."""

def grouped_moments(
    group_index: NDArray[np.uint8] | NDArray[np.int32] | None,
    group_count: int,
    metrics: Sequence[_MetricColumn],
    products: Sequence[tuple[int, int]],
    include: NDArray[np.bool_] | NDArray[np.uint8] | NDArray[np.int8] | None = None,
    names: Sequence[str] | None = None,
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> _Sums:
    """Rows, sums and sums of products per group, in fixed point and therefore in no order.

    Every term is rounded once to 2**-51 of the product of its metrics' bounds (the power of two above the largest
    magnitude), and the integers are summed in 128 bits.

    Args:
        group_index: shape (n,), below `group_count`; None: one group.
        group_count: 1 ... 64.
        metrics: 1 ... 8 columns of shape (n,).
        products: pairs of metric numbers, at most 36; (i, i) is the sum of squares.
        include: shape (n,), 0 where a row plays no part; None: every row does.
        names: of the metrics, for errors.
        threads: at most this many threads.
        isa: implementation, see the module.
        cancellation: see `Cancellation`.

    Returns:
        count (g,), sum (g, metrics), product (g, products).

    Raises:
        ValueError: a value that is not finite or not below 2**480, or a code that is no group; names column and row.
    """

def rerandomise(
    id_hashes: NDArray[np.uint64],
    metrics: Sequence[_MetricColumn],
    seed: int,
    replicate_count: int,
    share_basis_points: int,
    first_replicate: int = 0,
    products: Sequence[tuple[int, int]] = (),
    group_index: NDArray[np.uint8] | NDArray[np.int32] | None = None,
    group_count: int = 1,
    include: NDArray[np.bool_] | NDArray[np.uint8] | NDArray[np.int8] | None = None,
    names: Sequence[str] | None = None,
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> tuple[_Sums, _Sums]:
    """Sums of both arms of many random splits, candidate and baseline, see `covey.resampling.rerandomise`.

    The arrays of each arm: count (g, replicates), sum (g, replicates, metrics), product (g, replicates, products).
    Arguments and errors as `grouped_moments`; seed below 2**48, replicates numbered below REPLICATE_LIMIT.
    """

def poisson_bootstrap(
    id_hashes: NDArray[np.uint64],
    metrics: Sequence[_MetricColumn],
    seed: int,
    replicate_count: int,
    first_replicate: int = 0,
    products: Sequence[tuple[int, int]] = (),
    group_index: NDArray[np.uint8] | NDArray[np.int32] | None = None,
    group_count: int = 1,
    include: NDArray[np.bool_] | NDArray[np.uint8] | NDArray[np.int8] | None = None,
    names: Sequence[str] | None = None,
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> _Sums:
    """Sums weighted by Poisson(1) numbers, see `covey.resampling.poisson_bootstrap`; shapes as `rerandomise`."""

_BucketCounts = tuple[int, NDArray[np.int64]]

def count_in_log_buckets(
    values: _MetricColumn,
    growth: float,
    name: str = "values",
    threads: int = 1,
    isa: str | None = None,
    cancellation: Cancellation | None = None,
) -> tuple[int, _BucketCounts, _BucketCounts]:
    """Zeros, then (first bucket, counts) of positive and of negative values.

    Bucket b holds growth**(b - 1) < magnitude <= growth**b; magnitudes below 2**-1022 are zeros.

    Raises:
        ValueError: a value that is not finite (names the row), or a growth outside [1.001, 2].
    """

_IsaName = Literal["avx512", "avx2", "baseline", "neon"]

def active_isa() -> _IsaName:
    """The default implementation.

    Raises:
        ValueError: COVEY_ISA names none of `available_isas()`.
    """

def available_isas() -> list[_IsaName]:
    """Implementations that this machine can run, best first."""

def build_info() -> dict[str, str]:
    """`version`, `compiler` and `isa` (the default implementation)."""

# The arithmetic of covey.stats, whose docstrings say what it is. Elementwise functions broadcast, and give a float
# where every argument is a number. They convert what they are given to float64, and hold the GIL.

_Numbers = float | NDArray[Any]
_Result = float | NDArray[np.float64]

def stirling_remainder(z: _Numbers, /) -> _Result:
    """As `covey.stats.special.stirling_remainder`."""

def log_sum_exp(values: NDArray[np.float64], /) -> NDArray[np.float64]:
    """`ln sum(exp(values))` over the last axis; minus infinity where every term is."""

def bernoulli_log_e_greater(successes: _Numbers, trials: _Numbers, p0: _Numbers, prior: float, /) -> _Result:
    """As `covey.stats.bernoulli_level`, and refuses the same counts and levels."""

def bernoulli_log_e_less(successes: _Numbers, trials: _Numbers, p0: _Numbers, prior: float, /) -> _Result:
    """The other alternative."""

def bernoulli_lower_end(successes: _Numbers, trials: _Numbers, log_threshold: float, prior: float, /) -> _Result:
    """As `covey.stats.bernoulli_interval`, with ln(1 / alpha), and refuses the same counts."""

def bernoulli_upper_end(successes: _Numbers, trials: _Numbers, log_threshold: float, prior: float, /) -> _Result:
    """The other end."""

def rate_ratio_step(x: _Numbers, y: _Numbers, share: _Numbers, null: _Numbers, ratio: _Numbers, /) -> _Result:
    """As `covey.stats.rates.ratio_terms`."""

def advance_start_times(
    log_masses: NDArray[np.float64] | None,
    log_increments: NDArray[np.float64],
    log_weights: NDArray[np.float64],
    log_at_start: float,
    log_starting: float,
    log_waiting: float,
    /,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One tick of `covey.stats.over_start_times`: masses of the increments' shape, ln E without the last axis."""

def design_effect(
    square: ArrayLike, events: ArrayLike, trials: ArrayLike, ticks: ArrayLike, fewest_ticks: float, /
) -> _Result:
    """As `covey.stats.dispersion.effect_of_sums`."""

def shown_design_effect(
    square: ArrayLike, events: ArrayLike, trials: ArrayLike, ticks: ArrayLike, fewest_ticks: float, /
) -> _Result:
    """As `covey.stats.dispersion.shown_effect_of_sums`."""

def plus_tick(
    square: NDArray[np.float64],
    events: NDArray[np.float64],
    trials: NDArray[np.float64],
    ticks: NDArray[np.float64],
    tick_events: NDArray[np.float64],
    tick_trials: NDArray[np.float64],
    /,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """As `covey.stats.dispersion.sums_with_tick`."""

def between_learner_error(
    shard_events: NDArray[np.float64], shard_trials: NDArray[np.float64], weight: NDArray[np.float64], /
) -> NDArray[np.float64]:
    """As `covey.stats.dispersion.between_learner_error`."""

def two_sided_half_width(variance: ArrayLike, n: ArrayLike, alpha: ArrayLike, n_star: float, /) -> _Result:
    """Half of the width of `covey.stats.asymptotic_cs`, and refuses the same variances, n and alpha."""

def one_sided_half_width(variance: ArrayLike, n: ArrayLike, alpha: ArrayLike, n_star: float, /) -> _Result:
    """From the mean to the bounded end of a one-sided sequence."""

def relative_effects(
    candidate: NDArray[np.float64], baseline: NDArray[np.float64], with_covariate: NDArray[np.bool_], /
) -> NDArray[np.float64]:
    """As `covey.stats.means.relative_effects_of_sums`."""

def generalised_q(effects: ArrayLike, standard_errors: ArrayLike, tau2: float, /) -> float:
    """Cochran's Q with weights 1 / (standard_error^2 + tau2); refuses what `covey.stats.heterogeneity` does."""

def tau2_of_q(effects: ArrayLike, standard_errors: ArrayLike, target: float, /) -> float:
    """The tau2 at which Q falls to the target; 0 where it is no more without any."""
