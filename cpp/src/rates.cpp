#include "covey/rates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "covey/math.hpp"
#include "covey/special.hpp"

namespace covey {

double rate_ratio_step(double x, double y, double share, double null, double ratio) {
    if (!(share > 0.0 && share < 1.0 && std::isfinite(null))) {
        return 0.0;
    }
    // ln((r0 s + 1 - s) / (r s + 1 - s)) as ln(1 + distance) of a distance that is never negative: no digit is lost.
    const double distance = std::abs(ratio - null) * share / (std::min(ratio, null) * share + (1.0 - share));
    const double per_total = std::copysign(log_of_one_plus(distance), null - ratio);
    return x * natural_log(ratio / null) + (x + y) * per_total;
}

double grown_log_mass(double log_mass, double log_starting, double increment) {
    if (!(increment < std::numeric_limits<double>::infinity())) {
        throw std::invalid_argument("log_increments must be numbers or minus infinity; found NaN or plus infinity");
    }
    return log_add_exp(log_mass, log_starting) + increment;
}

double mixed_log_masses(const double* log_masses, const double* log_weights, std::size_t alternatives,
                        double log_waiting) {
    return log_add_exp(log_sum_exp(log_masses, log_weights, alternatives), log_waiting);
}

}  // namespace covey
