#include "block.hpp"

#include <limits>

namespace covey {
namespace {

// Copies values to `out`, checked.
void widen(const IndexColumn& column, std::size_t begin, std::size_t size, std::uint32_t* out, BadValue name,
           const Kernels& kernels) {
    const std::size_t bytes = bytes_per_row(column.type);
    const auto* values = static_cast<const std::byte*>(column.data) + begin * bytes;
    if (size > 0 && kernels.widen(values, bytes, size, out) >= column.count) {
        throw BadBlock{name};
    }
}

template <typename Value>
void widen_weight(const void* data, std::size_t begin, std::size_t size, double* out) {
    const auto* values = static_cast<const Value*>(data) + begin;
    unsigned bad = 0;
    for (std::size_t i = 0; i < size; ++i) {
        const double value = values[i];
        bad |= !((value >= 0.0) & (value <= std::numeric_limits<double>::max()));
        out[i] = value;
    }
    if (bad != 0) {
        throw BadBlock{BadValue::weight};
    }
}

// 1 for feedback, 17 where it was acted upon.
void mark_feedback(const EventColumns& events, std::size_t begin, std::size_t size, std::uint8_t* out) {
    const std::uint8_t* kind = events.kind + begin;
    if (events.action_taken == nullptr) {
        for (std::size_t i = 0; i < size; ++i) {
            out[i] = kind[i] == feedback_kind;
        }
        return;
    }
    const std::uint8_t* action_taken = events.action_taken + begin;
    for (std::size_t i = 0; i < size; ++i) {
        const std::uint8_t feedback = kind[i] == feedback_kind;
        const std::uint8_t acted = action_taken[i] != 0;
        out[i] = static_cast<std::uint8_t>(feedback | ((feedback & acted) << 4));
    }
}

}  // namespace

Instant instant_of(std::int64_t as_of_us, std::int32_t day_start_seconds) {
    const std::int64_t since_day_start = as_of_us - std::int64_t{day_start_seconds} * 1'000'000;
    constexpr auto day = static_cast<std::int64_t>(day_us);
    const std::int64_t time_of_day = (since_day_start % day + day) % day;
    return {as_of_us, static_cast<std::uint64_t>(day - 1 - time_of_day)};
}

// New memory of a learner of millions of events takes as long as a pass over them.
void Block::resize(std::size_t size, const Cancellation* cancellation) {
    const auto grow = [&](auto& column) {
        if (column.size() < size + padding) {
            check_cancellation(cancellation);
            column.resize(size + padding);
        }
    };
    grow(age_us_);
    grow(day_age_);
    grow(domain_);
    grow(capability_);
    if (has_weight_) {
        grow(weight_);
    }
    if (has_feedback_) {
        grow(feedback_);
    }
}

void Block::load(const EventColumns& events, std::size_t row, const BlockLearners& learners, std::size_t first,
                 std::size_t last, const Instant& instant, const Kernels& kernels, const Cancellation* cancellation) {
    const std::size_t begin = row + learners.begins[first];
    const std::size_t size = learners.begins[last] - learners.begins[first];
    learners_.clear();
    for (std::size_t i = first; i < last; ++i) {
        learners_.push_back({learners.ids[i], learners.begins[i] - learners.begins[first],
                             learners.begins[i + 1] - learners.begins[first]});
    }
    has_weight_ = events.weight.type != WeightType::none;
    has_feedback_ = events.kind != nullptr;
    later_count_ = 0;
    resize(size, cancellation);
    check_cancellation(cancellation);

    const std::int64_t* time_us = events.time.microseconds() + begin;
    if (events.time.type == TimeType::seconds_uint32) {
        const std::uint32_t* seconds = events.time.seconds() + begin;
        time_us_.resize(size);
        for (std::size_t i = 0; i < size; ++i) {
            time_us_[i] = events.time.origin_us + std::int64_t{1'000'000} * seconds[i];
        }
        time_us = time_us_.data();
    }
    const std::uint32_t flags =
        kernels.ages(time_us, size, instant.as_of_us, instant.rest_of_day_us, age_us_.data(), day_age_.data());
    if (flags & some_out_of_range) {
        throw BadBlock{BadValue::time};
    }
    check_cancellation(cancellation);
    widen(events.domain, begin, size, domain_.data(), BadValue::domain, kernels);
    check_cancellation(cancellation);
    widen(events.capability, begin, size, capability_.data(), BadValue::capability, kernels);
    check_cancellation(cancellation);
    if (events.weight.type == WeightType::float32) {
        widen_weight<float>(events.weight.data, begin, size, weight_.data());
    } else if (has_weight_) {
        widen_weight<double>(events.weight.data, begin, size, weight_.data());
    }
    check_cancellation(cancellation);
    if (has_feedback_) {
        mark_feedback(events, begin, size, feedback_.data());
    }
    check_cancellation(cancellation);
    if (flags & some_later) {
        drop_later(size);
    }
}

// Moves the events kept to the front of every column. An event is later than as_of where its age is negative.
void Block::drop_later(std::size_t size) {
    std::size_t kept = 0;
    for (auto& learner : learners_) {
        const std::size_t begin = kept;
        for (std::size_t i = learner.begin; i < learner.end; ++i) {
            if (static_cast<std::int64_t>(age_us_[i]) < 0) {
                continue;
            }
            age_us_[kept] = age_us_[i];
            day_age_[kept] = day_age_[i];
            domain_[kept] = domain_[i];
            capability_[kept] = capability_[i];
            if (has_weight_) {
                weight_[kept] = weight_[i];
            }
            if (has_feedback_) {
                feedback_[kept] = feedback_[i];
            }
            ++kept;
        }
        learner = {learner.learner, begin, kept};
    }
    later_count_ = size - kept;
}

}  // namespace covey
