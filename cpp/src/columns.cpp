#include "covey/columns.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace covey {
namespace {

constexpr std::int64_t limit = std::int64_t{1} << 62;

template <typename Value>
void raise_bad_index_of_type(const IndexColumn& column, std::size_t size) {
    const auto* values = static_cast<const Value*>(column.data);
    for (std::size_t row = 0; row < size; ++row) {
        if (static_cast<std::uint32_t>(values[row]) >= column.count) {
            throw std::invalid_argument(std::string(column.name) + "[" + std::to_string(row) + "] is " +
                                        std::to_string(values[row]) + ", expected a position in [0, " +
                                        std::to_string(column.count) + ")");
        }
    }
}

template <typename Value>
void raise_bad_weight_of_type(const void* data, std::size_t size) {
    const auto* values = static_cast<const Value*>(data);
    for (std::size_t row = 0; row < size; ++row) {
        if (!(values[row] >= 0 && values[row] <= std::numeric_limits<Value>::max())) {
            throw std::invalid_argument("weight[" + std::to_string(row) + "] is " + std::to_string(values[row]) +
                                        ", expected a finite number >= 0");
        }
    }
}

}  // namespace

std::size_t bytes_per_row(IndexType type) {
    return type == IndexType::uint8 ? 1 : type == IndexType::uint16 ? 2 : 4;
}

std::size_t bytes_per_row(TimeType type) {
    return type == TimeType::seconds_uint32 ? 4 : 8;
}

void raise_bad_index(const IndexColumn& column, std::size_t size) {
    switch (column.type) {
        case IndexType::uint8: raise_bad_index_of_type<std::uint8_t>(column, size); break;
        case IndexType::uint16: raise_bad_index_of_type<std::uint16_t>(column, size); break;
        case IndexType::int32: raise_bad_index_of_type<std::int32_t>(column, size); break;
    }
    throw std::logic_error(std::string(column.name) + " changed while it was read");
}

void raise_bad_time(const TimeColumn& column, std::size_t size) {
    const std::int64_t* time_us = column.microseconds();
    for (std::size_t row = 0; row < size; ++row) {
        if (time_us[row] < -limit || time_us[row] >= limit) {
            const bool not_a_time = time_us[row] == std::numeric_limits<std::int64_t>::min();
            throw std::invalid_argument("time[" + std::to_string(row) + "] is " +
                                        (not_a_time ? "NaT" : std::to_string(time_us[row])) +
                                        ", expected microseconds since the epoch within +-2^62");
        }
    }
    throw std::logic_error("time changed while it was read");
}

void raise_bad_weight(const WeightColumn& column, std::size_t size) {
    if (column.type == WeightType::float32) {
        raise_bad_weight_of_type<float>(column.data, size);
    } else if (column.type == WeightType::float64) {
        raise_bad_weight_of_type<double>(column.data, size);
    }
    throw std::logic_error("weight changed while it was read");
}

void check_offsets(const std::int64_t* offsets, std::uint32_t learner_count, std::size_t size) {
    const auto raise = [&](std::size_t position, const std::string& expected) {
        throw std::invalid_argument("learner_offsets[" + std::to_string(position) + "] is " +
                                    std::to_string(offsets[position]) + ", expected " + expected);
    };
    if (offsets[0] != 0) {
        raise(0, "0");
    }
    for (std::size_t learner = 0; learner < learner_count; ++learner) {
        if (offsets[learner + 1] < offsets[learner]) {
            raise(learner + 1, "at least the one before it, " + std::to_string(offsets[learner]));
        }
    }
    if (offsets[learner_count] != static_cast<std::int64_t>(size)) {
        raise(learner_count, "the number of rows, " + std::to_string(size));
    }
}

void check_origin(const TimeColumn& column) {
    constexpr std::int64_t largest = limit - (std::int64_t{1} << 32) * 1'000'000;
    if (column.type == TimeType::microseconds_int64 && column.origin_us != 0) {
        throw std::invalid_argument("time_origin_us is " + std::to_string(column.origin_us) +
                                    ", expected 0 where time is in microseconds");
    }
    if (column.origin_us < -limit || column.origin_us > largest) {
        throw std::invalid_argument("time_origin_us is " + std::to_string(column.origin_us) +
                                    ", expected all times within +-2^62 microseconds of the epoch");
    }
}

}  // namespace covey
