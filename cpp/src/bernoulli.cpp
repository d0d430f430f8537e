#include "covey/bernoulli.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "covey/math.hpp"
#include "covey/special.hpp"

namespace covey {
namespace {

// Halvings of the bracket of an interval's end, which is a logit: what they leave of it is below 1e-11.
constexpr int bisection_steps = 43;
constexpr double widest_logit = 45.0;

struct Level {
    double p;
    double q;  // 1 - p, apart because it may be too small to be a difference
};

void require_counts(double events, double trials) {
    if (!(std::isfinite(events) && std::isfinite(trials))) {
        throw std::invalid_argument("successes and trials must be finite numbers");
    }
    if (events < 0 || events > trials) {
        throw std::invalid_argument("successes must lie between 0 and trials");
    }
}

// weight ln(1 + value), and 0 where the weight is 0, whatever the value.
double weighted_log(double weight, double value) {
    return weight > 0 ? weight * log_of_one_plus(std::max(value, -1.0 + 1e-16)) : 0.0;
}

// ln B(A, B) - S ln p - F ln q with A = a + S, B = b + F: S ln((A/T)/p) + F ln((B/T)/q) gathers the large terms, and
// their logarithms are near 0 near the null.
double log_weighted_beta(double events, double others, Level level, double a, double b) {
    const double upper_a = a + events;
    const double upper_b = b + others;
    const double total = upper_a + upper_b;
    const double trials = events + others;
    // Both forms are the same number; each keeps its digits where its probability is small.
    const double excess = level.p < 0.5 ? events - trials * level.p : trials * level.q - others;
    return weighted_log(events, excess / (total * level.p)) + weighted_log(others, -excess / (total * level.q)) +
           (a - 0.5) * natural_log(upper_a / total) + (b - 0.5) * natural_log(upper_b / total) -
           0.5 * natural_log(total) + half_log_two_pi +
           (stirling_remainder(upper_a) + stirling_remainder(upper_b) - stirling_remainder(total));
}

// ln B(A, B) + ln sf(p; A, B) - S ln p - F ln q: the logarithm of the prior's integral, beyond p, of the likelihood
// relative to that at p. sf(p; A, B) = I_q(B, A) = 1 - I_p(A, B); the fraction takes the one that it converges fast
// for.
double log_weighted_tail(double events, double others, Level level, double prior) {
    const double a = prior * level.p;
    const double b = prior * level.q;
    const double upper_a = a + events;
    const double upper_b = b + others;
    const double powers = a * natural_log(level.p) + b * natural_log(level.q);
    if (level.q * (upper_a + upper_b + 2.0) < upper_b + 1.0) {
        return powers - natural_log(upper_b) + log_beta_fraction(upper_b, upper_a, level.q);
    }
    const double beta = log_weighted_beta(events, others, level, a, b);
    const double log_below = powers - natural_log(upper_a) + log_beta_fraction(upper_a, upper_b, level.p) - beta;
    return beta + log_of_one_plus(-std::min(exponential(log_below), 1.0 - 1e-16));
}

// Against "p <= level". Without data both terms are the same number, so that the difference is exactly 0.
double log_e_above(double events, double others, Level level, double prior) {
    return log_weighted_tail(events, others, level, prior) - log_weighted_tail(0.0, 0.0, level, prior);
}

Level expit(double logit) {
    return {1.0 / (1.0 + exponential(-logit)), 1.0 / (1.0 + exponential(logit))};
}

// The logit of the level that "greater" just rejects: below it is rejected, from there to the estimate not.
double lowest_logit(double events, double others, double log_threshold, double prior) {
    const double estimate = std::clamp(events / std::max(events + others, 1.0), 1e-18, 1.0 - 1e-15);
    double inside = natural_log(estimate) - log_of_one_plus(-estimate);
    double outside = -widest_logit;
    for (int step = 0; step < bisection_steps; ++step) {
        const double middle = 0.5 * (inside + outside);
        const bool rejected = log_e_above(events, others, expit(middle), prior) >= log_threshold;
        (rejected ? outside : inside) = middle;
    }
    return outside;
}

}  // namespace

double bernoulli_log_e(double events, double trials, double level, Alternative alternative, double prior) {
    require_counts(events, trials);
    if (!(level > 0.0 && level < 1.0)) {
        throw std::invalid_argument("p0 must lie strictly between 0 and 1");
    }
    const double others = trials - events;
    const double rest = 1.0 - level;
    // One side serves both: "less" is "greater" for the complementary event.
    return alternative == Alternative::greater ? log_e_above(events, others, {level, rest}, prior)
                                               : log_e_above(others, events, {rest, level}, prior);
}

double bernoulli_lower_end(double events, double trials, double log_threshold, double prior) {
    require_counts(events, trials);
    return events > 0.0 ? expit(lowest_logit(events, trials - events, log_threshold, prior)).p : 0.0;
}

// The lower end for the complementary event.
double bernoulli_upper_end(double events, double trials, double log_threshold, double prior) {
    require_counts(events, trials);
    return events < trials ? expit(lowest_logit(trials - events, events, log_threshold, prior)).q : 1.0;
}

}  // namespace covey
