#include "block.hpp"

#include <limits>

namespace covey {
namespace {

// Which rows of the columns a block takes.
struct Rows {
    const std::uint32_t* permutation;  // null: as they come
    std::size_t begin;
    std::size_t size;

    // use(i, row) for every row of the block; two loops, so that the plain one can use vectors.
    template <typename Use>
    void each(const Use& use) const {
        if (permutation == nullptr) {
            for (std::size_t i = 0; i < size; ++i) {
                use(i, begin + i);
            }
        } else {
            for (std::size_t i = 0; i < size; ++i) {
                use(i, permutation[begin + i]);
            }
        }
    }
};

// Copies values to `out` and returns the largest as unsigned, so that a negative one counts as too large.
template <typename Value>
std::uint32_t widen_typed(const void* data, const Rows& rows, std::uint32_t* out) {
    const auto* values = static_cast<const Value*>(data);
    std::uint32_t largest = 0;
    rows.each([&](std::size_t i, std::size_t row) {
        const std::uint32_t value = values[row];
        out[i] = value;
        largest = value > largest ? value : largest;
    });
    return largest;
}

void widen(const IndexColumn& column, const Rows& rows, std::uint32_t* out, BadValue name) {
    std::uint32_t largest = 0;
    switch (column.type) {
        case IndexType::uint8: largest = widen_typed<std::uint8_t>(column.data, rows, out); break;
        case IndexType::uint16: largest = widen_typed<std::uint16_t>(column.data, rows, out); break;
        case IndexType::int32: largest = widen_typed<std::uint32_t>(column.data, rows, out); break;
    }
    if (largest >= column.count) {
        throw BadBlock{name};
    }
}

template <typename Value>
void widen_weight(const void* data, const Rows& rows, double* out) {
    const auto* values = static_cast<const Value*>(data);
    unsigned bad = 0;
    rows.each([&](std::size_t i, std::size_t row) {
        const double value = values[row];
        bad |= !((value >= 0.0) & (value <= std::numeric_limits<double>::max()));
        out[i] = value;
    });
    if (bad != 0) {
        throw BadBlock{BadValue::weight};
    }
}

// 1 for feedback, 17 where it was acted upon.
void mark_feedback(const EventColumns& events, const Rows& rows, std::uint8_t* out) {
    if (events.action_taken == nullptr) {
        rows.each([&](std::size_t i, std::size_t row) { out[i] = events.kind[row] == feedback_kind; });
        return;
    }
    rows.each([&](std::size_t i, std::size_t row) {
        const std::uint8_t feedback = events.kind[row] == feedback_kind;
        const std::uint8_t acted = events.action_taken[row] != 0;
        out[i] = static_cast<std::uint8_t>(feedback | ((feedback & acted) << 4));
    });
}

}  // namespace

Instant instant_of(std::int64_t as_of_us, std::int32_t day_start_seconds) {
    const std::int64_t since_day_start = as_of_us - std::int64_t{day_start_seconds} * 1'000'000;
    constexpr auto day = static_cast<std::int64_t>(day_us);
    const std::int64_t time_of_day = (since_day_start % day + day) % day;
    return {as_of_us, static_cast<std::uint64_t>(day - 1 - time_of_day)};
}

void Block::resize(std::size_t size) {
    if (age_us_.size() < size + padding) {
        age_us_.resize(size + padding);
        day_age_.resize(size + padding);
        domain_.resize(size + padding);
        capability_.resize(size + padding);
        weight_.resize(has_weight_ ? size + padding : 0);
        feedback_.resize(has_feedback_ ? size + padding : 0);
    }
}

void Block::load(const EventColumns& events, const std::uint32_t* rows, std::size_t begin, std::size_t size,
                 const Instant& instant, const Kernels& kernels) {
    has_weight_ = events.weight.type != WeightType::none;
    has_feedback_ = events.kind != nullptr;
    later_count_ = 0;
    resize(size);
    find_learners(rows == nullptr ? events.learner_index + begin : events.learner_index,
                  rows == nullptr ? nullptr : rows + begin, size);

    const Rows wanted{rows, begin, size};
    const std::int64_t* time_us = events.time.microseconds() + begin;
    if (events.time.type == TimeType::seconds_uint32) {
        const std::uint32_t* seconds = events.time.seconds();
        time_us_.resize(size);
        wanted.each([&](std::size_t i, std::size_t row) {
            time_us_[i] = events.time.origin_us + std::int64_t{1'000'000} * seconds[row];
        });
        time_us = time_us_.data();
    } else if (rows != nullptr) {
        const std::int64_t* times = events.time.microseconds();
        time_us_.resize(size);
        wanted.each([&](std::size_t i, std::size_t row) { time_us_[i] = times[row]; });
        time_us = time_us_.data();
    }
    const std::uint32_t flags =
        kernels.ages(time_us, size, instant.as_of_us, instant.rest_of_day_us, age_us_.data(), day_age_.data());
    if (flags & some_out_of_range) {
        throw BadBlock{BadValue::time};
    }
    widen(events.domain, wanted, domain_.data(), BadValue::domain);
    widen(events.capability, wanted, capability_.data(), BadValue::capability);
    if (events.weight.type == WeightType::float32) {
        widen_weight<float>(events.weight.data, wanted, weight_.data());
    } else if (has_weight_) {
        widen_weight<double>(events.weight.data, wanted, weight_.data());
    }
    if (has_feedback_) {
        mark_feedback(events, wanted, feedback_.data());
    }
    if (flags & some_later) {
        drop_later(size);
    }
}

void Block::find_learners(const std::int32_t* learner_index, const std::uint32_t* rows, std::size_t size) {
    learners_.clear();
    constexpr std::size_t stride = 16;
    std::size_t begin = 0;
    const auto learner_at = [&](std::size_t i) { return learner_index[rows == nullptr ? i : rows[i]]; };
    while (begin < size) {
        const std::int32_t learner = learner_at(begin);
        std::size_t end = begin + 1;
        // Rows of one learner are adjacent: equal ends mean equal rows between them.
        while (end + stride < size && learner_at(end + stride) == learner) {
            end += stride;
        }
        while (end < size && learner_at(end) == learner) {
            ++end;
        }
        learners_.push_back({static_cast<std::uint32_t>(learner), begin, end});
        begin = end;
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
