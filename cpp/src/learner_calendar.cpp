#include <algorithm>
#include <bit>

#include "covey/math.hpp"
#include "learner.hpp"

// What the calendar decides: weeks of first uses, days of activity.

namespace covey {
namespace {

std::uint32_t week_of(std::uint64_t age_us, const Instant& instant) {
    return static_cast<std::uint32_t>((age_us + instant.rest_of_day_us) / (7 * day_us));
}

}  // namespace

// Needs first uses; clears them. e starts at the first week's number of new capabilities and comes down to week 0.
double LearnerAnalyzer::velocity() {
    const double alpha = parameters_.velocity_alpha;
    const std::uint32_t oldest_week = week_of(range_.oldest_us, instant_);
    const auto take_week = [this](std::size_t i) {
        std::uint64_t& first_use = first_use_[capabilities_[i]];
        const std::uint32_t week = week_of(first_use - 1, instant_);
        first_use = 0;
        return week;
    };
    double average = 0.0;
    if (oldest_week < 4 * capability_count_ + 64) {
        weeks_.assign(oldest_week + 1, 0);
        for (std::size_t i = 0; i < capability_count_; ++i) {
            ++weeks_[take_week(i)];
        }
        average = weeks_[oldest_week];
        for (std::uint32_t week = oldest_week; week-- > 0;) {
            average = alpha * weeks_[week] + (1.0 - alpha) * average;
        }
    } else {  // few uses over ages: silent weeks are skipped by a power
        weeks_.resize(capability_count_);
        for (std::size_t i = 0; i < capability_count_; ++i) {
            weeks_[i] = take_week(i);
        }
        std::sort(weeks_.begin(), weeks_.end(), std::greater<>());
        std::uint32_t week = oldest_week;
        for (std::size_t i = 0; i < weeks_.size();) {
            std::size_t end = i;
            while (end < weeks_.size() && weeks_[end] == weeks_[i]) {
                ++end;
            }
            const auto count = static_cast<double>(end - i);
            average = i == 0 ? count : alpha * count + power(1.0 - alpha, week - weeks_[i]) * average;
            week = weeks_[i];
            i = end;
        }
        average *= power(1.0 - alpha, week);
    }
    return average / (average + parameters_.velocity_kappa);
}

// Number of distinct days; `in_window` is that of the days of age below the frequency window.
std::uint32_t LearnerAnalyzer::mark_days(const Events& events, std::uint32_t& in_window) {
    const auto window = static_cast<std::uint32_t>(parameters_.frequency_window_days);
    const std::uint64_t oldest_day = (range_.oldest_us + instant_.rest_of_day_us) / day_us;
    if (oldest_day < 64) {
        std::uint64_t days = 0;
        for (std::size_t i = 0; i < events.size; ++i) {
            days |= std::uint64_t{1} << events.day_age[i];
        }
        in_window =
            static_cast<std::uint32_t>(std::popcount(window < 64 ? days & ((std::uint64_t{1} << window) - 1) : days));
        return static_cast<std::uint32_t>(std::popcount(days));
    }
    std::uint32_t distinct = 0;
    in_window = 0;
    if (oldest_day / 64 < events.size / 4 + 64) {
        day_bits_.assign(oldest_day / 64 + 1, 0);
        for (std::size_t i = 0; i < events.size; ++i) {
            std::uint64_t& word = day_bits_[events.day_age[i] / 64];
            const std::uint64_t bit = std::uint64_t{1} << (events.day_age[i] % 64);
            const bool fresh = (word & bit) == 0;
            word |= bit;
            distinct += fresh;
            in_window += fresh && events.day_age[i] < window;
        }
        return distinct;
    }
    sorted_days_.assign(events.day_age, events.day_age + events.size);
    std::sort(sorted_days_.begin(), sorted_days_.end());
    const auto end = std::unique(sorted_days_.begin(), sorted_days_.end());
    in_window = static_cast<std::uint32_t>(std::lower_bound(sorted_days_.begin(), end, window) - sorted_days_.begin());
    return static_cast<std::uint32_t>(end - sorted_days_.begin());
}

}  // namespace covey
