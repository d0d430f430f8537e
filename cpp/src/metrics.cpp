#include "metrics.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace covey {
namespace {

constexpr std::size_t rows_per_task = 65'536;
constexpr int largest_exponent = 480;

template <typename Value>
[[noreturn]] void raise_value(const MetricColumn& metric, const std::uint8_t* include, std::size_t size) {
    const auto* values = static_cast<const Value*>(metric.data);
    for (std::size_t i = 0; i < size; ++i) {
        const auto value = static_cast<double>(values[i]);
        if ((include == nullptr || include[i] != 0) && !(std::fabs(value) < std::ldexp(1.0, largest_exponent))) {
            char text[32];
            std::snprintf(text, sizeof text, "%g", value);
            throw std::invalid_argument(metric.name + "[" + std::to_string(i) + "] is " + text +
                                        ", expected a finite number below 2^480 (3e144)");
        }
    }
    throw std::invalid_argument(metric.name + " changed while it was read");
}

template <typename Value>
std::int32_t bound_in(const MetricTable& table, const MetricColumn& metric, std::size_t begin, std::size_t size,
                      std::int32_t (*bound)(const Value*, std::size_t)) {
    const auto* values = static_cast<const Value*>(metric.data) + begin;
    if (table.include == nullptr) {
        return bound(values, size);
    }
    std::vector<Value> included(size);
    for (std::size_t i = 0; i < size; ++i) {
        included[i] = table.include[begin + i] != 0 ? values[i] : Value{0};
    }
    return bound(included.data(), size);
}

// The smallest e, at least -480, with |value| < 2^e for every included row.
int exponent_of(const MetricTable& table, const MetricColumn& metric, const std::vector<std::int32_t>& bounds) {
    std::int32_t exponent = -largest_exponent;
    for (const std::int32_t bound : bounds) {
        exponent = std::max(exponent, bound);
    }
    if (exponent > largest_exponent) {
        if (metric.type == MetricType::float32) {
            raise_value<float>(metric, table.include, table.size);
        }
        raise_value<double>(metric, table.include, table.size);
    }
    return exponent;
}

void check_table(const MetricTable& table) {
    if (table.metrics.empty() || table.metrics.size() > most_metrics) {
        throw std::invalid_argument(std::to_string(table.metrics.size()) + " metrics, expected 1 ... 8");
    }
    if (table.products.size() > most_metrics * (most_metrics + 1) / 2) {
        throw std::invalid_argument(std::to_string(table.products.size()) + " products, expected at most 36");
    }
    for (std::size_t p = 0; p < table.products.size(); ++p) {
        const auto [first, second] = table.products[p];
        if (first >= table.metrics.size() || second >= table.metrics.size()) {
            throw std::invalid_argument("products[" + std::to_string(p) + "] names metric " +
                                        std::to_string(std::max(first, second)) + ", expected numbers below " +
                                        std::to_string(table.metrics.size()));
        }
    }
}

}  // namespace

TermTable prepare_terms(const MetricTable& table, bool with_count, ThreadTeam& team, const Kernels& kernels) {
    check_table(table);
    const std::size_t tasks = (table.size + rows_per_task - 1) / rows_per_task;
    const std::size_t metrics = table.metrics.size();
    std::vector<std::vector<std::int32_t>> bounds(metrics, std::vector<std::int32_t>(tasks));
    team.run(tasks * metrics, [&](std::size_t task, std::size_t) {
        const std::size_t part = task % tasks;
        const std::size_t begin = part * rows_per_task;
        const std::size_t size = std::min(rows_per_task, table.size - begin);
        const MetricColumn& metric = table.metrics[task / tasks];
        bounds[task / tasks][part] = metric.type == MetricType::float32
                                         ? bound_in<float>(table, metric, begin, size, kernels.bound_of_floats)
                                         : bound_in<double>(table, metric, begin, size, kernels.bound_of_doubles);
    });
    TermTable result;
    std::vector<int> exponents;
    for (std::size_t m = 0; m < metrics; ++m) {
        exponents.push_back(exponent_of(table, table.metrics[m], bounds[m]));
        result.columns.push_back(
            {table.metrics[m].data, table.metrics[m].type == MetricType::float32, std::ldexp(1.0, -exponents.back())});
    }
    exponents.push_back(0);  // the column of ones
    const auto one = static_cast<std::uint8_t>(metrics);
    const auto add = [&](std::uint8_t first, std::uint8_t second) {
        result.terms.push_back({first, second});
        result.exponents.push_back(exponents[first] + exponents[second] - term_bits);
    };
    for (std::uint8_t m = 0; m < one; ++m) {
        add(m, one);
    }
    for (const auto [first, second] : table.products) {
        add(first, second);
    }
    if (with_count) {
        add(one, one);
    }
    while (result.terms.size() % 8 != 0) {
        add(one, one);
    }
    return result;
}

void check_groups(const GroupColumn& groups) {
    if (groups.count < 1 || groups.count > 64) {
        throw std::invalid_argument("group_count is " + std::to_string(groups.count) + ", expected 1 ... 64");
    }
}

void copy_codes(const GroupColumn& groups, const std::uint8_t* include, std::size_t begin, std::size_t size,
                std::uint8_t* codes) {
    const auto none = static_cast<std::uint8_t>(groups.count);
    const auto code_at = [&](std::size_t i) {
        return groups.data == nullptr           ? std::int64_t{0}
               : groups.type == CodeType::uint8 ? static_cast<const std::uint8_t*>(groups.data)[i]
                                                : std::int64_t{static_cast<const std::int32_t*>(groups.data)[i]};
    };
    std::uint32_t largest = 0;
    if (groups.data == nullptr) {
        std::fill_n(codes, size, std::uint8_t{0});
    } else if (groups.type == CodeType::uint8) {
        const auto* from = static_cast<const std::uint8_t*>(groups.data) + begin;
        for (std::size_t i = 0; i < size; ++i) {
            codes[i] = from[i];
            largest = std::max<std::uint32_t>(largest, from[i]);
        }
    } else {
        const auto* from = static_cast<const std::int32_t*>(groups.data) + begin;
        for (std::size_t i = 0; i < size; ++i) {
            codes[i] = static_cast<std::uint8_t>(from[i]);
            largest = std::max(largest, static_cast<std::uint32_t>(from[i]));
        }
    }
    if (include != nullptr) {
        for (std::size_t i = 0; i < size; ++i) {
            codes[i] = include[begin + i] != 0 ? codes[i] : none;
        }
    }
    if (largest < groups.count) {
        return;
    }
    for (std::size_t i = begin; i < begin + size; ++i) {
        const std::int64_t code = code_at(i);
        const bool included = include == nullptr || include[i] != 0;
        if (included && (code < 0 || code >= static_cast<std::int64_t>(groups.count))) {
            throw std::invalid_argument("group_index[" + std::to_string(i) + "] is " + std::to_string(code) +
                                        ", expected a group in [0, " + std::to_string(groups.count) + ")");
        }
    }
}

void write_cell(const TermTable& terms, const Int128* integers, std::size_t cell, MetricSums& sums,
                std::size_t metrics) {
    const std::size_t products = sums.product.size() / sums.count.size();
    for (std::size_t t = 0; t < metrics + products; ++t) {
        const double value = std::ldexp(static_cast<double>(integers[t]), terms.exponents[t]);
        (t < metrics ? sums.sum[cell * metrics + t] : sums.product[cell * products + t - metrics]) = value;
    }
}

MetricSums empty_sums(const MetricTable& table, std::size_t cells) {
    return {std::vector<std::int64_t>(cells, 0), std::vector<double>(cells * table.metrics.size(), 0.0),
            std::vector<double>(cells * table.products.size(), 0.0)};
}

}  // namespace covey
