#pragma once
// Event columns that come in as arrays, and trait columns that go out.

#include "arrays.hpp"
#include "covey/columns.hpp"
#include "covey/traits.hpp"

namespace covey::bindings {

inline IndexColumn index_column(const py::object& object, const char* name, py::ssize_t count, const char* count_name,
                                py::ssize_t size) {
    const py::array array = require_array(object, name, 1);
    IndexColumn column{array.data(), IndexType::int32, require_count(count, count_name), name};
    if (holds<std::uint16_t>(array)) {
        column.type = IndexType::uint16;
    } else if (holds<std::uint8_t>(array)) {
        column.type = IndexType::uint8;
    } else if (!holds<std::int32_t>(array)) {
        raise_dtype(array, name, "int32, uint16 or uint8");
    }
    require_size(array, name, size);
    return column;
}

inline const std::uint8_t* byte_column(const py::object& object, const char* name, bool bool_allowed,
                                       py::ssize_t size) {
    if (object.is_none()) {
        return nullptr;
    }
    const py::array array = require_array(object, name, 1);
    if (!holds<std::uint8_t>(array) && !(bool_allowed && holds<bool>(array))) {
        raise_dtype(array, name, bool_allowed ? "uint8 or bool" : "uint8");
    }
    require_size(array, name, size);
    return data_of<std::uint8_t>(array);
}

inline WeightColumn weight_column(const py::object& object, py::ssize_t size) {
    if (object.is_none()) {
        return {};
    }
    const py::array array = require_array(object, "weight", 1);
    if (!holds<float>(array) && !holds<double>(array)) {
        raise_dtype(array, "weight", "float32 or float64");
    }
    require_size(array, "weight", size);
    return {array.data(), holds<float>(array) ? WeightType::float32 : WeightType::float64};
}

inline TimeColumn time_column(const py::object& object, std::int64_t origin_us, py::ssize_t size) {
    const py::array array = require_array(object, "time", 1);
    if (!holds<std::int64_t>(array) && !holds<std::uint32_t>(array)) {
        raise_dtype(array, "time", "int64 or uint32");
    }
    require_size(array, "time", size);
    return {array.data(), holds<std::uint32_t>(array) ? TimeType::seconds_uint32 : TimeType::microseconds_int64,
            origin_us};
}

// Whose rows they are: exactly one of the two is given.
inline void add_learners(EventColumns& events, const py::object& learner_index, const py::object& learner_offsets) {
    if (learner_index.is_none() == learner_offsets.is_none()) {
        throw py::type_error("exactly one of learner_index and learner_offsets must be given");
    }
    const auto size = static_cast<py::ssize_t>(events.size);
    if (learner_offsets.is_none()) {
        events.learner_index =
            data_of<std::int32_t>(require_column<std::int32_t>(learner_index, "learner_index", "int32", size));
    } else {
        events.learner_offsets = data_of<std::int64_t>(require_column<std::int64_t>(
            learner_offsets, "learner_offsets", "int64", static_cast<py::ssize_t>(events.learner_count) + 1));
    }
}

template <typename Value>
Value* add_column(py::dict& columns, const char* name, std::size_t size) {
    py::array_t<Value> column(static_cast<py::ssize_t>(size));
    columns[name] = column;
    return column.mutable_data();
}

inline TraitColumns add_columns(py::dict& columns, std::size_t size) {
    return {
        .learning_velocity = add_column<float>(columns, "learning_velocity", size),
        .domain_affinity = add_column<float>(columns, "domain_affinity", size),
        .interaction_frequency = add_column<float>(columns, "interaction_frequency", size),
        .feedback_responsiveness = add_column<float>(columns, "feedback_responsiveness", size),
        .retention_strength = add_column<float>(columns, "retention_strength", size),
        .domain_entropy = add_column<float>(columns, "domain_entropy", size),
        .momentum = add_column<float>(columns, "momentum", size),
        .event_count = add_column<std::int64_t>(columns, "event_count", size),
        .active_days = add_column<std::int32_t>(columns, "active_days", size),
        .tenure_days = add_column<double>(columns, "tenure_days", size),
        .recency_days = add_column<double>(columns, "recency_days", size),
    };
}

}  // namespace covey::bindings
