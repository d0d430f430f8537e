#include <pybind11/stl.h>

#include "arrays.hpp"
#include "covey/kmeans.hpp"
#include "covey/silhouette.hpp"
#include "kernels.hpp"
#include "points.hpp"

namespace covey::bindings {
namespace {

struct KMeansResult {
    py::array_t<float> centroids;
    py::array_t<std::int32_t> labels;
    py::array_t<std::int64_t> sizes;
    double inertia;
    int iterations;
    bool converged;
};

py::array_t<float> centroid_array(const std::vector<float>& centroids, std::size_t dimensions) {
    return py::array_t<float>({centroids.size() / dimensions, dimensions}, centroids.data());
}

py::array_t<float> seeds(const py::object& points_object, const py::object& id_hashes, py::ssize_t k,
                         std::uint64_t seed, py::ssize_t threads, const std::optional<std::string>& isa,
                         const Cancellation* cancellation) {
    const PointColumns points = require_points(points_object);
    const py::array hashes =
        require_column<std::uint64_t>(id_hashes, "id_hashes", "uint64", static_cast<py::ssize_t>(points.size));
    if (k < 1 || static_cast<std::size_t>(k) > points.size || k >= 65535) {
        throw py::value_error("k is " + std::to_string(k) + ", expected 1 ... " +
                              std::to_string(std::min<std::size_t>(points.size, 65534)) + " for " +
                              std::to_string(points.size) + " points");
    }
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    std::vector<float> centroids;
    {
        const py::gil_scoped_release released;
        centroids = seed_centroids(points, data_of<std::uint64_t>(hashes), static_cast<std::size_t>(k), seed,
                                   thread_count, kernels, cancellation);
    }
    return centroid_array(centroids, points.dimensions);
}

KMeansResult cluster(const py::object& points_object, const py::object& initial_centroids, int max_iterations,
                     py::ssize_t threads, const std::optional<std::string>& isa, const Cancellation* cancellation) {
    const PointColumns points = require_points(points_object);
    const std::vector<float> initial = require_rows(initial_centroids, "initial_centroids", points);
    if (max_iterations < 0) {
        throw py::value_error("max_iterations is " + std::to_string(max_iterations) + ", expected at least 0");
    }
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    py::array_t<std::int32_t> labels(static_cast<py::ssize_t>(points.size));
    std::int32_t* to = labels.mutable_data();
    KMeans found;
    {
        const py::gil_scoped_release released;
        found = kmeans(points, initial, max_iterations, thread_count, kernels, to, cancellation);
    }
    return {centroid_array(found.centroids, points.dimensions),
            labels,
            py::array_t<std::int64_t>(static_cast<py::ssize_t>(found.sizes.size()), found.sizes.data()),
            found.inertia,
            found.iterations,
            found.converged};
}

py::tuple assign_points(const py::object& points_object, const py::object& centroids_object, py::ssize_t threads,
                        const std::optional<std::string>& isa, const Cancellation* cancellation) {
    const PointColumns points = require_points(points_object);
    const std::vector<float> centroids = require_rows(centroids_object, "centroids", points);
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    py::array_t<std::int32_t> labels(static_cast<py::ssize_t>(points.size));
    py::array_t<float> squared_distance(static_cast<py::ssize_t>(points.size));
    std::int32_t* labels_to = labels.mutable_data();
    float* distances_to = squared_distance.mutable_data();
    {
        const py::gil_scoped_release released;
        assign(points, centroids, thread_count, kernels, labels_to, distances_to, cancellation);
    }
    return py::make_tuple(labels, squared_distance);
}

double mean_silhouette(const py::object& points_object, const py::object& labels_object, py::ssize_t k,
                       py::ssize_t threads, const std::optional<std::string>& isa, const Cancellation* cancellation) {
    const PointColumns points = require_points(points_object);
    const py::array labels =
        require_column<std::int32_t>(labels_object, "labels", "int32", static_cast<py::ssize_t>(points.size));
    const std::uint32_t clusters = require_count(k, "k");
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    const py::gil_scoped_release released;
    return silhouette(points, data_of<std::int32_t>(labels), clusters, thread_count, kernels, cancellation);
}

py::array_t<double> mean_silhouettes(const py::object& points_object, const py::object& labels_object,
                                     const std::vector<py::ssize_t>& ks, py::ssize_t threads,
                                     const std::optional<std::string>& isa, const Cancellation* cancellation) {
    const PointColumns points = require_points(points_object);
    const py::array labels = require_array(labels_object, "labels", 2);
    if (!holds<std::int32_t>(labels)) {
        raise_dtype(labels, "labels", "int32");
    }
    if (labels.shape(0) != static_cast<py::ssize_t>(ks.size()) ||
        labels.shape(1) != static_cast<py::ssize_t>(points.size)) {
        throw py::value_error("labels must have shape (" + std::to_string(ks.size()) + ", " +
                              std::to_string(points.size) + "), a row per k, not " + shape_text(labels));
    }
    std::vector<std::size_t> clusters;
    for (const py::ssize_t k : ks) {
        clusters.push_back(require_count(k, "k"));
    }
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    std::vector<double> means;
    {
        const py::gil_scoped_release released;
        means = silhouettes(points, data_of<std::int32_t>(labels), clusters, thread_count, kernels, cancellation);
    }
    return py::array_t<double>(static_cast<py::ssize_t>(means.size()), means.data());
}

}  // namespace

void bind_cohorts(py::module_& module) {
    py::class_<KMeansResult>(module, "KMeansResult")
        .def_readonly("centroids", &KMeansResult::centroids)
        .def_readonly("labels", &KMeansResult::labels)
        .def_readonly("sizes", &KMeansResult::sizes)
        .def_readonly("inertia", &KMeansResult::inertia)
        .def_readonly("iterations", &KMeansResult::iterations)
        .def_readonly("converged", &KMeansResult::converged);
    module.def("seed_centroids", &seeds, py::arg("points"), py::arg("id_hashes"), py::arg("k"), py::arg("seed"),
               py::arg("threads") = 1, py::arg("isa") = py::none(), py::arg("cancellation") = py::none());
    module.def("kmeans", &cluster, py::arg("points"), py::arg("initial_centroids"), py::arg("max_iterations") = 300,
               py::arg("threads") = 1, py::arg("isa") = py::none(), py::arg("cancellation") = py::none());
    module.def("assign", &assign_points, py::arg("points"), py::arg("centroids"), py::arg("threads") = 1,
               py::arg("isa") = py::none(), py::arg("cancellation") = py::none());
    module.def("silhouette", &mean_silhouette, py::arg("points"), py::arg("labels"), py::arg("k"),
               py::arg("threads") = 1, py::arg("isa") = py::none(), py::arg("cancellation") = py::none());
    module.def("silhouettes", &mean_silhouettes, py::arg("points"), py::arg("labels"), py::arg("ks"),
               py::arg("threads") = 1, py::arg("isa") = py::none(), py::arg("cancellation") = py::none());
}

}  // namespace covey::bindings
