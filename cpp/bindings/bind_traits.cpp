#include <pybind11/stl.h>

#include "arrays.hpp"
#include "covey/traits.hpp"
#include "event_arguments.hpp"

namespace covey::bindings {
namespace {

py::dict traits_of_columns(const py::object& learner_index, py::ssize_t learner_count, const py::object& time,
                           const py::object& domain_index, py::ssize_t domain_count, const py::object& capability_index,
                           py::ssize_t capability_count, const py::object& kind, const py::object& action_taken,
                           const py::object& weight, std::int64_t as_of_us, const TraitParameters& parameters,
                           py::ssize_t threads, const std::optional<std::string>& isa,
                           const py::object& learner_offsets, std::int64_t time_origin_us,
                           const Cancellation* cancellation) {
    const py::ssize_t size = require_array(time, "time", 1).size();
    EventColumns events{
        .size = static_cast<std::size_t>(size),
        .learner_count = require_count(learner_count, "learner_count"),
        .time = time_column(time, time_origin_us, size),
        .domain = index_column(domain_index, "domain_index", domain_count, "domain_count", size),
        .capability = index_column(capability_index, "capability_index", capability_count, "capability_count", size),
        .kind = byte_column(kind, "kind", false, size),
        .action_taken = byte_column(action_taken, "action_taken", true, size),
        .weight = weight_column(weight, size),
    };
    add_learners(events, learner_index, learner_offsets);
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    py::dict columns;
    const TraitColumns traits = add_columns(columns, events.learner_count);
    std::int64_t ignored = 0;
    {
        const py::gil_scoped_release released;
        ignored = compute_traits(events, as_of_us, parameters, thread_count, kernels, traits, cancellation);
    }
    py::array_t<std::int64_t> ignored_event_count(std::vector<py::ssize_t>{});
    *ignored_event_count.mutable_data() = ignored;
    columns["ignored_event_count"] = ignored_event_count;
    return columns;
}

TraitParameters make_parameters(double velocity_alpha, double velocity_kappa, double affinity_entropy_penalty,
                                std::int32_t frequency_window_days, double feedback_prior_acted,
                                double feedback_prior_ignored, double retention_decay_per_day,
                                std::int32_t day_start_seconds) {
    return {velocity_alpha,       velocity_kappa,         affinity_entropy_penalty, frequency_window_days,
            feedback_prior_acted, feedback_prior_ignored, retention_decay_per_day,  day_start_seconds};
}

}  // namespace

void bind_traits(py::module_& module) {
    const TraitParameters defaults;
    py::class_<TraitParameters>(module, "TraitParameters")
        .def(py::init(&make_parameters), py::kw_only(), py::arg("velocity_alpha") = defaults.velocity_alpha,
             py::arg("velocity_kappa") = defaults.velocity_kappa,
             py::arg("affinity_entropy_penalty") = defaults.affinity_entropy_penalty,
             py::arg("frequency_window_days") = defaults.frequency_window_days,
             py::arg("feedback_prior_acted") = defaults.feedback_prior_acted,
             py::arg("feedback_prior_ignored") = defaults.feedback_prior_ignored,
             py::arg("retention_decay_per_day") = defaults.retention_decay_per_day,
             py::arg("day_start_seconds") = defaults.day_start_seconds)
        .def_readwrite("velocity_alpha", &TraitParameters::velocity_alpha)
        .def_readwrite("velocity_kappa", &TraitParameters::velocity_kappa)
        .def_readwrite("affinity_entropy_penalty", &TraitParameters::affinity_entropy_penalty)
        .def_readwrite("frequency_window_days", &TraitParameters::frequency_window_days)
        .def_readwrite("feedback_prior_acted", &TraitParameters::feedback_prior_acted)
        .def_readwrite("feedback_prior_ignored", &TraitParameters::feedback_prior_ignored)
        .def_readwrite("retention_decay_per_day", &TraitParameters::retention_decay_per_day)
        .def_readwrite("day_start_seconds", &TraitParameters::day_start_seconds);

    module.def("compute_traits", &traits_of_columns, py::arg("learner_index"), py::arg("learner_count"),
               py::arg("time"), py::arg("domain_index"), py::arg("domain_count"), py::arg("capability_index"),
               py::arg("capability_count"), py::arg("kind"), py::arg("action_taken"), py::arg("weight"),
               py::arg("as_of_us"), py::arg("parameters"), py::arg("threads") = 1, py::arg("isa") = py::none(),
               py::kw_only(), py::arg("learner_offsets") = py::none(), py::arg("time_origin_us") = 0,
               py::arg("cancellation") = py::none());
}

}  // namespace covey::bindings
