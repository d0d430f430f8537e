#include "covey/traits.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

#include "trait_pass.hpp"

namespace covey {
namespace {

[[noreturn]] void raise_bad_value(BadValue column, const EventColumns& events) {
    switch (column) {
        case BadValue::domain: raise_bad_index(events.domain, events.size);
        case BadValue::capability: raise_bad_index(events.capability, events.size);
        case BadValue::weight: raise_bad_weight(events.weight, events.size);
        case BadValue::time: raise_bad_time(events.time, events.size);
    }
    throw std::logic_error("unknown column");
}

void require(bool condition, const char* name, double value, const char* expected) {
    if (!condition) {
        throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) + ", expected " + expected);
    }
}

bool is_prior(double value) {
    return std::isfinite(value) && value >= 0.0;
}

}  // namespace

void check_parameters(const TraitParameters& parameters) {
    const auto& p = parameters;
    require(p.velocity_alpha > 0.0 && p.velocity_alpha <= 1.0, "velocity_alpha", p.velocity_alpha,
            "a number in (0, 1]");
    require(std::isfinite(p.velocity_kappa) && p.velocity_kappa > 0.0, "velocity_kappa", p.velocity_kappa,
            "a finite number > 0");
    require(p.affinity_entropy_penalty >= 0.0 && p.affinity_entropy_penalty <= 1.0, "affinity_entropy_penalty",
            p.affinity_entropy_penalty, "a number in [0, 1]");
    require(p.frequency_window_days >= 1, "frequency_window_days", p.frequency_window_days, "at least 1");
    require(is_prior(p.feedback_prior_acted), "feedback_prior_acted", p.feedback_prior_acted, "a finite number >= 0");
    require(is_prior(p.feedback_prior_ignored), "feedback_prior_ignored", p.feedback_prior_ignored,
            "a finite number >= 0");
    require(p.feedback_prior_acted + p.feedback_prior_ignored > 0.0, "feedback_prior_acted + feedback_prior_ignored",
            p.feedback_prior_acted + p.feedback_prior_ignored, "a sum > 0");
    require(std::isfinite(p.retention_decay_per_day) && p.retention_decay_per_day >= 0.0, "retention_decay_per_day",
            p.retention_decay_per_day, "a finite number >= 0");
    require(p.day_start_seconds > -86400 && p.day_start_seconds < 86400, "day_start_seconds", p.day_start_seconds,
            "seconds in (-86400, 86400)");
}

std::int64_t compute_traits(const EventColumns& events, std::int64_t as_of_us, const TraitParameters& parameters,
                            std::size_t threads, const Kernels& kernels, const TraitColumns& traits,
                            const Cancellation* cancellation) {
    check_parameters(parameters);
    constexpr std::int64_t limit = std::int64_t{1} << 62;
    if (as_of_us < -limit || as_of_us >= limit) {
        throw std::invalid_argument("as_of_us is " + std::to_string(as_of_us) + ", expected a time within +-2^62");
    }
    check_origin(events.time);
    if (events.learner_offsets != nullptr) {
        check_offsets(events.learner_offsets, events.learner_count, events.size);
    }
    try {
        return TraitPass(events, instant_of(as_of_us, parameters.day_start_seconds), parameters, threads, kernels,
                         traits, cancellation)
            .run();
    } catch (const BadBlock& bad) {
        raise_bad_value(bad.column, events);
    }
}

}  // namespace covey
