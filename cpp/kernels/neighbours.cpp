// The kernel of nearest neighbours, see kernels.hpp for the contract.

#include "families.h"
#include "points.h"
#include "simd.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

COVEY_INLINE size_t closer_in(Points points, size_t size, const float* query, float limit, size_t dimensions,
                              uint32_t* found, float* squared_distance) {
    f32v point[largest_dimensions];
    float distances[lanes_32];
    size_t count = 0;
    for (size_t i = 0; i < size; i += lanes_32) {
        const bool whole = i + lanes_32 <= size;
        if (whole) {
            load_point(points, i, dimensions, point);
        } else {
            load_tail(points, i, size, dimensions, point);
        }
        const f32v distance = squared_distance_of(point, query, dimensions);
        const i32v closer = distance < spread(limit);
        uint64_t bits = signs_of(closer);
        if (!whole) bits &= (1ull << (size - i)) - 1;
        if (bits == 0) continue;  // by far the most, once the limit is tight
        store(distances, distance);
        for (; bits != 0; bits &= bits - 1) {
            const auto lane = static_cast<size_t>(__builtin_ctzll(bits));
            found[count] = static_cast<uint32_t>(i + lane);
            squared_distance[count++] = distances[lane];
        }
    }
    return count;
}

}  // namespace

size_t closer_than(Points points, size_t size, const float* query, float limit, uint32_t* found,
                   float* squared_distance) {
    if (points.dimensions == usual_dimensions) {
        return closer_in(points, size, query, limit, usual_dimensions, found, squared_distance);
    }
    return closer_in(points, size, query, limit, points.dimensions, found, squared_distance);
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
