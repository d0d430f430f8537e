#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "block.hpp"
#include "covey/traits.hpp"
#include "local_index.hpp"

namespace covey {

// Whether a table by position of `count` values is too large for a cache or for the work of a call of that many events.
bool needs_local_index(std::uint32_t count, std::size_t event_count);

// Of the weight of an event, in retention strength.
double powers_of_two_per_microsecond(const TraitParameters& parameters);

// Traits of one learner after the other; holds the tables that they share. One per thread.
//
// A pass per trait over the learner's events, which stay in the first-level cache. Tables by domain and capability are
// all zero between learners: each learner clears the entries that it touched.
class LearnerAnalyzer {
public:
    // `event_count` is that of the whole call: tables larger than the work pays for are replaced by a local index.
    LearnerAnalyzer(const TraitParameters& parameters, const Instant& instant, const Kernels& kernels,
                    std::uint32_t domain_count, std::uint32_t capability_count, std::size_t event_count,
                    const Cancellation* cancellation);

    // Writes row `rows.learner` of `traits`; `rows` is not empty. Throws Cancelled between passes.
    void analyze(Block& block, const LearnerRows& rows, const TraitColumns& traits);

private:
    struct Events {  // the learner's columns
        std::size_t size;
        const std::uint64_t* age_us;
        const std::uint32_t* day_age;
        const std::uint32_t* domain;
        const std::uint32_t* capability;
        const double* weight;
    };
    struct Spread {
        double affinity;
        double entropy;
    };

    void quantise_weights(const Events& events);
    void find_first_uses(const Events& events);
    double velocity();
    double retention(const Events& events);
    Spread domain_spread(const Events& events);
    double momentum(const Events& events);
    double repeated_share(const Events& events, std::int64_t total);
    std::uint32_t mark_days(const Events& events, std::uint32_t& in_window);

    TraitParameters parameters_;
    Instant instant_;
    const Kernels& kernels_;
    const Cancellation* cancellation_;
    double decay_rate_;  // powers of two per microsecond
    bool local_domains_;
    bool local_capabilities_;
    LocalIndex local_index_;

    std::vector<std::uint64_t> first_use_;     // by capability: age of the oldest use + 1, 0 where unused
    std::vector<std::uint32_t> capabilities_;  // touched ones
    std::size_t capability_count_ = 0;         // of them
    std::vector<std::int64_t> domain_weight_;  // by domain: steps
    std::vector<std::uint32_t> domains_;       // touched ones
    std::vector<std::int64_t> domain_steps_;   // of the touched ones
    std::vector<std::uint32_t> weeks_;         // new capabilities by week, or the sorted weeks themselves
    std::vector<std::uint64_t> day_bits_;
    std::vector<std::uint32_t> sorted_days_;
    std::vector<std::int64_t> weight_steps_;  // of every event, where weights are given
    std::vector<std::int64_t> decay_steps_;   // of every event
    std::int64_t weight_total_ = 0;
    AgeRange range_{};
};

}  // namespace covey
