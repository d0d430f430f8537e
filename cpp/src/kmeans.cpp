#include "covey/kmeans.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "covey/parallel.hpp"
#include "fixed_point.hpp"
#include "kernels.hpp"

namespace covey {
namespace {

constexpr std::size_t points_per_thread = 16384;
constexpr std::size_t points_per_block = 2048;  // labels and coordinates of a block stay in the first-level cache
constexpr std::size_t points_per_compare = 64;

// Sums and sizes of clusters in steps of 2^-32, exact in int64 whatever the order.
struct Sums {
    Sums(std::size_t k, std::size_t dimensions) : coordinates(k * dimensions, 0), sizes(k, 0) {}

    void add(const Sums& other) {
        for (std::size_t i = 0; i < coordinates.size(); ++i) {
            coordinates[i] += other.coordinates[i];
        }
        for (std::size_t c = 0; c < sizes.size(); ++c) {
            sizes[c] += other.sizes[c];
        }
        changed += other.changed;
    }

    std::vector<std::int64_t> coordinates;
    std::vector<std::int64_t> sizes;
    std::size_t changed = 0;
};

class Lloyd {
public:
    Lloyd(const PointColumns& points, const std::vector<float>& centroids, std::size_t threads, const Kernels& kernels,
          std::int32_t* labels)
        : points_(points),
          kernels_(kernels),
          labels_(labels),
          k_(centroids.size() / points.dimensions),
          team_(useful_threads(threads, points.size, points_per_thread)),
          total_(k_, points.dimensions),
          centroids_(centroids) {}

    KMeans run(int max_iterations);

private:
    std::size_t assign();
    void assign_block(std::size_t begin, std::size_t size, std::int32_t* fresh, Sums& sums);
    void move_point(std::size_t point, std::int32_t label, Sums& sums);
    void update();
    double inertia();
    std::size_t blocks() const { return (points_.size + points_per_block - 1) / points_per_block; }

    const PointColumns& points_;
    const Kernels& kernels_;
    std::int32_t* labels_;
    std::size_t k_;
    ThreadTeam team_;
    Sums total_;
    std::vector<float> centroids_;
};

KMeans Lloyd::run(int max_iterations) {
    std::fill_n(labels_, points_.size, -1);
    assign();
    KMeans result;
    while (result.iterations < max_iterations && !result.converged) {
        update();
        ++result.iterations;
        result.converged = assign() == 0;
    }
    result.inertia = inertia();
    result.centroids = std::move(centroids_);
    result.sizes = std::move(total_.sizes);
    return result;
}

// Labels of all points; returns how many changed. Sums are brought up to date for those only.
std::size_t Lloyd::assign() {
    const std::size_t chunks = std::min(blocks(), team_.size() == 1 ? 1 : 8 * team_.size());
    std::vector<Sums> sums(chunks, Sums(k_, points_.dimensions));
    team_.run(chunks, [&](std::size_t chunk, std::size_t) {
        std::int32_t fresh[points_per_block];
        Sums own(k_, points_.dimensions);
        const std::size_t end = blocks() * (chunk + 1) / chunks;
        for (std::size_t block = blocks() * chunk / chunks; block < end; ++block) {
            const std::size_t begin = block * points_per_block;
            assign_block(begin, std::min(points_per_block, points_.size - begin), fresh, own);
        }
        sums[chunk] = std::move(own);
    });
    total_.changed = 0;
    for (const Sums& part : sums) {
        total_.add(part);
    }
    return total_.changed;
}

void Lloyd::assign_block(std::size_t begin, std::size_t size, std::int32_t* fresh, Sums& sums) {
    kernels_.nearest({points_.data + begin, points_.size, points_.dimensions}, size, centroids_.data(), k_, fresh,
                     nullptr);
    std::int32_t* known = labels_ + begin;
    for (std::size_t group = 0; group < size; group += points_per_compare) {
        const std::size_t end = std::min(group + points_per_compare, size);
        if (std::memcmp(fresh + group, known + group, (end - group) * sizeof *fresh) == 0) {
            continue;
        }
        for (std::size_t i = group; i < end; ++i) {
            if (fresh[i] != known[i]) {
                move_point(begin + i, fresh[i], sums);
            }
        }
    }
}

void Lloyd::move_point(std::size_t point, std::int32_t label, Sums& sums) {
    const std::size_t dimensions = points_.dimensions;
    const std::int32_t old = std::exchange(labels_[point], label);
    std::int64_t* to = sums.coordinates.data() + static_cast<std::size_t>(label) * dimensions;
    std::int64_t* from = old < 0 ? nullptr : sums.coordinates.data() + static_cast<std::size_t>(old) * dimensions;
    for (std::size_t d = 0; d < dimensions; ++d) {
        const std::int64_t steps = to_steps(points_.data[d * points_.size + point]);
        to[d] += steps;
        if (from != nullptr) {
            from[d] -= steps;
        }
    }
    ++sums.sizes[static_cast<std::size_t>(label)];
    if (from != nullptr) {
        --sums.sizes[static_cast<std::size_t>(old)];
    }
    ++sums.changed;
}

void Lloyd::update() {
    for (std::size_t c = 0; c < k_; ++c) {
        if (total_.sizes[c] == 0) {
            continue;
        }
        for (std::size_t d = 0; d < points_.dimensions; ++d) {
            const auto sum = static_cast<double>(total_.coordinates[c * points_.dimensions + d]);
            centroids_[c * points_.dimensions + d] =
                static_cast<float>(sum / static_cast<double>(total_.sizes[c]) * step);
        }
    }
}

double Lloyd::inertia() {
    std::atomic<std::int64_t> total{0};
    const std::size_t chunks = blocks();
    team_.run(chunks, [&](std::size_t block, std::size_t) {
        std::int32_t labels[points_per_block];
        float distances[points_per_block];
        const std::size_t begin = block * points_per_block;
        const std::size_t size = std::min(points_per_block, points_.size - begin);
        kernels_.nearest({points_.data + begin, points_.size, points_.dimensions}, size, centroids_.data(), k_, labels,
                         distances);
        std::int64_t steps = 0;
        for (std::size_t i = 0; i < size; ++i) {
            steps += to_steps(distances[i]);
        }
        total.fetch_add(steps, std::memory_order_relaxed);
    });
    return static_cast<double>(total.load()) * step;
}

// Coordinates and squared distances must fit the int64 sums: each below 2^31 over all points.
void check_range(const PointColumns& points, const std::vector<float>& centroids) {
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
              std::size_t threads, const Kernels& kernels, std::int32_t* labels) {
    check_points(points);
    check_centroids(initial_centroids);
    check_range(points, initial_centroids);
    return Lloyd(points, initial_centroids, threads, kernels, labels).run(max_iterations);
}

void assign(const PointColumns& points, const std::vector<float>& centroids, std::size_t threads,
            const Kernels& kernels, std::int32_t* labels, float* squared_distance) {
    check_points(points);
    check_centroids(centroids);
    ThreadTeam team(useful_threads(threads, points.size, points_per_thread));
    const std::size_t chunks = team.size();
    team.run(chunks, [&](std::size_t chunk, std::size_t) {
        const std::size_t begin = points.size * chunk / chunks;
        const std::size_t size = points.size * (chunk + 1) / chunks - begin;
        kernels.nearest({points.data + begin, points.size, points.dimensions}, size, centroids.data(),
                        centroids.size() / points.dimensions, labels + begin, squared_distance + begin);
    });
}

}  // namespace covey
