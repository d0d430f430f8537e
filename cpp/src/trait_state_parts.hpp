#pragma once

#include <array>
#include <memory>
#include <vector>

#include "covey/trait_state.hpp"
#include "trait_state_ids.hpp"
#include "trait_state_sum.hpp"
#include "trait_state_tables.hpp"

namespace covey {

constexpr std::int64_t state_day_us = 86'400'000'000;
constexpr std::int64_t momentum_days = 28;
constexpr std::int64_t bias_of_days = std::int64_t{1} << 30;  // keeps the keys of early days positive

// Days in the history of the earth fit: |time| < 2^62 us is 53 million days.
constexpr std::int64_t day_of(std::int64_t time_us, std::int64_t day_start_us) {
    const std::int64_t since = time_us - day_start_us;
    return since / state_day_us - (since % state_day_us < 0);
}

struct LearnerState {
    std::int64_t oldest_us = 0;
    std::int64_t newest_us = 0;
    std::int64_t newest_positive_us = 0;  // of positive weight; only where `total` is not 0
    WideSum total = 0;                    // decayed weight of all events, as of newest_positive_us
    WideSum repeated = 0;                 // the part of it that repeat uses have
    std::uint64_t event_count = 0;
    std::uint32_t feedback_count = 0;
    std::uint32_t acted_count = 0;
    std::uint32_t active_days = 0;
    KeyTables::Table days;          // by 64 days: a bit for each active one
    KeyTables::Table recent;        // by day: weight, of the last 28 days before the newest event
    KeyTables::Table domains;       // by domain: weight
    KeyTables::Table capabilities;  // by capability: time of the first use, weight at exactly that time
};

// Learners by number, in blocks that stay where they are.
class LearnerStates {
public:
    LearnerState& operator[](std::uint32_t number) { return blocks_[number / block_size][number % block_size]; }
    const LearnerState& operator[](std::uint32_t number) const {
        return blocks_[number / block_size][number % block_size];
    }
    void prefetch(std::uint32_t number) const {
        const char* learner = reinterpret_cast<const char*>(&(*this)[number]);
        __builtin_prefetch(learner);
        __builtin_prefetch(learner + 64);
        __builtin_prefetch(learner + sizeof(LearnerState) - 1);
    }
    void reserve(std::uint32_t count) {
        while (blocks_.size() * block_size < count) {
            blocks_.push_back(std::make_unique<LearnerState[]>(block_size));
        }
    }
    std::size_t byte_count() const { return blocks_.size() * (block_size * sizeof(LearnerState) + sizeof(void*)); }

private:
    static constexpr std::uint32_t block_size = 256;
    std::vector<std::unique_ptr<LearnerState[]>> blocks_;
};

// Names, and how many learners use each: a name goes with its last learner.
struct Names {
    IdTable table;
    std::vector<std::uint32_t> users;

    std::uint32_t intern(std::string_view name) {
        const std::uint32_t code = table.intern(IdTable::name_of(name));
        if (code >= users.size()) {
            users.resize(code + std::size_t{1}, 0);
        }
        return code;
    }
    void drop_user(std::uint32_t code) {
        if (--users[code] == 0) {
            table.erase(code);
        }
    }
    std::size_t byte_count() const { return table.byte_count() + users.capacity() * sizeof(std::uint32_t); }
};

struct TraitState::Parts {
    explicit Parts(const TraitParameters& given);

    // One event. Codes are those of the tables of names.
    struct Event {
        std::int64_t time_us;
        std::uint32_t domain;
        std::uint32_t capability;
        double weight;
        bool is_feedback;
        bool is_acted;
    };
    void advance(LearnerState& learner, const Event& event);
    void require_whole() const;
    void require_learner(std::int64_t number) const;
    IdTable::Id learner_id(const LearnerIdColumn& learners, std::size_t position) const;

    TraitParameters parameters;
    double halvings_per_us;
    std::int64_t day_start_us;
    IdTable ids;
    Names domain_names;
    Names capability_names;
    LearnerStates learners;
    KeyTables days;
    KeyTables recent;
    KeyTables domains;
    KeyTables capabilities;
    std::uint64_t event_count = 0;
    std::int64_t newest_us = 0;
    bool has_text_ids = false;  // ids came as texts at least once: then all are shown as texts
    bool is_torn = false;       // an update ended in its middle

private:
    void mark_day(LearnerState& learner, std::int64_t day);
    void add_recent(LearnerState& learner, std::int64_t day, std::int64_t newest_day, WideSum weight);
    void add_use(LearnerState& learner, const Event& event, WideSum weight);
    WideSum decayed(WideSum weight, std::int64_t from_us, std::int64_t to_us) const {
        return from_us == to_us ? weight
                                : wide::decayed(weight, static_cast<double>(to_us - from_us) * halvings_per_us);
    }
};

}  // namespace covey
