#pragma once
// Event columns as the caller holds them: plain pointers, nothing owned, any row order.

#include <cstddef>
#include <cstdint>

namespace covey {

enum class IndexType : std::uint8_t { uint8, uint16, int32 };
enum class WeightType : std::uint8_t { none, float32, float64 };

// Positions in a table of `count` values. `name` is what an error message calls the column.
struct IndexColumn {
    const void* data = nullptr;
    IndexType type = IndexType::int32;
    std::uint32_t count = 0;
    const char* name = "";
};

// Finite weights >= 0; `none` means that every event weighs 1.
struct WeightColumn {
    const void* data = nullptr;
    WeightType type = WeightType::none;
};

// `size` rows. `kind` and `action_taken` may be null: no feedback, never acted.
struct EventColumns {
    std::size_t size = 0;
    const std::int32_t* learner_index = nullptr;
    std::uint32_t learner_count = 0;
    const std::int64_t* time_us = nullptr;  // since the epoch, within +-2^62
    IndexColumn domain;
    IndexColumn capability;
    const std::uint8_t* kind = nullptr;          // 4 is feedback, all other numbers count alike
    const std::uint8_t* action_taken = nullptr;  // non-zero where feedback was acted upon
    WeightColumn weight;
};

constexpr std::uint8_t feedback_kind = 4;

std::size_t bytes_per_row(IndexType type);

// Finds the first row of the column whose value is not below `column.count` and throws std::invalid_argument that
// names both; throws std::logic_error when there is none. Cold: called once a block has seen a bad value.
[[noreturn]] void raise_bad_index(const IndexColumn& column, std::size_t size);
[[noreturn]] void raise_bad_time(const std::int64_t* time_us, std::size_t size);
[[noreturn]] void raise_bad_weight(const WeightColumn& column, std::size_t size);

}  // namespace covey
