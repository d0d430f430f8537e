#include <pybind11/pybind11.h>

#include "covey/cancellation.hpp"

namespace covey::bindings {

namespace py = pybind11;

void bind_cancellation(py::module_& module) {
    py::register_exception<Cancelled>(module, "Cancelled", PyExc_RuntimeError);
    py::class_<Cancellation>(module, "Cancellation")
        .def(py::init<>())
        .def("cancel", &Cancellation::cancel)
        .def_property_readonly("is_cancelled", &Cancellation::is_cancelled);
}

}  // namespace covey::bindings
