// Kernels of plain histories: passes over the events of a block, see plain.hpp and kernels.hpp for the contracts.

#include "plain.hpp"

#include "families.h"
#include "simd.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

constexpr size_t unit = 16;  // events whose bits are stored at a time
constexpr double day_length_us = 86.4e9;
constexpr uint64_t largest_plain_age = (uint64_t{1} << plain_age_bits) - 1;

COVEY_INLINE void store_bits(uint64_t* set, size_t first_event, uint64_t bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    __builtin_memcpy(reinterpret_cast<uint8_t*>(set) + first_event / 8, &half, sizeof half);
}

// Ages are whole numbers, so half a microsecond and half a day below, rounding to the nearest day is flooring: the
// distance from a tie is 5.8e-12 days and the error of the two operations below 3.9e-12 for plain ages.
COVEY_INLINE u64v day_bits(f64v age_us, double rest_of_day_us) {
    const f64v days = (age_us + (rest_of_day_us + 0.5)) * (1.0 / day_length_us) - 0.5;
    return reinterpret_cast<u64v>(days + rounding_magic);  // its low half is the day
}

// `unit` events at `i` of the block; the sign of `bad_signs` marks what is no plain age.
COVEY_INLINE void store_ages(const PlainBlock& block, size_t i, const f64v* age_us, const i64v* bad_signs,
                             double rest_of_day_us) {
    uint64_t bad = 0;
    for (size_t part = 0; part < unit / lanes_64; ++part) {
        const f64v age = age_us[part];
        bad |= signs_of(bad_signs[part]) << (part * lanes_64);
        const size_t at = i + part * lanes_64;
        store(block.age_us + at, age);
        store(block.day_age + at, __builtin_convertvector(day_bits(age, rest_of_day_us), u32h));
    }
    store_bits(block.unusable, i, bad);
}

// The sign of the result says that a time is out of range.
COVEY_INLINE i64v ages_of_unit(const int64_t* time_us, const PlainBlock& block, size_t i, int64_t as_of_us,
                               double rest_of_day_us) {
    i64v outside{};
    i64v bad_signs[unit / lanes_64];
    f64v ages[unit / lanes_64];
    for (size_t part = 0; part < unit / lanes_64; ++part) {
        const u64v time = load<u64v>(time_us + part * lanes_64);
        const u64v age = static_cast<uint64_t>(as_of_us) - time;
        outside |= reinterpret_cast<i64v>(time + (uint64_t{1} << 62));
        bad_signs[part] = reinterpret_cast<i64v>(age | (largest_plain_age - age));
        ages[part] = small_to_double(age);
    }
    store_ages(block, i, ages, bad_signs, rest_of_day_us);
    return outside;
}

COVEY_INLINE void ages_of_unit(const uint32_t* seconds, const PlainBlock& block, size_t i, double newest_us,
                               double rest_of_day_us) {
    constexpr auto limit = static_cast<double>(largest_plain_age);
    f64v ages[unit / lanes_64];
    i64v bad_signs[unit / lanes_64];
    for (size_t part = 0; part < unit / lanes_64; ++part) {
        const u64v value = __builtin_convertvector(load<u32h>(seconds + part * lanes_64), u64v);
        ages[part] = newest_us - small_to_double(value) * 1e6;
        bad_signs[part] = reinterpret_cast<i64v>(ages[part]) | reinterpret_cast<i64v>(limit - ages[part]);
    }
    store_ages(block, i, ages, bad_signs, rest_of_day_us);
}

template <typename Value>
COVEY_INLINE void copy_tail(Value* to, const Value* from, size_t size) {
    for (size_t i = 0; i < unit; ++i) to[i] = from[i < size ? i : size - 1];
}

template <typename Value, typename Out>
COVEY_INLINE uint32_t convert_values(const Value* values, size_t size, Out* out) {
    Value largest = 0;
    for (size_t i = 0; i < size; ++i) {
        const Value value = values[i];
        out[i] = static_cast<Out>(value);
        largest = value > largest ? value : largest;
    }
    return largest;
}

// day_age / 7 below 2^14 days; plain ages end before.
COVEY_INLINE i32v weeks_of(i32v day_age) {
    return reinterpret_cast<i32v>(reinterpret_cast<u32v>(day_age) * 149797u >> 20);
}

}  // namespace

// Most words of 64 events end one or two learners: those are written without asking how many.
size_t learner_ends(const int32_t* learner_index, size_t size, uint32_t* ends, uint32_t* decreases) {
    size_t count = 0;
    size_t i = 0;
    uint64_t decreasing = 0;
    for (; i + 64 < size; i += 64) {
        uint64_t bits = 0;
        for (size_t at = 0; at < 64; at += lanes_32) {
            const i32v here = load<i32v>(learner_index + i + at);
            const i32v next = load<i32v>(learner_index + i + at + 1);
            bits |= where_different(here, next) << at;
            decreasing |= where_less(next, here);
        }
        const auto first = static_cast<uint32_t>(i) + 1;
        for (int once = 0; once < 2; ++once) {
            ends[count] = first + static_cast<uint32_t>(__builtin_ctzll(bits | uint64_t{1} << 63));
            count += bits != 0;
            bits &= bits - 1;
        }
        for (; bits != 0; bits &= bits - 1) ends[count++] = first + static_cast<uint32_t>(__builtin_ctzll(bits));
    }
    for (; i < size; ++i) {
        ends[count] = static_cast<uint32_t>(i) + 1;
        count += i + 1 == size || learner_index[i] != learner_index[i + 1];
        decreasing |= static_cast<uint64_t>(i + 1 < size && learner_index[i + 1] < learner_index[i]);
    }
    *decreases = decreasing != 0;
    return count;
}

bool never_decreases(const int32_t* values, size_t size) {
    int decreases = 0;
    for (size_t i = 1; i < size; ++i) decreases |= values[i] < values[i - 1];
    return decreases == 0;
}

uint32_t widen(const void* values, size_t value_bytes, size_t size, uint32_t* out) {
    switch (value_bytes) {
        case 1: return convert_values(static_cast<const uint8_t*>(values), size, out);
        case 2: return convert_values(static_cast<const uint16_t*>(values), size, out);
        default: return convert_values(static_cast<const uint32_t*>(values), size, out);
    }
}

uint32_t to_bytes(const void* values, size_t value_bytes, size_t size, uint8_t* out) {
    switch (value_bytes) {
        case 1: return convert_values(static_cast<const uint8_t*>(values), size, out);
        case 2: return convert_values(static_cast<const uint16_t*>(values), size, out);
        default: return convert_values(static_cast<const uint32_t*>(values), size, out);
    }
}

uint32_t plain_ages(const int64_t* time_us, size_t size, int64_t as_of_us, uint64_t rest_of_day_us,
                    const PlainBlock& block) {
    const auto rest = static_cast<double>(static_cast<int64_t>(rest_of_day_us));
    i64v outside{};
    size_t i = 0;
    for (; i + unit <= size; i += unit) outside |= ages_of_unit(time_us + i, block, i, as_of_us, rest);
    if (i < size) {  // the caller's column ends here
        int64_t tail[unit];
        copy_tail(tail, time_us + i, size - i);
        outside |= ages_of_unit(tail, block, i, as_of_us, rest);
    }
    return signs_of(outside) != 0 ? some_out_of_range : 0;
}

void plain_ages_of_seconds(const uint32_t* seconds, size_t size, int64_t age_of_origin_us, uint64_t rest_of_day_us,
                           const PlainBlock& block) {
    const auto rest = static_cast<double>(static_cast<int64_t>(rest_of_day_us));
    // Beyond 2^53 us no event is plain: seconds span 2^52.
    constexpr int64_t limit = int64_t{1} << 53;
    const bool far = age_of_origin_us >= limit || age_of_origin_us <= -limit;
    const double newest_us = far ? -1.0 : static_cast<double>(age_of_origin_us);
    size_t i = 0;
    for (; i + unit <= size; i += unit) ages_of_unit(seconds + i, block, i, newest_us, rest);
    if (i < size) {
        uint32_t tail[unit];
        copy_tail(tail, seconds + i, size - i);
        ages_of_unit(tail, block, i, newest_us, rest);
    }
}

void plain_sets(const PlainBlock& block, uint32_t window_days) {
    const auto window = static_cast<int32_t>(window_days);
    for (size_t i = 0; i < block.size; i += unit) {
        uint64_t unordered = 0;
        uint64_t tied = 0;
        for (size_t part = 0; part < unit / lanes_64; ++part) {
            const f64v age = load<f64v>(block.age_us + i + part * lanes_64);
            const f64v before = load<f64v>(block.age_us + i + part * lanes_64 - 1);
            unordered |= where_less(before, age) << (part * lanes_64);
            tied |= where_equal(before, age) << (part * lanes_64);
        }
        store_bits(block.unordered, i, unordered);
        store_bits(block.tied, i, tied);
        uint64_t new_day = 0;
        uint64_t new_week = 0;
        uint64_t last_14 = 0;
        uint64_t last_28 = 0;
        uint64_t in_window = 0;
        for (size_t part = 0; part < unit / lanes_32; ++part) {
            const i32v day = load<i32v>(block.day_age + i + part * lanes_32);
            const i32v before = load<i32v>(block.day_age + i + part * lanes_32 - 1);
            const i32v week = weeks_of(day);
            const i32v week_before = weeks_of(before);
            const size_t shift = part * lanes_32;
            new_day |= where_different(day, before) << shift;
            new_week |= where_different(week, week_before) << shift;
            last_14 |= where_less(day, spread(14)) << shift;
            last_28 |= where_less(day, spread(28)) << shift;
            in_window |= where_less(day, spread(window)) << shift;
        }
        store_bits(block.new_day, i, new_day);
        store_bits(block.new_week, i, new_week);
        store_bits(block.last_14, i, last_14);
        store_bits(block.last_28, i, last_28);
        store_bits(block.in_window, i, in_window);
    }
}

void plain_feedback(const uint8_t* kind, const uint8_t* action_taken, size_t size, const PlainBlock& block) {
    const u8v wanted = static_cast<uint8_t>(4) - u8v{};
    const auto take = [&](const uint8_t* kinds, const uint8_t* actions, size_t i) __attribute__((always_inline)) {
        const uint64_t feedback = bits_of_byte(kinds, wanted);
        block.feedback[i / 64] = feedback;
        block.acted[i / 64] = actions == nullptr ? 0 : feedback & ~bits_of_byte(actions, u8v{});
    };
    size_t i = 0;
    for (; i + 64 <= size; i += 64) take(kind + i, action_taken == nullptr ? nullptr : action_taken + i, i);
    if (i < size) {
        uint8_t kinds[64] = {};
        uint8_t actions[64] = {};
        for (size_t at = i; at < size; ++at) {
            kinds[at - i] = kind[at];
            actions[at - i] = action_taken == nullptr ? 0 : action_taken[at];
        }
        take(kinds, actions, i);
    }
}

void plain_first_uses(const uint32_t* positions, size_t stride, const uint32_t* capability, const uint32_t* begins,
                      size_t count, uint64_t* first) {
    for (size_t learner = 0; learner < count; ++learner) {
        const size_t end = begins[learner + 1];
        for (size_t i = begins[learner]; i < end; i += 64) {
            const size_t size = end - i < 64 ? end - i : 64;
            uint64_t bits = 0;
            for (size_t at = 0; at < size; at += unit) {
                bits |= where_entries_count(positions, capability + i + at, static_cast<uint32_t>(i + at)) << at;
            }
            bits &= ~uint64_t{0} >> (64 - size);
            uint64_t* word = first + i / 64;
            word[0] |= bits << (i % 64);
            word[1] |= (bits >> 1) >> (63 - i % 64);
        }
        positions += stride;
    }
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
