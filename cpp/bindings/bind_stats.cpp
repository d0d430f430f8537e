// The arithmetic of covey.stats. Elementwise functions broadcast as NumPy's do; arguments are checked in Python, or by
// the function itself. They hold the GIL: a gate's look asks for a hundred numbers.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <vector>

#include "covey/bernoulli.hpp"
#include "covey/dispersion.hpp"
#include "covey/means.hpp"
#include "covey/rates.hpp"
#include "covey/special.hpp"

namespace covey::bindings {
namespace {

namespace py = pybind11;

using Array = py::array_t<double, py::array::c_style | py::array::forcecast>;
using Flags = py::array_t<bool, py::array::c_style | py::array::forcecast>;
using Shape = std::vector<py::ssize_t>;

Shape shape_of(const Array& array) {
    return {array.shape(), array.shape() + array.ndim()};
}

// An array seen as rows along its last axis.
struct Rows {
    explicit Rows(const Array& array, const char* name) : outer(shape_of(array)), data(array.data()) {
        if (outer.empty()) {
            throw py::value_error(std::string(name) + " must have an axis");
        }
        length = outer.back();
        outer.pop_back();
        count = length == 0 ? 0 : array.size() / length;
    }
    const double* row(py::ssize_t index) const { return data + index * length; }

    Shape outer;
    const double* data;
    py::ssize_t length = 0;
    py::ssize_t count = 0;
};

// Distance from row to row of an argument that may be given once for all rows.
py::ssize_t stride_over_rows(const Array& array, py::ssize_t rows, py::ssize_t length, const char* name) {
    if (array.size() == rows * length) {
        return length;
    }
    if (array.size() != length) {
        throw py::value_error(std::string(name) + " must have " + std::to_string(length) + " or " +
                              std::to_string(rows * length) + " elements, not " + std::to_string(array.size()));
    }
    return 0;
}

Array sums_of_exponentials(const Array& values) {
    const Rows rows(values, "values");
    Array result(rows.outer);
    for (py::ssize_t r = 0; r < result.size(); ++r) {
        result.mutable_data()[r] = log_sum_exp(rows.row(r), nullptr, static_cast<std::size_t>(rows.length));
    }
    return result;
}

py::tuple advance_masses(const std::optional<Array>& log_masses, const Array& log_increments, const Array& log_weights,
                         double log_at_start, double log_starting, double log_waiting) {
    const Rows increments(log_increments, "log_increments");
    if (log_weights.size() != increments.length) {
        throw py::value_error("log_weights must have one entry per alternative");
    }
    if (log_masses && log_masses->size() != log_increments.size()) {
        throw py::value_error("log_masses must have the shape of log_increments");
    }
    Array grown(shape_of(log_increments));
    Array log_e(increments.outer);
    double* masses = grown.mutable_data();
    for (py::ssize_t k = 0; k < grown.size(); ++k) {
        const double before = log_masses ? log_masses->data()[k] : log_at_start;
        masses[k] = grown_log_mass(before, log_starting, log_increments.data()[k]);
    }
    for (py::ssize_t r = 0; r < log_e.size(); ++r) {
        log_e.mutable_data()[r] = mixed_log_masses(masses + r * increments.length, log_weights.data(),
                                                   static_cast<std::size_t>(increments.length), log_waiting);
    }
    return py::make_tuple(grown, log_e);
}

// Sums over ticks and one more of them, element by element.
py::tuple sums_with_tick(const Array& square, const Array& events, const Array& trials, const Array& ticks,
                         const Array& tick_events, const Array& tick_trials) {
    const py::ssize_t size = square.size();
    for (const Array* other : {&events, &trials, &ticks, &tick_events, &tick_trials}) {
        if (other->size() != size) {
            throw py::value_error("sums and the tick must have one shape");
        }
    }
    const Shape shape = shape_of(square);
    std::array<Array, 4> result{Array(shape), Array(shape), Array(shape), Array(shape)};
    for (py::ssize_t k = 0; k < size; ++k) {
        const DispersionSums sums = plus_tick({square.data()[k], events.data()[k], trials.data()[k], ticks.data()[k]},
                                              tick_events.data()[k], tick_trials.data()[k]);
        result[0].mutable_data()[k] = sums.square;
        result[1].mutable_data()[k] = sums.events;
        result[2].mutable_data()[k] = sums.trials;
        result[3].mutable_data()[k] = sums.ticks;
    }
    return py::make_tuple(result[0], result[1], result[2], result[3]);
}

Array errors_between_learners(const Array& shard_events, const Array& shard_trials, const Array& weight) {
    const Rows events(shard_events, "shard_events");
    const py::ssize_t trials = stride_over_rows(shard_trials, events.count, events.length, "shard_trials");
    const py::ssize_t weights = stride_over_rows(weight, events.count, 1, "weight");
    Array result(events.outer);
    for (py::ssize_t r = 0; r < result.size(); ++r) {
        result.mutable_data()[r] =
            between_learner_error(events.row(r), shard_trials.data() + r * trials,
                                  static_cast<std::size_t>(events.length), weight.data()[r * weights]);
    }
    return result;
}

ArmSums sums_in(const double* row) {
    return {row[0], row[1], row[2], row[3], row[4], row[5], row[6]};
}

Array effects_of_arms(const Array& candidate, const Array& baseline, const Flags& with_covariate) {
    constexpr py::ssize_t fields = 7;
    const Rows mine(candidate, "candidate");
    const Rows other(baseline, "baseline");
    if (mine.length != fields || other.length != fields || mine.count != other.count ||
        with_covariate.size() != mine.count) {
        throw py::value_error("candidate and baseline must have shape (arms, 7), with_covariate shape (arms,)");
    }
    Array result(Shape{4, mine.count});
    for (py::ssize_t r = 0; r < mine.count; ++r) {
        const RelativeEffect found =
            relative_effect(sums_in(mine.row(r)), sums_in(other.row(r)), with_covariate.data()[r]);
        result.mutable_at(0, r) = found.estimate;
        result.mutable_at(1, r) = found.variance;
        result.mutable_at(2, r) = found.baseline_part;
        result.mutable_at(3, r) = found.explained;
    }
    return result;
}

// How many segments there are; as the core says it where the two lists are no two lists of segments.
std::size_t segments_of(const Array& effects, const Array& standard_errors) {
    const bool alike = effects.ndim() == 1 && standard_errors.ndim() == 1 && effects.size() == standard_errors.size();
    return alike ? static_cast<std::size_t>(effects.size()) : 0;
}

double spread_of_effects(const Array& effects, const Array& standard_errors, double target) {
    return tau2_of_q(effects.data(), standard_errors.data(), segments_of(effects, standard_errors), target);
}

double q_of_effects(const Array& effects, const Array& standard_errors, double tau2) {
    return generalised_q(effects.data(), standard_errors.data(), segments_of(effects, standard_errors), tau2);
}

double log_e_greater(double successes, double trials, double p0, double prior) {
    return bernoulli_log_e(successes, trials, p0, Alternative::greater, prior);
}

double log_e_less(double successes, double trials, double p0, double prior) {
    return bernoulli_log_e(successes, trials, p0, Alternative::less, prior);
}

double two_sided_half_width(double variance, double n, double alpha, double n_star) {
    return asymptotic_half_width(variance, n, alpha, n_star, Sides::both);
}

double one_sided_half_width(double variance, double n, double alpha, double n_star) {
    return asymptotic_half_width(variance, n, alpha, n_star, Sides::one);
}

double effect_of_sums(double square, double events, double trials, double ticks, double fewest_ticks) {
    return design_effect({square, events, trials, ticks}, fewest_ticks);
}

double shown_effect_of_sums(double square, double events, double trials, double ticks, double fewest_ticks) {
    return shown_design_effect({square, events, trials, ticks}, fewest_ticks);
}

}  // namespace

void bind_stats(py::module_& module) {
    module.def("stirling_remainder", py::vectorize(&stirling_remainder));
    module.def("log_sum_exp", &sums_of_exponentials);
    module.def("bernoulli_log_e_greater", py::vectorize(&log_e_greater));
    module.def("bernoulli_log_e_less", py::vectorize(&log_e_less));
    module.def("bernoulli_lower_end", py::vectorize(&bernoulli_lower_end));
    module.def("bernoulli_upper_end", py::vectorize(&bernoulli_upper_end));
    module.def("rate_ratio_step", py::vectorize(&rate_ratio_step));
    module.def("advance_start_times", &advance_masses);
    module.def("design_effect", py::vectorize(&effect_of_sums));
    module.def("shown_design_effect", py::vectorize(&shown_effect_of_sums));
    module.def("plus_tick", &sums_with_tick);
    module.def("between_learner_error", &errors_between_learners);
    module.def("two_sided_half_width", py::vectorize(&two_sided_half_width));
    module.def("one_sided_half_width", py::vectorize(&one_sided_half_width));
    module.def("relative_effects", &effects_of_arms);
    module.def("generalised_q", &q_of_effects);
    module.def("tau2_of_q", &spread_of_effects);
}

}  // namespace covey::bindings
