#pragma once
// What a learner's times say before an instant: counts in windows, silence, gaps. Nothing from the instant on is read.

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "covey/cancellation.hpp"
#include "covey/columns.hpp"

namespace covey {

// Times of all learners, each one's in ascending order. Arrays of the caller.
struct Histories {
    const std::int64_t* offsets;  // learner_count + 1
    const std::int64_t* time_us;
    std::size_t learner_count;
};

// Fills offsets (learner_count + 1) and time_us (events.size), which the caller owns: every learner's times together
// and ascending. Of `events` only the learners and the times are read. O(events) plus the sorting of learners whose
// rows are not in the order of time.
// Throws std::invalid_argument naming column and row, and Cancelled.
void sort_histories(const EventColumns& events, std::size_t threads, std::int64_t* offsets, std::int64_t* time_us,
                    const Cancellation* cancellation = nullptr);

constexpr std::array<std::int32_t, 6> window_days = {1, 3, 7, 14, 28, 56};
constexpr std::size_t earlier_weeks = 3;

// Columns of a row of features, in this order:
//   events in the last 1, 3, 7, 14, 28, 56 days; active days in the same; active days in each of the three weeks before
//   the last one; days since the newest and since the first event; active days and events in all; the longest gap
//   between neighbouring active days, the standard deviation of the gaps, their number above 14 days, and the share of
//   gaps that were at least as long as the silence now.
// Days are 24 hours counted back from the instant: day j holds the times in (as_of - (j + 1) days, as_of - j days) and
// the earlier edge, so no day of the calendar and no zone is needed. Gaps are differences of the numbers of active
// days; the silence now is the number of the newest active day + 1.
constexpr std::size_t history_feature_count = 2 * window_days.size() + earlier_weeks + 8;

constexpr std::int64_t no_next_event = std::numeric_limits<std::int64_t>::max();

// Row i of `features` (learner_count x history_feature_count) becomes that of learner i, from events before as_of_us
// alone; a learner without such events gets NaN in every column. O(events before as_of_us).
// Throws std::invalid_argument for a time out of range and Cancelled.
void history_features(const Histories& histories, std::int64_t as_of_us, std::size_t threads, float* features,
                      const Cancellation* cancellation = nullptr);

// next_us[i] becomes the time of learner i's first event at or after as_of_us, or no_next_event.
void next_events(const Histories& histories, std::int64_t as_of_us, std::size_t threads, std::int64_t* next_us,
                 const Cancellation* cancellation = nullptr);

}  // namespace covey
