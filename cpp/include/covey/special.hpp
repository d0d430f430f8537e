#pragma once
// Logarithms of beta functions that stay finite where the plain functions underflow, and sums of exponentials, in the
// plain IEEE operations of math.hpp: the same bits on every machine.

#include <cstddef>

namespace covey {

inline constexpr double half_log_two_pi = 0.9189385332046727418;

// ln Gamma(z) - ((z - 1/2) ln z - z + ln(2 pi) / 2) for z > 0, without the cancellation of that difference.
double stirling_remainder(double z);

// The logarithm of the continued fraction F in I_x(a, b) = x^a (1-x)^b F / (a B(a, b)), for a, b > 0 and 0 < x < 1.
// Fast for x below (a + 1) / (a + b + 2), the faster the further out; at that point it takes some
// sqrt(max(a, b)) steps. DLMF 8.17.22. Throws std::runtime_error without convergence.
double log_beta_fraction(double a, double b, double x);

// ln(e^a + e^b); minus infinity is e^x = 0.
double log_add_exp(double a, double b);

// ln sum_k e^(values[k] + log_weights[k]), without overflow; minus infinity where every term is. Null: weights of 1.
double log_sum_exp(const double* values, const double* log_weights, std::size_t count);

}  // namespace covey
