#include "arrays.hpp"
#include "covey/crc32.hpp"
#include "covey/hash.hpp"
#include "covey/random.hpp"

#include <pybind11/stl.h>

namespace covey::bindings {
namespace {

// Calls `work(ids, size)` without the GIL, with ids of either integer type.
template <typename Work>
void with_integers(const py::object& object, const Work& work) {
    const py::array ids = require_array(object, "ids", 1);
    const auto size = static_cast<std::size_t>(ids.size());
    if (holds<std::int64_t>(ids)) {
        const py::gil_scoped_release released;
        work(data_of<std::int64_t>(ids), size);
    } else if (holds<std::uint64_t>(ids)) {
        const py::gil_scoped_release released;
        work(data_of<std::uint64_t>(ids), size);
    } else {
        raise_dtype(ids, "ids", "int64 or uint64");
    }
}

StringColumn string_column(const py::object& offsets_object, const py::object& data_object, std::size_t& data_bytes) {
    const py::array offsets = require_column<std::int64_t>(offsets_object, "offsets", "int64");
    const py::array data = require_column<std::uint8_t>(data_object, "data", "uint8");
    if (offsets.size() == 0) {
        throw py::value_error("offsets is empty; n strings have n + 1 offsets");
    }
    data_bytes = static_cast<std::size_t>(data.size());
    return {data_of<std::int64_t>(offsets), data_of<std::uint8_t>(data), static_cast<std::size_t>(offsets.size() - 1)};
}

py::ssize_t length_of(const py::object& object, const char* name) {
    return require_array(object, name, 1).size();
}

py::array_t<std::uint64_t> integer_hashes(const py::object& ids) {
    py::array_t<std::uint64_t> hashes(length_of(ids, "ids"));
    std::uint64_t* to = hashes.mutable_data();
    with_integers(ids, [to](const auto* values, std::size_t size) { hash_integers(values, size, to); });
    return hashes;
}

py::array_t<std::uint32_t> integer_buckets(const std::string& salt, const py::object& ids) {
    py::array_t<std::uint32_t> buckets(length_of(ids, "ids"));
    std::uint32_t* to = buckets.mutable_data();
    with_integers(ids, [&salt, to](const auto* values, std::size_t size) { bucket_integers(salt, values, size, to); });
    return buckets;
}

py::array_t<std::uint64_t> string_hashes(const py::object& offsets, const py::object& data) {
    std::size_t data_bytes = 0;
    const StringColumn ids = string_column(offsets, data, data_bytes);
    py::array_t<std::uint64_t> hashes(static_cast<py::ssize_t>(ids.size));
    std::uint64_t* to = hashes.mutable_data();
    {
        const py::gil_scoped_release released;
        check_offsets(ids, data_bytes);
        hash_strings(ids, to);
    }
    return hashes;
}

py::array_t<std::uint32_t> string_buckets(const std::string& salt, const py::object& offsets, const py::object& data) {
    std::size_t data_bytes = 0;
    const StringColumn ids = string_column(offsets, data, data_bytes);
    py::array_t<std::uint32_t> buckets(static_cast<py::ssize_t>(ids.size));
    std::uint32_t* to = buckets.mutable_data();
    {
        const py::gil_scoped_release released;
        check_offsets(ids, data_bytes);
        bucket_strings(salt, ids, to);
    }
    return buckets;
}

std::uint32_t murmur(const py::bytes& data, std::uint32_t seed) {
    return murmur3_x86_32(static_cast<std::string_view>(data), seed);
}

std::uint32_t checksum(const std::vector<py::buffer>& pieces) {
    std::vector<py::buffer_info> views;
    views.reserve(pieces.size());
    for (const py::buffer& piece : pieces) {
        views.push_back(piece.request());
        const py::buffer_info& view = views.back();
        if (view.ndim != 1 || (view.shape[0] > 1 && view.strides[0] != view.itemsize)) {
            throw py::value_error("pieces[" + std::to_string(views.size() - 1) + "] must be contiguous bytes");
        }
    }
    const py::gil_scoped_release released;
    std::uint32_t found = 0;
    for (const py::buffer_info& view : views) {
        found = crc32(static_cast<const char*>(view.ptr), static_cast<std::size_t>(view.size * view.itemsize), found);
    }
    return found;
}

py::array_t<std::int64_t> sample(const py::object& id_hashes, std::uint64_t seed, py::ssize_t count) {
    const py::array hashes = require_column<std::uint64_t>(id_hashes, "id_hashes", "uint64");
    if (count < 0) {
        throw py::value_error("count is " + std::to_string(count) + ", expected at least 0");
    }
    std::vector<std::int64_t> positions;
    {
        const py::gil_scoped_release released;
        positions = smallest_hashes(data_of<std::uint64_t>(hashes), static_cast<std::size_t>(hashes.size()), seed,
                                    static_cast<std::size_t>(count));
    }
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(positions.size()), positions.data());
}

}  // namespace

void bind_hash(py::module_& module) {
    module.def("hash_integers", &integer_hashes, py::arg("ids"));
    module.def("hash_strings", &string_hashes, py::arg("offsets"), py::arg("data"));
    module.def("crc32", &checksum, py::arg("pieces"));
    module.def("murmur3_x86_32", &murmur, py::arg("data"), py::arg("seed") = 0);
    module.def("bucket_integers", &integer_buckets, py::arg("salt"), py::arg("ids"));
    module.def("bucket_strings", &string_buckets, py::arg("salt"), py::arg("offsets"), py::arg("data"));
    module.def("smallest_hashes", &sample, py::arg("id_hashes"), py::arg("seed"), py::arg("count"));
}

}  // namespace covey::bindings
