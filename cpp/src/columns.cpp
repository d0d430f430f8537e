#include "covey/columns.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace covey {
namespace {

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

void raise_bad_index(const IndexColumn& column, std::size_t size) {
    switch (column.type) {
        case IndexType::uint8: raise_bad_index_of_type<std::uint8_t>(column, size); break;
        case IndexType::uint16: raise_bad_index_of_type<std::uint16_t>(column, size); break;
        case IndexType::int32: raise_bad_index_of_type<std::int32_t>(column, size); break;
    }
    throw std::logic_error(std::string(column.name) + " changed while it was read");
}

void raise_bad_time(const std::int64_t* time_us, std::size_t size) {
    constexpr std::int64_t limit = std::int64_t{1} << 62;
    for (std::size_t row = 0; row < size; ++row) {
        if (time_us[row] < -limit || time_us[row] >= limit) {
            const bool not_a_time = time_us[row] == std::numeric_limits<std::int64_t>::min();
            throw std::invalid_argument("time_us[" + std::to_string(row) + "] is " +
                                        (not_a_time ? "NaT" : std::to_string(time_us[row])) +
                                        ", expected microseconds since the epoch within +-2^62");
        }
    }
    throw std::logic_error("time_us changed while it was read");
}

void raise_bad_weight(const WeightColumn& column, std::size_t size) {
    if (column.type == WeightType::float32) {
        raise_bad_weight_of_type<float>(column.data, size);
    } else if (column.type == WeightType::float64) {
        raise_bad_weight_of_type<double>(column.data, size);
    }
    throw std::logic_error("weight changed while it was read");
}

}  // namespace covey
