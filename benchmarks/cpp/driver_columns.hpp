#pragma once
// Deterministic events and points for the kernel driver, the same on every machine.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "covey/columns.hpp"
#include "covey/hash.hpp"
#include "covey/kmeans.hpp"
#include "covey/traits.hpp"

// Runs the work; the name is what a profiler is told to watch, so nothing may be inlined or cloned: it is defined in
// another file than its callers.
extern "C" void covey_measured(const std::function<void()>& work);

namespace covey::driver {

constexpr std::uint32_t domain_count = 12;
constexpr std::uint32_t capability_count = 100;

// 8 weeks of 4 to 10 events a week for each learner, as benchmarks/workload.py makes them.
struct Events {
    std::uint32_t learner_count = 0;
    std::vector<std::int32_t> learner;
    std::vector<std::int64_t> time_us;
    std::vector<std::uint32_t> time_seconds;  // the same times, from origin_us
    std::vector<std::int64_t> offsets;        // of learners; only where rows are by learner
    std::vector<std::uint8_t> domain;
    std::vector<std::uint16_t> capability;
    std::vector<std::uint8_t> kind;
    std::vector<std::uint8_t> action_taken;
    std::int64_t as_of_us = 0;

    EventColumns wide() const;    // learner index and microseconds
    EventColumns narrow() const;  // offsets and seconds
};

Events events_by_learner(std::uint32_t learner_count);
Events events_by_time(std::uint32_t learner_count);

// Room for the results of that many learners.
struct Traits {
    explicit Traits(std::size_t learner_count);
    TraitColumns columns();

    std::vector<float> floats[7];
    std::vector<std::int64_t> event_count;
    std::vector<std::int32_t> active_days;
    std::vector<double> days[2];
};

// The texts "0", "1" and so on.
struct Names {
    explicit Names(std::size_t count);
    StringColumn column() const;

    std::vector<std::int64_t> offsets{0};
    std::string text;
};

// Points around five centres in five dimensions, and an id hash for each.
struct CloudOfPoints {
    explicit CloudOfPoints(std::size_t size);
    PointColumns columns() const { return {coordinates.data(), dimensions, hashes.size()}; }

    static constexpr std::size_t dimensions = 5;
    std::vector<float> coordinates;
    std::vector<std::uint64_t> hashes;
};

}  // namespace covey::driver
