#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/cancellation.hpp"
#include "covey/columns.hpp"
#include "kernels.hpp"
#include "learner_blocks.hpp"

namespace covey {

constexpr std::uint64_t day_us = 86'400'000'000;

// Vector kernels may touch this many elements behind the end of a scratch array.
constexpr std::size_t padding = 16;

// Which column of a block held a value out of range. The caller knows the original columns and finds the row there.
enum class BadValue { domain, capability, weight, time };

struct BadBlock {
    BadValue column;
};

// What of the instant `as_of` the trait pass needs.
struct Instant {
    std::int64_t as_of_us;
    std::uint64_t rest_of_day_us;  // from as_of to the last microsecond of its day
};

Instant instant_of(std::int64_t as_of_us, std::int32_t day_start_seconds);

// A learner's events within a block.
struct LearnerRows {
    std::uint32_t learner;
    std::size_t begin;
    std::size_t end;
};

// Some thousand events of whole learners, widened and checked, in scratch that stays in the cache: the place that
// knows the types of the caller's columns.
class Block {
public:
    // The rows of learners first ... last, begins[first] of which is row + begins[first]. Events later than as_of are
    // dropped. Throws BadBlock, and Cancelled between columns.
    void load(const EventColumns& events, std::size_t row, const BlockLearners& learners, std::size_t first,
              std::size_t last, const Instant& instant, const Kernels& kernels, const Cancellation* cancellation);

    const std::vector<LearnerRows>& learners() const { return learners_; }
    std::size_t later_count() const { return later_count_; }  // of the last load

    // Columns of the events kept, padded. The indices may be relabelled in place.
    const std::uint64_t* age_us() const { return age_us_.data(); }
    const std::uint32_t* day_age() const { return day_age_.data(); }
    std::uint32_t* domain() { return domain_.data(); }
    std::uint32_t* capability() { return capability_.data(); }
    const double* weight() const { return has_weight_ ? weight_.data() : nullptr; }
    // 1 for feedback, 17 for feedback that was acted upon, else 0; null without feedback.
    const std::uint8_t* feedback() const { return has_feedback_ ? feedback_.data() : nullptr; }

private:
    void resize(std::size_t size, const Cancellation* cancellation);
    void drop_later(std::size_t size);

    std::vector<LearnerRows> learners_;
    std::vector<std::int64_t> time_us_;  // only where seconds are widened
    std::vector<std::uint64_t> age_us_;
    std::vector<std::uint32_t> day_age_;
    std::vector<std::uint32_t> domain_;
    std::vector<std::uint32_t> capability_;
    std::vector<double> weight_;
    std::vector<std::uint8_t> feedback_;
    std::size_t later_count_ = 0;
    bool has_weight_ = false;
    bool has_feedback_ = false;
};

}  // namespace covey
