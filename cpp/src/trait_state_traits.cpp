#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>
#include <string>

#include "covey/math.hpp"
#include "trait_state_parts.hpp"

// The traits of learners from their state, and whose traits they are.

namespace covey {
namespace {

constexpr std::size_t learners_between_checks = 1024;

// What one learner after the other needs.
struct Scratch {
    std::vector<std::int64_t> weeks;
    std::vector<WideSum> sums;
};

// e comes down from the learner's first week to week 0, silent weeks by a power.
double velocity_of(std::vector<std::int64_t>& weeks, const TraitParameters& parameters) {
    std::sort(weeks.begin(), weeks.end(), std::greater<>());
    const double alpha = parameters.velocity_alpha;
    std::int64_t week = weeks.front();
    double average = 0.0;
    for (std::size_t i = 0; i < weeks.size();) {
        std::size_t end = i;
        while (end < weeks.size() && weeks[end] == weeks[i]) {
            ++end;
        }
        const auto count = static_cast<double>(end - i);
        const auto gap = static_cast<unsigned long long>(week - weeks[i]);
        average = i == 0 ? count : alpha * count + power(1.0 - alpha, gap) * average;
        week = weeks[i];
        i = end;
    }
    average *= power(1.0 - alpha, static_cast<unsigned long long>(week));
    return average / (average + parameters.velocity_kappa);
}

struct Spread {
    double affinity;
    double entropy;
};

Spread spread_of(const std::vector<WideSum>& sums, const TraitParameters& parameters) {
    if (sums.size() < 2) {
        return {sums.empty() ? 0.0 : 1.0, 0.0};
    }
    const WideSum top = *std::max_element(sums.begin(), sums.end());
    double total = 0.0;
    double information = 0.0;
    for (const WideSum sum : sums) {
        const double share = wide::ratio(sum, top);
        total += share;
        information += share > 0.0 ? share * binary_log(share) : 0.0;
    }
    const double entropy = std::max(0.0, binary_log(total) - information / total);
    const double evenness = entropy / binary_log(static_cast<double>(sums.size()));
    return {std::max(0.0, (1.0 - parameters.affinity_entropy_penalty * evenness) / total), entropy};
}

}  // namespace

void TraitState::traits(std::span<const std::int64_t> learners, std::int64_t as_of_us,
                        const TraitParameters& parameters, const TraitColumns& traits,
                        const Cancellation* cancellation) const {
    const Parts& parts = *parts_;
    parts.require_whole();
    check_parameters(parameters);
    if (parameters.retention_decay_per_day != parts.parameters.retention_decay_per_day ||
        parameters.day_start_seconds != parts.parameters.day_start_seconds) {
        throw std::invalid_argument(
            "retention_decay_per_day and day_start_seconds shape a trait state: make one with these parameters");
    }
    if (as_of_us < parts.newest_us || as_of_us >= std::int64_t{1} << 62) {
        throw std::invalid_argument("as_of_us is " + std::to_string(as_of_us) +
                                    ", but a trait state knows instants from its newest event on (" +
                                    std::to_string(parts.newest_us) + ")");
    }
    const std::int64_t as_of_day = day_of(as_of_us, parts.day_start_us);
    Scratch scratch;
    for (std::size_t row = 0; row < learners.size(); ++row) {
        if (row % learners_between_checks == 0) {
            check_cancellation(cancellation);
        }
        parts.require_learner(learners[row]);
        const LearnerState& learner = parts.learners[static_cast<std::uint32_t>(learners[row])];

        scratch.weeks.clear();
        parts.capabilities.for_each(learner.capabilities, [&](std::uint32_t, KeyTables::Slot slot) {
            const auto first_us = static_cast<std::int64_t>(parts.capabilities.value(slot));
            scratch.weeks.push_back((as_of_day - day_of(first_us, parts.day_start_us)) / 7);
        });
        traits.learning_velocity[row] = static_cast<float>(velocity_of(scratch.weeks, parameters));

        scratch.sums.clear();
        parts.domains.for_each(learner.domains, [&](std::uint32_t, KeyTables::Slot slot) {
            if (const WideSum sum = parts.domains.value(slot); sum != 0) {
                scratch.sums.push_back(sum);
            }
        });
        const Spread spread = spread_of(scratch.sums, parameters);
        traits.domain_affinity[row] = static_cast<float>(spread.affinity);
        traits.domain_entropy[row] = static_cast<float>(spread.entropy);

        const std::int64_t end_day = as_of_day + bias_of_days;
        const std::int64_t begin_day = end_day - parameters.frequency_window_days;  // itself outside
        int days_in_window = 0;
        parts.days.for_each(learner.days, [&](std::uint32_t key, KeyTables::Slot slot) {
            const std::int64_t outside = begin_day + 1 - std::int64_t{key} * 64;  // days of this key before the window
            if (outside < 64) {
                days_in_window += std::popcount(parts.days.value(slot) >> std::max<std::int64_t>(outside, 0));
            }
        });
        traits.interaction_frequency[row] =
            static_cast<float>(static_cast<double>(days_in_window) / parameters.frequency_window_days);

        WideSum last_14 = 0;
        WideSum last_28 = 0;
        parts.recent.for_each(learner.recent, [&](std::uint32_t key, KeyTables::Slot slot) {
            const std::int64_t age = end_day - std::int64_t{key};
            const WideSum weight = parts.recent.value(slot);
            last_14 = age < 14 ? wide::add(last_14, weight) : last_14;
            last_28 = age < 28 ? wide::add(last_28, weight) : last_28;
        });
        traits.momentum[row] = static_cast<float>(last_28 == 0 ? 0.5 : wide::ratio(last_14, last_28));

        const double prior = parameters.feedback_prior_acted + parameters.feedback_prior_ignored;
        traits.feedback_responsiveness[row] = static_cast<float>(
            (learner.acted_count + parameters.feedback_prior_acted) / (learner.feedback_count + prior));
        traits.retention_strength[row] =
            static_cast<float>(learner.total == 0 ? 0.0 : std::min(1.0, wide::ratio(learner.repeated, learner.total)));
        traits.event_count[row] = static_cast<std::int64_t>(learner.event_count);
        traits.active_days[row] = static_cast<std::int32_t>(learner.active_days);
        traits.tenure_days[row] = static_cast<double>(as_of_us - learner.oldest_us) / static_cast<double>(state_day_us);
        traits.recency_days[row] =
            static_cast<double>(as_of_us - learner.newest_us) / static_cast<double>(state_day_us);
    }
}

std::vector<std::int64_t> TraitState::learners() const {
    std::vector<std::int64_t> numbers;
    numbers.reserve(learner_count());
    for (std::uint32_t number = 0; number < parts_->ids.size(); ++number) {
        if (parts_->learners[number].event_count != 0) {
            numbers.push_back(number);
        }
    }
    return numbers;
}

std::vector<std::int64_t> TraitState::find(const LearnerIdColumn& learners) const {
    std::vector<std::int64_t> numbers(learners.size);
    for (std::size_t position = 0; position < learners.size; ++position) {
        const std::uint32_t number = parts_->ids.find(parts_->learner_id(learners, position));
        numbers[position] = number == IdTable::unknown ? -1 : std::int64_t{number};
    }
    return numbers;
}

TraitState::IdType TraitState::id_type(std::span<const std::int64_t> learners) const {
    if (parts_->has_text_ids) {
        return IdType::text;
    }
    bool any_negative = false;
    bool any_large = false;
    for (const std::int64_t number : learners) {
        parts_->require_learner(number);
        const IdTable::Id id = parts_->ids[static_cast<std::uint32_t>(number)];
        if (id.kind == IdTable::Kind::text) {
            return IdType::text;
        }
        any_negative |= id.kind == IdTable::Kind::negative;
        any_large |= id.kind == IdTable::Kind::non_negative && id.bits > std::numeric_limits<std::int64_t>::max();
    }
    return !any_large ? IdType::int64 : any_negative ? IdType::text : IdType::uint64;
}

std::vector<std::uint64_t> TraitState::integer_ids(std::span<const std::int64_t> learners) const {
    std::vector<std::uint64_t> ids(learners.size());
    for (std::size_t i = 0; i < learners.size(); ++i) {
        parts_->require_learner(learners[i]);
        ids[i] = parts_->ids[static_cast<std::uint32_t>(learners[i])].bits;
    }
    return ids;
}

void TraitState::text_ids(std::span<const std::int64_t> learners, std::vector<std::int64_t>& offsets,
                          std::string& texts) const {
    offsets.assign(1, 0);
    texts.clear();
    for (const std::int64_t number : learners) {
        parts_->require_learner(number);
        const IdTable::Id id = parts_->ids[static_cast<std::uint32_t>(number)];
        switch (id.kind) {
            case IdTable::Kind::text: texts += id.text; break;
            case IdTable::Kind::negative: texts += std::to_string(static_cast<std::int64_t>(id.bits)); break;
            default: texts += std::to_string(id.bits);
        }
        offsets.push_back(static_cast<std::int64_t>(texts.size()));
    }
}

}  // namespace covey
