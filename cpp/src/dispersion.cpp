#include "covey/dispersion.hpp"

#include <algorithm>
#include <cmath>

namespace covey {
namespace {

// Standard errors of chance beyond which a design effect is shown.
constexpr double shown_beyond_errors = 3.0;

}  // namespace

DispersionSums plus_tick(const DispersionSums& sums, double events, double trials) {
    if (!(trials > 0.0)) {
        return sums;
    }
    return {sums.square + events * (events / trials), sums.events + events, sums.trials + trials, sums.ticks + 1.0};
}

double design_effect(const DispersionSums& sums, double fewest_ticks) {
    const auto [square, events, trials, ticks] = sums;
    if (!(ticks >= std::max(2.0, fewest_ticks) && events > 0.0 && events < trials)) {
        return 1.0;
    }
    const double rate = events / trials;
    // The sum over ticks of (x_t - n_t rate)^2 / n_t, multiplied out.
    const double squares = square - rate * (2.0 * events - rate * trials);
    return std::max(1.0, squares / (rate * (1.0 - rate) * (ticks - 1.0)));
}

double shown_design_effect(const DispersionSums& sums, double fewest_ticks) {
    const double found = design_effect(sums, fewest_ticks);
    const double ticks = std::max(2.0, sums.ticks);
    const double skewness = 2.0 / ticks + 1.0 / std::max(1.0, sums.events);
    const double noise = shown_beyond_errors * std::sqrt(2.0 / (ticks - 1.0)) +
                         (shown_beyond_errors * shown_beyond_errors - 1.0) / 3.0 * skewness;
    return found > 1.0 + noise ? found : 1.0;
}

double between_learner_error(const double* events, const double* trials, std::size_t shards, double weight) {
    double all_events = 0.0;
    double all_trials = 0.0;
    for (std::size_t s = 0; s < shards; ++s) {
        all_events += events[s];
        all_trials += trials[s];
    }
    if (!(all_events > 0.0 && weight > 0.0)) {
        return 0.0;
    }
    const double rate = all_events / (all_trials > 0.0 ? all_trials : 1.0);
    double squares = 0.0;
    for (std::size_t s = 0; s < shards; ++s) {
        const double excess = events[s] - rate * trials[s];
        squares += excess * excess;
    }
    // The Poisson part of the spread, and two standard errors of it, are not lasting.
    const double chance = (1.0 + 2.0 * std::sqrt(2.0 / static_cast<double>(shards))) * all_events;
    return std::sqrt(std::max(0.0, squares - chance)) / all_events * std::sqrt(1.0 / weight);
}

}  // namespace covey
