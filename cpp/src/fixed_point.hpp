#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

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

}  // namespace covey
