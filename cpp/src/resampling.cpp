#include "covey/resampling.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <stdexcept>

#include "covey/random.hpp"
#include "metrics.hpp"

namespace covey {
namespace {

constexpr std::size_t replicates_at_once = 1024;  // their sums stay in the second cache
constexpr std::size_t most_totals = std::size_t{1} << 25;
constexpr std::uint64_t seeds = std::uint64_t{1} << 48;

// floor(2^32 P(W >= k)) - 1 for k = 1 ... 12, W Poisson with mean 1.
constexpr std::uint32_t poisson_limits[] = {2714937126, 1134906957, 344891873, 81553511, 15718921, 2552003,
                                            357517,     44018,      4831,      477,      42,       2};

// The rows of each group one after the other; rows that are not included are left out.
struct Order {
    std::vector<std::uint32_t> rows;  // empty where every row is in its place
    std::vector<std::size_t> begin;   // of groups, and the end
};

Order order_rows(const MetricTable& table, const GroupColumn& groups, const Cancellation* cancellation) {
    if (groups.data == nullptr && table.include == nullptr) {
        return {{}, {0, table.size}};
    }
    std::vector<std::uint8_t> codes(table.size);
    Order order{{}, std::vector<std::size_t>(groups.count + 2, 0)};
    for (std::size_t begin = 0; begin < table.size; begin += 1 << 20) {
        check_cancellation(cancellation);
        copy_codes(groups, table.include, begin, std::min<std::size_t>(1 << 20, table.size - begin),
                   codes.data() + begin);
    }
    for (const std::uint8_t code : codes) {
        ++order.begin[code + std::size_t{1}];
    }
    std::partial_sum(order.begin.begin(), order.begin.end(), order.begin.begin());
    std::vector<std::size_t> next = order.begin;
    order.rows.resize(table.size);
    for (std::size_t i = 0; i < table.size; ++i) {
        order.rows[next[codes[i]]++] = static_cast<std::uint32_t>(i);
    }
    order.begin.pop_back();
    return order;
}

// A stretch of one group's rows.
struct Chunk {
    std::size_t group;
    std::size_t begin;
    std::size_t end;
};

std::vector<Chunk> chunks_of(const Order& order) {
    std::vector<Chunk> chunks;
    for (std::size_t group = 0; group + 1 < order.begin.size(); ++group) {
        for (std::size_t begin = order.begin[group]; begin < order.begin[group + 1]; begin += rows_per_drain) {
            chunks.push_back({group, begin, std::min(begin + rows_per_drain, order.begin[group + 1])});
        }
    }
    return chunks;
}

// Draws of one call: two replicates share a hash.
struct Draws {
    Draws(const Replicates& replicates, std::uint64_t purpose, std::vector<std::uint32_t> limits_of_draws)
        : limits(std::move(limits_of_draws)), skipped(replicates.first % 2) {
        if (replicates.seed >= seeds) {
            throw std::invalid_argument("seed is " + std::to_string(replicates.seed) + ", expected 0 ... 2^48 - 1");
        }
        if (replicates.count < 1 || replicates.count > most_replicates ||
            replicates.first > most_replicates - replicates.count) {
            throw std::invalid_argument("replicates " + std::to_string(replicates.first) + " and " +
                                        std::to_string(replicates.count) +
                                        " from there, expected at least one and numbers below 131072");
        }
        const std::size_t end = replicates.first + replicates.count;
        for (std::size_t pair = replicates.first / 2; pair < (end + 1) / 2; ++pair) {
            offsets.push_back(mix_offset(replicates.seed ^ purpose, pair));
        }
    }
    std::size_t replicates() const { return 2 * offsets.size(); }
    std::size_t rows_between_drains() const {
        return rows_per_drain / std::max<std::size_t>(limits.size(), 1) / resampling_rows * resampling_rows;
    }

    std::vector<std::uint64_t> offsets;
    std::vector<std::uint32_t> limits;
    std::size_t skipped;  // replicates before the first one wanted
};

// What one thread needs.
struct Worker {
    Worker(std::size_t groups, std::size_t replicates, std::size_t stride, std::size_t metrics)
        : totals(groups * replicates * stride),
          counts(groups * replicates, 0),
          group_totals(groups * stride),
          sums(std::min(replicates, replicates_at_once) * stride),
          group_sums(stride),
          rows(resampling_rows * stride),
          subsets(16 * 16 * stride),
          values(metrics * resampling_rows) {}
    Totals totals;
    std::vector<std::int64_t> counts;
    Totals group_totals;
    Lines sums;
    Lines group_sums;
    Lines rows;
    Lines subsets;
    std::vector<double> values;
    std::vector<ScaledColumn> columns;
    std::uint64_t hashes[resampling_rows] = {};
    std::uint64_t present = 0;
};

class Resampling {
public:
    Resampling(const MetricTable& table, const std::uint64_t* id_hashes, const Draws& draws, const TermTable& terms,
               const Order& order, const Kernels& kernels)
        : table_(table), id_hashes_(id_hashes), draws_(draws), terms_(terms), order_(order), kernels_(kernels) {}

    void add(const Chunk& chunk, Worker& worker, const Cancellation* cancellation) const {
        const std::size_t stride = terms_.stride();
        const std::size_t replicates = draws_.replicates();
        for (std::size_t first = 0; first < replicates; first += replicates_at_once) {
            const std::size_t count = std::min(replicates_at_once, replicates - first);
            const std::size_t cell = chunk.group * replicates + first;
            std::size_t undrained = 0;
            for (std::size_t begin = chunk.begin; begin < chunk.end; begin += resampling_rows) {
                check_cancellation(cancellation);
                const std::size_t size = std::min(resampling_rows, chunk.end - begin);
                prepare_block(begin, size, worker);
                kernels_.resample(worker.hashes, worker.present, worker.subsets.data(), stride,
                                  draws_.offsets.data() + first / 2, count / 2, draws_.limits.data(),
                                  draws_.limits.size(), worker.sums.data(), worker.counts.data() + cell);
                if (first == 0) {
                    kernels_.add_rows(worker.rows.data(), stride, no_codes, size, worker.group_sums.data());
                }
                undrained += resampling_rows;
                if (undrained == draws_.rows_between_drains() || begin + resampling_rows >= chunk.end) {
                    kernels_.drain(worker.sums.data(), count * stride, worker.totals.high.data() + cell * stride,
                                   worker.totals.low.data() + cell * stride);
                    undrained = 0;
                }
            }
        }
        kernels_.drain(worker.group_sums.data(), stride, worker.group_totals.high.data() + chunk.group * stride,
                       worker.group_totals.low.data() + chunk.group * stride);
    }

private:
    static constexpr std::uint8_t no_codes[resampling_rows] = {};

    void prepare_block(std::size_t begin, std::size_t size, Worker& worker) const {
        const std::size_t stride = terms_.stride();
        if (order_.rows.empty()) {
            std::copy_n(id_hashes_ + begin, size, worker.hashes);
            kernels_.term_rows(terms_.columns.data(), terms_.columns.size(), terms_.terms.data(), stride, begin, size,
                               worker.rows.data());
        } else {
            gather(order_.rows.data() + begin, size, worker);
            kernels_.term_rows(worker.columns.data(), worker.columns.size(), terms_.terms.data(), stride, 0, size,
                               worker.rows.data());
        }
        std::fill(worker.rows.data() + size * stride, worker.rows.data() + resampling_rows * stride, 0);
        worker.present = 0;
        for (std::size_t bit = 0; bit < resampling_rows; ++bit) {
            worker.present |= std::uint64_t{resampling_row_of_bit(bit) < size} << bit;
        }
        kernels_.subset_sums(worker.rows.data(), stride, worker.subsets.data());
    }

    void gather(const std::uint32_t* rows, std::size_t size, Worker& worker) const {
        worker.columns = terms_.columns;
        for (std::size_t m = 0; m < table_.metrics.size(); ++m) {
            double* to = worker.values.data() + m * resampling_rows;
            const void* from = table_.metrics[m].data;
            if (table_.metrics[m].type == MetricType::float32) {
                std::transform(rows, rows + size, to,
                               [&](std::uint32_t row) { return static_cast<const float*>(from)[row]; });
            } else {
                std::transform(rows, rows + size, to,
                               [&](std::uint32_t row) { return static_cast<const double*>(from)[row]; });
            }
            worker.columns[m].data = to;
            worker.columns[m].is_float32 = 0;
        }
        std::transform(rows, rows + size, worker.hashes, [&](std::uint32_t row) { return id_hashes_[row]; });
    }

    const MetricTable& table_;
    const std::uint64_t* id_hashes_;
    const Draws& draws_;
    const TermTable& terms_;
    const Order& order_;
    const Kernels& kernels_;
};

Arms resample(const MetricTable& table, const std::uint64_t* id_hashes, const GroupColumn& groups,
              const Replicates& replicates, const Draws& draws, std::size_t threads, const Kernels& kernels,
              const Cancellation* cancellation) {
    check_groups(groups);
    if (table.size > UINT32_MAX) {
        throw std::invalid_argument(std::to_string(table.size) + " rows, expected at most 4294967295");
    }
    ThreadTeam team(useful_threads(threads, table.size * draws.replicates(), std::size_t{1} << 20), cancellation);
    const TermTable terms = prepare_terms(table, false, team, kernels);
    const std::size_t stride = terms.stride();
    if (groups.count * draws.replicates() > most_totals / stride) {
        throw std::invalid_argument(std::to_string(groups.count) + " groups x " + std::to_string(replicates.count) +
                                    " replicates are too many sums; ask for fewer replicates at a time");
    }
    const Order order = order_rows(table, groups, cancellation);
    const std::vector<Chunk> chunks = chunks_of(order);
    const Resampling resampling(table, id_hashes, draws, terms, order, kernels);
    std::vector<std::unique_ptr<Worker>> workers(team.size());
    team.run(chunks.size(), [&](std::size_t task, std::size_t number) {
        if (!workers[number]) {
            workers[number] = std::make_unique<Worker>(groups.count, draws.replicates(), stride, table.metrics.size());
        }
        resampling.add(chunks[task], *workers[number], cancellation);
    });
    const std::size_t cells = groups.count * replicates.count;
    Arms arms{empty_sums(table, cells), empty_sums(table, cells)};
    std::vector<Int128> drawn(stride);
    std::vector<Int128> rest(stride);
    for (std::size_t cell = 0; cell < cells; ++cell) {
        const std::size_t group = cell / replicates.count;
        const std::size_t from = group * draws.replicates() + draws.skipped + cell % replicates.count;
        std::int64_t count = 0;
        std::fill(drawn.begin(), drawn.end(), Int128{0});
        std::fill(rest.begin(), rest.end(), Int128{0});
        for (const auto& worker : workers) {
            if (!worker) {
                continue;
            }
            count += worker->counts[from];
            for (std::size_t t = 0; t < stride; ++t) {
                drawn[t] += worker->totals.at(from * stride + t);
                rest[t] += worker->group_totals.at(group * stride + t);
            }
        }
        for (std::size_t t = 0; t < stride; ++t) {
            rest[t] -= drawn[t];
        }
        arms.candidate.count[cell] = count;
        arms.baseline.count[cell] = static_cast<std::int64_t>(order.begin[group + 1] - order.begin[group]) - count;
        write_cell(terms, drawn.data(), cell, arms.candidate, table.metrics.size());
        write_cell(terms, rest.data(), cell, arms.baseline, table.metrics.size());
    }
    return arms;
}

}  // namespace

Arms rerandomise(const MetricTable& table, const std::uint64_t* id_hashes, const GroupColumn& groups,
                 const Replicates& replicates, std::uint32_t share_basis_points, std::size_t threads,
                 const Kernels& kernels, const Cancellation* cancellation) {
    if (share_basis_points > 10'000) {
        throw std::invalid_argument("share_basis_points is " + std::to_string(share_basis_points) +
                                    ", expected 0 ... 10000");
    }
    const std::uint64_t threshold = (std::uint64_t{share_basis_points} << 32) / 10'000;
    std::vector<std::uint32_t> limits;
    if (threshold > 0) {
        limits.push_back(static_cast<std::uint32_t>(threshold - 1));
    }
    const Draws draws(replicates, rerandomisation_purpose, std::move(limits));
    return resample(table, id_hashes, groups, replicates, draws, threads, kernels, cancellation);
}

MetricSums poisson_bootstrap(const MetricTable& table, const std::uint64_t* id_hashes, const GroupColumn& groups,
                             const Replicates& replicates, std::size_t threads, const Kernels& kernels,
                             const Cancellation* cancellation) {
    const Draws draws(replicates, bootstrap_purpose, {std::begin(poisson_limits), std::end(poisson_limits)});
    return resample(table, id_hashes, groups, replicates, draws, threads, kernels, cancellation).candidate;
}

}  // namespace covey
