#pragma once

#include <array>
#include <cstdint>

#include "covey/math.hpp"

namespace covey {

// log2 c of small counts, and c log2 c in steps of 2^-40: integers, so that sums do not depend on their order.
class EntropyTable {
public:
    static constexpr std::size_t size = 1024;
    static constexpr double scale = 0x1p40;

    static const EntropyTable& instance() {
        static const EntropyTable table;
        return table;
    }

    // Entropy of counts that sum to `total` below `size`, in bits: log2 n - sum(c log2 c) / n.
    double entropy(const std::int64_t* counts, std::size_t count, std::size_t total) const {
        std::int64_t steps = steps_[total];
        for (std::size_t i = 0; i < count; ++i) {
            steps -= steps_[static_cast<std::size_t>(counts[i])];
        }
        return static_cast<double>(steps) / (static_cast<double>(total) * scale);
    }

    double log2(std::size_t count) const { return log2_[count]; }

    // By count below `size`.
    const std::int64_t* steps() const { return steps_.data(); }
    const double* logarithms() const { return log2_.data(); }

private:
    EntropyTable() {
        for (std::size_t count = 1; count < size; ++count) {
            const auto value = static_cast<double>(count);
            log2_[count] = binary_log(value);
            steps_[count] = __builtin_llrint(value * log2_[count] * scale);
        }
    }

    std::array<std::int64_t, size> steps_{};
    std::array<double, size> log2_{};
};

}  // namespace covey
