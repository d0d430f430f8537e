#pragma once
// Counts of values in buckets whose edges grow by a constant factor (Masson, Rim, Lee 2019, "DDSketch").

#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/moments.hpp"

namespace covey {

struct BucketCounts {
    std::int64_t first = 0;  // number of the first bucket, the one with a count
    std::vector<std::int64_t> counts;
};

// Bucket b holds growth^(b - 1) < |value| <= growth^b, up to the rounding of a logarithm (1e-14 of the value); negative
// values have buckets of their own, magnitudes below 2^-1022 count as zero.
struct SketchCounts {
    std::int64_t zeros = 0;
    BucketCounts positive;
    BucketCounts negative;
};

// growth in [1.001, 2]. Throws std::invalid_argument naming the row of a value that is not finite.
SketchCounts count_in_log_buckets(const MetricColumn& values, std::size_t size, double growth, std::size_t threads,
                                  const Kernels& kernels, const Cancellation* cancellation = nullptr);

}  // namespace covey
