#include "covey/silhouette.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "covey/math.hpp"
#include "covey/parallel.hpp"
#include "kernels.hpp"

namespace covey {
namespace {

constexpr std::size_t most_points = std::size_t{1} << 20;
constexpr std::size_t points_per_thread = 64;
constexpr std::size_t points_per_task = 16;  // as the kernel takes them
constexpr int distance_bits = 30;            // of the bound of the largest distance
constexpr int silhouette_bits = 40;          // of one silhouette

// The points brought together in cells: those that share a cluster in every labelling. Every cluster that has points
// has a row of sums, the rows of a labelling one behind the other.
class Cells {
public:
    Cells(const PointColumns& points, const std::int32_t* labels, const std::vector<std::size_t>& ks);

    std::size_t labelling_count() const { return first_row_.size() - 1; }
    std::size_t first_row(std::size_t labelling) const { return first_row_[labelling]; }
    std::size_t row_count() const { return first_row_.back(); }
    std::size_t cluster_size(std::size_t row) const { return cluster_sizes_[row]; }
    // The row of the cluster that the point at this position is in.
    std::size_t row(std::size_t position, std::size_t labelling) const {
        return rows_[cell_of_[position] * labelling_count() + labelling];
    }
    // sums[row * 16 + i]: distances of the points at position ... position + 15 (the last one, where there are fewer)
    // to everyone in the row's cluster.
    void distance_sums(std::size_t position, float scale, const Kernels& kernels, std::int64_t* sums) const;

private:
    void count(const std::int32_t* labels, std::size_t labelling, std::size_t k, bool is_only);
    void cut(const std::vector<std::uint32_t>& order);

    std::size_t size_;
    std::size_t dimensions_;
    std::vector<std::size_t> first_row_{0};
    std::vector<std::size_t> cluster_sizes_;     // by row
    std::vector<std::uint32_t> rows_of_points_;  // [labelling * size + point]
    std::vector<std::uint32_t> rows_;            // [cell * labelling count + labelling]
    std::vector<std::uint32_t> begin_;           // of the cells, and the end
    std::vector<std::uint32_t> cell_of_;
    std::vector<float> coordinates_;  // row-major
};

Cells::Cells(const PointColumns& points, const std::int32_t* labels, const std::vector<std::size_t>& ks)
    : size_(points.size), dimensions_(points.dimensions), rows_of_points_(points.size * ks.size()) {
    for (std::size_t m = 0; m < ks.size(); ++m) {
        count(labels, m, ks[m], ks.size() == 1);
    }
    // One stable sort per labelling: points that none tells apart come together.
    std::vector<std::uint32_t> order(size_);
    std::iota(order.begin(), order.end(), 0u);
    std::vector<std::uint32_t> sorted(size_);
    for (std::size_t m = 0; m < ks.size(); ++m) {
        const std::uint32_t* rows = rows_of_points_.data() + m * size_;
        std::vector<std::size_t> next(first_row_[m + 1] - first_row_[m] + 1, 0);
        for (std::size_t row = first_row_[m]; row < first_row_[m + 1]; ++row) {
            next[row - first_row_[m] + 1] = next[row - first_row_[m]] + cluster_sizes_[row];
        }
        for (const std::uint32_t point : order) {
            sorted[next[rows[point] - first_row_[m]]++] = point;
        }
        order.swap(sorted);
    }
    cut(order);
    coordinates_.resize(size_ * dimensions_);
    for (std::size_t position = 0; position < size_; ++position) {
        for (std::size_t d = 0; d < dimensions_; ++d) {
            coordinates_[position * dimensions_ + d] = points.data[d * size_ + order[position]];
        }
    }
}

// Checks a labelling and numbers its clusters.
void Cells::count(const std::int32_t* labels, std::size_t labelling, std::size_t k, bool is_only) {
    const std::string which = is_only ? "" : std::to_string(labelling) + ", ";
    std::vector<std::size_t> sizes(k, 0);
    const std::int32_t* own = labels + labelling * size_;
    for (std::size_t i = 0; i < size_; ++i) {
        if (own[i] < 0 || static_cast<std::size_t>(own[i]) >= k) {
            throw std::invalid_argument(std::string("labels[") + which + std::to_string(i) + "] is " +
                                        std::to_string(own[i]) + ", expected a cluster in [0, " + std::to_string(k) +
                                        ")");
        }
        ++sizes[static_cast<std::size_t>(own[i])];
    }
    std::vector<std::uint32_t> row_of(k, 0);
    for (std::size_t c = 0; c < k; ++c) {
        if (sizes[c] > 0) {
            row_of[c] = static_cast<std::uint32_t>(cluster_sizes_.size());
            cluster_sizes_.push_back(sizes[c]);
        }
    }
    const std::size_t clusters = cluster_sizes_.size() - first_row_.back();
    if (clusters < 2) {
        throw std::invalid_argument(
            (is_only ? std::string("labels") : std::string("labels[") + std::to_string(labelling) + "]") + " name " +
            std::to_string(clusters) + " non-empty clusters; a silhouette needs at least two");
    }
    for (std::size_t i = 0; i < size_; ++i) {
        rows_of_points_[labelling * size_ + i] = row_of[static_cast<std::size_t>(own[i])];
    }
    first_row_.push_back(cluster_sizes_.size());
}

void Cells::cut(const std::vector<std::uint32_t>& order) {
    const std::size_t labellings = labelling_count();
    cell_of_.resize(size_);
    for (std::size_t position = 0; position < size_; ++position) {
        bool is_new = position == 0;
        for (std::size_t m = 0; m < labellings && !is_new; ++m) {
            const std::uint32_t* rows = rows_of_points_.data() + m * size_;
            is_new = rows[order[position]] != rows[order[position - 1]];
        }
        if (is_new) {
            begin_.push_back(static_cast<std::uint32_t>(position));
            for (std::size_t m = 0; m < labellings; ++m) {
                rows_.push_back(rows_of_points_[m * size_ + order[position]]);
            }
        }
        cell_of_[position] = static_cast<std::uint32_t>(begin_.size() - 1);
    }
    begin_.push_back(static_cast<std::uint32_t>(size_));
}

void Cells::distance_sums(std::size_t position, float scale, const Kernels& kernels, std::int64_t* sums) const {
    float own[largest_dimensions * points_per_task];
    for (std::size_t i = 0; i < points_per_task; ++i) {
        const std::size_t point = std::min(position + i, size_ - 1);
        for (std::size_t d = 0; d < dimensions_; ++d) {
            own[d * points_per_task + i] = coordinates_[point * dimensions_ + d];
        }
    }
    std::fill_n(sums, row_count() * points_per_task, 0);
    kernels.distance_sums(own, coordinates_.data(), dimensions_, begin_.data(), begin_.size() - 1, rows_.data(),
                          labelling_count(), scale, sums);
}

// A power of two that brings every distance below 2^30; 0 where all points coincide.
float distance_scale(const std::vector<ValueRange>& ranges) {
    double squared_diameter = 0.0;
    for (const auto [low, high] : ranges) {
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

// Of the point at this position, whose distances are sums[row * 16].
double silhouette_of(const Cells& cells, std::size_t position, std::size_t labelling, const std::int64_t* sums) {
    const std::size_t own = cells.row(position, labelling);
    if (cells.cluster_size(own) == 1) {
        return 0.0;
    }
    double within = 0.0;
    double nearest_other = HUGE_VAL;
    for (std::size_t row = cells.first_row(labelling); row < cells.first_row(labelling + 1); ++row) {
        const auto sum = static_cast<double>(sums[row * points_per_task]);
        if (row == own) {
            within = sum / static_cast<double>(cells.cluster_size(row) - 1);
        } else {
            nearest_other = std::min(nearest_other, sum / static_cast<double>(cells.cluster_size(row)));
        }
    }
    const double larger = std::max(within, nearest_other);
    return larger == 0.0 ? 0.0 : (nearest_other - within) / larger;
}

}  // namespace

std::vector<double> silhouettes(const PointColumns& points, const std::int32_t* labels,
                                const std::vector<std::size_t>& ks, std::size_t threads, const Kernels& kernels,
                                const Cancellation* cancellation) {
    if (points.size > most_points) {
        throw std::invalid_argument("points has " + std::to_string(points.size) +
                                    " columns; the silhouette takes a sample of at most 2^20");
    }
    ThreadTeam team(useful_threads(threads, points.size, points_per_thread), cancellation);
    const float scale = distance_scale(coordinate_ranges(points, kernels, team));
    const Cells cells(points, labels, ks);
    std::vector<std::atomic<std::int64_t>> totals(ks.size());
    const std::size_t tasks = (points.size + points_per_task - 1) / points_per_task;
    team.run(tasks, [&](std::size_t task, std::size_t) {
        std::vector<std::int64_t> sums(cells.row_count() * points_per_task);
        std::vector<std::int64_t> steps(ks.size(), 0);
        const std::size_t begin = task * points_per_task;
        cells.distance_sums(begin, scale, kernels, sums.data());
        for (std::size_t i = begin; i < std::min(begin + points_per_task, points.size); ++i) {
            for (std::size_t m = 0; m < ks.size(); ++m) {
                const double value = silhouette_of(cells, i, m, sums.data() + (i - begin));
                steps[m] += __builtin_llrint(value * power_of_two(silhouette_bits));
            }
        }
        for (std::size_t m = 0; m < ks.size(); ++m) {
            totals[m].fetch_add(steps[m], std::memory_order_relaxed);
        }
    });
    std::vector<double> means(ks.size());
    for (std::size_t m = 0; m < ks.size(); ++m) {
        const double total = static_cast<double>(totals[m].load()) * power_of_two(-silhouette_bits);
        means[m] = total / static_cast<double>(points.size);
    }
    return means;
}

double silhouette(const PointColumns& points, const std::int32_t* labels, std::size_t k, std::size_t threads,
                  const Kernels& kernels, const Cancellation* cancellation) {
    return silhouettes(points, labels, {k}, threads, kernels, cancellation)[0];
}

}  // namespace covey
