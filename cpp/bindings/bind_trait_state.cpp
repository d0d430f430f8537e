#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "covey/trait_state.hpp"
#include "event_arguments.hpp"

namespace covey::bindings {
namespace {

// Texts as Arrow keeps them: (offsets int64[n + 1], data uint8).
StringColumn string_column(const py::object& object, const char* name) {
    const auto pair = py::cast<std::pair<py::object, py::object>>(object);
    const py::array offsets = require_column<std::int64_t>(pair.first, name, "int64");
    const py::array data = require_column<std::uint8_t>(pair.second, name, "uint8");
    if (offsets.size() < 1) {
        throw py::value_error(std::string(name) + " needs at least one offset");
    }
    const StringColumn column{data_of<std::int64_t>(offsets), data_of<std::uint8_t>(data),
                              static_cast<std::size_t>(offsets.size() - 1)};
    check_offsets(column, static_cast<std::size_t>(data.size()));
    return column;
}

// An int64 or uint64 array, or texts.
LearnerIdColumn learner_id_column(const py::object& object) {
    LearnerIdColumn column;
    if (!py::isinstance<py::array>(object)) {
        column.texts = string_column(object, "learner_ids");
        column.size = column.texts.size;
        return column;
    }
    const py::array array = require_array(object, "learner_ids", 1);
    if (holds<std::int64_t>(array)) {
        column.integers = data_of<std::int64_t>(array);
    } else if (holds<std::uint64_t>(array)) {
        column.unsigned_integers = data_of<std::uint64_t>(array);
    } else {
        raise_dtype(array, "learner_ids", "int64 or uint64");
    }
    column.size = static_cast<std::size_t>(array.size());
    return column;
}

std::span<const std::int64_t> number_column(const py::object& object) {
    const py::array array = require_column<std::int64_t>(object, "learners", "int64");
    return {data_of<std::int64_t>(array), static_cast<std::size_t>(array.size())};
}

void update(TraitState& state, const py::object& learner_ids, const py::object& learner_index, const py::object& time,
            const py::object& domain_index, const py::object& domain_names, const py::object& capability_index,
            const py::object& capability_names, const py::object& kind, const py::object& action_taken,
            const py::object& weight, const py::object& learner_offsets, std::int64_t time_origin_us,
            const Cancellation* cancellation) {
    const LearnerIdColumn learners = learner_id_column(learner_ids);
    const StringColumn domains = string_column(domain_names, "domain_names");
    const StringColumn capabilities = string_column(capability_names, "capability_names");
    const py::ssize_t size = require_array(time, "time", 1).size();
    const auto count_of = [](std::size_t count) { return static_cast<py::ssize_t>(count); };
    EventColumns events{
        .size = static_cast<std::size_t>(size),
        .learner_count = require_count(count_of(learners.size), "learner_ids"),
        .time = time_column(time, time_origin_us, size),
        .domain = index_column(domain_index, "domain_index", count_of(domains.size), "domain_names", size),
        .capability =
            index_column(capability_index, "capability_index", count_of(capabilities.size), "capability_names", size),
        .kind = byte_column(kind, "kind", false, size),
        .action_taken = byte_column(action_taken, "action_taken", true, size),
        .weight = weight_column(weight, size),
    };
    add_learners(events, learner_index, learner_offsets);
    const py::gil_scoped_release released;
    state.update(learners, events, domains, capabilities, cancellation);
}

py::dict traits(const TraitState& state, const py::object& learners, std::int64_t as_of_us,
                const TraitParameters& parameters, const Cancellation* cancellation) {
    const std::span<const std::int64_t> numbers = number_column(learners);
    py::dict columns;
    const TraitColumns results = add_columns(columns, numbers.size());
    const py::gil_scoped_release released;
    state.traits(numbers, as_of_us, parameters, results, cancellation);
    return columns;
}

template <typename Value>
py::array_t<Value> array_of(const std::vector<Value>& values) {
    return py::array_t<Value>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::object ids(const TraitState& state, const py::object& learners) {
    const std::span<const std::int64_t> numbers = number_column(learners);
    const TraitState::IdType type = state.id_type(numbers);
    if (type == TraitState::IdType::text) {
        std::vector<std::int64_t> offsets;
        std::string texts;
        state.text_ids(numbers, offsets, texts);
        const py::array_t<std::uint8_t> data(static_cast<py::ssize_t>(texts.size()),
                                             reinterpret_cast<const std::uint8_t*>(texts.data()));
        return py::make_tuple(array_of(offsets), data);
    }
    const std::vector<std::uint64_t> values = state.integer_ids(numbers);
    if (type == TraitState::IdType::uint64) {
        return array_of(values);
    }
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(values.size()),
                                     reinterpret_cast<const std::int64_t*>(values.data()));
}

void save(const TraitState& state, const std::function<void(py::bytes)>& write, const Cancellation* cancellation) {
    const py::gil_scoped_release released;
    state.save(
        [&write](const void* bytes, std::size_t size) {
            const py::gil_scoped_acquire acquired;
            write(py::bytes(static_cast<const char*>(bytes), size));
        },
        cancellation);
}

TraitState load(const py::buffer& buffer, const Cancellation* cancellation) {
    const py::buffer_info info = buffer.request();
    const std::span bytes(static_cast<const std::byte*>(info.ptr), static_cast<std::size_t>(info.size * info.itemsize));
    const py::gil_scoped_release released;
    return TraitState::load(bytes, cancellation);
}

}  // namespace

void bind_trait_state(py::module_& module) {
    py::class_<TraitState>(module, "TraitState")
        .def(py::init<const TraitParameters&>(), py::arg("parameters"))
        .def("update", &update, py::arg("learner_ids"), py::arg("learner_index"), py::arg("time"),
             py::arg("domain_index"), py::arg("domain_names"), py::arg("capability_index"), py::arg("capability_names"),
             py::arg("kind"), py::arg("action_taken"), py::arg("weight"), py::kw_only(),
             py::arg("learner_offsets") = py::none(), py::arg("time_origin_us") = 0, py::arg("cancellation") = nullptr)
        .def("traits", &traits, py::arg("learners"), py::arg("as_of_us"), py::arg("parameters"), py::kw_only(),
             py::arg("cancellation") = nullptr)
        .def("learners", [](const TraitState& state) { return array_of(state.learners()); })
        .def(
            "find",
            [](const TraitState& state, const py::object& ids) { return array_of(state.find(learner_id_column(ids))); },
            py::arg("learner_ids"))
        .def("ids", &ids, py::arg("learners"))
        .def(
            "forget", [](TraitState& state, const py::object& ids) { return state.forget(learner_id_column(ids)); },
            py::arg("learner_ids"))
        .def("save", &save, py::arg("write"), py::kw_only(), py::arg("cancellation") = nullptr)
        .def_static("load", &load, py::arg("data"), py::kw_only(), py::arg("cancellation") = nullptr)
        .def_property_readonly("parameters", &TraitState::parameters)
        .def_property_readonly("learner_count", &TraitState::learner_count)
        .def_property_readonly("event_count", &TraitState::event_count)
        .def_property_readonly("newest_us", &TraitState::newest_us)
        .def_property_readonly("byte_count", &TraitState::byte_count);
}

}  // namespace covey::bindings
