#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels.hpp"

namespace covey {

constexpr double step = 0x1p-32;

// rint(value * 2^32), half to even.
inline std::int64_t to_steps(float value) {
    return __builtin_llrint(static_cast<double>(value) * 0x1p32);
}

// Kernels::step_sums for values of any size up to `largest`.
inline std::int64_t sum_steps(Points points, std::size_t size, const std::int32_t* labels, std::int32_t label,
                              float largest, const Kernels& kernels, std::int64_t* sums) {
    if (largest < 0x1p19f) {
        return kernels.step_sums(points, size, labels, label, sums);
    }
    std::fill_n(sums, points.dimensions, 0);
    std::int64_t count = 0;
    for (std::size_t i = 0; i < size; ++i) {
        if (labels != nullptr && labels[i] != label) {
            continue;
        }
        ++count;
        for (std::size_t d = 0; d < points.dimensions; ++d) {
            sums[d] += to_steps(points.data[d * points.stride + i]);
        }
    }
    return count;
}

struct ValueRange {
    float low;
    float high;
};

// Smallest and largest of finite values; (0, 0) of none. Eight chains, so that the compiler can use vectors.
inline ValueRange value_range(const float* values, std::size_t size) {
    if (size == 0) {
        return {0.0f, 0.0f};
    }
    constexpr std::size_t chains = 8;
    float low[chains];
    float high[chains];
    std::fill_n(low, chains, values[0]);
    std::fill_n(high, chains, values[0]);
    std::size_t i = 0;
    for (; i + chains <= size; i += chains) {
        for (std::size_t chain = 0; chain < chains; ++chain) {
            low[chain] = values[i + chain] < low[chain] ? values[i + chain] : low[chain];
            high[chain] = values[i + chain] > high[chain] ? values[i + chain] : high[chain];
        }
    }
    for (; i < size; ++i) {
        low[0] = std::min(low[0], values[i]);
        high[0] = std::max(high[0], values[i]);
    }
    return {*std::min_element(low, low + chains), *std::max_element(high, high + chains)};
}

inline bool all_finite(const float* values, std::size_t size) {
    std::uint32_t bad = 0;
    for (std::size_t i = 0; i < size; ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, values + i, sizeof bits);
        bad |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return bad == 0;
}

}  // namespace covey
