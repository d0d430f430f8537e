#pragma once
// Evidence on the ratio of two rates, and evidence mixed over the time at which harm may have set in. Formulas,
// assumptions and sources: covey.stats.rate_ratio_increments and covey.stats.over_start_times.

#include <cstddef>

namespace covey {

// What x candidate and y baseline events of one tick add to ln E of `ratio` against the null's; `share` is the
// candidate's of the tick's trials. 0 where the tick says nothing: a share of 0 or 1, or a null that is not a number.
double rate_ratio_step(double x, double y, double share, double null, double ratio);

// ln M of one alternative after a tick: the mass before it and what starts with it, grown by the tick's increment.
// Throws std::invalid_argument: an increment that is neither a number nor minus infinity.
double grown_log_mass(double log_mass, double log_starting, double increment);

// ln E: the masses mixed over the alternatives, and what has not started yet.
double mixed_log_masses(const double* log_masses, const double* log_weights, std::size_t alternatives,
                        double log_waiting);

}  // namespace covey
