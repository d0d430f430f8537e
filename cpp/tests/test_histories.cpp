// Features of histories against plain counting over sets of days, and against what must not be read.

#include <algorithm>
#include <cmath>
#include <set>

#include "check.hpp"
#include "covey/histories.hpp"

namespace covey::tests {
namespace {

constexpr std::int64_t day_us = 86'400'000'000;

// The same by the definition: one set of day numbers, counted afresh for every column.
std::vector<float> expected_row(const std::vector<std::int64_t>& times, std::int64_t as_of) {
    std::vector<std::int64_t> past;
    std::copy_if(times.begin(), times.end(), std::back_inserter(past), [&](auto time) { return time < as_of; });
    if (past.empty()) {
        return std::vector<float>(history_feature_count, std::nanf(""));
    }
    const auto day_of = [&](std::int64_t time) { return (as_of - 1 - time) / day_us; };
    std::set<std::int64_t> days;
    for (const auto time : past) days.insert(day_of(time));
    std::vector<double> row;
    for (const auto window : window_days) {
        row.push_back(static_cast<double>(
            std::count_if(past.begin(), past.end(), [&](auto time) { return day_of(time) < window; })));
    }
    const auto between = [&](std::int64_t low, std::int64_t high) {
        return static_cast<double>(std::distance(days.lower_bound(low), days.lower_bound(high)));
    };
    for (const auto window : window_days) row.push_back(between(0, window));
    for (std::int64_t week = 1; week <= 3; ++week) row.push_back(between(7 * week, 7 * week + 7));
    row.push_back(static_cast<double>(as_of - *std::max_element(past.begin(), past.end())) / day_us);
    row.push_back(static_cast<double>(as_of - *std::min_element(past.begin(), past.end())) / day_us);
    row.push_back(static_cast<double>(days.size()));
    row.push_back(static_cast<double>(past.size()));
    std::vector<double> gaps;
    for (auto day = days.begin(); std::next(day) != days.end(); ++day) {
        gaps.push_back(static_cast<double>(*std::next(day) - *day));
    }
    double longest = 0, mean = 0, squares = 0, above = 0, as_long = 0;
    const double count = std::max<double>(1, static_cast<double>(gaps.size()));
    for (const double gap : gaps) mean += gap / count;
    for (const double gap : gaps) {
        longest = std::max(longest, gap);
        squares += (gap - mean) * (gap - mean);
        above += gap > 14;
        as_long += gap >= static_cast<double>(*days.begin() + 1);
    }
    for (const double value : {longest, std::sqrt(squares / count), above, as_long / count}) row.push_back(value);
    return {row.begin(), row.end()};
}

bool is_same(float a, float b) {
    return (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= 1e-5f * (1 + std::fabs(b));
}

void test_round(Random& random, bool by_offsets) {
    const std::size_t learners = 1 + random() % 9000;
    const std::size_t size = random() % 20000;
    const std::int64_t start = -20 * day_us;
    std::vector<std::int32_t> learner(size);
    std::vector<std::int64_t> time(size);
    for (std::size_t row = 0; row < size; ++row) {
        learner[row] = static_cast<std::int32_t>(random() % learners % (1 + random() % 40));
        const bool is_edge = random() % 4 == 0;  // midnights: the edges of days
        time[row] = start + static_cast<std::int64_t>(is_edge ? random() % 120 * day_us : random() % (120 * day_us));
    }
    std::vector<std::int64_t> given(learners + 1);
    if (by_offsets) {
        std::sort(learner.begin(), learner.end());
        for (const auto own : learner) ++given[static_cast<std::size_t>(own) + 1];
        for (std::size_t i = 0; i < learners; ++i) given[i + 1] += given[i];
    }
    EventColumns events;
    events.size = size;
    events.learner_count = static_cast<std::uint32_t>(learners);
    events.time.data = time.data();
    if (by_offsets) {
        events.learner_offsets = given.data();
    } else {
        events.learner_index = learner.data();
    }
    std::vector<std::int64_t> offsets(learners + 1), sorted(size);
    sort_histories(events, 3, offsets.data(), sorted.data());
    const Histories histories{offsets.data(), sorted.data(), learners};
    const std::int64_t as_of = start + static_cast<std::int64_t>(random() % 130) * day_us;
    std::vector<float> rows(learners * history_feature_count), later_changed(rows.size());
    std::vector<std::int64_t> next(learners);
    history_features(histories, as_of, 2, rows.data());
    next_events(histories, as_of, 2, next.data());
    std::vector<std::vector<std::int64_t>> own(learners);
    for (std::size_t row = 0; row < size; ++row) own[static_cast<std::size_t>(learner[row])].push_back(time[row]);
    for (std::size_t i = 0; i < learners; ++i) {
        const auto expected = expected_row(own[i], as_of);
        for (std::size_t column = 0; column < history_feature_count; ++column) {
            CHECK(is_same(rows[i * history_feature_count + column], expected[column]));
        }
        std::int64_t first = no_next_event;
        for (const auto when : own[i]) first = when >= as_of ? std::min(first, when) : first;
        CHECK(next[i] == first);
    }
    // What happens from as_of on changes no bit of any feature.
    for (auto& when : sorted) when = when >= as_of ? as_of + static_cast<std::int64_t>(random() % day_us) : when;
    for (std::size_t i = 0; i < learners; ++i) {
        std::sort(sorted.begin() + offsets[i], sorted.begin() + offsets[i + 1]);
    }
    history_features(histories, as_of, 1, later_changed.data());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        CHECK(rows[i] == later_changed[i] || (std::isnan(rows[i]) && std::isnan(later_changed[i])));
    }
}

}  // namespace

void test_histories() {
    Random random(20);
    for (int round = 0; round < 12; ++round) test_round(random, round % 2 == 0);
}

}  // namespace covey::tests
