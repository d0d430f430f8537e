#include "covey/kmeans.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "covey/parallel.hpp"
#include "kernels.hpp"
#include "lloyd.hpp"

namespace covey {
namespace {

constexpr std::size_t points_per_thread = 16384;

// Coordinates and squared distances must fit the int64 sums: each below 2^31 over all points.
Extent checked_extent(const PointColumns& points, const std::vector<float>& centroids, const Kernels& kernels,
                      ThreadTeam& team) {
    constexpr std::size_t most_points = std::size_t{1} << 30;
    if (points.size > most_points) {
        throw std::invalid_argument("points has " + std::to_string(points.size) +
                                    " columns; the fixed-point sums hold at most 2^30");
    }
    double squared_diameter = 0.0;
    double largest = 0.0;
    const std::vector<ValueRange> ranges = coordinate_ranges(points, kernels, team);
    for (std::size_t d = 0; d < points.dimensions; ++d) {
        auto [low, high] = ranges[d];
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

std::vector<ValueRange> coordinate_ranges(const PointColumns& points, const Kernels& kernels, ThreadTeam& team) {
    const std::size_t chunks = (points.size + points_per_thread - 1) / points_per_thread;
    std::vector<ValueRange> ranges(chunks * points.dimensions);
    std::atomic<bool> finite{true};
    team.run(chunks, [&](std::size_t chunk, std::size_t) {
        const std::size_t begin = points_per_thread * chunk;
        const std::size_t size = std::min(points_per_thread, points.size - begin);
        for (std::size_t d = 0; d < points.dimensions; ++d) {
            ValueRange& range = ranges[chunk * points.dimensions + d];
            if (!kernels.value_range(points.data + d * points.size + begin, size, &range.low, &range.high)) {
                finite.store(false, std::memory_order_relaxed);
            }
        }
    });
    if (!finite.load()) {
        const auto* bad = std::find_if(points.data, points.data + points.dimensions * points.size,
                                       [](float value) { return !std::isfinite(value); });
        const auto position = static_cast<std::size_t>(bad - points.data);
        throw std::invalid_argument("points[" + std::to_string(position / points.size) + ", " +
                                    std::to_string(position % points.size) + "] is " + std::to_string(*bad) +
                                    ", expected a finite number");
    }
    if (ranges.empty()) {
        return std::vector<ValueRange>(points.dimensions, {0.0f, 0.0f});
    }
    for (std::size_t i = points.dimensions; i < ranges.size(); ++i) {
        ValueRange& range = ranges[i % points.dimensions];
        range.low = std::min(range.low, ranges[i].low);
        range.high = std::max(range.high, ranges[i].high);
    }
    ranges.resize(points.dimensions);
    return ranges;
}

KMeans kmeans(const PointColumns& points, const std::vector<float>& initial_centroids, int max_iterations,
              std::size_t threads, const Kernels& kernels, std::int32_t* labels, const Cancellation* cancellation) {
    check_centroids(initial_centroids);
    ThreadTeam team(useful_threads(threads, points.size, points_per_thread), cancellation);
    const Extent extent = checked_extent(points, initial_centroids, kernels, team);
    return Lloyd(points, initial_centroids, extent, max_iterations, team, kernels, labels).run();
}

void assign(const PointColumns& points, const std::vector<float>& centroids, std::size_t threads,
            const Kernels& kernels, std::int32_t* labels, float* squared_distance, const Cancellation* cancellation) {
    check_centroids(centroids);
    ThreadTeam team(useful_threads(threads, points.size, points_per_thread), cancellation);
    coordinate_ranges(points, kernels, team);
    const std::size_t chunks = (points.size + points_per_thread - 1) / points_per_thread;
    team.run(chunks, [&](std::size_t chunk, std::size_t) {
        const std::size_t begin = points_per_thread * chunk;
        const std::size_t size = std::min(points_per_thread, points.size - begin);
        kernels.nearest({points.data + begin, points.size, points.dimensions}, size, centroids.data(),
                        centroids.size() / points.dimensions, labels + begin, squared_distance + begin);
    });
}

}  // namespace covey
