#include "covey/kmeans.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "covey/parallel.hpp"
#include "fixed_point.hpp"
#include "kernels.hpp"
#include "lloyd.hpp"

namespace covey {
namespace {

constexpr std::size_t points_per_thread = 16384;

// Coordinates and squared distances must fit the int64 sums: each below 2^31 over all points.
Extent check_range(const PointColumns& points, const std::vector<float>& centroids) {
    constexpr std::size_t most_points = std::size_t{1} << 30;
    if (points.size > most_points) {
        throw std::invalid_argument("points has " + std::to_string(points.size) +
                                    " columns; the fixed-point sums hold at most 2^30");
    }
    double squared_diameter = 0.0;
    double largest = 0.0;
    for (std::size_t d = 0; d < points.dimensions; ++d) {
        const float* row = points.data + d * points.size;
        auto [low, high] = value_range(row, points.size);
        for (std::size_t c = d; c < centroids.size(); c += points.dimensions) {
            low = std::min(low, centroids[c]);
            high = std::max(high, centroids[c]);
        }
        const double width = static_cast<double>(high) - static_cast<double>(low);
        squared_diameter += width * width;
        largest = std::max({largest, std::abs(static_cast<double>(low)), std::abs(static_cast<double>(high))});
    }
    const double room = 0x1p31 / static_cast<double>(std::max<std::size_t>(points.size, 1));
    if (!(largest < room && squared_diameter < room)) {
        throw std::invalid_argument("points or initial_centroids hold values up to " + std::to_string(largest) +
                                    ": too large for fixed-point sums over " + std::to_string(points.size) +
                                    " points; scale them to [-1, 1]");
    }
    return {largest, std::sqrt(squared_diameter)};
}

void check_centroids(const std::vector<float>& centroids) {
    for (std::size_t i = 0; i < centroids.size(); ++i) {
        if (!std::isfinite(centroids[i])) {
            throw std::invalid_argument("a centroid holds " + std::to_string(centroids[i]) +
                                        ", expected finite values");
        }
    }
}

}  // namespace

void check_points(const PointColumns& points) {
    for (std::size_t d = 0; d < points.dimensions; ++d) {
        const float* row = points.data + d * points.size;
        if (all_finite(row, points.size)) {
            continue;
        }
        const auto* bad = std::find_if(row, row + points.size, [](float value) { return !std::isfinite(value); });
        throw std::invalid_argument("points[" + std::to_string(d) + ", " + std::to_string(bad - row) + "] is " +
                                    std::to_string(*bad) + ", expected a finite number");
    }
}

KMeans kmeans(const PointColumns& points, const std::vector<float>& initial_centroids, int max_iterations,
              std::size_t threads, const Kernels& kernels, std::int32_t* labels, const Cancellation* cancellation) {
    check_points(points);
    check_centroids(initial_centroids);
    const Extent extent = check_range(points, initial_centroids);
    ThreadTeam team(useful_threads(threads, points.size, points_per_thread), cancellation);
    return Lloyd(points, initial_centroids, extent, max_iterations, team, kernels, labels).run();
}

void assign(const PointColumns& points, const std::vector<float>& centroids, std::size_t threads,
            const Kernels& kernels, std::int32_t* labels, float* squared_distance, const Cancellation* cancellation) {
    check_points(points);
    check_centroids(centroids);
    ThreadTeam team(useful_threads(threads, points.size, points_per_thread), cancellation);
    const std::size_t chunks = (points.size + points_per_thread - 1) / points_per_thread;
    team.run(chunks, [&](std::size_t chunk, std::size_t) {
        const std::size_t begin = points_per_thread * chunk;
        const std::size_t size = std::min(points_per_thread, points.size - begin);
        kernels.nearest({points.data + begin, points.size, points.dimensions}, size, centroids.data(),
                        centroids.size() / points.dimensions, labels + begin, squared_distance + begin);
    });
}

}  // namespace covey
