#include <pybind11/stl.h>

#include "arrays.hpp"
#include "covey/histories.hpp"
#include "event_arguments.hpp"

namespace covey::bindings {
namespace {

py::tuple sorted(const py::object& learner_index, py::ssize_t learner_count, const py::object& time,
                 py::ssize_t threads, const py::object& learner_offsets, std::int64_t time_origin_us,
                 const Cancellation* cancellation) {
    const py::ssize_t size = require_array(time, "time", 1).size();
    EventColumns events;
    events.size = static_cast<std::size_t>(size);
    events.learner_count = require_count(learner_count, "learner_count");
    events.time = time_column(time, time_origin_us, size);
    add_learners(events, learner_index, learner_offsets);
    const std::size_t thread_count = require_threads(threads);
    py::array_t<std::int64_t> offsets(learner_count + 1);
    py::array_t<std::int64_t> time_us(size);
    std::int64_t* const offsets_data = offsets.mutable_data();
    std::int64_t* const time_data = time_us.mutable_data();
    {
        const py::gil_scoped_release released;
        sort_histories(events, thread_count, offsets_data, time_data, cancellation);
    }
    return py::make_tuple(offsets, time_us);
}

// The arrays outlive the call: their owner holds them.
Histories histories_of(const py::object& offsets, const py::object& time_us) {
    const py::array begins = require_column<std::int64_t>(offsets, "offsets", "int64");
    const py::array times = require_column<std::int64_t>(time_us, "time_us", "int64");
    if (begins.size() < 1) {
        throw py::value_error("offsets must have at least one element");
    }
    const auto learners = static_cast<std::size_t>(begins.size() - 1);
    check_offsets(data_of<std::int64_t>(begins), require_count(begins.size() - 1, "learner_count"),
                  static_cast<std::size_t>(times.size()));
    return {data_of<std::int64_t>(begins), data_of<std::int64_t>(times), learners};
}

py::array_t<float> features(const py::object& offsets, const py::object& time_us, std::int64_t as_of_us,
                            py::ssize_t threads, const Cancellation* cancellation) {
    const Histories histories = histories_of(offsets, time_us);
    const std::size_t thread_count = require_threads(threads);
    py::array_t<float> rows(
        {static_cast<py::ssize_t>(histories.learner_count), static_cast<py::ssize_t>(history_feature_count)});
    float* const data = rows.mutable_data();
    {
        const py::gil_scoped_release released;
        history_features(histories, as_of_us, thread_count, data, cancellation);
    }
    return rows;
}

py::array_t<std::int64_t> next(const py::object& offsets, const py::object& time_us, std::int64_t as_of_us,
                               py::ssize_t threads, const Cancellation* cancellation) {
    const Histories histories = histories_of(offsets, time_us);
    const std::size_t thread_count = require_threads(threads);
    py::array_t<std::int64_t> times(static_cast<py::ssize_t>(histories.learner_count));
    std::int64_t* const data = times.mutable_data();
    {
        const py::gil_scoped_release released;
        next_events(histories, as_of_us, thread_count, data, cancellation);
    }
    return times;
}

}  // namespace

void bind_histories(py::module_& module) {
    module.def("sort_histories", &sorted, py::arg("learner_index"), py::arg("learner_count"), py::arg("time"),
               py::arg("threads") = 1, py::kw_only(), py::arg("learner_offsets") = py::none(),
               py::arg("time_origin_us") = 0, py::arg("cancellation") = py::none());
    module.def("history_features", &features, py::arg("offsets"), py::arg("time_us"), py::arg("as_of_us"),
               py::arg("threads") = 1, py::kw_only(), py::arg("cancellation") = py::none());
    module.def("next_events", &next, py::arg("offsets"), py::arg("time_us"), py::arg("as_of_us"),
               py::arg("threads") = 1, py::kw_only(), py::arg("cancellation") = py::none());
}

}  // namespace covey::bindings
