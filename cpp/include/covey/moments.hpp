#pragma once
// Sums of metrics, their squares and products per group, in one pass and exact once the terms are rounded.
//
// A metric is scaled by a power of two into (-1, 1), every term (a value, or a product of two) is rounded once to a
// step of 2^-51, and the integers are summed in 128 bits: the sums do not depend on the order of the rows, on threads
// or on kernels. With |x| < 2^a and |y| < 2^b (the smallest powers that the included rows allow) the error of a sum of
// n products is at most n * 2^(a + b - 52); metrics smaller than 2^-480 throughout count as if 2^-480 were the largest.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "covey/cancellation.hpp"

namespace covey {

struct Kernels;

enum class MetricType : std::uint8_t { float32, float64 };

struct MetricColumn {
    const void* data = nullptr;
    MetricType type = MetricType::float64;
    std::string name;  // for errors
};

// Numbers of two metrics, the same one twice for its squares.
struct Product {
    std::uint8_t first = 0;
    std::uint8_t second = 0;
};

struct MetricTable {
    std::size_t size = 0;
    std::vector<MetricColumn> metrics;      // 1 ... 8
    std::vector<Product> products;          // at most 36
    const std::uint8_t* include = nullptr;  // rows with 0 play no part, whatever they hold; null: every row
};

enum class CodeType : std::uint8_t { uint8, int32 };

// Group of each row, below `count` (1 ... 64); no data: all rows in one group.
struct GroupColumn {
    const void* data = nullptr;
    CodeType type = CodeType::uint8;
    std::size_t count = 1;
};

// Row-major over cells: groups, or replicates within groups.
struct MetricSums {
    std::vector<std::int64_t> count;  // cells
    std::vector<double> sum;          // cells x metrics
    std::vector<double> product;      // cells x products
};

// Throws std::invalid_argument naming the metric and the row of a value that is not finite or beyond 2^480, or the row
// of a code that is no group.
MetricSums grouped_moments(const MetricTable& table, const GroupColumn& groups, std::size_t threads,
                           const Kernels& kernels, const Cancellation* cancellation = nullptr);

}  // namespace covey
