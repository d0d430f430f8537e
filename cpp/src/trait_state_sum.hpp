#pragma once
// Sums of weights whose range is far beyond a double's: no weight is too large to be added up, and none decays to
// nothing before it has become negligible beside another.

#include <bit>
#include <cstdint>

#include "covey/math.hpp"

namespace covey {

// A number >= 0 in 64 bits: 16 of exponent, 48 of fraction below an implicit one; 0 is zero. Numbers compare as their
// bits do. Error of one operation: 2^-48 of its result.
using WideSum = std::uint64_t;

namespace wide {

constexpr int fraction_bits = 48;
constexpr std::uint64_t one_bit = std::uint64_t{1} << fraction_bits;
constexpr std::int64_t bias = 32768;
constexpr WideSum one = static_cast<WideSum>(bias) << fraction_bits;

constexpr std::int64_t exponent_of(WideSum sum) {
    return static_cast<std::int64_t>(sum >> fraction_bits);
}

constexpr std::uint64_t mantissa_of(WideSum sum) {
    return (sum & (one_bit - 1)) | one_bit;
}

// `mantissa` in [2^48, 2^49]: a carry out of it counts up the exponent by itself.
constexpr WideSum packed(std::int64_t exponent, std::uint64_t mantissa) {
    return exponent <= 0 ? 0 : (static_cast<WideSum>(exponent) << fraction_bits) + (mantissa - one_bit);
}

// Of a finite weight >= 0.
inline WideSum of(double weight) {
    if (weight == 0.0) {
        return 0;
    }
    const bool subnormal = weight < 0x1p-1022;
    const auto bits = std::bit_cast<std::uint64_t>(subnormal ? weight * 0x1p54 : weight);
    const std::int64_t exponent = static_cast<std::int64_t>(bits >> 52) - 1023 - (subnormal ? 54 : 0);
    const std::uint64_t mantissa = (bits & 0xFFFFFFFFFFFFFull) | 0x10000000000000ull;
    return packed(exponent + bias, (mantissa + 8) >> 4);
}

inline WideSum add(WideSum first, WideSum second) {
    const WideSum large = first < second ? second : first;
    const WideSum small = first < second ? first : second;
    const std::int64_t shift = exponent_of(large) - exponent_of(small);
    if (small == 0 || shift > 56) {
        return large;
    }
    const std::uint64_t sum = (mantissa_of(large) << 8) + ((mantissa_of(small) << 8) >> shift);
    const int carry = static_cast<int>(sum >> (fraction_bits + 9));
    return packed(exponent_of(large) + carry, (sum + (std::uint64_t{128} << carry)) >> (8 + carry));
}

// 2^-f for 0 <= f < 1: the series of exp around the middle, even and odd powers side by side; plain operations, so the
// same bits everywhere.
inline double half_to_the(double f) {
    const double y = (0.5 - f) * 0x1.62e42fefa39efp-1;
    const double y2 = y * y;
    double even = 1.0 / 479001600;
    double odd = 1.0 / 39916800;
    constexpr double even_terms[] = {1.0 / 3628800, 1.0 / 40320, 1.0 / 720, 1.0 / 24, 1.0 / 2, 1.0};
    constexpr double odd_terms[] = {1.0 / 362880, 1.0 / 5040, 1.0 / 120, 1.0 / 6, 1.0};
    for (const double term : even_terms) {
        even = even * y2 + term;
    }
    for (const double term : odd_terms) {
        odd = odd * y2 + term;
    }
    return (even + y * odd) * 0x1.6a09e667f3bcdp-1;
}

// 2^-halvings, to be applied to many sums.
struct Decay {
    std::int64_t whole;
    double factor;  // 2^-1 < factor <= 1
};

// halvings >= 0.
inline Decay decay_of(double halvings) {
    if (halvings >= 65536.0) {
        return {65536, 1.0};
    }
    const auto whole = static_cast<std::int64_t>(halvings);
    return {whole, half_to_the(halvings - static_cast<double>(whole))};
}

inline WideSum decayed(WideSum sum, const Decay& decay) {
    if (sum == 0) {
        return 0;
    }
    const double scaled = static_cast<double>(mantissa_of(sum)) * decay.factor;
    const bool below = scaled < 0x1p48;
    const auto mantissa = static_cast<std::uint64_t>(below ? scaled * 2.0 + 0.5 : scaled + 0.5);
    return packed(exponent_of(sum) - decay.whole - below, mantissa < one_bit ? one_bit : mantissa);
}

inline WideSum decayed(WideSum sum, double halvings) {
    return decayed(sum, decay_of(halvings));
}

// part / whole as a double, 0 where it is below its range; whole > 0, part not much larger.
inline double ratio(WideSum part, WideSum whole) {
    const std::int64_t shift = exponent_of(part) - exponent_of(whole);
    if (part == 0 || shift < -1000) {
        return 0.0;
    }
    return static_cast<double>(mantissa_of(part)) / static_cast<double>(mantissa_of(whole)) *
           power_of_two(static_cast<int>(shift));
}

}  // namespace wide
}  // namespace covey
