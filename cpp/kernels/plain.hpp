#pragma once
// What the kernels of plain histories share with the core: events of weight 1 whose times never decrease within a
// learner, for which a first use is a first appearance and a set of days a count of changes. Plain C types only.

#include <stddef.h>
#include <stdint.h>

namespace covey {

// A plain age is below 2^50 us, 35 years: days are exact by one multiplication, see plain_events.cpp.
constexpr int plain_age_bits = 50;

// Scratch of a block of whole learners. Arrays of events are padded: readable and writable up to 128 elements behind
// the last, and ages and days have one readable element in front of the first. Bit i of a set stands for event i; sets
// have two words more than the events need.
struct PlainBlock {
    size_t size;
    double* age_us;
    uint32_t* day_age;
    uint8_t* domain;
    uint64_t* unusable;   // set: later than as_of, or older than a plain age
    uint64_t* unordered;  // set: earlier than the event before
    uint64_t* tied;       // set: at the time of the event before
    uint64_t* new_day;    // set: on another day than the event before
    uint64_t* new_week;
    uint64_t* last_14;  // set: of a day age below 14
    uint64_t* last_28;
    uint64_t* in_window;  // set: of a day age in the frequency window
    uint64_t* feedback;
    uint64_t* acted;    // set: feedback that was acted upon
    uint64_t* first;    // set: first use of a capability
    uint64_t* repeats;  // set: strictly later than the first use; neither: at the very time of it
};

// Columns whose rows will be wanted next: they are fetched while there is computing to do.
struct PlainAhead {
    static constexpr size_t most = 6;
    uintptr_t begin[most];  // addresses
    uintptr_t end[most];
    size_t count;
};

// What learners are made of; parameters and tables, the same for every block.
struct PlainRules {
    double decay_rate;  // powers of two per microsecond
    double velocity_alpha;
    uint32_t domain_count;         // at most 256
    const int64_t* entropy_steps;  // c log2 c in steps of 2^-40 for c below entropy_size
    uint32_t entropy_size;
    const double* log2;  // of 0 ... 256
};

// One element per learner.
struct PlainSums {
    uint8_t* is_plain;  // 0: all other sums are meaningless
    double* oldest_us;
    double* newest_us;
    double* repeated;      // decayed weight of repeats, in steps
    double* decayed;       // of all
    double* average;       // moving average of new capabilities per week
    double* log2_domains;  // of the distinct ones; 1 for a single one
    double* entropy;       // of the domains, bits
    int32_t* last_14;      // events
    int32_t* last_28;      // events
    int32_t* days;         // distinct
    int32_t* window_days;
    int32_t* feedback;
    int32_t* acted;
    int32_t* top_domain;  // events
    int32_t* events;
};

struct PlainTraits {
    double velocity_kappa;
    double entropy_penalty;
    double window_days;
    double prior_acted;
    double prior_both;
};

// As TraitColumns, of one run of learners.
struct PlainColumns {
    float* learning_velocity;
    float* domain_affinity;
    float* interaction_frequency;
    float* feedback_responsiveness;
    float* retention_strength;
    float* domain_entropy;
    float* momentum;
    int64_t* event_count;
    int32_t* active_days;
    double* tenure_days;
    double* recency_days;
};

}  // namespace covey
