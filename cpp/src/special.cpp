#include "covey/special.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "covey/math.hpp"

namespace covey {
namespace {

// From this argument on six terms of Stirling's series are exact to the last bit of a double.
constexpr double stirling_from = 10.0;
constexpr int most_fraction_steps = 10'000'000;
constexpr double tiny = 1e-300;
constexpr double converged = 1e-15;

// Abramowitz and Stegun 6.1.41.
double stirling_series(double z) {
    const double inverse = 1.0 / z;
    const double square = inverse * inverse;
    return inverse *
           (1.0 / 12 -
            square * (1.0 / 360 -
                      square * (1.0 / 1260 - square * (1.0 / 1680 - square * (1.0 / 1188 - square * 691.0 / 360360)))));
}

double stirling(double z) {
    return (z - 0.5) * natural_log(z) - z;
}

double away_from_zero(double value) {
    return std::abs(value) < tiny ? tiny : value;
}

}  // namespace

double stirling_remainder(double z) {
    if (z >= stirling_from) {
        return stirling_series(z);
    }
    // Gamma(z) = Gamma(z + k) / (z (z + 1) ... (z + k - 1)).
    double product = 1.0;
    double above = z;
    for (; above < stirling_from; above += 1.0) {
        product *= above;
    }
    return stirling_series(above) + (stirling(above) - natural_log(product) - stirling(z));
}

// Lentz's method, two steps of the fraction at a time.
double log_beta_fraction(double a, double b, double x) {
    double c = 1.0;
    double d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    double fraction = d;
    for (int step = 1; step < most_fraction_steps; ++step) {
        const double m = step;
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        fraction *= d * c;
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        const double change = d * c;
        fraction *= change;
        if (std::abs(change - 1.0) < converged) {
            return natural_log(fraction);
        }
    }
    throw std::runtime_error("the continued fraction of the incomplete beta function did not converge");
}

double log_add_exp(double a, double b) {
    const double larger = std::max(a, b);
    if (!std::isfinite(larger)) {
        return larger;
    }
    return larger + log_of_one_plus(exponential(std::min(a, b) - larger));
}

double log_sum_exp(const double* values, const double* log_weights, std::size_t count) {
    const auto term = [&](std::size_t k) { return log_weights == nullptr ? values[k] : values[k] + log_weights[k]; };
    double top = -std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < count; ++k) {
        top = std::max(top, term(k));
    }
    if (!std::isfinite(top)) {
        return top;
    }
    double sum = 0.0;
    for (std::size_t k = 0; k < count; ++k) {
        sum += exponential(term(k) - top);
    }
    return top + natural_log(sum);
}

}  // namespace covey
