#include <pybind11/stl.h>

#include "arrays.hpp"
#include "covey/resampling.hpp"
#include "covey/sketch.hpp"

namespace covey::bindings {
namespace {

using Names = std::optional<std::vector<std::string>>;
using Pairs = std::vector<std::pair<int, int>>;

MetricColumn metric_column(const py::object& object, const std::string& name, py::ssize_t size) {
    const py::array array = require_array(object, name.c_str(), 1);
    if (!holds<float>(array) && !holds<double>(array)) {
        raise_dtype(array, name.c_str(), "float32 or float64");
    }
    require_size(array, name.c_str(), size);
    return {array.data(), holds<float>(array) ? MetricType::float32 : MetricType::float64, name};
}

MetricTable metric_table(const py::sequence& metrics, const Pairs& products, const py::object& include,
                         const Names& names) {
    if (names && names->size() != py::len(metrics)) {
        throw py::value_error("names must have one entry per metric");
    }
    MetricTable table;
    py::ssize_t size = any_size;
    for (std::size_t m = 0; m < py::len(metrics); ++m) {
        const std::string name = names ? (*names)[m] : "metrics[" + std::to_string(m) + "]";
        table.metrics.push_back(metric_column(metrics[m], name, size));
        size = py::len(metrics[m]);
    }
    table.size = static_cast<std::size_t>(std::max<py::ssize_t>(size, 0));
    for (const auto& [first, second] : products) {
        if (first < 0 || second < 0 || first > 255 || second > 255) {
            throw py::value_error("products must hold pairs of metric numbers");
        }
        table.products.push_back({static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(second)});
    }
    if (!include.is_none()) {
        const py::array array = require_array(include, "include", 1);
        if (!holds<bool>(array) && !holds<std::uint8_t>(array) && !holds<std::int8_t>(array)) {
            raise_dtype(array, "include", "bool, uint8 or int8");
        }
        require_size(array, "include", size);
        table.include = data_of<std::uint8_t>(array);
    }
    return table;
}

GroupColumn group_column(const py::object& object, py::ssize_t count, std::size_t size) {
    GroupColumn groups{.count = require_count(count, "group_count")};
    if (object.is_none()) {
        if (count != 1) {
            throw py::value_error("group_count is " + std::to_string(count) + ", expected 1 without group_index");
        }
        return groups;
    }
    const py::array array = require_array(object, "group_index", 1);
    if (!holds<std::uint8_t>(array) && !holds<std::int32_t>(array)) {
        raise_dtype(array, "group_index", "uint8 or int32");
    }
    require_size(array, "group_index", static_cast<py::ssize_t>(size));
    groups.data = array.data();
    groups.type = holds<std::uint8_t>(array) ? CodeType::uint8 : CodeType::int32;
    return groups;
}

template <typename Value>
py::array_t<Value> shaped(const std::vector<Value>& values, std::vector<py::ssize_t> shape) {
    return py::array_t<Value>(std::move(shape), values.data());
}

// Arrays whose leading axes are `cells`.
py::tuple as_arrays(const MetricSums& sums, const MetricTable& table, const std::vector<py::ssize_t>& cells) {
    std::vector<py::ssize_t> by_metric = cells;
    by_metric.push_back(static_cast<py::ssize_t>(table.metrics.size()));
    std::vector<py::ssize_t> by_product = cells;
    by_product.push_back(static_cast<py::ssize_t>(table.products.size()));
    return py::make_tuple(shaped(sums.count, cells), shaped(sums.sum, by_metric), shaped(sums.product, by_product));
}

py::tuple moments_of_groups(const py::object& group_index, py::ssize_t group_count, const py::sequence& metrics,
                            const Pairs& products, const py::object& include, const Names& names, py::ssize_t threads,
                            const std::optional<std::string>& isa, const Cancellation* cancellation) {
    const MetricTable table = metric_table(metrics, products, include, names);
    const GroupColumn groups = group_column(group_index, group_count, table.size);
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    MetricSums sums;
    {
        const py::gil_scoped_release released;
        sums = grouped_moments(table, groups, thread_count, kernels, cancellation);
    }
    return as_arrays(sums, table, {group_count});
}

Replicates replicate_range(std::uint64_t seed, py::ssize_t first, py::ssize_t count) {
    return {seed, require_count(first, "first_replicate"), require_count(count, "replicate_count")};
}

py::tuple arms_of_replicates(const py::object& id_hashes, const py::sequence& metrics, std::uint64_t seed,
                             py::ssize_t replicate_count, py::ssize_t share_basis_points, py::ssize_t first_replicate,
                             const Pairs& products, const py::object& group_index, py::ssize_t group_count,
                             const py::object& include, const Names& names, py::ssize_t threads,
                             const std::optional<std::string>& isa, const Cancellation* cancellation) {
    const MetricTable table = metric_table(metrics, products, include, names);
    const py::array hashes =
        require_column<std::uint64_t>(id_hashes, "id_hashes", "uint64", static_cast<py::ssize_t>(table.size));
    const GroupColumn groups = group_column(group_index, group_count, table.size);
    const Replicates replicates = replicate_range(seed, first_replicate, replicate_count);
    const std::uint32_t share = require_count(share_basis_points, "share_basis_points");
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    Arms arms;
    {
        const py::gil_scoped_release released;
        arms = rerandomise(table, data_of<std::uint64_t>(hashes), groups, replicates, share, thread_count, kernels,
                           cancellation);
    }
    const std::vector<py::ssize_t> cells{group_count, replicate_count};
    return py::make_tuple(as_arrays(arms.candidate, table, cells), as_arrays(arms.baseline, table, cells));
}

py::tuple bootstrap_of_replicates(const py::object& id_hashes, const py::sequence& metrics, std::uint64_t seed,
                                  py::ssize_t replicate_count, py::ssize_t first_replicate, const Pairs& products,
                                  const py::object& group_index, py::ssize_t group_count, const py::object& include,
                                  const Names& names, py::ssize_t threads, const std::optional<std::string>& isa,
                                  const Cancellation* cancellation) {
    const MetricTable table = metric_table(metrics, products, include, names);
    const py::array hashes =
        require_column<std::uint64_t>(id_hashes, "id_hashes", "uint64", static_cast<py::ssize_t>(table.size));
    const GroupColumn groups = group_column(group_index, group_count, table.size);
    const Replicates replicates = replicate_range(seed, first_replicate, replicate_count);
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    MetricSums sums;
    {
        const py::gil_scoped_release released;
        sums = poisson_bootstrap(table, data_of<std::uint64_t>(hashes), groups, replicates, thread_count, kernels,
                                 cancellation);
    }
    return as_arrays(sums, table, {group_count, replicate_count});
}

py::tuple buckets_of_values(const py::object& values, double growth, const std::string& name, py::ssize_t threads,
                            const std::optional<std::string>& isa, const Cancellation* cancellation) {
    const MetricColumn column = metric_column(values, name, any_size);
    const std::size_t size = py::len(values);
    const std::size_t thread_count = require_threads(threads);
    const Kernels& kernels = require_kernels(isa);
    SketchCounts found;
    {
        const py::gil_scoped_release released;
        found = count_in_log_buckets(column, size, growth, thread_count, kernels, cancellation);
    }
    const auto side = [](const BucketCounts& buckets) {
        return py::make_tuple(buckets.first, shaped(buckets.counts, {static_cast<py::ssize_t>(buckets.counts.size())}));
    };
    return py::make_tuple(found.zeros, side(found.positive), side(found.negative));
}

}  // namespace

void bind_moments(py::module_& module) {
    module.attr("REPLICATE_LIMIT") = most_replicates;
    module.def("grouped_moments", &moments_of_groups, py::arg("group_index"), py::arg("group_count"),
               py::arg("metrics"), py::arg("products"), py::arg("include") = py::none(), py::arg("names") = py::none(),
               py::arg("threads") = 1, py::arg("isa") = py::none(), py::arg("cancellation") = py::none());
    module.def("rerandomise", &arms_of_replicates, py::arg("id_hashes"), py::arg("metrics"), py::arg("seed"),
               py::arg("replicate_count"), py::arg("share_basis_points"), py::arg("first_replicate") = 0,
               py::arg("products") = Pairs{}, py::arg("group_index") = py::none(), py::arg("group_count") = 1,
               py::arg("include") = py::none(), py::arg("names") = py::none(), py::arg("threads") = 1,
               py::arg("isa") = py::none(), py::arg("cancellation") = py::none());
    module.def("poisson_bootstrap", &bootstrap_of_replicates, py::arg("id_hashes"), py::arg("metrics"), py::arg("seed"),
               py::arg("replicate_count"), py::arg("first_replicate") = 0, py::arg("products") = Pairs{},
               py::arg("group_index") = py::none(), py::arg("group_count") = 1, py::arg("include") = py::none(),
               py::arg("names") = py::none(), py::arg("threads") = 1, py::arg("isa") = py::none(),
               py::arg("cancellation") = py::none());
    module.def("count_in_log_buckets", &buckets_of_values, py::arg("values"), py::arg("growth"),
               py::arg("name") = "values", py::arg("threads") = 1, py::arg("isa") = py::none(),
               py::arg("cancellation") = py::none());
}

}  // namespace covey::bindings
