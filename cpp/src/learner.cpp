#include "learner.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "covey/math.hpp"
#include "entropy_table.hpp"

namespace covey {
namespace {

constexpr double log2_of_e = 0x1.71547652b82fep+0;
constexpr int most_bits = 50;  // of one step: what the rounding of the kernels can hold

template <typename Element>
void grow(std::vector<Element>& elements, std::size_t size) {
    if (elements.size() < size) {
        elements.resize(std::max(size, 2 * elements.size()));
    }
}

// Bits of the largest term, so that the sum of `size` terms stays below 2^62.
int fixed_point_bits(std::size_t size) {
    return std::min(most_bits, 62 - static_cast<int>(std::bit_width(size)));
}

// Their product brings the largest weight just below 2^fixed_point_bits; alone it may lie outside the range of a
// double.
struct Factors {
    double first;
    double second;
};

Factors factors_for(double largest, std::size_t size) {
    const int scale = fixed_point_bits(size) - 1 - binary_exponent(largest);
    return {power_of_two(scale / 2), power_of_two(scale - scale / 2)};
}

}  // namespace

bool needs_local_index(std::uint32_t count, std::size_t event_count) {
    return count > 4096 && (count > (1u << 18) || count > event_count / 16);
}

double powers_of_two_per_microsecond(const TraitParameters& parameters) {
    return parameters.retention_decay_per_day * log2_of_e / static_cast<double>(day_us);
}

LearnerAnalyzer::LearnerAnalyzer(const TraitParameters& parameters, const Instant& instant, const Kernels& kernels,
                                 std::uint32_t domain_count, std::uint32_t capability_count, std::size_t event_count,
                                 const Cancellation* cancellation)
    : parameters_(parameters),
      instant_(instant),
      kernels_(kernels),
      cancellation_(cancellation),
      decay_rate_(powers_of_two_per_microsecond(parameters)),
      local_domains_(needs_local_index(domain_count, event_count)),
      local_capabilities_(needs_local_index(capability_count, event_count)),
      first_use_(local_capabilities_ ? 0 : capability_count),
      domain_weight_(local_domains_ ? 0 : domain_count) {}

void LearnerAnalyzer::analyze(Block& block, const LearnerRows& rows, const TraitColumns& traits) {
    const std::size_t size = rows.end - rows.begin;
    if (local_domains_) {
        grow(domain_weight_, local_index_.relabel(block.domain() + rows.begin, size));
    }
    if (local_capabilities_) {
        grow(first_use_, local_index_.relabel(block.capability() + rows.begin, size));
    }
    const double* weight = block.weight() == nullptr ? nullptr : block.weight() + rows.begin;
    const Events events{size,
                        block.age_us() + rows.begin,
                        block.day_age() + rows.begin,
                        block.domain() + rows.begin,
                        block.capability() + rows.begin,
                        weight};
    range_ = kernels_.age_range(events.age_us, weight, size);
    check_cancellation(cancellation_);
    quantise_weights(events);
    check_cancellation(cancellation_);
    find_first_uses(events);

    check_cancellation(cancellation_);
    const std::size_t row = rows.learner;
    traits.event_count[row] = static_cast<std::int64_t>(size);
    traits.tenure_days[row] = static_cast<double>(range_.oldest_us) / static_cast<double>(day_us);
    traits.recency_days[row] = static_cast<double>(range_.newest_us) / static_cast<double>(day_us);
    traits.retention_strength[row] = static_cast<float>(retention(events));
    check_cancellation(cancellation_);
    traits.learning_velocity[row] = static_cast<float>(velocity());
    traits.momentum[row] = static_cast<float>(momentum(events));
    check_cancellation(cancellation_);
    const Spread spread = domain_spread(events);
    traits.domain_affinity[row] = static_cast<float>(spread.affinity);
    traits.domain_entropy[row] = static_cast<float>(spread.entropy);
    check_cancellation(cancellation_);
    std::uint32_t days_in_window = 0;
    traits.active_days[row] = static_cast<std::int32_t>(mark_days(events, days_in_window));
    traits.interaction_frequency[row] =
        static_cast<float>(static_cast<double>(days_in_window) / parameters_.frequency_window_days);

    check_cancellation(cancellation_);
    std::uint32_t feedback_count = 0;
    std::uint32_t acted_count = 0;
    if (const std::uint8_t* feedback = block.feedback()) {
        for (std::size_t i = rows.begin; i < rows.end; ++i) {
            feedback_count += feedback[i] & 1u;
            acted_count += feedback[i] >> 4;
        }
    }
    const double prior = parameters_.feedback_prior_acted + parameters_.feedback_prior_ignored;
    traits.feedback_responsiveness[row] =
        static_cast<float>((static_cast<double>(acted_count) + parameters_.feedback_prior_acted) /
                           (static_cast<double>(feedback_count) + prior));
}

void LearnerAnalyzer::quantise_weights(const Events& events) {
    weight_total_ = static_cast<std::int64_t>(events.size);
    if (events.weight == nullptr) {
        return;
    }
    const double largest = kernels_.largest_weight(events.weight, events.day_age, UINT32_MAX, events.size);
    weight_total_ = 0;
    if (largest == 0.0) {
        weight_steps_.assign(events.size + padding, 0);
        return;
    }
    check_cancellation(cancellation_);
    grow(weight_steps_, events.size + padding);
    check_cancellation(cancellation_);
    const Factors factors = factors_for(largest, events.size);
    weight_total_ = kernels_.quantise(events.weight, events.size, factors.first, factors.second, weight_steps_.data());
}

// Minimum time of each capability, whatever the order of the rows. The list grows without a branch.
void LearnerAnalyzer::find_first_uses(const Events& events) {
    grow(capabilities_, std::min(events.size, first_use_.size()) + 1);
    std::uint64_t* first_use = first_use_.data();
    std::uint32_t* touched = capabilities_.data();
    std::size_t count = 0;
    for (std::size_t i = 0; i < events.size; ++i) {
        const std::uint32_t capability = events.capability[i];
        const std::uint64_t known = first_use[capability];
        first_use[capability] = std::max(known, events.age_us[i] + 1);
        touched[count] = capability;
        count += known == 0;
    }
    capability_count_ = count;
}

// Needs first uses; clears them.
double LearnerAnalyzer::retention(const Events& events) {
    if (range_.newest_positive_us == UINT64_MAX) {
        return 0.0;
    }
    grow(decay_steps_, events.size + padding);
    check_cancellation(cancellation_);
    const int bits = fixed_point_bits(events.size);
    std::int64_t total = 0;
    if (events.weight == nullptr) {
        total = kernels_.decay(events.age_us, events.size, range_.newest_us, decay_rate_, bits, decay_steps_.data());
    } else {
        const auto newest = range_.newest_positive_us;
        const std::int64_t exponent =
            kernels_.decay_exponent(events.age_us, events.weight, events.size, newest, decay_rate_);
        check_cancellation(cancellation_);
        total = kernels_.weighted_decay(events.age_us, events.weight, events.size, newest, decay_rate_,
                                        static_cast<double>(bits - 2 - exponent), decay_steps_.data());
    }
    check_cancellation(cancellation_);
    return repeated_share(events, total);
}

double LearnerAnalyzer::repeated_share(const Events& events, std::int64_t total) {
    const std::uint64_t* first_use = first_use_.data();
    const std::int64_t* steps = decay_steps_.data();
    std::int64_t repeated = 0;
    for (std::size_t i = 0; i < events.size; ++i) {
        const bool later_than_first = events.age_us[i] + 1 < first_use[events.capability[i]];
        repeated += steps[i] & -static_cast<std::int64_t>(later_than_first);  // no branch: it would be a coin toss
    }
    return static_cast<double>(repeated) / static_cast<double>(total);
}

LearnerAnalyzer::Spread LearnerAnalyzer::domain_spread(const Events& events) {
    if (weight_total_ == 0) {
        return {0.0, 0.0};
    }
    grow(domains_, std::min(events.size, domain_weight_.size()) + 1);
    std::int64_t* weights = domain_weight_.data();
    std::uint32_t* touched = domains_.data();
    const std::int64_t* weight_steps = events.weight == nullptr ? nullptr : weight_steps_.data();
    std::size_t count = 0;
    for (std::size_t i = 0; i < events.size; ++i) {
        const std::uint32_t domain = events.domain[i];
        const std::int64_t steps = weight_steps == nullptr ? 1 : weight_steps[i];
        const std::int64_t known = weights[domain];
        weights[domain] = known + steps;
        touched[count] = domain;
        count += static_cast<std::size_t>(known == 0) & static_cast<std::size_t>(steps != 0);
    }
    grow(domain_steps_, count + padding);
    std::int64_t top = 0;
    for (std::size_t i = 0; i < count; ++i) {
        domain_steps_[i] = std::exchange(weights[touched[i]], 0);
        top = std::max(top, domain_steps_[i]);
    }
    if (count == 1) {
        return {1.0, 0.0};
    }
    const auto total = static_cast<double>(weight_total_);
    const EntropyTable& table = EntropyTable::instance();
    const double entropy = events.weight == nullptr && events.size < EntropyTable::size
                               ? table.entropy(domain_steps_.data(), count, events.size)
                               : static_cast<double>(kernels_.entropy(domain_steps_.data(), count, total)) * 0x1p-48;
    const double evenness =
        entropy / (count < EntropyTable::size ? table.log2(count) : binary_log(static_cast<double>(count)));
    const double top_share = static_cast<double>(top) / total;
    return {std::max(0.0, top_share * (1.0 - parameters_.affinity_entropy_penalty * evenness)), entropy};
}

double LearnerAnalyzer::momentum(const Events& events) {
    Factors factors{1.0, 1.0};
    if (events.weight != nullptr) {
        // A scale of its own: an old weight may be so large that recent ones would vanish beside it.
        const double largest = kernels_.largest_weight(events.weight, events.day_age, 28, events.size);
        if (largest == 0.0) {
            return 0.5;
        }
        factors = factors_for(largest, events.size);
    }
    std::int64_t sums[2];
    kernels_.recent(events.day_age, events.weight, events.size, factors.first, factors.second, sums);
    const std::int64_t both = sums[0] + sums[1];
    return both == 0 ? 0.5 : static_cast<double>(sums[0]) / static_cast<double>(both);
}

}  // namespace covey
