#pragma once
// Event columns as the caller holds them: plain pointers, nothing owned, any row order.

#include <cstddef>
#include <cstdint>

namespace covey {

enum class IndexType : std::uint8_t { uint8, uint16, int32 };
enum class TimeType : std::uint8_t { microseconds_int64, seconds_uint32 };
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

// Microseconds since the epoch within +-2^62; seconds count from an origin that keeps them there.
struct TimeColumn {
    const void* data = nullptr;
    TimeType type = TimeType::microseconds_int64;
    std::int64_t origin_us = 0;  // time = origin_us + 1'000'000 * value of seconds; 0 for microseconds

    const std::int64_t* microseconds() const { return static_cast<const std::int64_t*>(data); }
    const std::uint32_t* seconds() const { return static_cast<const std::uint32_t*>(data); }
};

// `size` rows of learners given by index, in any order, or by offsets: exactly one of the two is not null. `kind` and
// `action_taken` may be null: no feedback, never acted.
struct EventColumns {
    std::size_t size = 0;
    const std::int32_t* learner_index = nullptr;
    const std::int64_t* learner_offsets = nullptr;  // learner_count + 1, rows grouped by learner in order
    std::uint32_t learner_count = 0;
    TimeColumn time;
    IndexColumn domain;
    IndexColumn capability;
    const std::uint8_t* kind = nullptr;          // 4 is feedback, all other numbers count alike
    const std::uint8_t* action_taken = nullptr;  // non-zero where feedback was acted upon
    WeightColumn weight;
};

constexpr std::uint8_t feedback_kind = 4;

std::size_t bytes_per_row(IndexType type);
std::size_t bytes_per_row(TimeType type);

// Finds the first row of the column whose value is not below `column.count` and throws std::invalid_argument that
// names both; throws std::logic_error when there is none. Cold: called once a block has seen a bad value.
[[noreturn]] void raise_bad_index(const IndexColumn& column, std::size_t size);
[[noreturn]] void raise_bad_time(const TimeColumn& column, std::size_t size);
[[noreturn]] void raise_bad_weight(const WeightColumn& column, std::size_t size);

// Throws std::invalid_argument naming the position unless the offsets ascend from 0 to `size`. O(learner_count).
void check_offsets(const std::int64_t* offsets, std::uint32_t learner_count, std::size_t size);

// Throws std::invalid_argument where an origin could bring a second out of the range of times.
void check_origin(const TimeColumn& column);

}  // namespace covey
