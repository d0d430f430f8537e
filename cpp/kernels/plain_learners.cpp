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

// New capabilities of some learners by week; the moving averages of all of them are worked out side by side.
constexpr size_t learners_at_once = 16;
constexpr uint32_t weeks_at_most = 64;

struct Weeks {
    int32_t counts[weeks_at_most][learners_at_once];
    uint32_t oldest[learners_at_once];  // the learner's first week
    uint32_t oldest_of_all;
};

// From each learner's first week to week 0. Weeks before it count nothing and keep an average of 0 at 0.
COVEY_INLINE void write_averages(const Weeks& weeks, double alpha, double* averages) {
    for (size_t lane = 0; lane < learners_at_once; lane += lanes_64) {
        const u32h oldest = load<u32h>(weeks.oldest + lane);
        const i64v first_week = __builtin_convertvector(oldest, i64v);
        f64v average{};
        for (uint32_t week = weeks.oldest_of_all + 1; week-- > 0;) {
            const f64v count = __builtin_convertvector(load<i32h>(weeks.counts[week] + lane), f64v);
            const i64v is_first = first_week == spread(static_cast<int64_t>(week));
            const f64v moved = alpha * count + (1.0 - alpha) * average;
            average = is_first ? count : moved;
        }
        store(averages + lane, average);
    }
}

// The same of one learner whose first week is further back, weeks without new capabilities included.
struct LongAverage {
    double alpha;
    double value = 0.0;
    uint32_t week;
    int32_t pending = 0;
    bool started = false;

    void take_week() {
        value = started ? alpha * static_cast<double>(pending) + (1.0 - alpha) * value : static_cast<double>(pending);
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
    int32_t top = 0;
    uint32_t distinct = 0;
    int64_t steps = 0;
};

COVEY_INLINE void add_count(Spread& spread, uint32_t count, const PlainRules& rules) {
    spread.top = static_cast<int32_t>(count) > spread.top ? static_cast<int32_t>(count) : spread.top;
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
    if (size <= 128 && rules.domain_count <= size) {
        const bool is_long = size > 64;
        const uint64_t valid = ~uint64_t{0} >> (is_long ? 0 : 64 - size);
        const uint64_t valid_behind = is_long ? ~uint64_t{0} >> (128 - size) : 0;
        for (uint32_t value = 0; value < rules.domain_count; ++value) {
            const u8v wanted = static_cast<uint8_t>(value) - u8v{};
            uint64_t count = count_ones(bits_of_byte(domain, wanted) & valid);
            if (is_long) count += count_ones(bits_of_byte(domain + 64, wanted) & valid_behind);
            add_count(spread, static_cast<uint32_t>(count), rules);
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

constexpr size_t vectors_at_once = 4;

COVEY_INLINE Decayed decay_of(const PlainBlock& block, size_t begin, size_t size, double rate) {
    const double* age_us = block.age_us + begin;
    const double newest_us = age_us[size - 1];
    const double magic = decay_magic(decay_bits(size));
    i64v repeated{};
    i64v all{};
    for (size_t at = 0; at < size; at += 64) {
        const size_t chunk = size - at < 64 ? size - at : 64;
        uint64_t valid = ~uint64_t{0} >> (64 - chunk);
        uint64_t repeats = bits_from(block.repeats, begin + at, valid);
        for (size_t i = at; i < at + chunk; i += vectors_at_once * lanes_64) {
            f64v powers[vectors_at_once];
            i64v steps[vectors_at_once];
            for (size_t v = 0; v < vectors_at_once; ++v) {
                powers[v] = (newest_us - load<f64v>(age_us + i + v * lanes_64)) * rate;
            }
            decay_steps<vectors_at_once>(powers, magic, steps);
            for (size_t v = 0; v < vectors_at_once; ++v) {
                all = add_where(valid >> (v * lanes_64), all, steps[v]);
                repeated = add_where(repeats >> (v * lanes_64), repeated, steps[v]);
            }
            valid = valid >> 1 >> (vectors_at_once * lanes_64 - 1);
            repeats = repeats >> 1 >> (vectors_at_once * lanes_64 - 1);
        }
    }
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

// At most 64 events. `start`: 1 where the first of them is the learner's. take(week, first uses in it) for every week
// that has events, the oldest first; `week` is the one at hand.
template <typename Take>
COVEY_INLINE void count_chunk(const PlainBlock& block, size_t begin, size_t size, uint64_t start, Counts& counts,
                              uint32_t& week, const Take& take) {
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
        take(week, static_cast<int32_t>(count_ones(first & before)));
        first &= ~before;
        week = week_of(block.day_age[begin + static_cast<size_t>(__builtin_ctzll(weeks))]);
    }
    take(week, static_cast<int32_t>(count_ones(first)));
}

template <typename Take>
COVEY_INLINE Counts count_events(const PlainBlock& block, size_t begin, size_t size, const Take& take) {
    Counts counts;
    uint32_t week = week_of(block.day_age[begin]);
    for (size_t at = 0; at < size && counts.odd == 0; at += 64) {
        count_chunk(block, begin + at, size - at < 64 ? size - at : 64, at == 0, counts, week, take);
    }
    return counts;
}

COVEY_INLINE void write_counts(const Counts& counts, size_t size, size_t learner, const PlainSums& sums) {
    sums.last_14[learner] = static_cast<int32_t>(counts.last_14);
    sums.last_28[learner] = static_cast<int32_t>(counts.last_28);
    sums.days[learner] = static_cast<int32_t>(counts.days);
    sums.window_days[learner] = static_cast<int32_t>(counts.window_days);
    sums.feedback[learner] = static_cast<int32_t>(counts.feedback);
    sums.acted[learner] = static_cast<int32_t>(counts.acted);
    sums.events[learner] = static_cast<int32_t>(size);
}

// What the sets of bits say about at most learners_at_once learners: whether they are plain, counts and averages.
void count_learners(const PlainBlock& block, const uint32_t* begins, size_t first_learner, size_t count,
                    const PlainRules& rules, const PlainSums& sums) {
    Weeks weeks;
    weeks.oldest_of_all = 0;
    for (size_t lane = 0; lane < learners_at_once; ++lane) {
        const uint32_t week = lane < count ? week_of(block.day_age[begins[lane]]) : 0;
        weeks.oldest[lane] = week < weeks_at_most ? week : 0;
        weeks.oldest_of_all = weeks.oldest[lane] > weeks.oldest_of_all ? weeks.oldest[lane] : weeks.oldest_of_all;
    }
    for (uint32_t week = 0; week <= weeks.oldest_of_all; ++week) {
        for (size_t lane = 0; lane < learners_at_once; lane += lanes_32) store(weeks.counts[week] + lane, i32v{});
    }
    double averages[learners_at_once];
    double long_averages[learners_at_once];
    uint64_t is_long = 0;
    for (size_t lane = 0; lane < count; ++lane) {
        const size_t begin = begins[lane];
        const size_t size = begins[lane + 1] - begin;
        const size_t learner = first_learner + lane;
        sums.is_plain[learner] = 0;
        if (size == 0) continue;
        const double oldest_us = block.age_us[begin];
        const double newest_us = block.age_us[begin + size - 1];
        const uint32_t oldest_week = week_of(block.day_age[begin]);
        Counts counts;
        if (oldest_week < weeks_at_most) {
            counts = count_events(block, begin, size,
                                  [&](uint32_t week, int32_t first_uses)
                                      __attribute__((always_inline)) { weeks.counts[week][lane] += first_uses; });
        } else {
            LongAverage average{rules.velocity_alpha, 0.0, oldest_week};
            counts = count_events(block, begin, size, [&](uint32_t week, int32_t first_uses) {
                if (week != average.week) average.enter(week);
                average.pending += first_uses;
            });
            is_long |= uint64_t{1} << lane;
            if (counts.odd == 0 && oldest_week < 4 * counts.first + 64) long_averages[lane] = average.finish();
        }
        if (counts.odd != 0 || !((oldest_us - newest_us) * rules.decay_rate <= 1000.0) ||
            oldest_week >= 4 * counts.first + 64) {
            continue;
        }
        sums.is_plain[learner] = 1;
        sums.oldest_us[learner] = oldest_us;
        sums.newest_us[learner] = newest_us;
        write_counts(counts, size, learner, sums);
    }
    write_averages(weeks, rules.velocity_alpha, averages);
    for (size_t lane = 0; lane < count; ++lane) {
        sums.average[first_learner + lane] = (is_long >> lane & 1) != 0 ? long_averages[lane] : averages[lane];
    }
}

// The columns' rows that are wanted next, a few lines per learner.
class Fetching {
public:
    Fetching(const PlainAhead& ahead, size_t steps) : ahead_(ahead) {
        for (size_t column = 0; column < ahead.count; ++column) {
            lines_per_step_[column] = (ahead.end[column] - ahead.begin[column]) / (line * steps) + 1;
        }
    }
    void step() {
        for (size_t column = 0; column < ahead_.count; ++column) {
            uintptr_t& next = ahead_.begin[column];
            for (size_t i = 0; i < lines_per_step_[column] && next < ahead_.end[column]; ++i) {
                __builtin_prefetch(reinterpret_cast<const void*>(next), 0, 2);
                next += line;
            }
        }
    }

private:
    static constexpr size_t line = 64;
    PlainAhead ahead_;
    size_t lines_per_step_[PlainAhead::most];
};

void decay_learners(const PlainBlock& block, const uint32_t* begins, size_t count, const PlainRules& rules,
                    const PlainAhead& ahead, const PlainSums& sums) {
    Fetching fetching(ahead, count);
    for (size_t learner = 0; learner < count; ++learner) {
        fetching.step();
        if (!sums.is_plain[learner]) continue;
        const size_t begin = begins[learner];
        const Decayed decayed = decay_of(block, begin, begins[learner + 1] - begin, rules.decay_rate);
        sums.repeated[learner] = static_cast<double>(decayed.repeated);
        sums.decayed[learner] = static_cast<double>(decayed.all);
    }
}

void spread_learners(const PlainBlock& block, const uint32_t* begins, size_t count, const PlainRules& rules,
                     const PlainSums& sums) {
    Domains domains;
    for (size_t learner = 0; learner < count; ++learner) {
        if (!sums.is_plain[learner]) continue;
        const size_t begin = begins[learner];
        const size_t size = begins[learner + 1] - begin;
        const Spread spread = spread_over_domains(block.domain + begin, size, rules, domains);
        sums.top_domain[learner] = spread.top;
        sums.log2_domains[learner] = spread.distinct == 1 ? 1.0 : rules.log2[spread.distinct];
        sums.entropy[learner] = entropy_of(domains, spread, size, rules);
    }
}

}  // namespace

void plain_learners(const PlainBlock& block, const uint32_t* begins, size_t count, const PlainRules& rules,
                    const PlainAhead& ahead, const PlainSums& sums) {
    for (size_t first = 0; first < count; first += learners_at_once) {
        const size_t size = count - first < learners_at_once ? count - first : learners_at_once;
        count_learners(block, begins + first, first, size, rules, sums);
    }
    decay_learners(block, begins, count, rules, ahead, sums);
    spread_learners(block, begins, count, rules, sums);
}

void plain_traits(const PlainSums& sums, size_t count, const PlainTraits& rules, const PlainColumns& out) {
    constexpr double day = day_length_us;
    for (size_t i = 0; i < count; ++i) {
        out.learning_velocity[i] = static_cast<float>(sums.average[i] / (sums.average[i] + rules.velocity_kappa));
    }
    for (size_t i = 0; i < count; ++i) {
        const double evenness = sums.entropy[i] / sums.log2_domains[i];
        const double share = static_cast<double>(sums.top_domain[i]) / static_cast<double>(sums.events[i]);
        const double affinity = share * (1.0 - rules.entropy_penalty * evenness);
        out.domain_affinity[i] = static_cast<float>(affinity > 0.0 ? affinity : 0.0);
        out.domain_entropy[i] = static_cast<float>(sums.entropy[i]);
    }
    for (size_t i = 0; i < count; ++i) {
        out.interaction_frequency[i] = static_cast<float>(static_cast<double>(sums.window_days[i]) / rules.window_days);
        const double acted = static_cast<double>(sums.acted[i]) + rules.prior_acted;
        const double both = static_cast<double>(sums.feedback[i]) + rules.prior_both;
        out.feedback_responsiveness[i] = static_cast<float>(acted / both);
    }
    for (size_t i = 0; i < count; ++i) {
        out.retention_strength[i] = static_cast<float>(sums.repeated[i] / sums.decayed[i]);
        const double share = static_cast<double>(sums.last_14[i]) / static_cast<double>(sums.last_28[i]);
        out.momentum[i] = static_cast<float>(sums.last_28[i] == 0 ? 0.5 : share);
    }
    for (size_t i = 0; i < count; ++i) {
        out.tenure_days[i] = sums.oldest_us[i] / day;
        out.recency_days[i] = sums.newest_us[i] / day;
        out.event_count[i] = sums.events[i];
        out.active_days[i] = sums.days[i];
    }
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
