#pragma once
// What is known of every learner's past, in a form that each new event advances in O(1): the traits of all events so
// far without reading them again (definitions: DESIGN section 5; equal to compute_traits to 1e-6).

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "covey/cancellation.hpp"
#include "covey/columns.hpp"
#include "covey/hash.hpp"
#include "covey/traits.hpp"

namespace covey {

// Distinct ids of learners: either integers or texts. Text that is an integer's decimal text is that integer.
struct LearnerIdColumn {
    const std::int64_t* integers = nullptr;
    const std::uint64_t* unsigned_integers = nullptr;
    StringColumn texts;
    std::size_t size = 0;
};

// Bytes handed over in order; they are valid during the call only.
using ByteSink = std::function<void(const void* bytes, std::size_t size)>;

// Not thread-safe: one call at a time.
class TraitState {
public:
    // Only retention_decay_per_day and day_start_seconds shape the state; the others may differ between questions.
    // Throws std::invalid_argument as check_parameters does.
    explicit TraitState(const TraitParameters& parameters);
    TraitState(TraitState&&) noexcept;
    TraitState& operator=(TraitState&&) noexcept;
    ~TraitState();

    const TraitParameters& parameters() const;

    // Adds events, in any order, older than known ones or not; equal events count each. O(1) per event, amortised;
    // about 1 us for each id and name of the call. `names` give the meaning of the events' domain and capability
    // positions in this call.
    // Throws std::invalid_argument for a value out of range, naming column and row, before anything is changed.
    // After Cancelled or std::bad_alloc the state holds a part of the events and refuses further work.
    void update(const LearnerIdColumn& learners, const EventColumns& events, const StringColumn& domain_names,
                const StringColumn& capability_names, const Cancellation* cancellation = nullptr);

    // Learners with at least one event.
    std::size_t learner_count() const;
    std::uint64_t event_count() const;
    // Time of the newest event; only where there is one.
    std::int64_t newest_us() const;

    // Numbers of all learners, and those of some ids (-1: no events). They hold until the next update or forget.
    std::vector<std::int64_t> learners() const;
    std::vector<std::int64_t> find(const LearnerIdColumn& learners) const;

    // The ids of some learners: integers where all ids ever came as integers and fit one type, else texts.
    enum class IdType : std::uint8_t { int64, uint64, text };
    IdType id_type(std::span<const std::int64_t> learners) const;
    std::vector<std::uint64_t> integer_ids(std::span<const std::int64_t> learners) const;
    void text_ids(std::span<const std::int64_t> learners, std::vector<std::int64_t>& offsets, std::string& texts) const;

    // Row i of `traits` becomes that of learner learners[i]. as_of_us may not be before the newest event.
    // Throws std::invalid_argument for that, for parameters that shape a state and are not this one's, and for a
    // number that is no learner's.
    void traits(std::span<const std::int64_t> learners, std::int64_t as_of_us, const TraitParameters& parameters,
                const TraitColumns& traits, const Cancellation* cancellation = nullptr) const;

    // Removes all that is known of a learner, with the names of domains and capabilities that no one else used.
    // Returns the number of events forgotten. O(what is known of them), and O(learners) where theirs was the newest.
    std::uint64_t forget(const LearnerIdColumn& learner);

    // Bytes of memory in use.
    std::size_t byte_count() const;

    // Versioned bytes with a checksum, in pieces of about 1 MiB.
    void save(const ByteSink& sink, const Cancellation* cancellation = nullptr) const;
    // Throws std::invalid_argument that says what is wrong with the bytes.
    static TraitState load(std::span<const std::byte> bytes, const Cancellation* cancellation = nullptr);

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace covey
