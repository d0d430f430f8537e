#include <pybind11/stl.h>

#include "arrays.hpp"
#include "covey/partial_kmeans.hpp"
#include "kernels.hpp"
#include "points.hpp"

namespace covey::bindings {
namespace {

py::array_t<std::int64_t> table_of(const std::vector<std::int64_t>& values, std::size_t rows) {
    return py::array_t<std::int64_t>({rows, values.size() / rows}, values.data());
}

std::vector<ValueRange> require_ranges(const py::object& object, const PointColumns& points) {
    const py::array array = require_matrix(object, "ranges");
    if (array.shape(0) != 2 || static_cast<std::size_t>(array.shape(1)) != points.dimensions) {
        throw py::value_error("ranges must have shape (2, " + std::to_string(points.dimensions) +
                              "), the lowest values and the highest, not " + shape_text(array));
    }
    std::vector<ValueRange> ranges;
    for (std::size_t d = 0; d < points.dimensions; ++d) {
        ranges.push_back({data_of<float>(array)[d], data_of<float>(array)[points.dimensions + d]});
    }
    return ranges;
}

// Keeps the arrays that the core works on.
class Clustering {
public:
    Clustering(const py::object& points, const py::object& centroids, const py::object& ranges, int max_iterations,
               py::ssize_t threads, const std::optional<std::string>& isa)
        : kept_(points), columns_(require_points(points)), labels_(static_cast<py::ssize_t>(columns_.size)) {
        const std::vector<float> rows = require_rows(centroids, "centroids", columns_);
        const std::vector<ValueRange> limits = require_ranges(ranges, columns_);
        const std::size_t thread_count = require_threads(threads);
        const Kernels& kernels = require_kernels(isa);
        std::int32_t* to = labels_.mutable_data();
        const py::gil_scoped_release released;
        part_ = std::make_unique<PartialKMeans>(columns_, rows, limits, max_iterations, thread_count, kernels, to);
    }

    void step(const py::object& centroids) {
        const std::vector<float> rows = require_rows(centroids, "centroids", columns_);
        check_open();
        if (rows.size() != part_->k() * columns_.dimensions) {
            throw py::value_error("centroids has " + std::to_string(rows.size() / columns_.dimensions) +
                                  " rows, expected " + std::to_string(part_->k()) + " as before");
        }
        const py::gil_scoped_release released;
        part_->step(rows);
    }

    py::tuple finish() {
        check_open();
        finished_ = true;
        std::int64_t steps = 0;
        {
            const py::gil_scoped_release released;
            steps = part_->finish();
        }
        return py::make_tuple(labels_, steps);
    }

    py::array_t<std::int64_t> sums() const { return table_of(part_->coordinates(), part_->k()); }
    py::array_t<std::int64_t> sizes() const {
        return py::array_t<std::int64_t>(static_cast<py::ssize_t>(part_->k()), part_->sizes().data());
    }
    std::size_t changed() const { return part_->changed(); }

private:
    void check_open() const {
        if (finished_) {
            throw py::value_error("the part is finished; make another one");
        }
    }

    py::object kept_;
    PointColumns columns_;
    py::array_t<std::int32_t> labels_;
    bool finished_ = false;
    std::unique_ptr<PartialKMeans> part_;  // last: it uses the others
};

class Seeding {
public:
    Seeding(const py::object& points, const py::object& id_hashes, std::uint64_t seed, py::ssize_t threads,
            const std::optional<std::string>& isa)
        : kept_(points), columns_(require_points(points)) {
        hashes_ =
            require_column<std::uint64_t>(id_hashes, "id_hashes", "uint64", static_cast<py::ssize_t>(columns_.size));
        const std::size_t thread_count = require_threads(threads);
        const Kernels& kernels = require_kernels(isa);
        const auto* hashes = data_of<std::uint64_t>(hashes_);
        const py::gil_scoped_release released;
        part_ = std::make_unique<PartialSeeding>(columns_, hashes, seed, thread_count, kernels);
    }

    // (score, id hash, position), or None.
    py::object winner(std::uint64_t round) {
        if (round >= 65535) {
            throw py::value_error("round is " + std::to_string(round) + ", expected 0 ... 65534");
        }
        std::optional<PartialSeeding::Winner> found;
        {
            const py::gil_scoped_release released;
            found = part_->winner(round);
        }
        return found ? py::object(py::make_tuple(found->score, found->id_hash, found->point)) : py::none();
    }

    void add_centroid(const py::object& centroid) {
        const py::array array =
            require_column<float>(centroid, "centroid", "float32", static_cast<py::ssize_t>(columns_.dimensions));
        const auto* coordinates = data_of<float>(array);
        const py::gil_scoped_release released;
        part_->add_centroid(coordinates);
    }

private:
    py::object kept_;
    py::array hashes_;
    PointColumns columns_;
    std::unique_ptr<PartialSeeding> part_;  // last: it uses the others
};

}  // namespace

void bind_partial_kmeans(py::module_& module) {
    py::class_<Clustering>(module, "PartialKMeans")
        .def(py::init<const py::object&, const py::object&, const py::object&, int, py::ssize_t,
                      const std::optional<std::string>&>(),
             py::arg("points"), py::arg("centroids"), py::arg("ranges"), py::arg("max_iterations") = 300,
             py::arg("threads") = 1, py::arg("isa") = py::none())
        .def("step", &Clustering::step, py::arg("centroids"))
        .def("finish", &Clustering::finish)
        .def_property_readonly("sums", &Clustering::sums)
        .def_property_readonly("sizes", &Clustering::sizes)
        .def_property_readonly("changed", &Clustering::changed);
    py::class_<Seeding>(module, "PartialSeeding")
        .def(py::init<const py::object&, const py::object&, std::uint64_t, py::ssize_t,
                      const std::optional<std::string>&>(),
             py::arg("points"), py::arg("id_hashes"), py::arg("seed"), py::arg("threads") = 1,
             py::arg("isa") = py::none())
        .def("winner", &Seeding::winner, py::arg("round"))
        .def("add_centroid", &Seeding::add_centroid, py::arg("centroid"));
}

}  // namespace covey::bindings
