// Kernels of k-means over blocks of neighbouring points, see kernels.hpp for the contracts.

#include "families.h"
#include "points.h"
#include "simd.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

typedef float f32h __attribute__((vector_size(COVEY_VECTOR_BYTES / 2)));

typedef float f32x8 __attribute__((vector_size(32)));
typedef float f32x4 __attribute__((vector_size(16)));

COVEY_INLINE float least_of(f32x4 value) {
    const f32x4 halves = __builtin_shufflevector(value, value, 2, 3, 0, 1);
    value = value < halves ? value : halves;
    const f32x4 pairs = __builtin_shufflevector(value, value, 1, 0, 3, 2);
    value = value < pairs ? value : pairs;
    return value[0];
}

#if COVEY_VECTOR_BYTES >= 32
COVEY_INLINE float least_of(f32x8 value) {
    const f32x4 low = __builtin_shufflevector(value, value, 0, 1, 2, 3);
    const f32x4 high = __builtin_shufflevector(value, value, 4, 5, 6, 7);
    return least_of(low < high ? low : high);
}
#endif

#if COVEY_VECTOR_BYTES == 64
COVEY_INLINE float least_of(f32v value) {
    const f32x8 low = __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7);
    const f32x8 high = __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15);
    return least_of(low < high ? low : high);
}
#endif

COVEY_INLINE bool any(i32v value) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(value), reinterpret_cast<__m512i>(value)) != 0;
#elif defined(__AVX2__)
    return _mm256_testz_si256(reinterpret_cast<__m256i>(value), reinterpret_cast<__m256i>(value)) == 0;
#elif defined(__x86_64__)
    return _mm_movemask_epi8(reinterpret_cast<__m128i>(value)) != 0;
#else
    int32_t bits = 0;
    for (size_t lane = 0; lane < lanes_32; ++lane) bits |= value[lane];
    return bits != 0;
#endif
}

struct Two {
    i32v label;
    f32v first;
    f32v second;
};

COVEY_INLINE Two nearest_two(const f32v* point, const float* centroids, const int32_t* names, size_t count,
                             size_t dimensions) {
    Two two{spread(names[0]),
            squared_distance_of(point, centroids + static_cast<size_t>(names[0]) * dimensions, dimensions),
            spread(__builtin_inff())};
    for (size_t n = 1; n < count; ++n) {
        const float* centroid = centroids + static_cast<size_t>(names[n]) * dimensions;
        const f32v candidate = squared_distance_of(point, centroid, dimensions);
        const i32v closer = candidate < two.first;
        two.second = smaller(two.second, larger(candidate, two.first));
        two.first = smaller(candidate, two.first);
        two.label = closer ? spread(names[n]) : two.label;
    }
    return two;
}

struct Group {
    f32v least_gap;
    f32v largest_second;
    i32v changed;
};

// The lanes without a point count as one at the origin: the gap can only look smaller.
static __attribute__((noinline)) bool partial_group(Points points, size_t begin, size_t size, const float* centroids,
                                                    const int32_t* names, size_t count, float* gaps, int32_t* labels) {
    f32v point[largest_dimensions] = {};
    Group group{spread(__builtin_inff()), f32v{}, i32v{}};
    bool changed = false;
    for (size_t i = begin; i < size; i += lanes_32) {
        load_tail(points, i, size < i + lanes_32 ? size : i + lanes_32, points.dimensions, point);
        const Two two = nearest_two(point, centroids, names, count, points.dimensions);
        for (size_t lane = 0; lane < lanes_32 && i + lane < size; ++lane) {
            changed |= two.label[lane] != labels[i + lane];
            labels[i + lane] = two.label[lane];
        }
        group.least_gap = smaller(two.second - two.first, group.least_gap);
        group.largest_second = larger(two.second, group.largest_second);
    }
    gaps[0] = least_of(group.least_gap);
    gaps[1] = -least_of(-group.largest_second);
    return changed;
}

COVEY_INLINE Group whole_group(Points points, size_t begin, const float* centroids, const int32_t* names, size_t count,
                               size_t dimensions, int32_t* labels) {
    Group group{spread(__builtin_inff()), f32v{}, i32v{}};
    for (size_t i = begin; i < begin + points_per_group; i += lanes_32) {
        f32v point[largest_dimensions];
        load_point(points, i, dimensions, point);
        const Two two = nearest_two(point, centroids, names, count, dimensions);
        group.changed |= two.label != load<i32v>(labels + i);
        store(labels + i, two.label);
        group.least_gap = smaller(two.second - two.first, group.least_gap);
        group.largest_second = larger(two.second, group.largest_second);
    }
    return group;
}

COVEY_INLINE uint32_t nearest_among_in(Points points, size_t size, const float* centroids, const int32_t* names,
                                       size_t count, size_t dimensions, float moved, float slack, float* until,
                                       int32_t* labels) {
    uint32_t changed_groups = 0;
    for (size_t g = 0; g * points_per_group < size; ++g) {
        if (until[g] > moved) continue;
        const size_t begin = g * points_per_group;
        float gaps[2];
        bool changed;
        if (begin + points_per_group <= size) {
            const Group group = whole_group(points, begin, centroids, names, count, dimensions, labels);
            gaps[0] = least_of(group.least_gap);
            gaps[1] = -least_of(-group.largest_second);
            changed = any(group.changed);
        } else {
            changed = partial_group(points, begin, size, centroids, names, count, gaps, labels);
        }
        // t - s = (t^2 - s^2) / (t + s) for the distances s <= t of a point.
        until[g] = moved - slack + (gaps[0] > 0.0f ? gaps[0] / (2.0f * __builtin_sqrtf(gaps[1])) : 0.0f);
        changed_groups |= static_cast<uint32_t>(changed) << g;
    }
    return changed_groups;
}

// Distance differences of a box: for x = centre + y, |y| <= half_width,
// |x - c|^2 - |x - n|^2 >= |centre - c|^2 - |centre - n|^2 - 2 sum |c - n| half_width, divided by the largest
// possible |x - c| + |x - n|.
COVEY_INLINE void box_gaps_in(Box box, size_t dimensions, const float* centroids, size_t count, float* gaps) {
    f32v least = spread(__builtin_inff());
    for (size_t c = 0; c < count; c += lanes_32) {
        f32v total{};
        for (size_t d = 0; d < dimensions; ++d) {
            const f32v difference = load<f32v>(centroids + d * count + c) - box.centre[d];
            total += difference * difference;
        }
        store(gaps + c, total);
        least = smaller(total, least);
    }
    float nearest_squared = least[0];
    for (size_t lane = 1; lane < lanes_32; ++lane) {
        if (least[lane] < nearest_squared) nearest_squared = least[lane];
    }
    size_t nearest = 0;
    while (nearest + 1 < count && gaps[nearest] != nearest_squared) ++nearest;
    const f32v reach = square_root(spread(nearest_squared)) + 2.0f * box.radius;
    for (size_t c = 0; c < count; c += lanes_32) {
        f32v tilt{};
        for (size_t d = 0; d < dimensions; ++d) {
            const f32v difference = load<f32v>(centroids + d * count + c) - centroids[d * count + nearest];
            tilt += larger(difference, -difference) * box.half_width[d];
        }
        const f32v squared = load<f32v>(gaps + c);
        store(gaps + c, (squared - nearest_squared - 2.0f * tilt) / (square_root(squared) + reach));
    }
}

COVEY_INLINE f64v widened(f32v value, size_t half) {
    f32h part;
    __builtin_memcpy(&part, reinterpret_cast<const char*>(&value) + half * sizeof part, sizeof part);
    return __builtin_convertvector(part, f64v);
}

// rint(value * 2^32) is in the low bits of value + 1.5 * 2^20, whose last bit stands for 2^-32; what that number adds
// is taken off at the end.
constexpr double step_magic = 0x1.8p20;
constexpr uint64_t step_magic_bits = 0x4138000000000000ull;

COVEY_INLINE u64v steps_and_magic(f32v value) {
    const f64v low = widened(value, 0) + step_magic;
    const f64v high = widened(value, 1) + step_magic;
    return reinterpret_cast<u64v>(low) + reinterpret_cast<u64v>(high);
}

COVEY_INLINE int64_t step_sums_in(Points points, size_t size, size_t dimensions, const int32_t* labels, int32_t label,
                                  int64_t* sums) {
    u64v totals[largest_dimensions];
    for (size_t d = 0; d < dimensions; ++d) totals[d] = u64v{};
    i32v matches{};  // minus the number of points of the label
    f32v point[largest_dimensions];
    for (size_t i = 0; i < size; i += lanes_32) {
        i32v chosen;
        if (i + lanes_32 <= size) {
            load_point(points, i, dimensions, point);
            chosen = labels == nullptr ? spread(-1) : load<i32v>(labels + i) == spread(label);
        } else {
            load_tail(points, i, size, dimensions, point);
            chosen = i32v{};
            for (size_t lane = 0; i + lane < size; ++lane) {
                chosen[lane] = labels == nullptr || labels[i + lane] == label ? -1 : 0;
            }
        }
        matches += chosen;
        for (size_t d = 0; d < dimensions; ++d) {
            totals[d] += steps_and_magic(reinterpret_cast<f32v>(reinterpret_cast<i32v>(point[d]) & chosen));
        }
    }
    const uint64_t vectors = (size + lanes_32 - 1) / lanes_32;
    for (size_t d = 0; d < dimensions; ++d) {
        uint64_t total = 0;
        for (size_t lane = 0; lane < lanes_64; ++lane) total += totals[d][lane];
        sums[d] = static_cast<int64_t>(total - vectors * lanes_32 * step_magic_bits);
    }
    int64_t count = 0;
    for (size_t lane = 0; lane < lanes_32; ++lane) count -= matches[lane];
    return count;
}

COVEY_INLINE i32v cell_key_of(const f32v* point, const float* low, float scale, size_t bits, size_t dimensions) {
    const f32v last = spread(static_cast<float>((1u << bits) - 1));
    i32v key{};
    for (size_t d = 0; d < dimensions; ++d) {
        const f32v cell = smaller(larger((point[d] - low[d]) * scale, f32v{}), last);
        const i32v number = __builtin_convertvector(cell, i32v);
        for (size_t bit = 0; bit < bits; ++bit) {
            key |= ((number >> static_cast<int>(bit)) & 1) << static_cast<int>(bit * dimensions + d);
        }
    }
    return key;
}

COVEY_INLINE void cell_keys_in(Points points, size_t size, const float* low, float scale, size_t bits,
                               size_t dimensions, uint32_t* keys) {
    f32v point[largest_dimensions];
    size_t i = 0;
    for (; i + lanes_32 <= size; i += lanes_32) {
        load_point(points, i, dimensions, point);
        store(keys + i, cell_key_of(point, low, scale, bits, dimensions));
    }
    if (i < size) {
        load_tail(points, i, size, dimensions, point);
        const i32v key = cell_key_of(point, low, scale, bits, dimensions);
        for (size_t lane = 0; i + lane < size; ++lane) keys[i + lane] = static_cast<uint32_t>(key[lane]);
    }
}

}  // namespace

uint32_t nearest_among(Points points, size_t size, const float* centroids, const int32_t* names, size_t count,
                       float moved, float slack, float* until, int32_t* labels) {
    if (points.dimensions == usual_dimensions) {
        return nearest_among_in(points, size, centroids, names, count, usual_dimensions, moved, slack, until, labels);
    }
    return nearest_among_in(points, size, centroids, names, count, points.dimensions, moved, slack, until, labels);
}

void box_gaps(Box box, size_t dimensions, const float* centroids, size_t count, float* gaps) {
    if (dimensions == usual_dimensions) {
        box_gaps_in(box, usual_dimensions, centroids, count, gaps);
    } else {
        box_gaps_in(box, dimensions, centroids, count, gaps);
    }
}

int64_t step_sums(Points points, size_t size, const int32_t* labels, int32_t label, int64_t* sums) {
    if (points.dimensions == usual_dimensions) {
        return step_sums_in(points, size, usual_dimensions, labels, label, sums);
    }
    return step_sums_in(points, size, points.dimensions, labels, label, sums);
}

void cell_keys(Points points, size_t size, const float* low, float scale, size_t bits, uint32_t* keys) {
    if (points.dimensions == usual_dimensions && bits == 4) {
        cell_keys_in(points, size, low, scale, 4, usual_dimensions, keys);
    } else {
        cell_keys_in(points, size, low, scale, bits, points.dimensions, keys);
    }
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
