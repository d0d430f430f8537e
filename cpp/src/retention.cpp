#include "covey/retention.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "covey/parallel.hpp"

namespace covey {
namespace {

void check_interval(const DayInterval& interval, std::size_t words) {
    const bool is_bounded = interval.last != DayInterval::no_last;
    if (interval.first < 0 || interval.last < interval.first ||
        (is_bounded && static_cast<std::size_t>(interval.last) >= words * 64)) {
        throw std::invalid_argument(std::string("interval of days ") + std::to_string(interval.first) + " to " +
                                    std::to_string(interval.last) + ", expected 0 <= first <= last < " +
                                    std::to_string(words * 64));
    }
}

[[noreturn]] void raise_bad_group(std::int32_t group, std::size_t learner, std::size_t group_count) {
    throw std::invalid_argument(std::string("group[") + std::to_string(learner) + "] is " + std::to_string(group) +
                                ", expected a number below " + std::to_string(group_count));
}

// The bits of an interval's days: words begin ... end, all bits of those in between.
struct DayMask {
    std::size_t begin;
    std::size_t end;  // the last word
    std::uint64_t in_begin;
    std::uint64_t in_end;

    bool meets(const std::uint64_t* active) const {
        if (begin == end) {
            return (active[begin] & in_begin & in_end) != 0;
        }
        std::uint64_t any = (active[begin] & in_begin) | (active[end] & in_end);
        for (std::size_t word = begin + 1; word < end; ++word) {
            any |= active[word];
        }
        return any != 0;
    }
};

DayMask mask_of(const DayInterval& interval) {
    const auto first = static_cast<std::size_t>(interval.first);
    const auto last = static_cast<std::size_t>(interval.last);
    return {first / 64, last / 64, ~std::uint64_t{0} << (first % 64), ~std::uint64_t{0} >> (63 - last % 64)};
}

// Intervals of 64 days side by side, in halves and numbers of 32 bits that every vector can compare. An interval
// without a last day holds all bits from its first one on and is asked of the last day instead.
class NarrowIntervals {
public:
    explicit NarrowIntervals(const std::vector<DayInterval>& intervals)
        : size_((intervals.size() + lanes - 1) / lanes * lanes),
          completed_on_(size_, std::numeric_limits<std::int32_t>::max()),
          first_(size_, std::numeric_limits<std::int32_t>::max()),
          low_(size_),
          high_(size_) {
        for (std::size_t i = 0; i < intervals.size(); ++i) {
            const bool is_bounded = intervals[i].last != DayInterval::no_last;
            completed_on_[i] = is_bounded ? intervals[i].last : intervals[i].first;
            if (is_bounded) {
                const DayMask mask = mask_of(intervals[i]);
                low_[i] = static_cast<std::uint32_t>(mask.in_begin & mask.in_end);
                high_[i] = static_cast<std::uint32_t>((mask.in_begin & mask.in_end) >> 32);
            } else {
                first_[i] = intervals[i].first;
            }
        }
    }

    std::size_t size() const { return size_; }

    void count(std::uint64_t active, std::int32_t observed, std::int32_t seen, std::int32_t* eligible,
               std::int32_t* retained) const {
        const auto low = static_cast<std::uint32_t>(active);
        const auto high = static_cast<std::uint32_t>(active >> 32);
        for (std::size_t i = 0; i < size_; ++i) {
            const std::int32_t is_eligible = observed >= completed_on_[i];
            const std::int32_t is_active = ((low & low_[i]) | (high & high_[i])) != 0;
            const std::int32_t is_later = seen >= first_[i];
            eligible[i] += is_eligible;
            retained[i] += is_eligible & (is_active | is_later);
        }
    }

private:
    static constexpr std::size_t lanes = 4;
    std::size_t size_;  // padded with intervals that nobody completes
    std::vector<std::int32_t> completed_on_;
    std::vector<std::int32_t> first_;
    std::vector<std::uint32_t> low_;
    std::vector<std::uint32_t> high_;
};

struct Question {
    const ActivityColumns& columns;
    std::size_t words;
    const std::int32_t* group;
    std::size_t group_count;
    const std::vector<DayInterval>& intervals;
    std::int32_t last_complete_day;

    bool is_asked(std::size_t learner) const {
        if (group[learner] < 0 || columns.first_day[learner] == no_first_day) {
            return false;
        }
        if (static_cast<std::size_t>(group[learner]) >= group_count) {
            raise_bad_group(group[learner], learner, group_count);
        }
        return true;
    }
};

void count_narrow(const Question& question, const NarrowIntervals& narrow, std::size_t begin, std::size_t end,
                  RetentionCounts& counts) {
    std::vector<std::int32_t> eligible(question.group_count * narrow.size());
    std::vector<std::int32_t> retained(eligible.size());
    for (std::size_t learner = begin; learner < end; ++learner) {
        if (!question.is_asked(learner)) {
            continue;
        }
        const std::int32_t first_day = question.columns.first_day[learner];
        const std::size_t row = static_cast<std::size_t>(question.group[learner]) * narrow.size();
        narrow.count(question.columns.active[learner], question.last_complete_day - first_day,
                     question.columns.last_day[learner] - first_day, eligible.data() + row, retained.data() + row);
    }
    const std::size_t size = question.intervals.size();
    for (std::size_t cell = 0; cell < counts.eligible.size(); ++cell) {
        const std::size_t from = cell / size * narrow.size() + cell % size;
        counts.eligible[cell] += eligible[from];
        counts.retained[cell] += retained[from];
    }
}

void count_wide(const Question& question, const std::vector<DayMask>& masks, std::size_t begin, std::size_t end,
                RetentionCounts& counts) {
    const std::vector<DayInterval>& intervals = question.intervals;
    for (std::size_t learner = begin; learner < end; ++learner) {
        if (!question.is_asked(learner)) {
            continue;
        }
        const std::int32_t first_day = question.columns.first_day[learner];
        const std::int32_t observed = question.last_complete_day - first_day;
        const std::int32_t seen = question.columns.last_day[learner] - first_day;
        const std::uint64_t* active = question.columns.active + learner * question.words;
        const std::size_t row = static_cast<std::size_t>(question.group[learner]) * intervals.size();
        for (std::size_t i = 0; i < intervals.size(); ++i) {
            const bool is_bounded = intervals[i].last != DayInterval::no_last;
            const bool is_eligible = observed >= (is_bounded ? intervals[i].last : intervals[i].first);
            const bool is_retained = is_bounded ? masks[i].meets(active) : seen >= intervals[i].first;
            counts.eligible[row + i] += is_eligible;
            counts.retained[row + i] += is_eligible && is_retained;
        }
    }
}

}  // namespace

RetentionCounts count_retained(const ActivityColumns& columns, std::size_t learner_count, std::size_t words,
                               const std::int32_t* group, std::size_t group_count,
                               const std::vector<DayInterval>& intervals, std::int32_t last_complete_day,
                               std::size_t threads, const Cancellation* cancellation) {
    std::vector<DayMask> masks;
    for (const DayInterval& interval : intervals) {
        const bool is_bounded = interval.last != DayInterval::no_last;
        check_interval(interval, words);
        masks.push_back(is_bounded ? mask_of(interval) : DayMask{});
    }
    const Question question{columns, words, group, group_count, intervals, last_complete_day};
    const NarrowIntervals narrow(words == 1 ? intervals : std::vector<DayInterval>{});
    constexpr std::size_t learners_per_task = 65536;
    const std::size_t cells = group_count * intervals.size();
    const std::size_t tasks = (learner_count + learners_per_task - 1) / learners_per_task;
    ThreadTeam team(useful_threads(threads, learner_count, learners_per_task), cancellation);
    std::vector<RetentionCounts> own(team.size(), {std::vector<std::int64_t>(cells), std::vector<std::int64_t>(cells)});
    team.run(tasks, [&](std::size_t task, std::size_t worker) {
        const std::size_t begin = task * learners_per_task;
        const std::size_t end = std::min(learner_count, begin + learners_per_task);
        if (words == 1) {
            count_narrow(question, narrow, begin, end, own[worker]);
        } else {
            count_wide(question, masks, begin, end, own[worker]);
        }
    });
    for (std::size_t worker = 1; worker < own.size(); ++worker) {
        for (std::size_t cell = 0; cell < cells; ++cell) {
            own[0].eligible[cell] += own[worker].eligible[cell];
            own[0].retained[cell] += own[worker].retained[cell];
        }
    }
    return std::move(own[0]);
}

}  // namespace covey
