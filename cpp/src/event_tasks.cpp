#include "event_tasks.hpp"

#include <algorithm>

namespace covey {
namespace {

constexpr std::size_t events_per_task = 65536;

}  // namespace

std::vector<std::size_t> row_tasks(const EventColumns& events) {
    const std::int32_t* learner = events.learner_index;
    const std::size_t size = events.size;
    if (learner[0] < 0 || static_cast<std::uint32_t>(learner[size - 1]) >= events.learner_count) {
        return {};
    }
    std::vector<std::size_t> begins{0};
    for (std::size_t row = events_per_task; row < size; row += events_per_task) {
        const auto begin = static_cast<std::size_t>(std::lower_bound(learner, learner + row, learner[row]) - learner);
        if (learner[begin] < learner[begins.back()] || learner[begin] > learner[size - 1]) {
            return {};
        }
        if (learner[begin] > learner[begins.back()]) {
            begins.push_back(begin);
        }
    }
    return begins;
}

std::vector<std::size_t> learner_tasks(const std::int64_t* offsets, std::size_t learner_count) {
    std::vector<std::size_t> begins{0};
    while (begins.back() < learner_count) {
        const std::size_t begin = begins.back();
        const std::size_t end = std::min(learner_count, begin + events_per_task);
        const std::int64_t row = offsets[begin] + static_cast<std::int64_t>(events_per_task);
        const auto next = static_cast<std::size_t>(std::upper_bound(offsets + begin, offsets + end, row) - offsets);
        begins.push_back(next < end ? std::max(begin + 1, next - 1) : end);
    }
    return begins;
}

}  // namespace covey
