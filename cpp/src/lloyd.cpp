#include "lloyd.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "fixed_point.hpp"

namespace covey {
namespace {

constexpr std::size_t usual_dimensions = 5;
constexpr std::size_t vector_floats = 16;
constexpr std::size_t tasks_per_thread = 8;
constexpr std::size_t blocks_per_task = 256;  // at most, about: a cancellation is looked at between tasks
constexpr std::size_t points_per_word = 64;
constexpr float far_away = 0x1p40f;                 // coordinates are below 2^31
constexpr std::size_t least_k_of_neighbours = 8;    // with fewer centroids most of them are contenders anyway
constexpr int least_iterations_of_neighbours = 24;  // what bringing neighbours together costs
constexpr std::size_t settled_share = 64;           // of the points: when fewer change, most blocks can be left alone
constexpr std::size_t most_masked_sums = 12;
constexpr double unit_roundoff = 0x1p-24;

// How much nearer, in distance, one centroid must be than another for its float32 squared distance to be smaller too,
// with room for the rounding of the gaps themselves.
//
// A float32 squared distance is off by a factor within 1 +- e, e = (dimensions + 3) u (subtraction, square and
// additions, each 1 +- u). Let s < t be two true distances. The computed t^2 is larger than the computed s^2 where
// t^2 - s^2 > e (s^2 + t^2), so where t - s > e (s + t); s + t <= 2 diameter. A gap taken from float32 squares errs by
// no more than that again, a gap of a box by twice that and the rounding of a root and a division. Six times
// 2 e diameter in all would do, and 24 u diameter more for counters in float32 up to 4 diameters;
// 16 (dimensions + 4) u diameter is more than both. Below a diameter of 2^-30 subnormal numbers
// would have to be counted too: there nothing is skipped.
double slack_of(double diameter, std::size_t dimensions) {
    if (diameter < 0x1p-30) {
        return std::numeric_limits<double>::infinity();
    }
    return 16.0 * static_cast<double>(dimensions + 4) * unit_roundoff * diameter;
}

// Inline, so that the five traits need no loop.
inline void move_steps(const float* coordinates, std::size_t stride, std::size_t dimensions, std::int64_t* added,
                       std::int64_t* taken) {
    for (std::size_t d = 0; d < dimensions; ++d) {
        const std::int64_t steps = to_steps(coordinates[d * stride]);
        added[d] += steps;
        taken[d] -= steps;
    }
}

}  // namespace

void ClusterSums::add(const ClusterSums& other) {
    for (std::size_t i = 0; i < coordinates.size(); ++i) {
        coordinates[i] += other.coordinates[i];
    }
    for (std::size_t c = 0; c < sizes.size(); ++c) {
        sizes[c] += other.sizes[c];
    }
    changed += other.changed;
    squared_steps += other.squared_steps;
}

Lloyd::Lloyd(const PointColumns& points, const std::vector<float>& centroids, Extent extent, int max_iterations,
             ThreadTeam& team, const Kernels& kernels, std::int32_t* labels)
    : points_(points),
      kernels_(kernels),
      max_iterations_(max_iterations),
      labels_(labels),
      dimensions_(points.dimensions),
      k_(centroids.size() / points.dimensions),
      padded_k_((k_ + vector_floats - 1) / vector_floats * vector_floats),
      largest_(static_cast<float>(extent.largest)),
      diameter_(extent.diameter),
      slack_(slack_of(extent.diameter, points.dimensions)),
      team_(team),
      blocks_(points, labels),
      total_(k_, points.dimensions),
      centroids_(centroids),
      centroid_columns_(padded_k_ * points.dimensions, far_away),
      drift_(k_, 0.0) {
    lay_out_centroids();
}

std::size_t Lloyd::task_count() const {
    return std::min(blocks_.count(), std::max(tasks_per_thread * team_.size(), blocks_.count() / blocks_per_task));
}

KMeans Lloyd::run() {
    KMeans result;
    if (max_iterations_ == 0) {
        assign(&Lloyd::assign_only);
        inertia_is_known_ = true;
    } else {
        begin();
    }
    while (iterations_ < max_iterations_ && !result.converged) {
        step(means_of(total_, centroids_, dimensions_), iterations_ + 1 == max_iterations_);
        result.converged = total_.changed == 0;
    }
    result.inertia = static_cast<double>(inertia_is_known_ ? total_.squared_steps : finish()) * covey::step;
    result.iterations = iterations_;
    result.centroids = std::move(centroids_);
    result.sizes = std::move(total_.sizes);
    return result;
}

// Moves the centroids and brings the labels after them.
void Lloyd::step(const std::vector<float>& centroids, bool is_last) {
    move_to(centroids);
    ++iterations_;
    if (!settled_ && total_.changed < points_.size / settled_share) {
        settled_ = true;
        if (k_ >= least_k_of_neighbours && max_iterations_ - iterations_ >= least_iterations_of_neighbours) {
            blocks_ = PointBlocks(points_, labels_, team_, kernels_);
        }
        states_.resize(blocks_.count());
    }
    inertia_is_known_ = !settled_ && is_last;
    assign(settled_ ? &Lloyd::assign_block : inertia_is_known_ ? &Lloyd::assign_last : &Lloyd::assign_all);
}

// Brings labels up to date, and sums for those that changed.
void Lloyd::assign(void (Lloyd::*assign_one)(std::size_t block, Scratch& scratch, ClusterSums& sums)) {
    const std::size_t tasks = task_count();
    std::vector<ClusterSums> sums(tasks, ClusterSums(k_, dimensions_));
    team_.run(tasks, [&](std::size_t task, std::size_t) {
        Scratch scratch(padded_k_, dimensions_);
        const std::size_t end = blocks_.count() * (task + 1) / tasks;
        for (std::size_t block = blocks_.count() * task / tasks; block < end; ++block) {
            (this->*assign_one)(block, scratch, sums[task]);
        }
    });
    total_.changed = 0;
    for (const ClusterSums& part : sums) {
        total_.add(part);
    }
}

// The first labels, and the sums of everyone.
void Lloyd::assign_first(std::size_t block, Scratch&, ClusterSums& sums) {
    const Points points = blocks_.points(block);
    const std::size_t size = blocks_.size(block);
    std::int32_t* labels = blocks_.labels(block);
    kernels_.nearest(points, size, centroids_.data(), k_, labels, nullptr);
    sums.changed += size;
    if (k_ > most_masked_sums) {
        for (std::size_t i = 0; i < size; ++i) {
            const auto label = static_cast<std::size_t>(labels[i]);
            for (std::size_t d = 0; d < dimensions_; ++d) {
                sums.coordinates[label * dimensions_ + d] += to_steps(points.data[d * points.stride + i]);
            }
            ++sums.sizes[label];
        }
        return;
    }
    std::int64_t steps[largest_dimensions];
    for (std::size_t c = 0; c < k_; ++c) {
        sums.sizes[c] += sum_steps(points, size, labels, static_cast<std::int32_t>(c), largest_, kernels_, steps);
        for (std::size_t d = 0; d < dimensions_; ++d) {
            sums.coordinates[c * dimensions_ + d] += steps[d];
        }
    }
}

// While many labels change: every point, every centroid.
void Lloyd::assign_all(std::size_t block, Scratch& scratch, ClusterSums& sums) {
    std::int32_t* labels = blocks_.labels(block);
    kernels_.relabel(blocks_.points(block), blocks_.size(block), centroids_.data(), k_, labels, scratch.labels, nullptr,
                     scratch.changed);
    for_changed(block, scratch, [&](std::size_t i) {
        move_point(block, i, labels[i], scratch.labels[i], sums);
        labels[i] = scratch.labels[i];
    });
}

// No update follows: sizes and the inertia, but no sums.
void Lloyd::assign_last(std::size_t block, Scratch& scratch, ClusterSums& sums) {
    const std::size_t size = blocks_.size(block);
    std::int32_t* labels = blocks_.labels(block);
    kernels_.relabel(blocks_.points(block), size, centroids_.data(), k_, labels, scratch.labels, scratch.distances,
                     scratch.changed);
    for_changed(block, scratch, [&](std::size_t i) {
        --sums.sizes[static_cast<std::size_t>(labels[i])];
        ++sums.sizes[static_cast<std::size_t>(scratch.labels[i])];
        ++sums.changed;
        labels[i] = scratch.labels[i];
    });
    sums.squared_steps += distance_steps(scratch, size);
}

// Neither labels before nor an update after.
void Lloyd::assign_only(std::size_t block, Scratch& scratch, ClusterSums& sums) {
    const std::size_t size = blocks_.size(block);
    std::int32_t* labels = blocks_.labels(block);
    kernels_.nearest(blocks_.points(block), size, centroids_.data(), k_, labels, scratch.distances);
    if (k_ <= most_masked_sums) {
        for (std::size_t c = 0; c < k_; ++c) {
            std::int32_t count = 0;
            for (std::size_t i = 0; i < size; ++i) {
                count += labels[i] == static_cast<std::int32_t>(c);
            }
            sums.sizes[c] += count;
        }
    } else {
        for (std::size_t i = 0; i < size; ++i) {
            ++sums.sizes[static_cast<std::size_t>(labels[i])];
        }
    }
    sums.squared_steps += distance_steps(scratch, size);
}

template <typename Move>
void Lloyd::for_changed(std::size_t block, const Scratch& scratch, Move move) {
    for (std::size_t begin = 0; begin < blocks_.size(block); begin += points_per_word) {
        for (std::uint64_t bits = scratch.changed[begin / points_per_word]; bits != 0; bits &= bits - 1) {
            move(begin + static_cast<std::size_t>(std::countr_zero(bits)));
        }
    }
}

void Lloyd::move_point(std::size_t block, std::size_t point, std::int32_t from, std::int32_t to, ClusterSums& sums) {
    const Points points = blocks_.points(block);
    const float* coordinates = points.data + point;
    std::int64_t* added = sums.coordinates.data() + static_cast<std::size_t>(to) * dimensions_;
    std::int64_t* taken = sums.coordinates.data() + static_cast<std::size_t>(from) * dimensions_;
    if (dimensions_ == usual_dimensions) {
        move_steps(coordinates, points.stride, usual_dimensions, added, taken);
    } else {
        move_steps(coordinates, points.stride, dimensions_, added, taken);
    }
    ++sums.sizes[static_cast<std::size_t>(to)];
    --sums.sizes[static_cast<std::size_t>(from)];
    ++sums.changed;
}

std::vector<float> means_of(const ClusterSums& sums, const std::vector<float>& centroids, std::size_t dimensions) {
    std::vector<float> means = centroids;
    for (std::size_t c = 0; c < sums.sizes.size(); ++c) {
        if (sums.sizes[c] == 0) {
            continue;
        }
        for (std::size_t d = 0; d < dimensions; ++d) {
            const auto sum = static_cast<double>(sums.coordinates[c * dimensions + d]);
            means[c * dimensions + d] = static_cast<float>(sum / static_cast<double>(sums.sizes[c]) * step);
        }
    }
    return means;
}

void Lloyd::move_to(const std::vector<float>& centroids) {
    constexpr double up = 1.0 + 0x1p-40;  // more than what double rounds away, here and over all iterations
    double farthest = 0.0;
    double second = 0.0;
    for (std::size_t c = 0; c < k_; ++c) {
        double squared = 0.0;
        for (std::size_t d = 0; d < dimensions_; ++d) {
            const std::size_t i = c * dimensions_ + d;
            const double difference = static_cast<double>(centroids[i]) - static_cast<double>(centroids_[i]);
            squared += difference * difference;
        }
        drift_[c] = std::sqrt(squared) * up;
        second = std::max(second, std::min(drift_[c], farthest));
        farthest = std::max(farthest, drift_[c]);
    }
    moved_ = (moved_ + farthest + second) * up;
    centroids_ = centroids;
    lay_out_centroids();
}

void Lloyd::lay_out_centroids() {
    for (std::size_t c = 0; c < k_; ++c) {
        for (std::size_t d = 0; d < dimensions_; ++d) {
            centroid_columns_[d * padded_k_ + c] = centroids_[c * dimensions_ + d];
        }
    }
}

std::int64_t Lloyd::distance_steps(const Scratch& scratch, std::size_t size) const {
    const auto largest = static_cast<float>(diameter_ * diameter_ * 1.5);
    std::int64_t steps = 0;
    sum_steps({scratch.distances, size, 1}, size, nullptr, 0, largest, kernels_, &steps);
    return steps;
}

std::int64_t Lloyd::finish() {
    std::atomic<std::int64_t> total{0};
    const std::size_t tasks = task_count();
    team_.run(tasks, [&](std::size_t task, std::size_t) {
        Scratch scratch(padded_k_, dimensions_);
        std::int64_t sum = 0;
        const std::size_t end = blocks_.count() * (task + 1) / tasks;
        for (std::size_t block = blocks_.count() * task / tasks; block < end; ++block) {
            const std::size_t size = blocks_.size(block);
            if (!blocks_.are_neighbours()) {
                kernels_.nearest(blocks_.points(block), size, centroids_.data(), k_, blocks_.labels(block),
                                 scratch.distances);
                sum += distance_steps(scratch, size);
                continue;
            }
            gaps(block, scratch);
            for (std::size_t n = 0; n < scratch.count; ++n) {
                std::copy_n(centroids_.data() + static_cast<std::size_t>(scratch.names[n]) * dimensions_, dimensions_,
                            scratch.centroids.data() + n * dimensions_);
            }
            kernels_.nearest(blocks_.points(block), size, scratch.centroids.data(), scratch.count, scratch.labels,
                             scratch.distances);
            sum += distance_steps(scratch, size);
            const std::int32_t* positions = blocks_.positions(block);
            for (std::size_t i = 0; i < size; ++i) {
                labels_[positions[i]] = scratch.names[static_cast<std::size_t>(scratch.labels[i])];
            }
        }
        total.fetch_add(sum, std::memory_order_relaxed);
    });
    return total.load();
}

}  // namespace covey
