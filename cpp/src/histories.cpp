#include "covey/histories.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "covey/parallel.hpp"

namespace covey {
namespace {

constexpr std::int64_t one_day_us = 86'400'000'000;
constexpr std::int64_t time_limit = std::int64_t{1} << 62;
constexpr std::size_t learners_per_task = 4096;
constexpr std::int64_t long_gap_days = 14;

void for_learners(std::size_t count, std::size_t threads, const Cancellation* cancellation,
                  const std::function<void(std::size_t begin, std::size_t end)>& body) {
    ThreadTeam team(useful_threads(threads, count, learners_per_task), cancellation);
    team.run((count + learners_per_task - 1) / learners_per_task, [&](std::size_t task, std::size_t) {
        const std::size_t begin = task * learners_per_task;
        body(begin, std::min(count, begin + learners_per_task));
    });
}

std::int64_t time_of(const TimeColumn& time, std::size_t row) {
    return time.type == TimeType::seconds_uint32 ? time.origin_us + std::int64_t{1'000'000} * time.seconds()[row]
                                                 : time.microseconds()[row];
}

void check_as_of(std::int64_t as_of_us) {
    if (as_of_us < -time_limit || as_of_us >= time_limit) {
        throw std::invalid_argument("as_of_us is " + std::to_string(as_of_us) + ", expected a time within +-2^62");
    }
}

// One learner's active days, met from the newest to the oldest.
class Features {
public:
    explicit Features(std::int64_t as_of_us) : as_of_us_(as_of_us) {}

    void write(const std::int64_t* begin, const std::int64_t* end, float* row) {
        if (begin == end) {
            std::fill_n(row, history_feature_count, std::numeric_limits<float>::quiet_NaN());
            return;
        }
        events_.fill(0);
        days_.fill(0);
        weeks_.fill(0);
        gaps_.clear();
        std::int64_t active_days = 0;
        std::int64_t previous = -1;
        for (const std::int64_t* time = end; time != begin;) {
            --time;
            const std::int64_t day = (as_of_us_ - 1 - *time) / one_day_us;
            for (std::size_t window = window_days.size(); window-- > 0 && day < window_days[window];) {
                ++events_[window];
                days_[window] += day != previous;
            }
            if (day == previous) {
                continue;
            }
            ++active_days;
            if (previous >= 0) {
                gaps_.push_back(day - previous);
            }
            const std::int64_t week = day / 7 - 1;
            if (week >= 0 && week < static_cast<std::int64_t>(earlier_weeks)) {
                ++weeks_[static_cast<std::size_t>(week)];
            }
            previous = day;
        }
        const auto put = [&row](auto value) { *row++ = static_cast<float>(value); };
        std::for_each(events_.begin(), events_.end(), put);
        std::for_each(days_.begin(), days_.end(), put);
        std::for_each(weeks_.begin(), weeks_.end(), put);
        put(static_cast<double>(as_of_us_ - end[-1]) / static_cast<double>(one_day_us));
        put(static_cast<double>(as_of_us_ - *begin) / static_cast<double>(one_day_us));
        put(active_days);
        put(end - begin);
        write_gaps((as_of_us_ - 1 - end[-1]) / one_day_us + 1, put);
    }

private:
    template <typename Put>
    void write_gaps(std::int64_t silence, const Put& put) const {
        std::int64_t longest = 0;
        std::int64_t sum = 0;
        std::int64_t above = 0;
        std::int64_t as_long = 0;
        for (const std::int64_t gap : gaps_) {
            longest = std::max(longest, gap);
            sum += gap;
            above += gap > long_gap_days;
            as_long += gap >= silence;
        }
        const double count = gaps_.empty() ? 1.0 : static_cast<double>(gaps_.size());
        const double mean = static_cast<double>(sum) / count;
        double squares = 0;
        for (const std::int64_t gap : gaps_) {
            squares += (static_cast<double>(gap) - mean) * (static_cast<double>(gap) - mean);
        }
        put(longest);
        put(std::sqrt(squares / count));
        put(above);
        put(static_cast<double>(as_long) / count);
    }

    std::int64_t as_of_us_;
    std::array<std::int64_t, window_days.size()> events_{};
    std::array<std::int64_t, window_days.size()> days_{};
    std::array<std::int64_t, earlier_weeks> weeks_{};
    std::vector<std::int64_t> gaps_;
};

}  // namespace

void sort_histories(const EventColumns& events, std::size_t threads, std::int64_t* offsets, std::int64_t* time_us,
                    const Cancellation* cancellation) {
    const std::size_t learners = events.learner_count;
    for (std::size_t row = 0; row < events.size; ++row) {
        const std::int64_t time = time_of(events.time, row);
        if (time <= -time_limit || time >= time_limit) {
            raise_bad_time(events.time, events.size);
        }
    }
    if (events.learner_offsets != nullptr) {
        check_offsets(events.learner_offsets, events.learner_count, events.size);
        std::copy_n(events.learner_offsets, learners + 1, offsets);
        for (std::size_t row = 0; row < events.size; ++row) {
            time_us[row] = time_of(events.time, row);
        }
    } else {
        std::fill_n(offsets, learners + 1, 0);
        for (std::size_t row = 0; row < events.size; ++row) {
            const auto learner = static_cast<std::uint32_t>(events.learner_index[row]);
            if (learner >= learners) {
                raise_bad_index({events.learner_index, IndexType::int32, events.learner_count, "learner_index"},
                                events.size);
            }
            ++offsets[learner + 1];
        }
        check_cancellation(cancellation);
        for (std::size_t learner = 0; learner < learners; ++learner) {
            offsets[learner + 1] += offsets[learner];
        }
        std::vector<std::int64_t> next(offsets, offsets + learners);
        for (std::size_t row = 0; row < events.size; ++row) {
            time_us[next[static_cast<std::size_t>(events.learner_index[row])]++] = time_of(events.time, row);
        }
    }
    for_learners(learners, threads, cancellation, [&](std::size_t begin, std::size_t end) {
        for (std::size_t learner = begin; learner < end; ++learner) {
            std::int64_t* first = time_us + offsets[learner];
            std::int64_t* last = time_us + offsets[learner + 1];
            if (!std::is_sorted(first, last)) {
                std::sort(first, last);
            }
        }
    });
}

void history_features(const Histories& histories, std::int64_t as_of_us, std::size_t threads, float* features,
                      const Cancellation* cancellation) {
    check_as_of(as_of_us);
    for_learners(histories.learner_count, threads, cancellation, [&](std::size_t begin, std::size_t end) {
        Features own(as_of_us);
        for (std::size_t learner = begin; learner < end; ++learner) {
            const std::int64_t* first = histories.time_us + histories.offsets[learner];
            const std::int64_t* last = histories.time_us + histories.offsets[learner + 1];
            own.write(first, std::lower_bound(first, last, as_of_us), features + learner * history_feature_count);
        }
    });
}

void next_events(const Histories& histories, std::int64_t as_of_us, std::size_t threads, std::int64_t* next_us,
                 const Cancellation* cancellation) {
    check_as_of(as_of_us);
    for_learners(histories.learner_count, threads, cancellation, [&](std::size_t begin, std::size_t end) {
        for (std::size_t learner = begin; learner < end; ++learner) {
            const std::int64_t* last = histories.time_us + histories.offsets[learner + 1];
            const std::int64_t* found =
                std::lower_bound(histories.time_us + histories.offsets[learner], last, as_of_us);
            next_us[learner] = found == last ? no_next_event : *found;
        }
    });
}

}  // namespace covey
