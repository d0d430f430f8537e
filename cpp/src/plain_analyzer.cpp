#include "plain_analyzer.hpp"

#include <algorithm>
#include <utility>

#include "entropy_table.hpp"
#include "learner.hpp"

namespace covey {
namespace {

constexpr std::size_t event_padding = 128;

struct Sets {
    std::uint64_t* next;
    std::size_t words;

    std::uint64_t* take() { return std::exchange(next, next + words); }
};

template <typename Value>
Value* take_column(std::byte*& next, std::size_t size) {
    auto* column = reinterpret_cast<Value*>(next);
    next += size * sizeof(double);
    return column;
}

// Runs of learners that follow one another are most often whole blocks.
bool are_consecutive(const std::vector<std::uint32_t>& ids) {
    return ids.back() - ids.front() == ids.size() - 1;
}

template <typename Value>
void spread_rows(const Value* from, const std::vector<std::uint32_t>& ids, Value* to) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
        to[ids[i]] = from[i];
    }
}

}  // namespace

PlainAnalyzer::PlainAnalyzer(const TraitParameters& parameters, const Instant& instant, const Kernels& kernels,
                             std::uint32_t domain_count, std::uint32_t capability_count)
    : kernels_(kernels),
      instant_(instant),
      window_days_(static_cast<std::uint32_t>(parameters.frequency_window_days)),
      rules_{.decay_rate = powers_of_two_per_microsecond(parameters),
             .velocity_alpha = parameters.velocity_alpha,
             .domain_count = domain_count,
             .entropy_steps = EntropyTable::instance().steps(),
             .entropy_size = EntropyTable::size,
             .log2 = EntropyTable::instance().logarithms()},
      trait_rules_{.velocity_kappa = parameters.velocity_kappa,
                   .entropy_penalty = parameters.affinity_entropy_penalty,
                   .window_days = static_cast<double>(parameters.frequency_window_days),
                   .prior_acted = parameters.feedback_prior_acted,
                   .prior_both = parameters.feedback_prior_acted + parameters.feedback_prior_ignored},
      stamps_(capability_count) {}

bool PlainAnalyzer::fits(const EventColumns& events) {
    return events.weight.type == WeightType::none && events.domain.count <= 256 &&
           !needs_local_index(events.capability.count, events.size);
}

void PlainAnalyzer::resize(std::size_t events, std::size_t learners) {
    if (capability_.size() < events + event_padding) {
        const std::size_t size = events + event_padding;
        capability_.resize(size);
        age_us_.resize(size + 1);
        day_age_.resize(size + 1);
        bytes_.resize(2 * size);
        const std::size_t words = size / 64 + 3;
        sets_.resize(11 * words);
        Sets sets{sets_.data(), words};
        block_ = {.size = 0,
                  .age_us = age_us_.data() + 1,
                  .day_age = day_age_.data() + 1,
                  .domain = bytes_.data(),
                  .use = bytes_.data() + size,
                  .unusable = sets.take(),
                  .unordered = sets.take(),
                  .tied = sets.take(),
                  .new_day = sets.take(),
                  .new_week = sets.take(),
                  .last_14 = sets.take(),
                  .last_28 = sets.take(),
                  .in_window = sets.take(),
                  .feedback = sets.take(),
                  .acted = sets.take(),
                  .first = sets.take()};
    }
    if (is_plain_.size() < learners) {
        is_plain_.resize(learners);
        learner_sums_.resize(16 * learners);
        learner_columns_.resize(11 * sizeof(double) * learners);
        double* next = learner_sums_.data();
        const auto take = [&] { return std::exchange(next, next + learners); };
        sums_ = {.is_plain = is_plain_.data(),
                 .oldest_us = take(),
                 .newest_us = take(),
                 .last_14 = take(),
                 .last_28 = take(),
                 .days = take(),
                 .window_days = take(),
                 .feedback = take(),
                 .acted = take(),
                 .repeated = take(),
                 .decayed = take(),
                 .average = take(),
                 .top_domain = take(),
                 .log2_domains = take(),
                 .events = take(),
                 .entropy = take()};
    }
}

void PlainAnalyzer::load(const EventColumns& events, std::size_t begin, std::size_t size) {
    block_.size = size;
    if (events.time.type == TimeType::seconds_uint32) {
        kernels_.plain_ages_of_seconds(events.time.seconds() + begin, size, instant_.as_of_us - events.time.origin_us,
                                       instant_.rest_of_day_us, block_);
    } else if (kernels_.plain_ages(events.time.microseconds() + begin, size, instant_.as_of_us, instant_.rest_of_day_us,
                                   block_) != 0) {
        throw BadBlock{BadValue::time};
    }
    const auto values_of = [begin](const IndexColumn& column) {
        return static_cast<const std::byte*>(column.data) + begin * bytes_per_row(column.type);
    };
    if (kernels_.to_bytes(values_of(events.domain), bytes_per_row(events.domain.type), size, block_.domain) >=
        events.domain.count) {
        throw BadBlock{BadValue::domain};
    }
    if (kernels_.widen(values_of(events.capability), bytes_per_row(events.capability.type), size, capability_.data()) >=
        events.capability.count) {
        throw BadBlock{BadValue::capability};
    }
    kernels_.plain_sets(block_, window_days_);
    if (events.kind != nullptr) {
        kernels_.plain_feedback(events.kind + begin,
                                events.action_taken == nullptr ? nullptr : events.action_taken + begin, size, block_);
    }
}

// A capability was used by the learner at hand where its stamp is not below that of the learner's first event, so
// nothing is cleared between learners.
void PlainAnalyzer::find_first_uses(const BlockLearners& learners) {
    const std::size_t size = learners.begins.back();
    if (next_stamp_ > UINT32_MAX - size) {
        std::fill(stamps_.begin(), stamps_.end(), 0);
        next_stamp_ = 1;
    }
    const std::uint32_t* capability = capability_.data();
    std::uint32_t* stamps = stamps_.data();
    std::uint8_t* use = block_.use;
    for (std::size_t learner = 0; learner < learners.ids.size(); ++learner) {
        const std::uint32_t begin = learners.begins[learner];
        const std::uint32_t end = learners.begins[learner + 1];
        if (has_ties(begin, end)) {
            find_tied_first_uses(begin, end, next_stamp_);
            continue;
        }
        const std::uint32_t first_stamp = next_stamp_ + begin;
        for (std::uint32_t i = begin; i < end; ++i) {
            std::uint32_t& stamp = stamps[capability[i]];
            use[i] = stamp < first_stamp;
            stamp = next_stamp_ + i;
        }
    }
    next_stamp_ += static_cast<std::uint32_t>(size);
    kernels_.plain_first_uses(block_);
}

// Whether an event but the first is at the time of the event before.
bool PlainAnalyzer::has_ties(std::size_t begin, std::size_t end) const {
    for (std::size_t i = begin + 1; i < end;) {
        const std::size_t next = std::min(end, (i / 64 + 1) * 64);
        const std::uint64_t word = block_.tied[i / 64] >> (i % 64);
        if ((word << (64 - (next - i))) != 0) {
            return true;
        }
        i = next;
    }
    return false;
}

// As above where several events have the same time: one of them is the first use of a capability, no other a repeat.
void PlainAnalyzer::find_tied_first_uses(std::size_t begin, std::size_t end, std::uint32_t stamp_of_block) {
    const auto stamp_of = [stamp_of_block](std::size_t i) { return stamp_of_block + static_cast<std::uint32_t>(i); };
    std::size_t run_begin = begin;  // of events at one time
    for (std::size_t i = begin; i < end; ++i) {
        const bool is_tied = (block_.tied[i / 64] >> (i % 64) & 1) != 0;
        run_begin = is_tied && i > begin ? run_begin : i;
        std::uint32_t& stamp = stamps_[capability_[i]];
        if (stamp < stamp_of(begin)) {
            stamp = stamp_of(i);
            block_.use[i] = first_use;
        } else {
            block_.use[i] = stamp < stamp_of(run_begin) ? repeat_use : tied_use;
        }
    }
}

void PlainAnalyzer::analyze(const EventColumns& events, std::size_t begin, const BlockLearners& learners,
                            const TraitColumns& traits) {
    resize(learners.begins.back(), learners.ids.size());
    if (events.kind == nullptr) {
        block_.feedback = nullptr;
    }
    load(events, begin, learners.begins.back());
    find_first_uses(learners);
    kernels_.plain_learners(block_, learners.begins.data(), learners.ids.size(), rules_, sums_);
    write(learners, traits);
}

void PlainAnalyzer::write(const BlockLearners& learners, const TraitColumns& traits) {
    const std::vector<std::uint32_t>& ids = learners.ids;
    if (are_consecutive(ids)) {
        const std::size_t first = ids.front();
        kernels_.plain_traits(
            sums_, ids.size(), trait_rules_,
            {traits.learning_velocity + first, traits.domain_affinity + first, traits.interaction_frequency + first,
             traits.feedback_responsiveness + first, traits.retention_strength + first, traits.domain_entropy + first,
             traits.momentum + first, traits.event_count + first, traits.active_days + first,
             traits.tenure_days + first, traits.recency_days + first});
        return;
    }
    std::byte* next = learner_columns_.data();
    const std::size_t size = ids.size();
    const PlainColumns columns{
        .learning_velocity = take_column<float>(next, size),
        .domain_affinity = take_column<float>(next, size),
        .interaction_frequency = take_column<float>(next, size),
        .feedback_responsiveness = take_column<float>(next, size),
        .retention_strength = take_column<float>(next, size),
        .domain_entropy = take_column<float>(next, size),
        .momentum = take_column<float>(next, size),
        .event_count = take_column<std::int64_t>(next, size),
        .active_days = take_column<std::int32_t>(next, size),
        .tenure_days = take_column<double>(next, size),
        .recency_days = take_column<double>(next, size),
    };
    kernels_.plain_traits(sums_, size, trait_rules_, columns);
    spread_rows(columns.learning_velocity, ids, traits.learning_velocity);
    spread_rows(columns.domain_affinity, ids, traits.domain_affinity);
    spread_rows(columns.interaction_frequency, ids, traits.interaction_frequency);
    spread_rows(columns.feedback_responsiveness, ids, traits.feedback_responsiveness);
    spread_rows(columns.retention_strength, ids, traits.retention_strength);
    spread_rows(columns.domain_entropy, ids, traits.domain_entropy);
    spread_rows(columns.momentum, ids, traits.momentum);
    spread_rows(columns.event_count, ids, traits.event_count);
    spread_rows(columns.active_days, ids, traits.active_days);
    spread_rows(columns.tenure_days, ids, traits.tenure_days);
    spread_rows(columns.recency_days, ids, traits.recency_days);
}

}  // namespace covey
