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

// A bit for every lane that is set.
COVEY_INLINE uint64_t lane_bits(i32v value) {
#if defined(__AVX512F__)
    return _mm512_movepi32_mask(reinterpret_cast<__m512i>(value));
#elif defined(__AVX2__)
    return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(value)));
#elif defined(__x86_64__)
    return static_cast<uint32_t>(_mm_movemask_ps(reinterpret_cast<__m128>(value)));
#else
    uint64_t bits = 0;
    for (size_t lane = 0; lane < lanes_32; ++lane) bits |= static_cast<uint64_t>(value[lane] != 0) << lane;
    return bits;
#endif
}

COVEY_INLINE void relabel_in(Points points, size_t size, const float* centroids, size_t count, size_t dimensions,
                             const int32_t* known, int32_t* labels, float* squared_distance, uint64_t* changed) {
    f32v point[largest_dimensions];
    for (size_t begin = 0; begin < size; begin += 64) {
        const size_t end = begin + 64 < size ? begin + 64 : size;
        uint64_t bits = 0;
        size_t i = begin;
        for (; i + lanes_32 <= end; i += lanes_32) {
            load_point(points, i, dimensions, point);
            const Nearest best = nearest_of(point, centroids, count, dimensions);
            store(labels + i, best.label);
            if (squared_distance != nullptr) store(squared_distance + i, best.squared_distance);
            bits |= lane_bits(best.label != load<i32v>(known + i)) << (i - begin);
        }
        if (i < end) {
            load_tail(points, i, end, dimensions, point);
            const Nearest best = nearest_of(point, centroids, count, dimensions);
            for (size_t lane = 0; i + lane < end; ++lane) {
                labels[i + lane] = best.label[lane];
                if (squared_distance != nullptr) squared_distance[i + lane] = best.squared_distance[lane];
                bits |= static_cast<uint64_t>(best.label[lane] != known[i + lane]) << (i + lane - begin);
            }
        }
        changed[begin / 64] = bits;
    }
}

COVEY_INLINE uint32_t value_range_in(const float* values, size_t size, float* low, float* high) {
    constexpr int32_t infinite = 0x7F800000;
    f32v least = spread(values[0]);
    f32v largest = least;
    i32v bad{};
    size_t i = 0;
    for (; i + lanes_32 <= size; i += lanes_32) {
        const f32v value = load<f32v>(values + i);
        least = smaller(value, least);
        largest = larger(value, largest);
        bad |= (reinterpret_cast<i32v>(value) & spread(infinite)) == spread(infinite);
    }
    bool finite = lane_bits(bad) == 0;
    *low = least[0];
    *high = largest[0];
    for (size_t lane = 1; lane < lanes_32; ++lane) {
        *low = least[lane] < *low ? least[lane] : *low;
        *high = largest[lane] > *high ? largest[lane] : *high;
    }
    for (; i < size; ++i) {
        int32_t bits;
        __builtin_memcpy(&bits, values + i, sizeof bits);
        finite = finite && (bits & infinite) != infinite;
        *low = values[i] < *low ? values[i] : *low;
        *high = values[i] > *high ? values[i] : *high;
    }
    return finite;
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

constexpr size_t own_points = 16;

COVEY_INLINE void distance_sums_in(const float* own, const float* others, size_t dimensions, const uint32_t* begin,
                                   size_t cell_count, const uint32_t* rows, size_t row_count, float scale,
                                   int64_t* sums) {
    for (size_t part = 0; part < own_points; part += lanes_32) {
        f32v point[largest_dimensions];
        load_point({own + part, own_points, dimensions}, 0, dimensions, point);
        for (size_t cell = 0; cell < cell_count; ++cell) {
            i64v low{};
            i64v high{};
            for (size_t j = begin[cell]; j < begin[cell + 1]; ++j) {
                const f32v distance = square_root(squared_distance_of(point, others + j * dimensions, dimensions));
                const i32v steps = __builtin_convertvector(distance * scale, i32v);
                low += low_half(steps);
                high += high_half(steps);
            }
            for (size_t m = 0; m < row_count; ++m) {
                int64_t* to = sums + static_cast<size_t>(rows[cell * row_count + m]) * own_points + part;
                store(to, load<i64v>(to) + low);
                store(to + lanes_64, load<i64v>(to + lanes_64) + high);
            }
        }
    }
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

void relabel(Points points, size_t size, const float* centroids, size_t count, const int32_t* known, int32_t* labels,
             float* squared_distance, uint64_t* changed) {
    if (points.dimensions == usual_dimensions) {
        relabel_in(points, size, centroids, count, usual_dimensions, known, labels, squared_distance, changed);
    } else {
        relabel_in(points, size, centroids, count, points.dimensions, known, labels, squared_distance, changed);
    }
}

void shrink(Points points, size_t size, const float* centroid, float* nearest) {
    if (points.dimensions == usual_dimensions) {
        shrink_in(points, size, centroid, usual_dimensions, nearest);
    } else {
        shrink_in(points, size, centroid, points.dimensions, nearest);
    }
}

uint32_t value_range(const float* values, size_t size, float* low, float* high) {
    return value_range_in(values, size, low, high);
}

void distance_sums(const float* own, const float* others, size_t dimensions, const uint32_t* begin, size_t cell_count,
                   const uint32_t* rows, size_t row_count, float scale, int64_t* sums) {
    if (dimensions == usual_dimensions) {
        distance_sums_in(own, others, usual_dimensions, begin, cell_count, rows, row_count, scale, sums);
    } else {
        distance_sums_in(own, others, dimensions, begin, cell_count, rows, row_count, scale, sums);
    }
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
