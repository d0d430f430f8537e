#include "covey/moments.hpp"

#include <algorithm>
#include <memory>
#include <numeric>

#include "metrics.hpp"

namespace covey {
namespace {

constexpr std::size_t rows_per_task = 16 * rows_per_drain;

// The sums of one thread's rows: a way to lay out the terms of a group, and totals of them.
class Worker {
public:
    Worker(const MetricTable& table, const GroupColumn& groups, const TermTable& terms, const Kernels& kernels)
        : table_(table),
          groups_(groups),
          terms_(terms),
          kernels_(kernels),
          slots_(slots_of(table, terms)),
          // One group more, for the rows that are not included.
          sums_((groups.count + 1) * slots_),
          totals_(groups.count * slots_),
          rows_(rows_at_once * terms.stride()) {}

    static std::size_t slots_of(const MetricTable& table, const TermTable& terms) {
        return by_fives(table) ? slots_of_products : terms.stride();
    }
    static bool by_fives(const MetricTable& table) { return table.metrics.size() <= 5; }

    // At most rows_per_drain rows.
    void add(std::size_t begin, std::size_t size) {
        copy_codes(groups_, table_.include, begin, size, codes_);
        for (std::size_t i = 0; i < size; i += rows_at_once) {
            const std::size_t count = std::min(rows_at_once, size - i);
            if (by_fives(table_)) {
                kernels_.add_products_of_five(terms_.columns.data(), terms_.columns.size(), begin + i, count,
                                              codes_ + i, reinterpret_cast<std::uint64_t*>(sums_.data()));
            } else {
                kernels_.term_rows(terms_.columns.data(), terms_.columns.size(), terms_.terms.data(), terms_.stride(),
                                   begin + i, count, rows_.data());
                kernels_.add_rows(rows_.data(), terms_.stride(), codes_ + i, count, sums_.data());
            }
        }
        if (by_fives(table_)) {
            remove_bias();
        }
        kernels_.drain(sums_.data(), groups_.count * slots_, totals_.high.data(), totals_.low.data());
    }

    const Totals& totals() const { return totals_; }

private:
    static constexpr std::size_t rows_at_once = rows_of_products;  // their terms stay in the first cache

    void remove_bias() {
        auto* sums = reinterpret_cast<std::uint64_t*>(sums_.data());
        for (std::size_t group = 0; group < groups_.count; ++group) {
            std::uint64_t* slots = sums + group * slots_of_products;
            const std::uint64_t rows = slots[slot_of_count] & 0xFFFFFFFFFFFFull;
            for (std::size_t slot = 0; slot < slots_of_products; ++slot) {
                slots[slot] -= rows * biased_bits;
            }
        }
    }

    const MetricTable& table_;
    const GroupColumn& groups_;
    const TermTable& terms_;
    const Kernels& kernels_;
    std::size_t slots_;
    Lines sums_;
    Totals totals_;
    Lines rows_;
    std::uint8_t codes_[rows_per_drain];
};

// Where a worker keeps a term; count: the slot of the number of rows.
struct Layout {
    std::vector<std::size_t> terms;
    std::size_t count;
    int count_bits;  // a row adds 2^count_bits to it
};

Layout layout_of(const MetricTable& table) {
    const std::size_t metrics = table.metrics.size();
    const std::size_t term_count = metrics + table.products.size();
    Layout layout{std::vector<std::size_t>(term_count), term_count, term_bits};
    std::iota(layout.terms.begin(), layout.terms.end(), std::size_t{0});
    if (!Worker::by_fives(table)) {
        return layout;
    }
    layout.count = slot_of_count;
    layout.count_bits = 0;
    for (std::size_t p = 0; p < table.products.size(); ++p) {
        const auto [first, second] = table.products[p];
        const std::size_t move = (second + std::size_t{5} - first) % 5;
        layout.terms[metrics + p] = move <= 2 ? 8 * (move + 1) + first : 8 * (6 - move) + second;
    }
    return layout;
}

}  // namespace

MetricSums grouped_moments(const MetricTable& table, const GroupColumn& groups, std::size_t threads,
                           const Kernels& kernels, const Cancellation* cancellation) {
    check_groups(groups);
    ThreadTeam team(useful_threads(threads, table.size, rows_per_task / 2), cancellation);
    const TermTable terms = prepare_terms(table, true, team, kernels);
    std::vector<std::unique_ptr<Worker>> workers(team.size());
    team.run((table.size + rows_per_task - 1) / rows_per_task, [&](std::size_t task, std::size_t number) {
        if (!workers[number]) {
            workers[number] = std::make_unique<Worker>(table, groups, terms, kernels);
        }
        const std::size_t end = std::min((task + 1) * rows_per_task, table.size);
        for (std::size_t begin = task * rows_per_task; begin < end; begin += rows_per_drain) {
            workers[number]->add(begin, std::min(rows_per_drain, end - begin));
        }
    });
    const Layout layout = layout_of(table);
    const std::size_t slots = Worker::slots_of(table, terms);
    MetricSums sums = empty_sums(table, groups.count);
    std::vector<Int128> integers(layout.terms.size());
    for (std::size_t group = 0; group < groups.count; ++group) {
        std::fill(integers.begin(), integers.end(), Int128{0});
        Int128 count = 0;
        for (const auto& worker : workers) {
            if (!worker) {
                continue;
            }
            for (std::size_t t = 0; t < integers.size(); ++t) {
                integers[t] += worker->totals().at(group * slots + layout.terms[t]);
            }
            count += worker->totals().at(group * slots + layout.count);
        }
        sums.count[group] = static_cast<std::int64_t>(count >> layout.count_bits);
        write_cell(terms, integers.data(), group, sums, table.metrics.size());
    }
    return sums;
}

}  // namespace covey
