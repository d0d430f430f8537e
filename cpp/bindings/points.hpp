#pragma once
// Points from Python: float32, a row per coordinate.

#include <vector>

#include "arrays.hpp"
#include "covey/kmeans.hpp"
#include "kernels.hpp"

namespace covey::bindings {

inline py::array require_matrix(const py::object& object, const char* name) {
    py::array array = require_array(object, name, 2);
    if (!holds<float>(array)) {
        raise_dtype(array, name, "float32");
    }
    return array;
}

inline PointColumns require_points(const py::object& object) {
    const py::array array = require_matrix(object, "points");
    const auto dimensions = static_cast<std::size_t>(array.shape(0));
    if (dimensions < 1 || dimensions > largest_dimensions) {
        throw py::value_error("points must have 1 ... 32 rows (one per trait), not shape " + shape_text(array));
    }
    return {data_of<float>(array), dimensions, static_cast<std::size_t>(array.shape(1))};
}

// Row-major, at least one, of as many coordinates as the points.
inline std::vector<float> require_rows(const py::object& object, const char* name, const PointColumns& points) {
    const py::array array = require_matrix(object, name);
    if (array.shape(0) < 1 || static_cast<std::size_t>(array.shape(1)) != points.dimensions) {
        throw py::value_error(std::string(name) + " must have shape (n, " + std::to_string(points.dimensions) +
                              ") with n >= 1, not " + shape_text(array));
    }
    const float* data = data_of<float>(array);
    return {data, data + array.size()};
}

}  // namespace covey::bindings
