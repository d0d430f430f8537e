#pragma once
// The five traits of every learner and what else is known of their history (DESIGN section 5).
//
// A learner's traits are a function of the multiset of their events up to `as_of_us`. Sums of weights are made in fixed
// point after scaling by the learner's largest term, so the bits do not depend on row order, threads or kernels; the
// scaling costs at most n * 2^-50 of the sum up to 4,096 events of one learner and n^2 * 2^-61 beyond.

#include <cstddef>
#include <cstdint>

#include "covey/cancellation.hpp"
#include "covey/columns.hpp"

namespace covey {

struct Kernels;

struct TraitParameters {
    double velocity_alpha = 0.3;              // in (0, 1]
    double velocity_kappa = 3.0;              // new capabilities a week, > 0
    double affinity_entropy_penalty = 0.3;    // in [0, 1]
    std::int32_t frequency_window_days = 28;  // >= 1
    double feedback_prior_acted = 1.0;        // >= 0, the two sum to more than 0
    double feedback_prior_ignored = 1.0;      // >= 0
    double retention_decay_per_day = 0.05;    // >= 0
    std::int32_t day_start_seconds = 0;       // after UTC midnight, in (-86400, 86400)
};

// Throws std::invalid_argument naming the first parameter out of its range.
void check_parameters(const TraitParameters& parameters);

// Result columns of learner_count elements each, owned by the caller.
struct TraitColumns {
    float* learning_velocity;
    float* domain_affinity;
    float* interaction_frequency;
    float* feedback_responsiveness;
    float* retention_strength;
    float* domain_entropy;  // bits
    float* momentum;
    std::int64_t* event_count;  // at or before as_of
    std::int32_t* active_days;
    double* tenure_days;   // exact age of the oldest event
    double* recency_days;  // exact age of the newest event
};

// Fills `traits` for every learner and returns the number of events later than `as_of_us`.
// A learner without events at as_of has event_count 0, momentum 0.5, the feedback prior's mean, and zeros.
//
// Rows whose learner_index never decreases are read in place; others are first brought together by a stable radix
// partition (one copy of the columns, 16 to 25 bytes an event, none below 262,144 rows). O(events + learners).
// Throws std::invalid_argument for a value out of range, naming column and row, and Cancelled.
std::int64_t compute_traits(const EventColumns& events, std::int64_t as_of_us, const TraitParameters& parameters,
                            std::size_t threads, const Kernels& kernels, const TraitColumns& traits,
                            const Cancellation* cancellation = nullptr);

}  // namespace covey
