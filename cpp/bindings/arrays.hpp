#pragma once
// Arguments from Python: arrays are taken as they are or refused by name, never copied or converted.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <limits>
#include <optional>
#include <string>

#include "covey/dispatch.hpp"

namespace covey::bindings {

namespace py = pybind11;

inline constexpr py::ssize_t any_size = -1;

inline std::string shape_text(const py::array& array) {
    return py::str(array.attr("shape"));
}

// A C-contiguous, aligned array of `dimensions` axes, else TypeError.
inline py::array require_array(const py::object& object, const char* name, py::ssize_t dimensions) {
    if (!py::isinstance<py::array>(object)) {
        throw py::type_error(std::string(name) + " must be a numpy array, not " +
                             std::string(py::str(py::type::of(object).attr("__name__"))));
    }
    auto array = py::reinterpret_borrow<py::array>(object);
    if (array.ndim() != dimensions) {
        throw py::type_error(std::string(name) + " must have " + std::to_string(dimensions) +
                             (dimensions == 1 ? " dimension" : " dimensions") + ", not shape " + shape_text(array));
    }
    constexpr int wanted = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if ((array.flags() & wanted) != wanted) {
        throw py::type_error(std::string(name) +
                             " must be C-contiguous and aligned: pass numpy.ascontiguousarray of it");
    }
    return array;
}

[[noreturn]] inline void raise_dtype(const py::array& array, const char* name, const char* expected) {
    throw py::type_error(std::string(name) + " must have dtype " + expected + ", not " +
                         std::string(py::str(array.dtype())));
}

inline void require_size(const py::array& array, const char* name, py::ssize_t size) {
    if (size != any_size && array.shape(0) != size) {
        throw py::value_error(std::string(name) + " must have " + std::to_string(size) + " elements, not " +
                              std::to_string(array.shape(0)));
    }
}

template <typename Value>
bool holds(const py::array& array) {
    return py::isinstance<py::array_t<Value>>(array);
}

template <typename Value>
const Value* data_of(const py::array& array) {
    return static_cast<const Value*>(array.data());
}

// A column of exactly this type, and of `size` elements unless that is any_size.
template <typename Value>
py::array require_column(const py::object& object, const char* name, const char* dtype, py::ssize_t size = any_size) {
    py::array array = require_array(object, name, 1);
    if (!holds<Value>(array)) {
        raise_dtype(array, name, dtype);
    }
    require_size(array, name, size);
    return array;
}

inline std::uint32_t require_count(py::ssize_t value, const char* name) {
    if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
        throw py::value_error(std::string(name) + " is " + std::to_string(value) + ", expected 0 ... 2147483647");
    }
    return static_cast<std::uint32_t>(value);
}

inline std::size_t require_threads(py::ssize_t threads) {
    if (threads < 1) {
        throw py::value_error("threads is " + std::to_string(threads) + ", expected at least 1");
    }
    return static_cast<std::size_t>(threads);
}

inline const Kernels& require_kernels(const std::optional<std::string>& isa) {
    if (isa && isa->empty()) {
        throw py::value_error("isa is empty; pass None for the default");
    }
    return select_kernels(isa.value_or(""));
}

}  // namespace covey::bindings
