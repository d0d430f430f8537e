#pragma once
// How much more events vary than independent trials would: from tick to tick, and from learner to learner. Formulas
// and sources: covey.stats.design_effect and covey.rollout.gates.formulas.

#include <cstddef>

namespace covey {

// Sums over the ticks that have trials.
struct DispersionSums {
    double square;  // of events^2 / trials
    double events;
    double trials;
    double ticks;
};

// With one more tick, which counts where it has trials.
DispersionSums plus_tick(const DispersionSums& sums, double events, double trials);

// Pearson's dispersion statistic, never below 1; 1 with fewer ticks (at least 2) or without variation.
double design_effect(const DispersionSums& sums, double fewest_ticks);

// The same, 1 also where chance gives as much without any bursts.
double shown_design_effect(const DispersionSums& sums, double fewest_ticks);

// Standard error of the ratio of two rates from lasting differences between learners, from the baseline's shards;
// `weight` is the candidate's share of the learners. 0 without events, and where nobody gets the candidate.
double between_learner_error(const double* events, const double* trials, std::size_t shards, double weight);

}  // namespace covey
