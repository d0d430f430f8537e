#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/columns.hpp"

namespace covey {

// Where columns grouped by learner are cut into tasks of about equal numbers of events, each of whole learners.

// First rows of the tasks, where learner_index never decreases: the first row of the columns and others, each the first
// of a learner. Their learners ascend strictly and are in range whatever the index holds, or there is none. Needs at
// least one row.
std::vector<std::size_t> row_tasks(const EventColumns& events);

// First learners of the tasks, and learner_count behind the last. A learner of many events is one task; many learners
// without any are cut by their number.
std::vector<std::size_t> learner_tasks(const std::int64_t* offsets, std::size_t learner_count);

}  // namespace covey
