#pragma once
// k-means whose bits depend on the points and the seed only: not on their order, on threads or on kernels (DESIGN
// section 6). Distances are float32 with terms added in the order of the dimensions, sums are int64 in steps of 2^-32,
// random choices are functions of (seed, id hash).

#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/cancellation.hpp"

namespace covey {

struct Kernels;
class ThreadTeam;

// data[d * size + i] is coordinate d of point i: one row per trait. dimensions in [1, 32].
struct PointColumns {
    const float* data = nullptr;
    std::size_t dimensions = 0;
    std::size_t size = 0;
};

struct ValueRange {
    float low;
    float high;
};

// The smallest and the largest coordinate in every dimension, (0, 0) of no points. Throws std::invalid_argument naming
// the first value that is not finite.
std::vector<ValueRange> coordinate_ranges(const PointColumns& points, const Kernels& kernels, ThreadTeam& team);

// k-means++ by exponential race: round r takes the point of the smallest -ln(u) / D^2, where u is the hash of (seed, r,
// id) as a number in (0, 1] and D the distance to the nearest centroid so far (round 0: 1); ties go to the smaller id
// hash. Row-major centroids, fewer than k where there are fewer distinct points; the first j rows are the answer for
// k = j. `points` are checked. O(k * size).
std::vector<float> seed_centroids(const PointColumns& points, const std::uint64_t* id_hashes, std::size_t k,
                                  std::uint64_t seed, std::size_t threads, const Kernels& kernels,
                                  const Cancellation* cancellation = nullptr);

struct KMeans {
    std::vector<float> centroids;  // row-major, k x dimensions
    std::vector<std::int64_t> sizes;
    double inertia = 0.0;  // 2^-32 * sum of rint(2^32 * squared distance)
    int iterations = 0;    // centroid updates
    bool converged = false;
};

// Lloyd's algorithm: assign, then update and assign again until no label changes or `max_iterations` updates were made,
// so labels, sizes and inertia always belong to the centroids returned. A cluster left empty keeps its centroid.
// `labels` has room for every point. Throws std::invalid_argument for more than 2^30 points or values too large for
// the fixed-point sums.
KMeans kmeans(const PointColumns& points, const std::vector<float>& initial_centroids, int max_iterations,
              std::size_t threads, const Kernels& kernels, std::int32_t* labels,
              const Cancellation* cancellation = nullptr);

// Label and squared distance of the nearest centroid, the lowest index among equals.
void assign(const PointColumns& points, const std::vector<float>& centroids, std::size_t threads,
            const Kernels& kernels, std::int32_t* labels, float* squared_distance,
            const Cancellation* cancellation = nullptr);

}  // namespace covey
