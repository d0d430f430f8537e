#pragma once
// The nearest points to each of some queries, exact: every point is looked at.

#include <cstdint>
#include <vector>

#include "covey/cancellation.hpp"
#include "covey/kmeans.hpp"

namespace covey {

struct Neighbours {
    std::vector<std::int32_t> index;      // queries x count, nearest first; -1 behind the last where there are fewer
    std::vector<float> squared_distance;  // as index; infinite there
};

// queries: row-major, query_count x dimensions. Nearest by the squared distance in float32, summed over d = 0, 1, ...
// in that order; the lower index among equals. `include`: a byte per point, 0 where it is no candidate; null: all are.
// count >= 1, at most 2^31 - 1 points, whose coordinates are finite, as those of the queries.
Neighbours nearest_points(const PointColumns& points, const float* queries, std::size_t query_count, std::size_t count,
                          const std::uint8_t* include, std::size_t threads, const Kernels& kernels,
                          const Cancellation* cancellation = nullptr);

}  // namespace covey
