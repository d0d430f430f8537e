// Table of contents of covey._core; the types are in python/covey/_core.pyi.

#include <pybind11/pybind11.h>

namespace covey::bindings {
void bind_activity(pybind11::module_& module);
void bind_appended(pybind11::module_& module);
void bind_cancellation(pybind11::module_& module);
void bind_dispatch(pybind11::module_& module);
void bind_traits(pybind11::module_& module);
void bind_trait_state(pybind11::module_& module);
void bind_identifiers(pybind11::module_& module);
void bind_hash(pybind11::module_& module);
void bind_histories(pybind11::module_& module);
void bind_cohorts(pybind11::module_& module);
void bind_online(pybind11::module_& module);
void bind_partial_kmeans(pybind11::module_& module);
void bind_moments(pybind11::module_& module);
void bind_neighbours(pybind11::module_& module);
void bind_stats(pybind11::module_& module);
}  // namespace covey::bindings

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
    using namespace covey::bindings;
    module.doc() = "covey's compiled core";
    bind_cancellation(module);  // first: the signatures of the others name its types
    bind_dispatch(module);
    bind_traits(module);
    bind_activity(module);
    bind_trait_state(module);
    bind_identifiers(module);
    bind_hash(module);
    bind_histories(module);
    bind_cohorts(module);
    bind_online(module);
    bind_partial_kmeans(module);
    bind_moments(module);
    bind_neighbours(module);
    bind_stats(module);
    bind_appended(module);
}
