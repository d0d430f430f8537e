#include "covey/means.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "covey/math.hpp"

namespace covey {
namespace {

constexpr double tau2_tolerance = 1e-12;

// Sums of squares and products around an arm's own means.
struct Within {
    double yy;
    double xx;
    double xy;
};

Within within(const ArmSums& arm) {
    return {std::max(0.0, arm.yy - arm.y * arm.y / arm.n), std::max(0.0, arm.xx - arm.x * arm.x / arm.n),
            arm.xy - arm.y * arm.x / arm.n};
}

struct Slope {
    double slope;
    double explained;
};

// What differs between the arms is the effect, not the covariate's: sums around each arm's own means are pooled.
Slope pooled_slope(const Within& candidate, const Within& baseline) {
    const double yy = candidate.yy + baseline.yy;
    const double xx = candidate.xx + baseline.xx;
    const double xy = candidate.xy + baseline.xy;
    if (!(xx > 0.0 && xy * xy <= xx * yy)) {
        return {0.0, 0.0};  // the sums are not those of any data
    }
    const double slope = xy / xx;
    return {slope, yy > 0.0 ? std::min(1.0, slope * xy / yy) : 0.0};
}

struct MeanAndVariance {
    double mean;
    double variance;
};

// Of y - slope (x - middle).
MeanAndVariance adjusted(const ArmSums& arm, const Within& inner, double slope, double middle) {
    const double spread = (inner.yy - 2.0 * slope * inner.xy + slope * slope * inner.xx) / (arm.n - 1.0);
    return {arm.center + arm.y / arm.n - slope * (arm.x / arm.n - middle), std::max(0.0, spread)};
}

void require_segments(const double* effects, const double* errors, std::size_t count) {
    if (count < 2) {
        throw std::invalid_argument(
            "effects and standard_errors must be two lists of one length, two segments or more");
    }
    for (std::size_t k = 0; k < count; ++k) {
        if (!(std::isfinite(effects[k]) && std::isfinite(errors[k]) && errors[k] > 0.0)) {
            throw std::invalid_argument("effects must be finite and standard errors finite and above 0");
        }
    }
}

double q_with(const double* effects, const double* errors, std::size_t count, double tau2) {
    double weights = 0.0;
    double weighted = 0.0;
    for (std::size_t k = 0; k < count; ++k) {
        const double weight = 1.0 / (errors[k] * errors[k] + tau2);
        weights += weight;
        weighted += weight * effects[k];
    }
    const double mean = weighted / weights;
    double q = 0.0;
    for (std::size_t k = 0; k < count; ++k) {
        const double distance = effects[k] - mean;
        q += distance * distance / (errors[k] * errors[k] + tau2);
    }
    return q;
}

}  // namespace

double asymptotic_half_width(double variance, double n, double alpha, double n_star, Sides sides) {
    if (!(std::isfinite(variance) && std::isfinite(n))) {
        throw std::invalid_argument("mean, variance and n must be finite numbers");
    }
    if (variance < 0.0) {
        throw std::invalid_argument("variance must not be negative");
    }
    if (n <= 0.0) {
        throw std::invalid_argument("n must be above 0");
    }
    const bool both = sides == Sides::both;
    if (!(alpha > 0.0 && alpha < (both ? 1.0 : 0.5))) {
        throw std::invalid_argument("alpha is " + std::to_string(alpha) + "; expected a number in (0, 1)" +
                                    (both ? "" : ", below 0.5 for a one-sided sequence"));
    }
    const double log_tuned = natural_log(both ? alpha : 2.0 * alpha);
    const double r2 = (-2.0 * log_tuned + natural_log(1.0 - 2.0 * log_tuned)) / n_star;
    const double spread = n * r2 + 1.0;
    const double growth =
        both ? natural_log(std::sqrt(spread) / alpha) : log_of_one_plus(std::sqrt(spread) / (2.0 * alpha));
    return std::sqrt(variance * 2.0 * spread / (n * n * r2) * growth);
}

RelativeEffect relative_effect(const ArmSums& candidate, const ArmSums& baseline, bool with_covariate) {
    const Within mine = within(candidate);
    const Within other = within(baseline);
    const Slope found = with_covariate ? pooled_slope(mine, other) : Slope{0.0, 0.0};
    const double middle = (candidate.x + baseline.x) / (candidate.n + baseline.n);
    const auto [mean_c, var_c] = adjusted(candidate, mine, found.slope, middle);
    const auto [mean_b, var_b] = adjusted(baseline, other, found.slope, middle);
    if (!(mean_b > 0.0)) {
        constexpr double none = std::numeric_limits<double>::quiet_NaN();
        return {none, none, none, 0.0};
    }
    const double square = mean_b * mean_b;
    const double variance = var_c / (candidate.n * square) + mean_c * mean_c * var_b / (baseline.n * square * square);
    return {mean_c / mean_b - 1.0, variance, var_b / (baseline.n * square), found.explained};
}

double generalised_q(const double* effects, const double* errors, std::size_t count, double tau2) {
    require_segments(effects, errors, count);
    return q_with(effects, errors, count, tau2);
}

double tau2_of_q(const double* effects, const double* errors, std::size_t count, double target) {
    require_segments(effects, errors, count);
    if (q_with(effects, errors, count, 0.0) <= target) {
        return 0.0;
    }
    double above = 0.0;
    for (std::size_t k = 0; k < count; ++k) {
        above = std::max(above, errors[k] * errors[k]);
    }
    while (q_with(effects, errors, count, above) > target) {
        above *= 4.0;
    }
    double below = 0.0;
    while (above - below > tau2_tolerance * above) {
        const double middle = 0.5 * (below + above);
        (q_with(effects, errors, count, middle) > target ? below : above) = middle;
    }
    return 0.5 * (below + above);
}

}  // namespace covey
