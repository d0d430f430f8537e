// Kernels of plain histories, see plain.hpp and kernels.hpp for the contracts.

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

// Event `first` and the `size` <= 64 that follow, lowest first.
COVEY_INLINE uint64_t bits_from(const uint64_t* set, size_t first, uint64_t valid) {
    const uint64_t* word = set + first / 64;
    const size_t shift = first % 64;
    return ((word[0] >> shift) | ((word[1] << 1) << (63 - shift))) & valid;
}

COVEY_INLINE uint64_t bits_of_byte(const uint8_t* bytes, u8v value) {
    uint64_t bits = 0;
    for (size_t part = 0; part < 64 / lanes_8; ++part) {
        bits |= where_equal(load<u8v>(bytes + part * lanes_8), value) << (part * lanes_8 % 64);
    }
    return bits;
}

// day_age / 7 below 2^14 days; plain ages end before.
COVEY_INLINE i32v weeks_of(i32v day_age) {
    return reinterpret_cast<i32v>(reinterpret_cast<u32v>(day_age) * 149797u >> 20);
}

COVEY_INLINE uint32_t week_of(uint32_t day_age) {
    return day_age / 7;
}

// Moving average of new capabilities from the learner's first week to the week at hand.
struct Average {
    double alpha;
    double value = 0.0;
    uint32_t week;
    uint64_t pending = 0;
    bool started = false;

    void take_week() {
        value = started ? alpha * static_cast<double>(static_cast<int64_t>(pending)) + (1.0 - alpha) * value
                        : static_cast<double>(static_cast<int64_t>(pending));
        started = true;
        pending = 0;
    }
    void enter(uint32_t next_week) {
        take_week();
        for (; week > next_week + 1; --week) value = (1.0 - alpha) * value;
        week = next_week;
    }
    double finish() {
        take_week();
        for (; week > 0; --week) value = (1.0 - alpha) * value;
        return value;
    }
};

struct Domains {
    uint32_t counts[256] = {};
    uint8_t touched[256 + 1];
    int64_t compact[256 + 8];
};

struct Spread {
    uint32_t top = 0;
    uint32_t distinct = 0;
    int64_t steps = 0;
};

COVEY_INLINE void add_count(Spread& spread, uint32_t count, const PlainRules& rules) {
    spread.top = count > spread.top ? count : spread.top;
    spread.distinct += count != 0;
    spread.steps += rules.entropy_steps[count < rules.entropy_size ? count : 0];
}

COVEY_INLINE double entropy_of(const Domains& domains, const Spread& spread, size_t size, const PlainRules& rules) {
    if (spread.distinct == 1) return 0.0;
    if (size < rules.entropy_size) {
        return static_cast<double>(rules.entropy_steps[size] - spread.steps) / (static_cast<double>(size) * 0x1p40);
    }
    return static_cast<double>(entropy(domains.compact, spread.distinct, static_cast<double>(size))) * 0x1p-48;
}

// One comparison of all events per domain where domains are few, else a table.
COVEY_INLINE Spread spread_over_domains(const uint8_t* domain, size_t size, const PlainRules& rules, Domains& domains) {
    Spread spread;
#if defined(__AVX2__)
    if (size <= 64 && rules.domain_count <= size) {
        const uint64_t valid = ~uint64_t{0} >> (64 - size);
        for (uint32_t value = 0; value < rules.domain_count; ++value) {
            const uint64_t bits = bits_of_byte(domain, static_cast<uint8_t>(value) - u8v{}) & valid;
            add_count(spread, static_cast<uint32_t>(count_ones(bits)), rules);
        }
        return spread;
    }
#endif
    size_t touched = 0;
    for (size_t i = 0; i < size; ++i) {
        const uint8_t value = domain[i];
        const uint32_t known = domains.counts[value]++;
        domains.touched[touched] = value;
        touched += known == 0;
    }
    for (size_t i = 0; i < touched; ++i) {
        uint32_t& count = domains.counts[domains.touched[i]];
        add_count(spread, count, rules);
        domains.compact[i] = count;
        count = 0;
    }
    return spread;
}

struct Decayed {
    int64_t repeated;
    int64_t all;
};

COVEY_INLINE Decayed decay_of(const double* age_us, const uint8_t* use, size_t size, double rate) {
    const double newest_us = age_us[size - 1];
    const double magic = decay_magic(decay_bits(size));
    i64v repeated{};
    i64v all{};
    const auto take = [&](size_t i, i64v counted) __attribute__((always_inline)) {
        const i64v steps = decay_steps((newest_us - load<f64v>(age_us + i)) * rate, magic) & counted;
        const i64v repeat = __builtin_convertvector(load<u8e>(use + i), i64v) == 0;
        all += steps;
        repeated += steps & repeat;
    };
    size_t i = 0;
    for (; i + lanes_64 <= size; i += lanes_64) take(i, spread(int64_t{-1}));
    if (i < size) take(i, first_lanes_64(size - i));
    return {sum(repeated), sum(all)};
}

struct Counts {
    uint64_t last_14 = 0;
    uint64_t last_28 = 0;
    uint64_t days = 0;
    uint64_t window_days = 0;
    uint64_t feedback = 0;
    uint64_t acted = 0;
    uint64_t first = 0;
    uint64_t odd = 0;  // events that forbid the short way
};

COVEY_INLINE void count_chunk(const PlainBlock& block, size_t begin, size_t size, uint64_t start, Counts& counts,
                              Average& average) {
    const uint64_t valid = ~uint64_t{0} >> (64 - size);
    counts.odd |= bits_from(block.unusable, begin, valid) | bits_from(block.unordered, begin, valid & ~start);
    if (counts.odd != 0) return;  // its weeks may be anything
    counts.last_14 += count_ones(bits_from(block.last_14, begin, valid));
    counts.last_28 += count_ones(bits_from(block.last_28, begin, valid));
    const uint64_t days = bits_from(block.new_day, begin, valid) | start;
    counts.days += count_ones(days);
    counts.window_days += count_ones(days & bits_from(block.in_window, begin, valid));
    if (block.feedback != nullptr) {
        counts.feedback += count_ones(bits_from(block.feedback, begin, valid));
        counts.acted += count_ones(bits_from(block.acted, begin, valid));
    }
    uint64_t first = bits_from(block.first, begin, valid);
    counts.first += count_ones(first);
    for (uint64_t weeks = bits_from(block.new_week, begin, valid & ~start); weeks != 0; weeks &= weeks - 1) {
        const uint64_t before = (weeks & (0 - weeks)) - 1;
        average.pending += count_ones(first & before);
        first &= ~before;
        average.enter(week_of(block.day_age[begin + static_cast<size_t>(__builtin_ctzll(weeks))]));
    }
    average.pending += count_ones(first);
}

}  // namespace

size_t learner_ends(const int32_t* learner_index, size_t size, uint32_t* ends) {
    size_t count = 0;
    size_t i = 0;
    for (; i + lanes_32 < size; i += lanes_32) {
        uint64_t bits = where_different(load<i32v>(learner_index + i), load<i32v>(learner_index + i + 1));
        for (; bits != 0; bits &= bits - 1) {
            ends[count++] = static_cast<uint32_t>(i) + static_cast<uint32_t>(__builtin_ctzll(bits)) + 1;
        }
    }
    for (; i < size; ++i) {
        ends[count] = static_cast<uint32_t>(i) + 1;
        count += i + 1 == size || learner_index[i] != learner_index[i + 1];
    }
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

void plain_first_uses(const PlainBlock& block) {
    const u8v wanted = static_cast<uint8_t>(first_use) - u8v{};
    for (size_t i = 0; i < block.size; i += 64) block.first[i / 64] = bits_of_byte(block.use + i, wanted);
}

void plain_learners(const PlainBlock& block, const uint32_t* begins, size_t count, const PlainRules& rules,
                    const PlainSums& sums) {
    Domains domains;
    for (size_t learner = 0; learner < count; ++learner) {
        const size_t begin = begins[learner];
        const size_t size = begins[learner + 1] - begin;
        sums.is_plain[learner] = 0;
        if (size == 0) continue;
        const double oldest_us = block.age_us[begin];
        const double newest_us = block.age_us[begin + size - 1];
        const uint32_t oldest_day = block.day_age[begin];
        Counts counts;
        Average average{rules.velocity_alpha, 0.0, week_of(oldest_day)};
        const uint32_t oldest_week = average.week;
        for (size_t at = 0; at < size && counts.odd == 0; at += 64) {
            count_chunk(block, begin + at, size - at < 64 ? size - at : 64, at == 0, counts, average);
        }
        if (counts.odd != 0 || !((oldest_us - newest_us) * rules.decay_rate <= 1000.0) ||
            oldest_week >= 4 * counts.first + 64) {
            continue;
        }
        const Decayed decayed = decay_of(block.age_us + begin, block.use + begin, size, rules.decay_rate);
        const Spread spread = spread_over_domains(block.domain + begin, size, rules, domains);
        sums.is_plain[learner] = 1;
        sums.oldest_us[learner] = oldest_us;
        sums.newest_us[learner] = newest_us;
        sums.last_14[learner] = static_cast<double>(static_cast<int64_t>(counts.last_14));
        sums.last_28[learner] = static_cast<double>(static_cast<int64_t>(counts.last_28));
        sums.days[learner] = static_cast<double>(static_cast<int64_t>(counts.days));
        sums.window_days[learner] = static_cast<double>(static_cast<int64_t>(counts.window_days));
        sums.feedback[learner] = static_cast<double>(static_cast<int64_t>(counts.feedback));
        sums.acted[learner] = static_cast<double>(static_cast<int64_t>(counts.acted));
        sums.repeated[learner] = static_cast<double>(decayed.repeated);
        sums.decayed[learner] = static_cast<double>(decayed.all);
        sums.average[learner] = average.finish();
        sums.top_domain[learner] = static_cast<double>(spread.top);
        sums.log2_domains[learner] = spread.distinct == 1 ? 1.0 : rules.log2[spread.distinct];
        sums.events[learner] = static_cast<double>(static_cast<int64_t>(size));
        sums.entropy[learner] = entropy_of(domains, spread, size, rules);
    }
}

void plain_traits(const PlainSums& sums, size_t count, const PlainTraits& rules, const PlainColumns& out) {
    constexpr double day = day_length_us;
    for (size_t i = 0; i < count; ++i) {
        out.learning_velocity[i] = static_cast<float>(sums.average[i] / (sums.average[i] + rules.velocity_kappa));
    }
    for (size_t i = 0; i < count; ++i) {
        const double evenness = sums.entropy[i] / sums.log2_domains[i];
        const double share = sums.top_domain[i] / sums.events[i];
        const double affinity = share * (1.0 - rules.entropy_penalty * evenness);
        out.domain_affinity[i] = static_cast<float>(affinity > 0.0 ? affinity : 0.0);
        out.domain_entropy[i] = static_cast<float>(sums.entropy[i]);
    }
    for (size_t i = 0; i < count; ++i) {
        out.interaction_frequency[i] = static_cast<float>(sums.window_days[i] / rules.window_days);
        const double acted = sums.acted[i] + rules.prior_acted;
        out.feedback_responsiveness[i] = static_cast<float>(acted / (sums.feedback[i] + rules.prior_both));
    }
    for (size_t i = 0; i < count; ++i) {
        out.retention_strength[i] = static_cast<float>(sums.repeated[i] / sums.decayed[i]);
        const double share = sums.last_14[i] / sums.last_28[i];
        out.momentum[i] = static_cast<float>(sums.last_28[i] == 0.0 ? 0.5 : share);
    }
    for (size_t i = 0; i < count; ++i) {
        out.tenure_days[i] = sums.oldest_us[i] / day;
        out.recency_days[i] = sums.newest_us[i] / day;
        out.event_count[i] = static_cast<int32_t>(sums.events[i]);
        out.active_days[i] = static_cast<int32_t>(sums.days[i]);
    }
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
