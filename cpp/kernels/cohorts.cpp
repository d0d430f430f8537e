// Kernels of k-means and of the silhouette, see kernels.hpp for the contracts.

#include "families.h"
#include "points.h"
#include "simd.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

struct Nearest {
    i32v label;
    f32v squared_distance;
};

COVEY_INLINE Nearest nearest_of(const f32v* point, const float* centroids, size_t count, size_t dimensions) {
    Nearest best{i32v{}, squared_distance_of(point, centroids, dimensions)};
    for (size_t c = 1; c < count; ++c) {
        const f32v candidate = squared_distance_of(point, centroids + c * dimensions, dimensions);
        const i32v closer = candidate < best.squared_distance;
        best.label = closer ? spread(static_cast<int32_t>(c)) : best.label;
        best.squared_distance = closer ? candidate : best.squared_distance;
    }
    return best;
}

COVEY_INLINE void nearest_in(Points points, size_t size, const float* centroids, size_t count, size_t dimensions,
                             int32_t* labels, float* squared_distance) {
    f32v point[largest_dimensions];
    size_t i = 0;
    for (; i + lanes_32 <= size; i += lanes_32) {
        load_point(points, i, dimensions, point);
        const Nearest best = nearest_of(point, centroids, count, dimensions);
        store(labels + i, best.label);
        if (squared_distance != nullptr) store(squared_distance + i, best.squared_distance);
    }
    if (i < size) {
        load_tail(points, i, size, dimensions, point);
        const Nearest best = nearest_of(point, centroids, count, dimensions);
        for (size_t lane = 0; i + lane < size; ++lane) {
            labels[i + lane] = best.label[lane];
            if (squared_distance != nullptr) squared_distance[i + lane] = best.squared_distance[lane];
        }
    }
}

COVEY_INLINE void shrink_in(Points points, size_t size, const float* centroid, size_t dimensions, float* nearest) {
    f32v point[largest_dimensions];
    size_t i = 0;
    for (; i + lanes_32 <= size; i += lanes_32) {
        load_point(points, i, dimensions, point);
        const f32v candidate = squared_distance_of(point, centroid, dimensions);
        const f32v known = load<f32v>(nearest + i);
        store(nearest + i, candidate < known ? candidate : known);
    }
    if (i < size) {
        load_tail(points, i, size, dimensions, point);
        const f32v candidate = squared_distance_of(point, centroid, dimensions);
        for (size_t lane = 0; i + lane < size; ++lane) {
            if (candidate[lane] < nearest[i + lane]) nearest[i + lane] = candidate[lane];
        }
    }
}

COVEY_INLINE i64v low_half(i32v value) {
    i32h half;
    __builtin_memcpy(&half, &value, sizeof half);
    return __builtin_convertvector(half, i64v);
}

COVEY_INLINE i64v high_half(i32v value) {
    i32h half;
    __builtin_memcpy(&half, reinterpret_cast<const char*>(&value) + sizeof half, sizeof half);
    return __builtin_convertvector(half, i64v);
}

COVEY_INLINE i32v first_lanes_32(size_t count) {
    i32v numbers;
    for (size_t lane = 0; lane < lanes_32; ++lane) numbers[lane] = static_cast<int32_t>(lane);
    return numbers < spread(static_cast<int32_t>(count < lanes_32 ? count : lanes_32));
}

COVEY_INLINE int64_t distance_sum_in(Points points, size_t size, const float* point, size_t dimensions, float scale) {
    f32v others[largest_dimensions];
    i64v total{};
    for (size_t i = 0; i < size; i += lanes_32) {
        load_point(points, i, dimensions, others);
        const f32v distance = square_root(squared_distance_of(others, point, dimensions));
        const i32v steps = __builtin_convertvector(distance * scale, i32v) & first_lanes_32(size - i);
        total += low_half(steps) + high_half(steps);
    }
    return sum(total);
}

}  // namespace

void nearest(Points points, size_t size, const float* centroids, size_t count, int32_t* labels,
             float* squared_distance) {
    if (points.dimensions == usual_dimensions) {
        nearest_in(points, size, centroids, count, usual_dimensions, labels, squared_distance);
    } else {
        nearest_in(points, size, centroids, count, points.dimensions, labels, squared_distance);
    }
}

void shrink(Points points, size_t size, const float* centroid, float* nearest) {
    if (points.dimensions == usual_dimensions) {
        shrink_in(points, size, centroid, usual_dimensions, nearest);
    } else {
        shrink_in(points, size, centroid, points.dimensions, nearest);
    }
}

int64_t distance_sum(Points points, size_t size, const float* point, float scale) {
    if (points.dimensions == usual_dimensions) {
        return distance_sum_in(points, size, point, usual_dimensions, scale);
    }
    return distance_sum_in(points, size, point, points.dimensions, scale);
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
