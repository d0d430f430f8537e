#pragma once
// Is the probability of an event above, or below, a level? Formula, assumptions and source:
// covey.stats.bernoulli_level.

namespace covey {

enum class Alternative { greater, less };

// ln E of `events` in `trials` (fractions are allowed) against "p <= level" or "p >= level", with a Beta prior that
// weighs `prior` trials, truncated to its side. Finite for every valid input, exactly 0 without trials.
// Throws std::invalid_argument: not 0 <= events <= trials < infinity, or a level outside (0, 1).
double bernoulli_log_e(double events, double trials, double level, Alternative alternative, double prior);

// The ends of the interval of every level whose ln E is below `log_threshold` both ways; 0 without events, 1 without
// other trials. Throws std::invalid_argument: not 0 <= events <= trials < infinity.
double bernoulli_lower_end(double events, double trials, double log_threshold, double prior);
double bernoulli_upper_end(double events, double trials, double log_threshold, double prior);

}  // namespace covey
