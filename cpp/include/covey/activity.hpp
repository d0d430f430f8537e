#pragma once
// On which days learners were active, counted from each learner's own first day.

#include <cstddef>
#include <cstdint>
#include <limits>

#include "covey/cancellation.hpp"
#include "covey/columns.hpp"

namespace covey {

struct Kernels;

struct ActivityRules {
    std::int64_t as_of_us = 0;           // later events are ignored
    std::int32_t day_start_seconds = 0;  // after UTC midnight, in (-86400, 86400)
    std::size_t words = 1;               // of 64 days, from the first day on; 1 ... largest_activity_words
};

constexpr std::size_t largest_activity_words = 64;  // eleven years

// Result columns of learner_count elements each, owned by the caller. Days are floor((time - day start) / 86,400 s).
struct ActivityColumns {
    std::int32_t* first_day;
    std::int32_t* last_day;
    std::uint64_t* active;  // `words` per learner: bit d % 64 of word d / 64 is an event on day first_day + d
};

// Days of learners without an event at as_of.
constexpr std::int32_t no_first_day = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t no_last_day = std::numeric_limits<std::int32_t>::min();

// Fills `columns` for every learner and returns the number of events later than as_of. Of `events` only the learners
// and the times are read. Rows that are grouped by learner are read once, in place; others too, into one set of result
// columns per thread, which are merged: days of activity add up in any order.
// Throws std::invalid_argument for a value out of range, naming column and row, and Cancelled.
std::int64_t days_of_activity(const EventColumns& events, const ActivityRules& rules, std::size_t threads,
                              const Kernels& kernels, const ActivityColumns& columns,
                              const Cancellation* cancellation = nullptr);

}  // namespace covey
