#include "covey/math.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace covey {
namespace {

constexpr double ln_2_high = 0x1.62e42fefa38p-1;   // 40 bits: exact when multiplied by an exponent
constexpr double ln_2_low = 0x1.ef35793c7673p-45;  // ln 2 - ln_2_high
constexpr double log2_of_e = 0x1.71547652b82fep+0;

// 1 / 13! ... 1 / 2!, each the quotient of two exact numbers.
constexpr double inverse_factorials[] = {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0,
                                         1.0 / 362880.0,     1.0 / 40320.0,     1.0 / 5040.0,     1.0 / 720.0,
                                         1.0 / 120.0,        1.0 / 24.0,        1.0 / 6.0,        1.0 / 2.0};

struct Split {
    int exponent;     // x = mantissa * 2^exponent
    double mantissa;  // in [sqrt(1/2), sqrt(2))
};

Split split(double x) {
    int exponent = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        exponent = -54;
    }
    const auto bits = std::bit_cast<std::uint64_t>(x);
    exponent += static_cast<int>(bits >> 52) - 1023;
    double mantissa = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
    if (mantissa >= 0x1.6a09e667f3bcdp+0) {
        mantissa *= 0.5;
        ++exponent;
    }
    return {exponent, mantissa};
}

// ln m = 2 atanh(s), s = (m - 1) / (m + 1); |s| < 0.1716, so s^23 / 23 is below the last bit.
double log_of_mantissa(double mantissa) {
    const double s = (mantissa - 1.0) / (mantissa + 1.0);
    const double s2 = s * s;
    double series = 1.0 / 21;
    for (int denominator = 19; denominator >= 3; denominator -= 2) {
        series = series * s2 + 1.0 / denominator;
    }
    return 2.0 * s + 2.0 * s * (s2 * series);
}

}  // namespace

double natural_log(double x) {
    const auto [exponent, mantissa] = split(x);
    return exponent * ln_2_high + (log_of_mantissa(mantissa) + exponent * ln_2_low);
}

double binary_log(double x) {
    const auto [exponent, mantissa] = split(x);
    return exponent + log_of_mantissa(mantissa) * log2_of_e;
}

// The rounding of 1 + x takes the logarithm and its divisor off the same way: ln(u) x / (u - 1).
double log_of_one_plus(double x) {
    const double u = 1.0 + x;
    return u == 1.0 ? x : natural_log(u) * (x / (u - 1.0));
}

// 2^k e^r with |r| <= ln 2 / 2, where r^14 / 14! is below the last bit.
double exponential(double x) {
    if (!(x > -746.0)) {
        return x <= -746.0 ? 0.0 : x;  // not a number stays one
    }
    if (x > 709.79) {
        return std::numeric_limits<double>::infinity();
    }
    const double k = std::floor(x * log2_of_e + 0.5);
    const double r = (x - k * ln_2_high) - k * ln_2_low;
    double series = 0.0;
    for (const double coefficient : inverse_factorials) {
        series = series * r + coefficient;
    }
    // In two factors, because 2^k itself may be no normal number.
    const int exponent = static_cast<int>(k);
    const int half = exponent / 2;
    return (1.0 + (r + r * (r * series))) * power_of_two(half) * power_of_two(exponent - half);
}

double power(double base, unsigned long long exponent) {
    double result = 1.0;
    for (; exponent != 0; exponent >>= 1) {
        if (exponent & 1) {
            result *= base;
        }
        base *= base;
    }
    return result;
}

int binary_exponent(double x) {
    const bool subnormal = x < 0x1p-1022;
    const auto bits = std::bit_cast<std::uint64_t>(subnormal ? x * 0x1p54 : x);
    return static_cast<int>(bits >> 52) - 1023 - (subnormal ? 54 : 0);
}

double power_of_two(int exponent) {
    return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

}  // namespace covey
