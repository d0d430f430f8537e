#include "covey/silhouette.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>

#include "covey/math.hpp"
#include "covey/parallel.hpp"
#include "fixed_point.hpp"
#include "kernels.hpp"

namespace covey {
namespace {

constexpr std::size_t most_points = std::size_t{1} << 20;
constexpr std::size_t points_per_task = 64;
constexpr std::size_t padding = 16;
constexpr int distance_bits = 30;    // of the bound of the largest distance
constexpr int silhouette_bits = 40;  // of one silhouette

// The points brought together by cluster, so that a cluster is one run of columns.
class Grouped {
public:
    Grouped(const PointColumns& points, const std::int32_t* labels, std::size_t k)
        : size_(points.size),
          dimensions_(points.dimensions),
          begin_(k + 1, 0),
          labels_(points.size),
          data_(points.dimensions * (points.size + padding), 0.0f) {
        for (std::size_t i = 0; i < size_; ++i) {
            if (labels[i] < 0 || static_cast<std::size_t>(labels[i]) >= k) {
                throw std::invalid_argument("labels[" + std::to_string(i) + "] is " + std::to_string(labels[i]) +
                                            ", expected a cluster in [0, " + std::to_string(k) + ")");
            }
            ++begin_[static_cast<std::size_t>(labels[i]) + 1];
        }
        for (std::size_t c = 0; c < k; ++c) {
            begin_[c + 1] += begin_[c];
        }
        std::vector<std::size_t> next(begin_.begin(), begin_.end() - 1);
        for (std::size_t i = 0; i < size_; ++i) {
            const std::size_t position = next[static_cast<std::size_t>(labels[i])]++;
            labels_[position] = labels[i];
            for (std::size_t d = 0; d < dimensions_; ++d) {
                data_[d * (size_ + padding) + position] = points.data[d * size_ + i];
            }
        }
    }

    std::size_t cluster_count() const { return begin_.size() - 1; }
    std::size_t cluster_size(std::size_t c) const { return begin_[c + 1] - begin_[c]; }
    std::size_t label(std::size_t i) const { return static_cast<std::size_t>(labels_[i]); }
    Points cluster(std::size_t c) const { return {data_.data() + begin_[c], size_ + padding, dimensions_}; }
    void copy_point(std::size_t i, float* point) const {
        for (std::size_t d = 0; d < dimensions_; ++d) {
            point[d] = data_[d * (size_ + padding) + i];
        }
    }

private:
    std::size_t size_;
    std::size_t dimensions_;
    std::vector<std::size_t> begin_;
    std::vector<std::int32_t> labels_;
    std::vector<float> data_;
};

// A power of two that brings every distance below 2^30; 0 where all points coincide.
float distance_scale(const PointColumns& points) {
    double squared_diameter = 0.0;
    for (std::size_t d = 0; d < points.dimensions; ++d) {
        const auto [low, high] = value_range(points.data + d * points.size, points.size);
        const double width = static_cast<double>(high) - static_cast<double>(low);
        squared_diameter += width * width;
    }
    if (squared_diameter == 0.0) {
        return 0.0f;
    }
    const int exponent = binary_exponent(squared_diameter) / 2 + 1;  // diameter < 2^exponent, whatever the sign
    const int scale = distance_bits - exponent;
    if (scale < -126 || scale > 127) {
        throw std::invalid_argument("points span 2^" + std::to_string(exponent) + "; scale them to [-1, 1]");
    }
    return static_cast<float>(power_of_two(scale));
}

double silhouette_of(const Grouped& grouped, std::size_t i, float scale, const Kernels& kernels) {
    const std::size_t own = grouped.label(i);
    if (grouped.cluster_size(own) == 1) {
        return 0.0;
    }
    float point[largest_dimensions];
    grouped.copy_point(i, point);
    double within = 0.0;
    double nearest_other = HUGE_VAL;
    for (std::size_t c = 0; c < grouped.cluster_count(); ++c) {
        const std::size_t size = grouped.cluster_size(c);
        if (size == 0) {
            continue;
        }
        const auto sum = static_cast<double>(kernels.distance_sum(grouped.cluster(c), size, point, scale));
        if (c == own) {
            within = sum / static_cast<double>(size - 1);
        } else {
            nearest_other = std::min(nearest_other, sum / static_cast<double>(size));
        }
    }
    const double larger = std::max(within, nearest_other);
    return larger == 0.0 ? 0.0 : (nearest_other - within) / larger;
}

}  // namespace

double silhouette(const PointColumns& points, const std::int32_t* labels, std::size_t k, std::size_t threads,
                  const Kernels& kernels, const Cancellation* cancellation) {
    check_points(points);
    if (points.size > most_points) {
        throw std::invalid_argument("points has " + std::to_string(points.size) +
                                    " columns; the silhouette takes a sample of at most 2^20");
    }
    const Grouped grouped(points, labels, k);
    std::size_t clusters = 0;
    for (std::size_t c = 0; c < k; ++c) {
        clusters += grouped.cluster_size(c) > 0;
    }
    if (clusters < 2) {
        throw std::invalid_argument("labels name " + std::to_string(clusters) +
                                    " non-empty clusters; a silhouette needs at least two");
    }
    const float scale = distance_scale(points);
    std::atomic<std::int64_t> total{0};
    ThreadTeam team(useful_threads(threads, points.size, points_per_task), cancellation);
    const std::size_t tasks = (points.size + points_per_task - 1) / points_per_task;
    team.run(tasks, [&](std::size_t task, std::size_t) {
        std::int64_t steps = 0;
        const std::size_t end = std::min((task + 1) * points_per_task, points.size);
        for (std::size_t i = task * points_per_task; i < end; ++i) {
            steps += __builtin_llrint(silhouette_of(grouped, i, scale, kernels) * power_of_two(silhouette_bits));
        }
        total.fetch_add(steps, std::memory_order_relaxed);
    });
    return static_cast<double>(total.load()) * power_of_two(-silhouette_bits) / static_cast<double>(points.size);
}

}  // namespace covey
