#include "record_layout.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <vector>

namespace covey {
namespace {

constexpr std::size_t sample_rows = 1024;

// Extremes of times in the order of their type, and the low bits in which they differ.
template <typename Time>
struct Extremes {
    Time lowest;
    Time highest;
    std::uint64_t differences = 0;  // bits set in any difference to one of the times

    explicit Extremes(Time first) : lowest(first), highest(first), first_(first) {}

    void add(Time time) {
        lowest = std::min(lowest, time);
        highest = std::max(highest, time);
        differences |= static_cast<std::uint64_t>(time) - static_cast<std::uint64_t>(first_);
    }

    std::uint64_t span() const { return static_cast<std::uint64_t>(highest) - static_cast<std::uint64_t>(lowest); }
    unsigned zeros() const { return differences == 0 ? 0 : static_cast<unsigned>(std::countr_zero(differences)); }

private:
    Time first_;
};

// By Newton's method: every round doubles the bits that are right, of which an odd number has 3 of its own inverse.
std::uint64_t inverse_of(std::uint64_t odd) {
    std::uint64_t inverse = odd;
    for (int round = 0; round < 5; ++round) {
        inverse *= 2 - odd * inverse;
    }
    return inverse;
}

template <typename Time>
TimeRange likely(const Time* times, std::size_t size) {
    Extremes<Time> extremes(times[0]);
    std::uint64_t divisor = 0;  // of the differences to the earliest one in the sample
    const std::size_t stride = std::max<std::size_t>(size / sample_rows, 1);
    for (std::size_t row = 0; row < size; row += stride) {
        extremes.add(times[row]);
    }
    extremes.add(times[size - 1]);
    if (extremes.span() >= std::uint64_t{1} << 60) {
        return {};
    }
    for (std::size_t row = 0; row < size; row += stride) {
        divisor =
            std::gcd(divisor, static_cast<std::uint64_t>(times[row]) - static_cast<std::uint64_t>(extremes.lowest));
    }
    divisor = std::max<std::uint64_t>(divisor, 1);
    TimeRange range;
    range.zeros = static_cast<unsigned>(std::countr_zero(divisor));
    range.odd = divisor >> range.zeros;
    range.inverse = inverse_of(range.odd);
    const std::uint64_t units = extremes.span() / divisor;
    const std::uint64_t room = units >> 3;  // an eighth at either end
    range.base = static_cast<std::uint64_t>(extremes.lowest) - room * divisor;
    range.bits = static_cast<unsigned>(std::bit_width(units + 2 * room));
    return range;
}

template <typename Time>
TimeRange exact(const Time* times, std::size_t size, ThreadTeam& team) {
    constexpr std::size_t rows_per_task = std::size_t{1} << 20;
    std::vector<Extremes<Time>> found((size + rows_per_task - 1) / rows_per_task, Extremes<Time>(times[0]));
    team.run(found.size(), [&](std::size_t task, std::size_t) {
        Extremes<Time> own(times[0]);
        const std::size_t end = std::min(size, (task + 1) * rows_per_task);
        for (std::size_t row = task * rows_per_task; row < end; ++row) {
            own.add(times[row]);
        }
        found[task] = own;
    });
    Extremes<Time> all(times[0]);
    for (const auto& extremes : found) {
        all.add(extremes.lowest);
        all.add(extremes.highest);
        all.differences |= extremes.differences;
    }
    TimeRange range;
    range.base = static_cast<std::uint64_t>(all.lowest);
    range.zeros = all.zeros();
    range.bits = static_cast<unsigned>(std::bit_width(all.span() >> range.zeros));
    return range;
}

unsigned bits_of_positions(std::uint32_t count) {
    return count == 0 ? 0 : static_cast<unsigned>(std::bit_width(count - 1));
}

}  // namespace

TimeRange likely_times(const EventColumns& events) {
    return events.time.type == TimeType::seconds_uint32 ? likely(events.time.seconds(), events.size)
                                                        : likely(events.time.microseconds(), events.size);
}

TimeRange exact_times(const EventColumns& events, ThreadTeam& team) {
    return events.time.type == TimeType::seconds_uint32 ? exact(events.time.seconds(), events.size, team)
                                                        : exact(events.time.microseconds(), events.size, team);
}

IndexType narrowest(std::uint32_t count) {
    return count <= 256 ? IndexType::uint8 : count <= 65536 ? IndexType::uint16 : IndexType::int32;
}

RecordLayout::RecordLayout(const EventColumns& events, unsigned learner_bits, const TimeRange& time_range)
    : times(time_range) {
    std::array<unsigned, 4> used{};
    const auto place = [&](unsigned bits) {
        unsigned word = 0;
        while (used[word] + bits > 64) {
            ++word;
        }
        const Field field{word, bits == 0 ? 0 : used[word], bits};
        used[word] += bits;
        return field;
    };
    learner = place(learner_bits);
    feedback = place(events.kind == nullptr ? 0 : 2);
    domain = place(bits_of_positions(events.domain.count));
    capability = place(bits_of_positions(events.capability.count));
    time = place(times.bits);
    weight = place(events.weight.type == WeightType::none ? 0 : events.weight.type == WeightType::float32 ? 32 : 64);
    words = 1;
    while (words < used.size() && used[words] > 0) {
        ++words;
    }
    const unsigned last = used[words - 1];
    bytes = words == 1 ? (last <= 48 ? 6 : 8) : words * 8 - (last <= 32 ? 4 : 0);
}

}  // namespace covey
