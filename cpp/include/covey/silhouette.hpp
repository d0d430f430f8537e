#pragma once
// Mean silhouette, exact over the points given (Rousseeuw 1987).

#include <cstdint>
#include <vector>

#include "covey/cancellation.hpp"
#include "covey/kmeans.hpp"

namespace covey {

// (b - a) / max(a, b) averaged over all points: a = mean distance to the own cluster's other points, b = smallest mean
// distance to another cluster; 0 for a point alone in its cluster. Euclidean distances in float32, summed in fixed
// point (2^-30 of a bound of the largest distance), so the bits do not depend on the order of the points. labels in [0,
// k). O(size^2). Throws std::invalid_argument for fewer than two non-empty clusters, a label out of range, or more than
// 2^20 points.
double silhouette(const PointColumns& points, const std::int32_t* labels, std::size_t k, std::size_t threads,
                  const Kernels& kernels, const Cancellation* cancellation = nullptr);

// The silhouettes of several labellings of the same points, each with the bits it would have alone: labelling m is
// labels[m * size ...] in [0, ks[m]). Every distance is worked out once, and added up once for all points that no
// labelling tells apart.
std::vector<double> silhouettes(const PointColumns& points, const std::int32_t* labels,
                                const std::vector<std::size_t>& ks, std::size_t threads, const Kernels& kernels,
                                const Cancellation* cancellation = nullptr);

}  // namespace covey
