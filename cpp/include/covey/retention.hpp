#pragma once
// Who came back: learners active in intervals of days after their own first one.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "covey/activity.hpp"
#include "covey/cancellation.hpp"

namespace covey {

// Days `first` to `last` after a learner's first day; `no_last` is until as_of.
struct DayInterval {
    static constexpr std::int32_t no_last = std::numeric_limits<std::int32_t>::max();
    std::int32_t first = 0;
    std::int32_t last = 0;
};

// Row-major, groups x intervals.
struct RetentionCounts {
    std::vector<std::int64_t> eligible;  // learners who have completed the interval, its first day where it has no last
    std::vector<std::int64_t> retained;  // of these, who were active in it
};

// Counts learners whose interval had ended by `last_complete_day`. group[i] is a number below group_count or negative
// for a learner that is left out; those without an event are left out too. Intervals with a last day must end within
// the days of `columns.active`. Throws std::invalid_argument, and Cancelled.
RetentionCounts count_retained(const ActivityColumns& columns, std::size_t learner_count, std::size_t words,
                               const std::int32_t* group, std::size_t group_count,
                               const std::vector<DayInterval>& intervals, std::int32_t last_complete_day,
                               std::size_t threads, const Cancellation* cancellation = nullptr);

}  // namespace covey
