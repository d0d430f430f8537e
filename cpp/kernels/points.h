#pragma once
// Points in vectors, for the kernels of k-means and of the silhouette. Everything has internal linkage, see
// kernels.hpp.

#include "kernels.hpp"
#include "simd.h"

namespace {

// The five traits get their own instantiation: the coordinates of a vector of points stay in registers.
constexpr size_t usual_dimensions = 5;

COVEY_INLINE f32v squared_distance_of(const f32v* point, const float* centroid, size_t dimensions) {
    f32v difference = point[0] - centroid[0];
    f32v total = difference * difference;
    for (size_t d = 1; d < dimensions; ++d) {
        difference = point[d] - centroid[d];
        total = total + difference * difference;
    }
    return total;
}

// a < b ? a : b and a > b ? a : b, which compilers do not always turn into one instruction.
COVEY_INLINE f32v smaller(f32v a, f32v b) {
#if defined(__AVX__) || !defined(__x86_64__)
    return a < b ? a : b;
#else
    return reinterpret_cast<f32v>(_mm_min_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#endif
}
COVEY_INLINE f32v larger(f32v a, f32v b) {
#if defined(__AVX__) || !defined(__x86_64__)
    return a > b ? a : b;
#else
    return reinterpret_cast<f32v>(_mm_max_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#endif
}

// There is at least one dimension.
COVEY_INLINE void load_point(covey::Points points, size_t i, size_t dimensions, f32v* point) {
    size_t d = 0;
    do point[d] = load<f32v>(points.data + d * points.stride + i);
    while (++d < dimensions);
}

// The last, partial vector of points: the caller's columns end here.
COVEY_INLINE void load_tail(covey::Points points, size_t i, size_t size, size_t dimensions, f32v* point) {
    size_t d = 0;
    do {
        point[d] = f32v{};
        for (size_t lane = 0; i + lane < size; ++lane) point[d][lane] = points.data[d * points.stride + i + lane];
    } while (++d < dimensions);
}

}  // namespace
