#include "covey/sketch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "covey/math.hpp"
#include "covey/parallel.hpp"
#include "kernels.hpp"

namespace covey {
namespace {

constexpr std::size_t rows_per_task = 65'536;
constexpr std::size_t rows_at_once = 512;
constexpr std::size_t padding = 16;
constexpr std::int64_t spare_buckets = 64;

// Counts that grow at both ends.
class Buckets {
public:
    void add(std::int64_t bucket, std::int64_t count = 1) {
        if (counts_.empty()) {
            first_ = bucket - spare_buckets;
            counts_.assign(2 * spare_buckets, 0);
        }
        const auto size = static_cast<std::int64_t>(counts_.size());
        if (bucket < first_) {
            const std::int64_t more = first_ - bucket + spare_buckets;
            counts_.insert(counts_.begin(), static_cast<std::size_t>(more), 0);
            first_ -= more;
        } else if (bucket >= first_ + size) {
            counts_.resize(static_cast<std::size_t>(bucket - first_ + spare_buckets), 0);
        }
        counts_[static_cast<std::size_t>(bucket - first_)] += count;
    }

    void add(const Buckets& other) {
        for (std::size_t i = 0; i < other.counts_.size(); ++i) {
            if (other.counts_[i] != 0) {
                add(other.first_ + static_cast<std::int64_t>(i), other.counts_[i]);
            }
        }
    }

    BucketCounts trimmed() const {
        const auto used = [](std::int64_t count) { return count != 0; };
        const auto begin = std::find_if(counts_.begin(), counts_.end(), used);
        const auto end = std::find_if(counts_.rbegin(), counts_.rend(), used).base();
        if (begin == counts_.end()) {
            return {};
        }
        return {first_ + (begin - counts_.begin()), {begin, end}};
    }

private:
    std::int64_t first_ = 0;
    std::vector<std::int64_t> counts_;
};

struct Worker {
    std::int64_t zeros = 0;
    Buckets positive;
    Buckets negative;
};

void read_values(const MetricColumn& column, std::size_t begin, std::size_t size, double* values) {
    for (std::size_t i = 0; i < size; ++i) {
        values[i] = column.type == MetricType::float32 ? static_cast<const float*>(column.data)[begin + i]
                                                       : static_cast<const double*>(column.data)[begin + i];
        if (!std::isfinite(values[i])) {
            char text[32];
            std::snprintf(text, sizeof text, "%g", values[i]);
            throw std::invalid_argument(column.name + "[" + std::to_string(begin + i) + "] is " + text +
                                        ", expected a finite number");
        }
    }
}

void count_block(const double* values, const std::int64_t* buckets, std::size_t size, Worker& worker) {
    for (std::size_t i = 0; i < size; ++i) {
        if (std::fabs(values[i]) < 0x1p-1022) {
            ++worker.zeros;
        } else {
            (values[i] > 0 ? worker.positive : worker.negative).add(buckets[i]);
        }
    }
}

}  // namespace

SketchCounts count_in_log_buckets(const MetricColumn& values, std::size_t size, double growth, std::size_t threads,
                                  const Kernels& kernels, const Cancellation* cancellation) {
    if (!(growth >= 1.001 && growth <= 2.0)) {
        throw std::invalid_argument("growth is " + std::to_string(growth) + ", expected 1.001 ... 2");
    }
    const double buckets_per_doubling = 1.0 / binary_log(growth);
    ThreadTeam team(useful_threads(threads, size, rows_per_task), cancellation);
    std::vector<Worker> workers(team.size());
    team.run((size + rows_per_task - 1) / rows_per_task, [&](std::size_t task, std::size_t number) {
        double block[rows_at_once + padding] = {};
        std::int64_t buckets[rows_at_once + padding];
        const std::size_t end = std::min((task + 1) * rows_per_task, size);
        for (std::size_t begin = task * rows_per_task; begin < end; begin += rows_at_once) {
            const std::size_t count = std::min(rows_at_once, end - begin);
            read_values(values, begin, count, block);
            kernels.log_buckets(block, count, buckets_per_doubling, buckets);
            count_block(block, buckets, count, workers[number]);
        }
    });
    Worker all;
    for (const Worker& worker : workers) {
        all.zeros += worker.zeros;
        all.positive.add(worker.positive);
        all.negative.add(worker.negative);
    }
    return {all.zeros, all.positive.trimmed(), all.negative.trimmed()};
}

}  // namespace covey
