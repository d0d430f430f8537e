// Logarithms, exponentials and the tails that are made of them, against libm and against sums.

#include <cmath>
#include <limits>
#include <stdexcept>

#include "check.hpp"
#include "covey/bernoulli.hpp"
#include "covey/math.hpp"
#include "covey/means.hpp"
#include "covey/rates.hpp"
#include "covey/special.hpp"

namespace covey::tests {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

bool near(double found, double expected, double ulps) {
    return std::abs(found - expected) <= ulps * std::numeric_limits<double>::epsilon() * std::abs(expected) + 1e-320;
}

void test_against_libm() {
    Random random(1);
    std::uniform_real_distribution<double> exponents(-740.0, 709.0);
    std::uniform_real_distribution<double> scales(-40.0, 40.0);
    for (int k = 0; k < 100'000; ++k) {
        const double x = exponents(random);
        CHECK(near(exponential(x), std::exp(x), 2.0));
        const double small = std::exp2(scales(random));
        CHECK(near(log_of_one_plus(small), std::log1p(small), 4.0));
        CHECK(near(log_of_one_plus(-small / (1.0 + small)), std::log1p(-small / (1.0 + small)), 4.0));
        const double z = std::exp2(scales(random) / 4.0);
        const double direct = std::lgamma(z) - ((z - 0.5) * std::log(z) - z + half_log_two_pi);
        CHECK(std::abs(stirling_remainder(z) - direct) <= 1e-15 * (8.0 + std::abs(std::lgamma(z))) + 1e-14);
    }
    CHECK(exponential(-infinity) == 0.0 && exponential(-1e300) == 0.0 && exponential(1e300) == infinity);
    CHECK(exponential(0.0) == 1.0 && log_of_one_plus(0.0) == 0.0);
    CHECK(log_add_exp(-infinity, -infinity) == -infinity && log_add_exp(3.0, -infinity) == 3.0);
}

// A beta distribution of whole numbers is a sum of binomial terms.
void test_tails_against_binomial_sums() {
    constexpr double p = 0.3;
    constexpr int a = 5;
    constexpr int n = 40;
    double at_least = 0.0;
    for (int k = a; k <= n; ++k) {
        at_least += std::exp(std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0) + k * std::log(p) +
                             (n - k) * std::log1p(-p));
    }
    // I_p(a, b) = P(at least a of a + b - 1), and the fraction is of 1 - I on the other side.
    const double b = n - a + 1.0;
    const double log_beta = std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b);
    const double log_rest =
        b * std::log1p(-p) + a * std::log(p) - std::log(b) - log_beta + log_beta_fraction(b, a, 1 - p);
    CHECK(std::abs(std::exp(log_rest) - (1.0 - at_least)) < 1e-12);
    CHECK(bernoulli_log_e(0.0, 0.0, 0.37, Alternative::less, 200.0) == 0.0);
    for (const double level : {1e-9, 1e-3, 0.5, 1.0 - 1e-9}) {
        for (const double events : {0.0, 1.0, 5e8, 1e9}) {
            CHECK(std::isfinite(bernoulli_log_e(events, 1e9, level, Alternative::greater, 200.0)));
            CHECK(std::isfinite(bernoulli_log_e(events, 1e9, level, Alternative::less, 200.0)));
        }
    }
}

void test_what_is_refused() {
    const auto refuses = [](auto call) {
        try {
            call();
        } catch (const std::invalid_argument&) {
            return true;
        }
        return false;
    };
    CHECK(refuses([] { bernoulli_log_e(2.0, 1.0, 0.5, Alternative::less, 200.0); }));
    CHECK(refuses([] { bernoulli_lower_end(-1.0, 1.0, 3.0, 200.0); }));
    CHECK(refuses([] { asymptotic_half_width(-1.0, 1.0, 0.1, 5000.0, Sides::both); }));
    CHECK(refuses([] { grown_log_mass(0.0, 0.0, infinity); }));
}

}  // namespace

void test_stats() {
    test_against_libm();
    test_tails_against_binomial_sums();
    test_what_is_refused();
}

}  // namespace covey::tests
