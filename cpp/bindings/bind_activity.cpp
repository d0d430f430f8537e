#include <pybind11/stl.h>

#include "arrays.hpp"
#include "covey/retention.hpp"
#include "event_arguments.hpp"

namespace covey::bindings {
namespace {

py::dict activity(const py::object& learner_index, py::ssize_t learner_count, const py::object& time,
                  std::int64_t as_of_us, py::ssize_t words, std::int32_t day_start_seconds, py::ssize_t threads,
                  const std::optional<std::string>& isa, const py::object& learner_offsets, std::int64_t time_origin_us,
                  const Cancellation* cancellation) {
    const py::ssize_t size = require_array(time, "time", 1).size();
    EventColumns events;
    events.size = static_cast<std::size_t>(size);
    events.learner_count = require_count(learner_count, "learner_count");
    events.time = time_column(time, time_origin_us, size);
    add_learners(events, learner_index, learner_offsets);
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    if (words < 1 || words > static_cast<py::ssize_t>(largest_activity_words)) {
        throw py::value_error("words is " + std::to_string(words) + ", expected 1 ... " +
                              std::to_string(largest_activity_words));
    }
    py::dict columns;
    const auto learners = static_cast<std::size_t>(learner_count);
    py::array_t<std::uint64_t> active({learner_count, words});
    columns["active"] = active;
    const ActivityColumns result{add_column<std::int32_t>(columns, "first_day", learners),
                                 add_column<std::int32_t>(columns, "last_day", learners), active.mutable_data()};
    const ActivityRules rules{as_of_us, day_start_seconds, static_cast<std::size_t>(words)};
    std::int64_t ignored = 0;
    {
        const py::gil_scoped_release released;
        ignored = days_of_activity(events, rules, thread_count, kernels, result, cancellation);
    }
    columns["ignored_event_count"] = ignored;
    return columns;
}

py::tuple retained(const py::object& first_day, const py::object& last_day, const py::object& active,
                   const py::object& group, py::ssize_t group_count,
                   const std::vector<std::pair<std::int32_t, std::optional<std::int32_t>>>& intervals,
                   std::int32_t last_complete_day, py::ssize_t threads, const Cancellation* cancellation) {
    const py::array words = require_array(active, "active", 2);
    if (!holds<std::uint64_t>(words)) {
        raise_dtype(words, "active", "uint64");
    }
    const py::ssize_t size = words.shape(0);
    const py::array firsts = require_column<std::int32_t>(first_day, "first_day", "int32", size);
    const py::array lasts = require_column<std::int32_t>(last_day, "last_day", "int32", size);
    const py::array groups = require_column<std::int32_t>(group, "group", "int32", size);
    // The kernel only reads them.
    const ActivityColumns columns{const_cast<std::int32_t*>(data_of<std::int32_t>(firsts)),
                                  const_cast<std::int32_t*>(data_of<std::int32_t>(lasts)),
                                  const_cast<std::uint64_t*>(data_of<std::uint64_t>(words))};
    std::vector<DayInterval> days;
    for (const auto& [first, last] : intervals) {
        days.push_back({first, last.value_or(DayInterval::no_last)});
    }
    const std::size_t count = require_count(group_count, "group_count");
    const std::size_t thread_count = require_threads(threads);
    RetentionCounts counts;
    {
        const py::gil_scoped_release released;
        counts =
            count_retained(columns, static_cast<std::size_t>(size), static_cast<std::size_t>(words.shape(1)),
                           data_of<std::int32_t>(groups), count, days, last_complete_day, thread_count, cancellation);
    }
    const auto table = [&](const std::vector<std::int64_t>& values) {
        py::array_t<std::int64_t> array({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(days.size())});
        std::copy(values.begin(), values.end(), array.mutable_data());
        return array;
    };
    return py::make_tuple(table(counts.eligible), table(counts.retained));
}

}  // namespace

void bind_activity(py::module_& module) {
    module.def("days_of_activity", &activity, py::arg("learner_index"), py::arg("learner_count"), py::arg("time"),
               py::arg("as_of_us"), py::arg("words") = 1, py::arg("day_start_seconds") = 0, py::arg("threads") = 1,
               py::arg("isa") = py::none(), py::kw_only(), py::arg("learner_offsets") = py::none(),
               py::arg("time_origin_us") = 0, py::arg("cancellation") = py::none());
    module.def("count_retained", &retained, py::arg("first_day"), py::arg("last_day"), py::arg("active"),
               py::arg("group"), py::arg("group_count"), py::arg("intervals"), py::arg("last_complete_day"),
               py::arg("threads") = 1, py::kw_only(), py::arg("cancellation") = py::none());
}

}  // namespace covey::bindings
