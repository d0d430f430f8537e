#include "learner_blocks.hpp"

#include <algorithm>
#include <stdexcept>

namespace covey {
namespace {

std::uint32_t checked_position(std::size_t position) {
    if (position > UINT32_MAX) {
        throw std::length_error("a learner has more than 2^32 - 1 events");
    }
    return static_cast<std::uint32_t>(position);
}

}  // namespace

bool LearnerBlocks::next() {
    if (learner_index_ != nullptr) {
        return row_ != end_ && take_by_index();
    }
    if (learner_ == end_) {
        return false;
    }
    take_by_offsets();
    return true;
}

bool LearnerBlocks::take_by_index() {
    const std::int32_t* learner = learner_index_ + row_;
    const std::size_t size = std::min(block_rows_, end_ - row_);
    if (ends_.size() < size) {
        ends_.resize(size);
    }
    std::uint32_t decreases = 0;
    std::size_t count = kernels_.learner_ends(learner, size, ends_.data(), &decreases);
    is_sorted_ = decreases == 0 && learner[size - 1] < limit_ && (row_ == first_row_ || learner[-1] < learner[0]);
    if (row_ + size < end_ && learner[size] == learner[size - 1]) {  // the last one goes on
        if (count > 1) {
            --count;
        } else {
            const std::int32_t* end = std::upper_bound(learner + size, learner_index_ + end_, learner[0]);
            ends_[0] = checked_position(static_cast<std::size_t>(end - learner));
            is_sorted_ = is_sorted_ && end[-1] == learner[0] && kernels_.never_decreases(learner, ends_[0]);
        }
    }
    if (!is_sorted_) {
        return false;
    }
    block_.begins.assign(1, 0);
    block_.begins.insert(block_.begins.end(), ends_.begin(), ends_.begin() + static_cast<std::ptrdiff_t>(count));
    block_.ids.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        block_.ids[i] = static_cast<std::uint32_t>(learner[block_.begins[i]]);
    }
    block_row_ = row_;
    row_ += block_.row_count();
    return true;
}

void LearnerBlocks::take_by_offsets() {
    block_.ids.clear();
    block_.begins.assign(1, 0);
    const std::int64_t first_row = offsets_[learner_];
    do {
        block_.ids.push_back(first_learner_ + static_cast<std::uint32_t>(learner_));
        block_.begins.push_back(checked_position(static_cast<std::size_t>(offsets_[++learner_] - first_row)));
    } while (learner_ < end_ && block_.size() < block_rows_ &&
             static_cast<std::size_t>(offsets_[learner_ + 1] - first_row) <= block_rows_);
    block_row_ = static_cast<std::size_t>(first_row);
}

}  // namespace covey
