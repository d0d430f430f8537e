#include <pybind11/stl.h>

#include "arrays.hpp"
#include "kernels.hpp"

namespace covey::bindings {
namespace {

std::string active_isa() {
    return select_kernels("").name;
}

py::dict build_info() {
    py::dict info;
    info["version"] = COVEY_VERSION;
#if defined(__clang__)
    info["compiler"] = "clang " __clang_version__;
#else
    info["compiler"] = "gcc " __VERSION__;
#endif
    info["isa"] = active_isa();
    return info;
}

}  // namespace

void bind_dispatch(py::module_& module) {
    module.def("active_isa", &active_isa);
    module.def("available_isas", &available_isas);
    module.def("build_info", &build_info);
}

}  // namespace covey::bindings
