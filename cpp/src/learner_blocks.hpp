#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/columns.hpp"
#include "kernels.hpp"

namespace covey {

// Whole learners whose rows are adjacent: those of ids[i] are begins[i] ... begins[i + 1], counted from the first row
// of the block. begins[0] is 0; ids ascend.
struct BlockLearners {
    std::vector<std::uint32_t> ids;
    std::vector<std::uint32_t> begins;

    std::size_t size() const { return ids.size(); }
    std::size_t row_count() const { return begins.back(); }
};

// Cuts columns that are grouped by learner into blocks of about `block_rows` rows, more only for a single learner.
// Throws std::length_error for a learner of 2^32 rows or more.
class LearnerBlocks {
public:
    // Rows begin ... end of columns with a learner_index; they hold whole learners if it never decreases and stays
    // below `limit`, and the first one is not negative. Where that does not hold the blocks end early.
    LearnerBlocks(const std::int32_t* learner_index, std::size_t begin, std::size_t end, std::int64_t limit,
                  std::size_t block_rows, const Kernels& kernels)
        : learner_index_(learner_index),
          row_(begin),
          first_row_(begin),
          end_(end),
          limit_(limit),
          block_rows_(block_rows),
          kernels_(kernels) {}

    // Learners begin ... end of columns with offsets, whose first is called `first_learner`. Learners without rows come
    // too.
    LearnerBlocks(const std::int64_t* offsets, std::size_t begin, std::size_t end, std::uint32_t first_learner,
                  std::size_t block_rows, const Kernels& kernels)
        : offsets_(offsets),
          learner_(begin),
          end_(end),
          first_learner_(first_learner),
          block_rows_(block_rows),
          kernels_(kernels) {}

    // Takes the next block, whose first row is row(), or returns false at the end.
    bool next();

    // Whether all rows so far were in order.
    bool is_sorted() const { return is_sorted_; }

    std::size_t row() const { return block_row_; }
    const BlockLearners& learners() const { return block_; }

private:
    bool take_by_index();
    void take_by_offsets();

    const std::int32_t* learner_index_ = nullptr;
    const std::int64_t* offsets_ = nullptr;
    std::size_t row_ = 0;  // next one, by index
    std::size_t first_row_ = 0;
    std::size_t learner_ = 0;  // next one, by offsets
    std::size_t end_;
    std::int64_t limit_ = 0;
    bool is_sorted_ = true;
    std::uint32_t first_learner_ = 0;
    std::size_t block_rows_;
    const Kernels& kernels_;
    std::size_t block_row_ = 0;
    std::vector<std::uint32_t> ends_;  // scratch
    BlockLearners block_;
};

}  // namespace covey
