#include <pybind11/stl.h>

#include "arrays.hpp"
#include "covey/neighbours.hpp"
#include "kernels.hpp"
#include "points.hpp"

namespace covey::bindings {
namespace {

py::tuple nearest(const py::object& points_object, const py::object& queries_object, py::ssize_t count,
                  const py::object& include, py::ssize_t threads, const std::optional<std::string>& isa,
                  const Cancellation* cancellation) {
    const PointColumns points = require_points(points_object);
    const std::vector<float> queries = require_rows(queries_object, "queries", points);
    if (count < 1 || count > 65535) {
        throw py::value_error("count is " + std::to_string(count) + ", expected 1 ... 65,535 neighbours");
    }
    const std::uint8_t* included = nullptr;
    if (!include.is_none()) {
        const py::array array = require_column<bool>(include, "include", "bool", static_cast<py::ssize_t>(points.size));
        included = data_of<std::uint8_t>(array);
    }
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    const std::size_t query_count = queries.size() / points.dimensions;
    Neighbours found;
    {
        const py::gil_scoped_release released;
        found = nearest_points(points, queries.data(), query_count, static_cast<std::size_t>(count), included,
                               thread_count, kernels, cancellation);
    }
    const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(query_count), count};
    return py::make_tuple(py::array_t<std::int32_t>(shape, found.index.data()),
                          py::array_t<float>(shape, found.squared_distance.data()));
}

}  // namespace

void bind_neighbours(py::module_& module) {
    module.def("nearest_points", &nearest, py::arg("points"), py::arg("queries"), py::arg("count"),
               py::arg("include") = py::none(), py::arg("threads") = 1, py::arg("isa") = py::none(),
               py::arg("cancellation") = py::none());
}

}  // namespace covey::bindings
