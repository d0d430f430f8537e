#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/columns.hpp"
#include "covey/parallel.hpp"
#include "event_tasks.hpp"
#include "learner_blocks.hpp"

namespace covey {

// How passes over columns that are grouped by learner go through them: tasks of about equal numbers of events on the
// threads of a team, each cut into blocks of whole learners.

// What a pass brings along: the size of its blocks and what looks for the ends of learners in them.
struct Walk {
    const EventColumns& events;
    std::size_t block_rows;
    const Kernels& kernels;
    ThreadTeam& team;
};

// Learners without rows beside those of one task: first_absent ... first and behind ... behind_absent. Those between
// two tasks are behind the earlier one.
struct AbsentLearners {
    std::size_t first_absent;
    std::size_t first;
    std::size_t behind;
    std::size_t behind_absent;
};

// Calls analyze(LearnerBlocks&, worker) for the learners of columns with offsets, also for those without rows.
template <typename Analyze>
void walk_by_offsets(const Walk& walk, const Analyze& analyze) {
    const std::int64_t* offsets = walk.events.learner_offsets;
    const std::vector<std::size_t> begins = learner_tasks(offsets, walk.events.learner_count);
    walk.team.run(begins.size() - 1, [&](std::size_t task, std::size_t worker) {
        LearnerBlocks blocks(offsets, begins[task], begins[task + 1], 0, walk.block_rows, walk.kernels);
        analyze(blocks, worker);
    });
}

// Calls analyze(LearnerBlocks&, worker) for the learners of columns whose learner_index never decreases, and then
// pass_over(AbsentLearners). Needs at least one row.
//
// Returns false where the index decreases somewhere; then any row of the result may hold anything. Each block is
// checked before its learners are written, while it is in the nearest cache anyway. No two tasks write a row of one
// learner even if the check of another fails, for each keeps to the learners from its first row's to the next task's.
template <typename Analyze, typename PassOver>
bool walk_by_index(const Walk& walk, const Analyze& analyze, const PassOver& pass_over) {
    const std::vector<std::size_t> begins = row_tasks(walk.events);
    if (begins.empty()) {
        return false;
    }
    const std::int32_t* learner = walk.events.learner_index;
    std::atomic<bool> is_sorted{true};
    walk.team.run(begins.size(), [&](std::size_t task, std::size_t worker) {
        const std::size_t begin = begins[task];
        const bool is_last = task + 1 == begins.size();
        const std::size_t end = is_last ? walk.events.size : begins[task + 1];
        if (!is_sorted.load(std::memory_order_relaxed) || end <= begin) {
            is_sorted = false;
            return;
        }
        const std::int64_t limit = is_last ? std::int64_t{walk.events.learner_count} : learner[end];
        LearnerBlocks blocks(learner, begin, end, limit, walk.block_rows, walk.kernels);
        analyze(blocks, worker);
        if (!blocks.is_sorted()) {
            is_sorted = false;
            return;
        }
        const auto first = static_cast<std::size_t>(learner[begin]);
        pass_over(AbsentLearners{.first_absent = task == 0 ? 0 : first,
                                 .first = first,
                                 .behind = static_cast<std::size_t>(learner[end - 1]) + 1,
                                 .behind_absent = static_cast<std::size_t>(limit)});
    });
    return is_sorted;
}

}  // namespace covey
