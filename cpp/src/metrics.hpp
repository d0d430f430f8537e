#pragma once
// What grouped moments and resampling share: terms in fixed point and their exact totals.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/moments.hpp"
#include "covey/parallel.hpp"
#include "kernels.hpp"

namespace covey {

__extension__ typedef __int128 Int128;

// Rows whose terms, each counted once, an int64 can sum: 2^12 terms of up to 2^51.
constexpr std::size_t rows_per_drain = 63 * resampling_rows;

// Integers for the kernels: on cache lines of their own, zero at first.
class Lines {
public:
    explicit Lines(std::size_t size) : lines_((size + 7) / 8) {}
    std::int64_t* data() { return lines_.empty() ? nullptr : lines_.front().values; }
    const std::int64_t* data() const { return lines_.empty() ? nullptr : lines_.front().values; }

private:
    struct alignas(64) Line {
        std::int64_t values[8] = {};
    };
    std::vector<Line> lines_;
};

// Totals beyond 64 bits: sums of drained parts.
struct Totals {
    explicit Totals(std::size_t size) : high(size), low(size) {}
    Int128 at(std::size_t i) const {
        return static_cast<Int128>(high.data()[i]) * (Int128{1} << drained_bits) + low.data()[i];
    }
    Lines high;
    Lines low;
};

// The terms of a table in the order metrics, products, [count], padding to a multiple of 8.
struct TermTable {
    std::vector<ScaledColumn> columns;
    std::vector<Term> terms;
    std::vector<int> exponents;  // of terms: value = integer * 2^exponent
    std::size_t stride() const { return terms.size(); }
};

// Checks the table and finds the scales: one pass over the metrics. Throws as grouped_moments.
TermTable prepare_terms(const MetricTable& table, bool with_count, ThreadTeam& team, const Kernels& kernels);

// Throws std::invalid_argument unless count is in [1, 64].
void check_groups(const GroupColumn& groups);

// Codes of rows [begin, begin + size); rows that are not included get the code groups.count.
void copy_codes(const GroupColumn& groups, const std::uint8_t* include, std::size_t begin, std::size_t size,
                std::uint8_t* codes);

// Writes integers (as many as metrics and products) as numbers into one cell of `sums`.
void write_cell(const TermTable& terms, const Int128* integers, std::size_t cell, MetricSums& sums,
                std::size_t metrics);

MetricSums empty_sums(const MetricTable& table, std::size_t cells);

}  // namespace covey
