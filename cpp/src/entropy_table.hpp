#pragma once

#include <array>
#include <cstdint>

#include "covey/math.hpp"

namespace covey {

// c log2 c of small counts in steps of 2^-40: integers, so that sums do not depend on their order.
class EntropyTable {
public:
    static constexpr std::size_t size = 1024;
    static constexpr double scale = 0x1p40;

    static const EntropyTable& instance() {
        static const EntropyTable table;
        return table;
    }

    std::int64_t steps(std::int64_t count) const { return steps_[static_cast<std::size_t>(count)]; }

private:
    EntropyTable() {
        for (std::size_t count = 1; count < size; ++count) {
            const auto value = static_cast<double>(count);
            steps_[count] = __builtin_llrint(value * binary_log(value) * scale);
        }
    }

    std::array<std::int64_t, size> steps_{};
};

}  // namespace covey
