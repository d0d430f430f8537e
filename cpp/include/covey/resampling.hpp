#pragma once
// Sums of metrics over random subsets and random weights of learners, where chance is a function of (seed, replicate,
// id hash) and never of position. Terms and sums as in moments.hpp: the same bits in any order, on any thread or
// kernel.
//
// bucket(r, h) = half (r mod 2; 0: low 32 bits) of mix(seed XOR purpose, r / 2, h) with `mix` of random.hpp; purposes
// keep the draws of one seed apart. Seeds are below 2^48, replicates below 2^17. Rows of one id are drawn alike.

#include <cstddef>
#include <cstdint>

#include "covey/moments.hpp"

namespace covey {

constexpr std::uint64_t rerandomisation_purpose = 0x726572616E64;  // "rerand"
constexpr std::uint64_t bootstrap_purpose = 0x706F6973736F;        // "poisso"
constexpr std::size_t most_replicates = std::size_t{1} << 17;

struct Replicates {
    std::uint64_t seed = 0;
    std::size_t first = 0;
    std::size_t count = 0;
};

struct Arms {
    MetricSums candidate;
    MetricSums baseline;
};

// Cells: groups x replicates. A learner is the candidate's iff bucket < floor(share_basis_points * 2^32 / 10000), the
// rule of the traffic split on another hash.
Arms rerandomise(const MetricTable& table, const std::uint64_t* id_hashes, const GroupColumn& groups,
                 const Replicates& replicates, std::uint32_t share_basis_points, std::size_t threads,
                 const Kernels& kernels, const Cancellation* cancellation = nullptr);

// Cells: groups x replicates. A learner counts W times, W Poisson with mean 1: the number of k >= 1 with bucket <
// floor(2^32 P(W >= k)); `count` is the sum of the weights.
MetricSums poisson_bootstrap(const MetricTable& table, const std::uint64_t* id_hashes, const GroupColumn& groups,
                             const Replicates& replicates, std::size_t threads, const Kernels& kernels,
                             const Cancellation* cancellation = nullptr);

}  // namespace covey
