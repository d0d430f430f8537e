#pragma once
// Means, ratios of means, and how much effects differ between segments. Formulas, assumptions and sources:
// covey.stats.asymptotic_cs, ratio_delta, cuped and heterogeneity.

#include <cstddef>

namespace covey {

enum class Sides { both, one };

// Half of the width of an asymptotic confidence sequence for a mean.
// Throws std::invalid_argument: a variance below 0, an n not above 0, a number that is not finite, or an alpha outside
// (0, 1); of one side, outside (0, 1/2).
double asymptotic_half_width(double variance, double n, double alpha, double n_star, Sides sides);

// Sums of an arm's outcome y and covariate x, less their centers; only that of the outcome is needed.
struct ArmSums {
    double n;
    double center;
    double y;
    double yy;
    double x;
    double xx;
    double xy;
};

// Candidate over baseline: m_c / m_b - 1, its variance by the delta method, what the baseline brings to that at an
// effect of 0, and the share of the outcome's variance that the covariate took away. Not a number where the baseline's
// mean is not above 0.
struct RelativeEffect {
    double estimate;
    double variance;
    double baseline_part;
    double explained;
};

// With the covariate (CUPED): one slope from both arms' spreads around their own means; else the slope is 0.
RelativeEffect relative_effect(const ArmSums& candidate, const ArmSums& baseline, bool with_covariate);

// Cochran's Q with weights 1 / (error^2 + tau2).
// Throws std::invalid_argument: fewer than two effects, one that is not finite, an error that is not, or not above 0.
double generalised_q(const double* effects, const double* errors, std::size_t count, double tau2);

// The tau2 at which Q falls to `target`, to 12 digits of it; 0 where Q is no more without any. Throws likewise.
double tau2_of_q(const double* effects, const double* errors, std::size_t count, double target);

}  // namespace covey
