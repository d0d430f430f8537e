// Days of activity against a set of days per learner, in every form of the columns.

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "check.hpp"
#include "covey/retention.hpp"

namespace covey::tests {
namespace {

constexpr std::int64_t day_us = 86'400'000'000;
constexpr std::int64_t second_us = 1'000'000;

std::int64_t floor_days(std::int64_t value) {
    return value / day_us - (value % day_us < 0);
}

void test_day_ages(const Kernels& kernels, std::size_t size, Random& random) {
    const std::int64_t as_of = 20'000 * day_us + 5;
    const auto rest = static_cast<std::uint64_t>(day_us - 1 - 5);
    std::vector<std::int64_t> time(size);
    std::vector<std::uint32_t> seconds(size);
    std::vector<std::uint32_t> day(size + padding);
    for (int round = 0; round < 10; ++round) {
        for (std::size_t i = 0; i < size; ++i) {
            time[i] = as_of - static_cast<std::int64_t>(random() >> (2 + random() % 60));
            seconds[i] = static_cast<std::uint32_t>(random() % 1'000'000'000);
        }
        CHECK(kernels.day_ages(time.data(), size, as_of, rest, day.data()) == 0);
        for (std::size_t i = 0; i < size; ++i) CHECK(day[i] == floor_days(as_of) - floor_days(time[i]));
        const std::int64_t age_of_origin = 1'100'000'000 * second_us + 3;
        CHECK(kernels.day_ages_of_seconds(seconds.data(), size, age_of_origin, rest, day.data()) == 0);
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(day[i] == floor_days(as_of) - floor_days(as_of - age_of_origin + second_us * seconds[i]));
        }
    }
    for (std::size_t i = 0; i < size; ++i) {
        const auto kept = std::pair{time[i], seconds[i]};
        time[i] = as_of + 1;
        CHECK(kernels.day_ages(time.data(), size, as_of, rest, day.data()) == some_later);
        time[i] = std::int64_t{1} << 62;
        CHECK(kernels.day_ages(time.data(), size, as_of, rest, day.data()) & some_out_of_range);
        seconds[i] = 4'000'000'000u;
        CHECK(kernels.day_ages_of_seconds(seconds.data(), size, 3'999'999'999 * second_us, rest, day.data()) ==
              some_later);
        std::tie(time[i], seconds[i]) = kept;
    }
}

void test_active_days(const Kernels& kernels, std::size_t size, Random& random) {
    std::vector<std::uint32_t> day(size + padding, UINT32_MAX);
    for (std::size_t i = 0; i < size; ++i) day[i] = 7 + static_cast<std::uint32_t>(random() % 80);
    std::vector<std::uint32_t> begins{0};
    while (begins.back() < size) {
        begins.push_back(std::min<std::uint32_t>(static_cast<std::uint32_t>(size),
                                                 begins.back() + static_cast<std::uint32_t>(random() % 40)));
    }
    for (std::size_t i = 1; i < begins.size(); i += 2) {  // every other history in the order of time
        std::sort(day.begin() + begins[i - 1], day.begin() + begins[i], std::greater<>());
    }
    const std::size_t count = begins.size() - 1;
    std::vector<std::uint32_t> oldest(count, 1);
    std::vector<std::uint32_t> newest(count, 2);
    std::vector<std::uint64_t> days(count, 3);
    kernels.active_days(day.data(), begins.data(), count, oldest.data(), newest.data(), days.data());
    for (std::size_t i = 0; i < count; ++i) {
        if (begins[i] == begins[i + 1]) {
            CHECK(oldest[i] == 1 && newest[i] == 2 && days[i] == 3);
            continue;
        }
        const auto [low, high] = std::minmax_element(day.begin() + begins[i], day.begin() + begins[i + 1]);
        CHECK(oldest[i] == *high && newest[i] == *low);
        std::uint64_t truth = 0;
        for (auto age = begins[i]; age < begins[i + 1]; ++age) {
            if (*high - day[age] < 64) truth |= std::uint64_t{1} << (*high - day[age]);
        }
        CHECK(days[i] == truth);
    }
}

struct Log {
    std::vector<std::int32_t> learner;
    std::vector<std::uint32_t> seconds;
};

struct Found {
    std::vector<std::int32_t> first;
    std::vector<std::int32_t> last;
    std::vector<std::uint64_t> active;
    std::int64_t ignored = 0;

    bool operator==(const Found&) const = default;
};

constexpr std::uint32_t learner_count = 300;  // the last ones without events
constexpr std::int64_t origin_us = 19'000 * day_us - 12'345;

Found found(const EventColumns& events, const ActivityRules& rules, std::size_t threads, const Kernels& kernels) {
    Found result{std::vector<std::int32_t>(learner_count, 7), std::vector<std::int32_t>(learner_count, 7),
                 std::vector<std::uint64_t>(learner_count * rules.words, 7)};
    result.ignored = days_of_activity(events, rules, threads, kernels,
                                      {result.first.data(), result.last.data(), result.active.data()});
    return result;
}

Found truth(const Log& log, const ActivityRules& rules) {
    std::map<std::int32_t, std::set<std::int32_t>> days;
    Found result{std::vector<std::int32_t>(learner_count, no_first_day),
                 std::vector<std::int32_t>(learner_count, no_last_day),
                 std::vector<std::uint64_t>(learner_count * rules.words)};
    for (std::size_t i = 0; i < log.learner.size(); ++i) {
        const std::int64_t time = origin_us + second_us * log.seconds[i];
        if (time > rules.as_of_us) {
            ++result.ignored;
        } else {
            const std::int64_t start = second_us * rules.day_start_seconds;
            days[log.learner[i]].insert(static_cast<std::int32_t>(floor_days(time - start)));
        }
    }
    for (const auto& [learner, active] : days) {
        const auto at = static_cast<std::size_t>(learner);
        result.first[at] = *active.begin();
        result.last[at] = *active.rbegin();
        for (const std::int32_t day : active) {
            const auto offset = static_cast<std::size_t>(day - *active.begin());
            if (offset < rules.words * 64) {
                result.active[at * rules.words + offset / 64] |= std::uint64_t{1} << (offset % 64);
            }
        }
    }
    return result;
}

// Some learners have more rows than a block, and there are enough for two threads.
Log random_log(Random& random, std::size_t size, std::uint32_t days) {
    Log log;
    for (std::size_t i = 0; i < size; ++i) {
        const auto draw = static_cast<std::uint32_t>(random() % (learner_count - 3));
        log.learner.push_back(static_cast<std::int32_t>(random() % 5 == 0 ? 11 : draw));
        log.seconds.push_back(static_cast<std::uint32_t>(random() % (days * 86'400)));
    }
    return log;
}

void test_columns(const Kernels& kernels, Random& random, std::size_t size, std::uint32_t days) {
    const Log log = random_log(random, size, days);
    std::vector<std::size_t> order(size);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return log.learner[a] < log.learner[b]; });
    Log sorted;
    std::vector<std::int64_t> offsets(learner_count + 1);
    std::vector<std::int64_t> time_us;
    for (const std::size_t row : order) {
        sorted.learner.push_back(log.learner[row]);
        sorted.seconds.push_back(log.seconds[row]);
        time_us.push_back(origin_us + second_us * log.seconds[row]);
        ++offsets[static_cast<std::size_t>(log.learner[row]) + 1];
    }
    std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
    for (const std::size_t words : {1, 2, 5}) {
        for (const std::uint32_t until : {days, days / 2}) {
            const ActivityRules rules{origin_us + day_us * until, -3'600 * static_cast<std::int32_t>(words), words};
            const Found expected = truth(log, rules);
            EventColumns events;
            events.size = size;
            events.learner_count = learner_count;
            for (const std::size_t threads : {1, 2, 3}) {
                events.time = {log.seconds.data(), TimeType::seconds_uint32, origin_us};
                events.learner_index = log.learner.data();
                CHECK(found(events, rules, threads, kernels) == expected);
                events.time.data = sorted.seconds.data();
                events.learner_index = sorted.learner.data();
                CHECK(found(events, rules, threads, kernels) == expected);
                events.time = {time_us.data(), TimeType::microseconds_int64, 0};
                CHECK(found(events, rules, threads, kernels) == expected);
                events.learner_index = nullptr;
                events.learner_offsets = offsets.data();
                CHECK(found(events, rules, threads, kernels) == expected);
                events.learner_offsets = nullptr;
            }
        }
    }
}

void test_counts(Random& random, std::size_t words) {
    const Log log = random_log(random, 4'000, 200);
    const ActivityRules rules{origin_us + day_us * 200, 0, words};
    const auto days_kept = static_cast<std::int32_t>(words * 64);
    Found days = truth(log, rules);
    const ActivityColumns columns{days.first.data(), days.last.data(), days.active.data()};
    std::vector<std::int32_t> group(learner_count);
    for (auto& number : group) number = static_cast<std::int32_t>(random() % 4) - 1;
    std::vector<DayInterval> intervals;
    for (std::int32_t first = 0; first < days_kept; first += 1 + static_cast<std::int32_t>(random() % 9)) {
        for (std::int32_t last = first; last < days_kept; last += 1 + static_cast<std::int32_t>(random() % 40)) {
            intervals.push_back({first, last});
        }
        intervals.push_back({first, DayInterval::no_last});
    }
    const std::int32_t last_complete_day = 19'000 + 120;
    for (const std::size_t threads : {1, 3}) {
        const auto counts =
            count_retained(columns, learner_count, words, group.data(), 3, intervals, last_complete_day, threads);
        for (std::size_t i = 0; i < intervals.size(); ++i) {
            std::int64_t eligible[3] = {};
            std::int64_t retained[3] = {};
            for (std::size_t learner = 0; learner < learner_count; ++learner) {
                if (group[learner] < 0 || days.first[learner] == no_first_day) continue;
                const bool is_bounded = intervals[i].last != DayInterval::no_last;
                const std::int32_t complete = is_bounded ? intervals[i].last : intervals[i].first;
                if (days.first[learner] + complete > last_complete_day) continue;
                ++eligible[group[learner]];
                bool is_active = !is_bounded && days.last[learner] - days.first[learner] >= intervals[i].first;
                for (std::int32_t day = intervals[i].first; is_bounded && day <= intervals[i].last; ++day) {
                    is_active |= (days.active[learner * words + static_cast<std::size_t>(day) / 64] >> (day % 64)) & 1;
                }
                retained[group[learner]] += is_active;
            }
            for (std::size_t number = 0; number < 3; ++number) {
                CHECK(counts.eligible[number * intervals.size() + i] == eligible[number]);
                CHECK(counts.retained[number * intervals.size() + i] == retained[number]);
            }
        }
    }
}

}  // namespace

void test_activity(const Kernels& kernels) {
    Random random(21);
    for (const std::size_t size : sizes) {
        test_day_ages(kernels, size, random);
        test_active_days(kernels, size, random);
    }
    test_columns(kernels, random, 0, 10);
    test_columns(kernels, random, 900, 400);
    test_columns(kernels, random, 150'000, 60);
    test_columns(kernels, random, 150'000, 700);
    test_counts(random, 1);
    test_counts(random, 2);
}

}  // namespace covey::tests
