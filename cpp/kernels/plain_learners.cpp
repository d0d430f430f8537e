// Kernels of plain histories: what follows for each learner, see plain.hpp and kernels.hpp for the contracts.

#include "plain.hpp"

#include "families.h"
#include "simd.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

constexpr double day_length_us = 86.4e9;

// Event `first` and the `size` <= 64 that follow, lowest first.
COVEY_INLINE uint64_t bits_from(const uint64_t* set, size_t first, uint64_t valid) {
    const uint64_t* word = set + first / 64;
    const size_t shift = first % 64;
    return ((word[0] >> shift) | ((word[1] << 1) << (63 - shift))) & valid;
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
