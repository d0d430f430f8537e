#include "covey/trait_state.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "trait_state_parts.hpp"

namespace covey {
namespace {

constexpr double log2_of_e = 0x1.71547652b82fep+0;
constexpr std::uint32_t not_interned = IdTable::unknown;
constexpr std::size_t block_rows = 512;
constexpr std::size_t rows_ahead = 8;

template <typename Value>
bool all_below(const void* data, std::size_t size, std::uint32_t count) {
    const auto* values = static_cast<const Value*>(data);
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < size; ++i) {
        largest = std::max(largest, static_cast<std::uint32_t>(values[i]));
    }
    return size == 0 || largest < count;
}

void check_index(const IndexColumn& column, std::size_t size) {
    const bool fits = column.type == IndexType::uint8    ? all_below<std::uint8_t>(column.data, size, column.count)
                      : column.type == IndexType::uint16 ? all_below<std::uint16_t>(column.data, size, column.count)
                                                         : all_below<std::int32_t>(column.data, size, column.count);
    if (!fits) {
        raise_bad_index(column, size);
    }
}

template <typename Value>
bool all_finite_weights(const void* data, std::size_t size) {
    const auto* values = static_cast<const Value*>(data);
    unsigned bad = 0;
    for (std::size_t i = 0; i < size; ++i) {
        bad |= !((values[i] >= 0) & (values[i] <= std::numeric_limits<Value>::max()));
    }
    return bad == 0;
}

void check_rows(const EventColumns& events) {
    if (events.learner_offsets != nullptr) {
        check_offsets(events.learner_offsets, events.learner_count, events.size);
    } else {
        check_index({events.learner_index, IndexType::int32, events.learner_count, "learner_index"}, events.size);
    }
    check_index(events.domain, events.size);
    check_index(events.capability, events.size);
    if (events.time.type == TimeType::seconds_uint32) {
        check_origin(events.time);
    } else {
        constexpr std::int64_t limit = std::int64_t{1} << 62;
        unsigned bad = 0;
        for (std::size_t i = 0; i < events.size; ++i) {
            const std::int64_t time = events.time.microseconds()[i];
            bad |= (time < -limit) | (time >= limit);
        }
        if (bad != 0) {
            raise_bad_time(events.time, events.size);
        }
    }
    const bool weights_fit =
        events.weight.type == WeightType::none ||
        (events.weight.type == WeightType::float32 ? all_finite_weights<float>(events.weight.data, events.size)
                                                   : all_finite_weights<double>(events.weight.data, events.size));
    if (!weights_fit) {
        raise_bad_weight(events.weight, events.size);
    }
}

std::uint32_t index_at(const IndexColumn& column, std::size_t row) {
    switch (column.type) {
        case IndexType::uint8: return static_cast<const std::uint8_t*>(column.data)[row];
        case IndexType::uint16: return static_cast<const std::uint16_t*>(column.data)[row];
        default: return static_cast<const std::uint32_t*>(column.data)[row];
    }
}

std::int64_t time_at(const TimeColumn& column, std::size_t row) {
    return column.type == TimeType::seconds_uint32 ? column.origin_us + std::int64_t{1'000'000} * column.seconds()[row]
                                                   : column.microseconds()[row];
}

double weight_at(const WeightColumn& column, std::size_t row) {
    switch (column.type) {
        case WeightType::none: return 1.0;
        case WeightType::float32: return static_cast<const float*>(column.data)[row];
        default: return static_cast<const double*>(column.data)[row];
    }
}

std::string_view text_at(const StringColumn& column, std::size_t position) {
    const auto begin = static_cast<std::size_t>(column.offsets[position]);
    const auto end = static_cast<std::size_t>(column.offsets[position + 1]);
    return {reinterpret_cast<const char*>(column.data) + begin, end - begin};
}

void check_names(const StringColumn& names, const IndexColumn& column) {
    if (names.size != column.count) {
        throw std::invalid_argument(std::string(column.name) + " has " + std::to_string(column.count) +
                                    " values, but there are " + std::to_string(names.size) + " names of them");
    }
}

}  // namespace

TraitState::Parts::Parts(const TraitParameters& given)
    : parameters(given),
      halvings_per_us(given.retention_decay_per_day * log2_of_e / static_cast<double>(state_day_us)),
      day_start_us(std::int64_t{given.day_start_seconds} * 1'000'000) {
    check_parameters(given);
    capabilities.set_default_second(wide::one);
}

void TraitState::Parts::require_whole() const {
    if (is_torn) {
        throw std::invalid_argument("an update of this trait state ended in its middle; load or build it again");
    }
}

void TraitState::Parts::require_learner(std::int64_t number) const {
    if (number < 0 || number >= static_cast<std::int64_t>(ids.size()) ||
        learners[static_cast<std::uint32_t>(number)].event_count == 0) {
        throw std::invalid_argument(std::to_string(number) + " is the number of no learner of this trait state");
    }
}

IdTable::Id TraitState::Parts::learner_id(const LearnerIdColumn& column, std::size_t position) const {
    if (column.integers != nullptr) {
        return IdTable::id_of(column.integers[position]);
    }
    return column.unsigned_integers != nullptr ? IdTable::id_of(column.unsigned_integers[position])
                                               : IdTable::id_of(text_at(column.texts, position));
}

void TraitState::Parts::advance(LearnerState& learner, const Event& event) {
    const std::int64_t time = event.time_us;
    const bool is_first = learner.event_count++ == 0;
    learner.oldest_us = is_first ? time : std::min(learner.oldest_us, time);
    learner.newest_us = is_first ? time : std::max(learner.newest_us, time);
    learner.feedback_count += event.is_feedback;
    learner.acted_count += event.is_feedback && event.is_acted;
    const std::int64_t day = day_of(time, day_start_us);
    mark_day(learner, day);

    const WideSum weight = wide::of(event.weight);
    bool is_new = false;
    std::uint64_t& by_domain = domains.value(domains.insert(learner.domains, event.domain, is_new));
    by_domain = wide::add(by_domain, weight);
    domain_names.users[event.domain] += is_new;
    if (weight != 0) {
        const std::int64_t newest_day = day_of(learner.newest_us, day_start_us);
        if (newest_day - day < momentum_days) {
            add_recent(learner, day, newest_day, weight);
        }
        if (learner.total == 0) {
            learner.newest_positive_us = time;
        } else if (time > learner.newest_positive_us) {
            const double halvings = static_cast<double>(time - learner.newest_positive_us) * halvings_per_us;
            const wide::Decay decay = wide::decay_of(halvings);
            learner.total = wide::decayed(learner.total, decay);
            learner.repeated = wide::decayed(learner.repeated, decay);
            learner.newest_positive_us = time;
        }
    }
    add_use(learner, event, weight);
}

void TraitState::Parts::mark_day(LearnerState& learner, std::int64_t day) {
    bool is_new = false;
    const auto biased = static_cast<std::uint64_t>(day + bias_of_days);
    std::uint64_t& bits = days.value(days.insert(learner.days, static_cast<std::uint32_t>(biased / 64), is_new));
    const std::uint64_t bit = std::uint64_t{1} << (biased % 64);
    learner.active_days += (bits & bit) == 0;
    bits |= bit;
}

// Days that no as_of from now on can see leave the table once it would have to grow for another.
void TraitState::Parts::add_recent(LearnerState& learner, std::int64_t day, std::int64_t newest_day, WideSum weight) {
    if (learner.recent.size >= static_cast<std::uint32_t>(momentum_days) ||
        learner.recent.size == learner.recent.capacity) {
        const auto oldest_kept = static_cast<std::uint32_t>(newest_day - momentum_days + 1 + bias_of_days);
        recent.erase_if(learner.recent, [&](std::uint32_t key) { return key < oldest_kept; });
    }
    bool is_new = false;
    const auto key = static_cast<std::uint32_t>(day + bias_of_days);
    std::uint64_t& by_day = recent.value(recent.insert(learner.recent, key, is_new));
    by_day = wide::add(by_day, weight);
}

// Only uses later than the first of their capability repeat it. Where an older first use turns up, the one that was
// taken for the first becomes a repetition; nothing is ever taken out of a sum, so no digit is lost.
void TraitState::Parts::add_use(LearnerState& learner, const Event& event, WideSum weight) {
    bool is_new = false;
    const KeyTables::Slot slot = capabilities.insert(learner.capabilities, event.capability, is_new);
    std::uint64_t& stored = capabilities.value(slot);
    const auto first_us = static_cast<std::int64_t>(stored);
    const WideSum term = weight == 0 ? 0 : decayed(weight, event.time_us, learner.newest_positive_us);
    learner.total = wide::add(learner.total, term);
    if (is_new) {
        capability_names.users[event.capability] += 1;
        stored = static_cast<std::uint64_t>(event.time_us);
        capabilities.set_second(slot, weight);
    } else if (event.time_us > first_us) {
        learner.repeated = wide::add(learner.repeated, term);
    } else if (event.time_us == first_us) {
        if (weight != 0) {
            capabilities.set_second(slot, wide::add(capabilities.second(slot), weight));
        }
    } else {
        const WideSum known = capabilities.second(slot);
        if (known != 0) {
            learner.repeated = wide::add(learner.repeated, decayed(known, first_us, learner.newest_positive_us));
        }
        stored = static_cast<std::uint64_t>(event.time_us);
        capabilities.set_second(slot, weight);
    }
}

TraitState::TraitState(const TraitParameters& parameters) : parts_(std::make_unique<Parts>(parameters)) {}
TraitState::TraitState(TraitState&&) noexcept = default;
TraitState& TraitState::operator=(TraitState&&) noexcept = default;
TraitState::~TraitState() = default;

const TraitParameters& TraitState::parameters() const {
    return parts_->parameters;
}

void TraitState::update(const LearnerIdColumn& learners, const EventColumns& events, const StringColumn& domain_names,
                        const StringColumn& capability_names, const Cancellation* cancellation) {
    Parts& parts = *parts_;
    parts.require_whole();
    check_names(domain_names, events.domain);
    check_names(capability_names, events.capability);
    if (learners.size != events.learner_count) {
        throw std::invalid_argument("there are " + std::to_string(learners.size) + " learner ids for " +
                                    std::to_string(events.learner_count) + " learners");
    }
    check_rows(events);
    std::vector<std::uint32_t> numbers(learners.size, not_interned);
    std::vector<std::uint32_t> domain_codes(domain_names.size, not_interned);
    std::vector<std::uint32_t> capability_codes(capability_names.size, not_interned);
    std::uint32_t group = 0;
    parts.has_text_ids |= learners.integers == nullptr && learners.unsigned_integers == nullptr && events.size != 0;
    parts.is_torn = true;
    for (std::size_t row = 0; row < events.size; ++row) {
        if (row % block_rows == 0) {
            check_cancellation(cancellation);
        }
        if (events.learner_offsets != nullptr) {
            while (static_cast<std::size_t>(events.learner_offsets[group + 1]) <= row) {
                ++group;
            }
        } else {
            group = static_cast<std::uint32_t>(events.learner_index[row]);
        }
        if (events.learner_index != nullptr && row + rows_ahead < events.size) {
            // In a log the next rows are of other learners, far away in memory.
            if (const std::uint32_t next = numbers[events.learner_index[row + rows_ahead]]; next != not_interned) {
                parts.learners.prefetch(next);
            }
        }
        std::uint32_t& number = numbers[group];
        if (number == not_interned) {
            number = parts.ids.intern(parts.learner_id(learners, group));
            parts.learners.reserve(parts.ids.size());
        }
        const std::uint32_t domain = index_at(events.domain, row);
        if (domain_codes[domain] == not_interned) {
            domain_codes[domain] = parts.domain_names.intern(text_at(domain_names, domain));
        }
        const std::uint32_t capability = index_at(events.capability, row);
        if (capability_codes[capability] == not_interned) {
            capability_codes[capability] = parts.capability_names.intern(text_at(capability_names, capability));
        }
        const Parts::Event event{
            .time_us = time_at(events.time, row),
            .domain = domain_codes[domain],
            .capability = capability_codes[capability],
            .weight = weight_at(events.weight, row),
            .is_feedback = events.kind != nullptr && events.kind[row] == feedback_kind,
            .is_acted = events.action_taken != nullptr && events.action_taken[row] != 0,
        };
        parts.newest_us = parts.event_count == 0 ? event.time_us : std::max(parts.newest_us, event.time_us);
        ++parts.event_count;
        parts.advance(parts.learners[number], event);
    }
    parts.is_torn = false;
}

std::size_t TraitState::learner_count() const {
    return parts_->ids.live_count();
}

std::uint64_t TraitState::event_count() const {
    return parts_->event_count;
}

std::int64_t TraitState::newest_us() const {
    return parts_->newest_us;
}

std::size_t TraitState::byte_count() const {
    const Parts& parts = *parts_;
    return sizeof(Parts) + parts.ids.byte_count() + parts.domain_names.byte_count() +
           parts.capability_names.byte_count() + parts.learners.byte_count() + parts.days.byte_count() +
           parts.recent.byte_count() + parts.domains.byte_count() + parts.capabilities.byte_count();
}

std::uint64_t TraitState::forget(const LearnerIdColumn& learner) {
    Parts& parts = *parts_;
    parts.require_whole();
    std::uint64_t forgotten = 0;
    bool was_newest = false;
    for (std::size_t position = 0; position < learner.size; ++position) {
        const std::uint32_t number = parts.ids.find(parts.learner_id(learner, position));
        if (number == IdTable::unknown) {
            continue;
        }
        LearnerState& state = parts.learners[number];
        parts.domains.for_each(state.domains, [&](std::uint32_t key, auto) { parts.domain_names.drop_user(key); });
        parts.capabilities.for_each(state.capabilities,
                                    [&](std::uint32_t key, auto) { parts.capability_names.drop_user(key); });
        parts.days.clear(state.days);
        parts.recent.clear(state.recent);
        parts.domains.clear(state.domains);
        parts.capabilities.clear(state.capabilities);
        forgotten += state.event_count;
        was_newest |= state.newest_us == parts.newest_us;
        state = LearnerState{};
        parts.ids.erase(number);
    }
    parts.event_count -= forgotten;
    if (was_newest) {
        parts.newest_us = std::numeric_limits<std::int64_t>::min();
        for (std::uint32_t number = 0; number < parts.ids.size(); ++number) {
            if (parts.learners[number].event_count != 0) {
                parts.newest_us = std::max(parts.newest_us, parts.learners[number].newest_us);
            }
        }
    }
    return forgotten;
}

}  // namespace covey
