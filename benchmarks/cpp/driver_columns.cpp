#include "driver_columns.hpp"

#include <algorithm>
#include <numeric>

#include "covey/random.hpp"

extern "C" void covey_measured(const std::function<void()>& work) {
    work();
    __asm__ volatile("" ::: "memory");  // keeps this call from becoming a jump, which would leave the function early
}

namespace covey::driver {
namespace {

constexpr std::int64_t origin_us = 1'767'571'200'000'000;
constexpr std::uint64_t week_seconds = 7 * 86'400;

struct Random {
    std::uint64_t state;
    std::uint64_t below(std::uint64_t bound) { return splitmix_finalise(state += 0x9E3779B97F4A7C15ull) % bound; }
};

template <class T>
std::vector<T> taken(const std::vector<T>& values, const std::vector<std::size_t>& rows) {
    std::vector<T> result;
    result.reserve(rows.size());
    for (const std::size_t row : rows) result.push_back(values[row]);
    return result;
}

}  // namespace

Events events_by_learner(std::uint32_t learner_count) {
    Random random{1};
    Events events;
    events.learner_count = learner_count;
    events.offsets.push_back(0);
    for (std::uint32_t learner = 0; learner < learner_count; ++learner) {
        const std::size_t begin = events.time_seconds.size();
        for (std::uint64_t week = 0; week < 8; ++week) {
            for (std::uint64_t left = 4 + random.below(7); left > 0; --left) {
                const std::uint64_t second = week * week_seconds + random.below(week_seconds);
                events.time_seconds.push_back(static_cast<std::uint32_t>(second));
            }
        }
        std::sort(events.time_seconds.begin() + static_cast<std::ptrdiff_t>(begin), events.time_seconds.end());
        events.offsets.push_back(static_cast<std::int64_t>(events.time_seconds.size()));
        events.learner.resize(events.time_seconds.size(), static_cast<std::int32_t>(learner));
    }
    for (const std::uint32_t second : events.time_seconds) {
        events.time_us.push_back(origin_us + std::int64_t{1'000'000} * second);
        const std::uint64_t capability = random.below(capability_count);
        events.capability.push_back(static_cast<std::uint16_t>(capability));
        events.domain.push_back(static_cast<std::uint8_t>(capability % domain_count));
        const std::uint64_t draw = random.below(20);
        events.kind.push_back(draw < 2 ? feedback_kind : 2);
        events.action_taken.push_back(draw == 0 ? 1 : 0);
    }
    events.as_of_us = *std::max_element(events.time_us.begin(), events.time_us.end());
    return events;
}

Events events_by_time(std::uint32_t learner_count) {
    const Events sorted = events_by_learner(learner_count);
    std::vector<std::size_t> rows(sorted.time_us.size());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    std::stable_sort(rows.begin(), rows.end(),
                     [&](std::size_t a, std::size_t b) { return sorted.time_us[a] < sorted.time_us[b]; });
    Events events;
    events.learner_count = learner_count;
    events.learner = taken(sorted.learner, rows);
    events.time_us = taken(sorted.time_us, rows);
    events.time_seconds = taken(sorted.time_seconds, rows);
    events.domain = taken(sorted.domain, rows);
    events.capability = taken(sorted.capability, rows);
    events.kind = taken(sorted.kind, rows);
    events.action_taken = taken(sorted.action_taken, rows);
    events.as_of_us = sorted.as_of_us;
    return events;
}

EventColumns Events::wide() const {
    EventColumns columns;
    columns.size = time_us.size();
    columns.learner_index = learner.data();
    columns.learner_count = learner_count;
    columns.time = {time_us.data(), TimeType::microseconds_int64, 0};
    columns.domain = {domain.data(), IndexType::uint8, domain_count, "domain_index"};
    columns.capability = {capability.data(), IndexType::uint16, capability_count, "capability_index"};
    columns.kind = kind.data();
    columns.action_taken = action_taken.data();
    return columns;
}

EventColumns Events::narrow() const {
    EventColumns columns = wide();
    columns.learner_index = nullptr;
    columns.learner_offsets = offsets.data();
    columns.time = {time_seconds.data(), TimeType::seconds_uint32, origin_us};
    return columns;
}

Traits::Traits(std::size_t learner_count) : event_count(learner_count), active_days(learner_count) {
    for (auto& values : floats) values.resize(learner_count);
    for (auto& values : days) values.resize(learner_count);
}

TraitColumns Traits::columns() {
    return {floats[0].data(),   floats[1].data(), floats[2].data(), floats[3].data(),
            floats[4].data(),   floats[5].data(), floats[6].data(), event_count.data(),
            active_days.data(), days[0].data(),   days[1].data()};
}

Names::Names(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        text += std::to_string(i);
        offsets.push_back(static_cast<std::int64_t>(text.size()));
    }
}

StringColumn Names::column() const {
    return {offsets.data(), reinterpret_cast<const std::uint8_t*>(text.data()), offsets.size() - 1};
}

CloudOfPoints::CloudOfPoints(std::size_t size) : coordinates(dimensions * size) {
    Random random{2};
    for (std::size_t i = 0; i < size; ++i) {
        hashes.push_back(splitmix_finalise(i + 1));
        const std::uint64_t centre = random.below(5);
        for (std::size_t d = 0; d < dimensions; ++d) {
            const std::uint64_t noise = random.below(1000) + random.below(1000) + random.below(1000);
            coordinates[d * size + i] =
                0.15f * static_cast<float>((centre + d) % 5) + 0.0001f * static_cast<float>(noise);
        }
    }
}

}  // namespace covey::driver
