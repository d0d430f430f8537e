#include "covey/moments.hpp"

#include <algorithm>
#include <memory>

#include "metrics.hpp"

namespace covey {
namespace {

constexpr std::size_t rows_per_task = 16 * rows_per_drain;
constexpr std::size_t rows_at_once = 64;  // their terms stay in the first cache

// What one thread needs: the totals of its own rows.
struct Worker {
    Worker(std::size_t cells, std::size_t stride)
        : table(cells * stride), totals(cells * stride), rows(rows_at_once * stride) {}
    Lines table;
    Totals totals;
    Lines rows;
    std::uint8_t codes[rows_per_drain];
};

}  // namespace

MetricSums grouped_moments(const MetricTable& table, const GroupColumn& groups, std::size_t threads,
                           const Kernels& kernels, const Cancellation* cancellation) {
    check_groups(groups);
    ThreadTeam team(useful_threads(threads, table.size, rows_per_task / 2), cancellation);
    const TermTable terms = prepare_terms(table, true, team, kernels);
    const std::size_t stride = terms.stride();
    const std::size_t cells = groups.count + (table.include != nullptr ? 1 : 0);  // one for what is not included
    std::vector<std::unique_ptr<Worker>> workers(team.size());
    team.run((table.size + rows_per_task - 1) / rows_per_task, [&](std::size_t task, std::size_t number) {
        if (!workers[number]) {
            workers[number] = std::make_unique<Worker>(cells, stride);
        }
        Worker& worker = *workers[number];
        const std::size_t end = std::min((task + 1) * rows_per_task, table.size);
        for (std::size_t begin = task * rows_per_task; begin < end; begin += rows_per_drain) {
            const std::size_t size = std::min(rows_per_drain, end - begin);
            copy_codes(groups, table.include, begin, size, worker.codes);
            for (std::size_t i = 0; i < size; i += rows_at_once) {
                const std::size_t count = std::min(rows_at_once, size - i);
                kernels.term_rows(terms.columns.data(), terms.columns.size(), terms.terms.data(), stride, begin + i,
                                  count, worker.rows.data());
                kernels.add_rows(worker.rows.data(), stride, worker.codes + i, count, worker.table.data());
            }
            kernels.drain(worker.table.data(), groups.count * stride, worker.totals.high.data(),
                          worker.totals.low.data());
        }
    });
    const std::size_t count_term = table.metrics.size() + table.products.size();
    MetricSums sums = empty_sums(table, groups.count);
    std::vector<Int128> integers(stride);
    for (std::size_t group = 0; group < groups.count; ++group) {
        std::fill(integers.begin(), integers.end(), Int128{0});
        for (const auto& worker : workers) {
            for (std::size_t t = 0; worker && t < stride; ++t) {
                integers[t] += worker->totals.at(group * stride + t);
            }
        }
        sums.count[group] = static_cast<std::int64_t>(integers[count_term] >> term_bits);
        write_cell(terms, integers.data(), group, sums, table.metrics.size());
    }
    return sums;
}

}  // namespace covey
