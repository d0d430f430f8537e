#include "plain_analyzer.hpp"

#include <algorithm>
#include <utility>

#include "entropy_table.hpp"
#include "learner.hpp"

namespace covey {
namespace {

constexpr std::size_t event_padding = 128;
constexpr std::size_t positions_at_once = 1024;

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
      capability_count_(capability_count),
      positions_(std::max<std::size_t>(capability_count, positions_at_once)) {}

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
        bytes_.resize(size);
        const std::size_t words = size / 64 + 3;
        sets_.resize(12 * words);
        Sets sets{sets_.data(), words};
        block_ = {.size = 0,
                  .age_us = age_us_.data() + 1,
                  .day_age = day_age_.data() + 1,
                  .domain = bytes_.data(),
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
                  .first = sets.take(),
                  .repeats = sets.take()};
    }
    if (is_plain_.size() < learners) {
        is_plain_.resize(learners);
        learner_sums_.resize(7 * learners);
        learner_counts_.resize(8 * learners);
        learner_columns_.resize(11 * sizeof(double) * learners);
        double* next = learner_sums_.data();
        const auto take = [&] { return std::exchange(next, next + learners); };
        std::int32_t* next_count = learner_counts_.data();
        const auto take_count = [&] { return std::exchange(next_count, next_count + learners); };
        sums_ = {.is_plain = is_plain_.data(),
                 .oldest_us = take(),
                 .newest_us = take(),
                 .repeated = take(),
                 .decayed = take(),
                 .average = take(),
                 .log2_domains = take(),
                 .entropy = take(),
                 .last_14 = take_count(),
                 .last_28 = take_count(),
                 .days = take_count(),
                 .window_days = take_count(),
                 .feedback = take_count(),
                 .acted = take_count(),
                 .top_domain = take_count(),
                 .events = take_count()};
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

// Every learner writes the numbers of its events to its table by capability, the newest first: what stays in the end is
// the first use. Some learners have tables side by side, so that nothing is read just after it was written; more of
// them would push the block out of the nearest cache.
void PlainAnalyzer::find_first_uses(const BlockLearners& learners) {
    const std::size_t learners_at_once = positions_.size() / std::max(capability_count_, 1u);
    const std::size_t words = block_.size / 64 + 1;
    std::fill_n(block_.first, words + 1, std::uint64_t{0});
    std::fill_n(block_.repeats, words, ~std::uint64_t{0});
    const std::uint32_t* capability = capability_.data();
    for (std::size_t first = 0; first < learners.size();) {
        const std::size_t last = std::min(learners.size(), first + learners_at_once);
        std::uint32_t* own = positions_.data();
        for (std::size_t learner = first; learner < last; ++learner, own += capability_count_) {
            const std::uint32_t begin = learners.begins[learner];
            for (std::uint32_t i = learners.begins[learner + 1]; i-- > begin;) {
                own[capability[i]] = i;
            }
            block_.tied[begin / 64] &= ~(std::uint64_t{1} << (begin % 64));  // another learner's event is before it
        }
        kernels_.plain_first_uses(positions_.data(), capability_count_, capability, learners.begins.data() + first,
                                  last - first, block_.first);
        remove_tied_uses(learners, first, last);
        first = last;
    }
    for (std::size_t word = 0; word < words; ++word) {
        block_.repeats[word] &= ~block_.first[word];
    }
}

// A use at the very time of the first is no repeat. Needs the tables of the learners first ... last.
void PlainAnalyzer::remove_tied_uses(const BlockLearners& learners, std::size_t first, std::size_t last) {
    const std::uint32_t end = learners.begins[last];
    if (!has_ties(learners.begins[first], end)) {
        return;
    }
    const std::uint32_t* own = positions_.data();
    for (std::size_t learner = first; learner < last; ++learner, own += capability_count_) {
        std::uint32_t run_begin = learners.begins[learner];  // of events at one time
        for (std::uint32_t i = run_begin; i < learners.begins[learner + 1]; ++i) {
            run_begin = (block_.tied[i / 64] >> (i % 64) & 1) != 0 ? run_begin : i;
            const auto is_no_repeat = static_cast<std::uint64_t>(own[capability_[i]] >= run_begin);
            block_.repeats[i / 64] &= ~(is_no_repeat << (i % 64));
        }
    }
}

bool PlainAnalyzer::has_ties(std::size_t begin, std::size_t end) const {
    for (std::size_t i = begin; i < end;) {
        const std::size_t next = std::min(end, (i / 64 + 1) * 64);
        const std::uint64_t word = block_.tied[i / 64] >> (i % 64);
        if ((word << (64 - (next - i))) != 0) {
            return true;
        }
        i = next;
    }
    return false;
}

// The columns of the rows that follow, as many as the block has.
PlainAhead PlainAnalyzer::rows_behind(const EventColumns& events, std::size_t begin) const {
    PlainAhead ahead{};
    const std::size_t first = std::min(begin + block_.size, events.size);
    const std::size_t last = std::min(first + block_.size, events.size);
    const auto add = [&](const void* column, std::size_t row_bytes) {
        if (column != nullptr && first < last) {
            ahead.begin[ahead.count] = reinterpret_cast<std::uintptr_t>(column) + first * row_bytes;
            ahead.end[ahead.count++] = reinterpret_cast<std::uintptr_t>(column) + last * row_bytes;
        }
    };
    add(events.learner_index, sizeof(std::int32_t));
    add(events.time.data, events.time.type == TimeType::seconds_uint32 ? sizeof(std::uint32_t) : sizeof(std::int64_t));
    add(events.domain.data, bytes_per_row(events.domain.type));
    add(events.capability.data, bytes_per_row(events.capability.type));
    add(events.kind, 1);
    add(events.action_taken, 1);
    return ahead;
}

void PlainAnalyzer::analyze(const EventColumns& events, std::size_t begin, const BlockLearners& learners,
                            bool is_streamed, const TraitColumns& traits) {
    resize(learners.begins.back(), learners.ids.size());
    if (events.kind == nullptr) {
        block_.feedback = nullptr;
    }
    load(events, begin, learners.begins.back());
    find_first_uses(learners);
    const PlainAhead ahead = is_streamed ? rows_behind(events, begin) : PlainAhead{};
    kernels_.plain_learners(block_, learners.begins.data(), learners.ids.size(), rules_, ahead, sums_);
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
