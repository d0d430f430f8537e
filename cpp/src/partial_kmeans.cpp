#include "covey/partial_kmeans.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "covey/parallel.hpp"
#include "kernels.hpp"
#include "lloyd.hpp"

namespace covey {
namespace {

constexpr std::size_t points_per_thread = 16384;

Extent extent_of(const std::vector<ValueRange>& ranges) {
    double largest = 0.0;
    double squared_diameter = 0.0;
    for (const auto [low, high] : ranges) {
        const double width = static_cast<double>(high) - static_cast<double>(low);
        squared_diameter += width * width;
        largest = std::max({largest, std::abs(static_cast<double>(low)), std::abs(static_cast<double>(high))});
    }
    return {largest, std::sqrt(squared_diameter)};
}

void check_within(const PointColumns& points, const std::vector<ValueRange>& ranges, const Kernels& kernels,
                  ThreadTeam& team) {
    const std::vector<ValueRange> own = coordinate_ranges(points, kernels, team);
    for (std::size_t d = 0; d < points.dimensions && points.size > 0; ++d) {
        if (!(ranges[d].low <= own[d].low && own[d].high <= ranges[d].high)) {
            throw std::invalid_argument("points[" + std::to_string(d) + "] holds values from " +
                                        std::to_string(own[d].low) + " to " + std::to_string(own[d].high) +
                                        ", expected " + std::to_string(ranges[d].low) + " to " +
                                        std::to_string(ranges[d].high));
        }
    }
}

}  // namespace

struct PartialKMeans::State {
    State(const PointColumns& own, const std::vector<float>& centroids, const std::vector<ValueRange>& ranges,
          int max_iterations, std::size_t threads, const Kernels& kernels, std::int32_t* labels)
        : points(own),
          team(useful_threads(threads, own.size, points_per_thread)),
          lloyd((check_within(points, ranges, kernels, team), points), centroids, extent_of(ranges), max_iterations,
                team, kernels, labels) {}

    PointColumns points;
    ThreadTeam team;
    Lloyd lloyd;
};

PartialKMeans::PartialKMeans(const PointColumns& points, const std::vector<float>& centroids,
                             const std::vector<ValueRange>& ranges, int max_iterations, std::size_t threads,
                             const Kernels& kernels, std::int32_t* labels)
    : state_(std::make_unique<State>(points, centroids, ranges, max_iterations, threads, kernels, labels)) {
    state_->lloyd.begin();
}

PartialKMeans::~PartialKMeans() = default;

void PartialKMeans::step(const std::vector<float>& centroids) {
    state_->lloyd.step(centroids);
}

std::size_t PartialKMeans::k() const {
    return sizes().size();
}

const std::vector<std::int64_t>& PartialKMeans::coordinates() const {
    return state_->lloyd.sums().coordinates;
}

const std::vector<std::int64_t>& PartialKMeans::sizes() const {
    return state_->lloyd.sums().sizes;
}

std::size_t PartialKMeans::changed() const {
    return state_->lloyd.sums().changed;
}

std::int64_t PartialKMeans::finish() {
    return state_->lloyd.finish();
}

}  // namespace covey
