#include <mutex>

#include "arrays.hpp"
#include "covey/identifiers.hpp"

namespace covey::bindings {
namespace {

// An IdentifierIndex with the dtype that its ids have for Python; calls from several threads take turns.
class IdIndexer {
public:
    py::array_t<std::int32_t> encode(const py::object& object) {
        const py::array ids = require_array(object, "ids", 1);
        const bool is_unsigned = holds<std::uint64_t>(ids);
        if (!is_unsigned && !holds<std::int64_t>(ids)) {
            raise_dtype(ids, "ids", "int64 or uint64");
        }
        py::array_t<std::int32_t> codes(ids.size());
        const auto* values = static_cast<const std::uint64_t*>(ids.data());
        std::int32_t* to = codes.mutable_data();
        const auto size = static_cast<std::size_t>(ids.size());
        {
            const py::gil_scoped_release released;
            const std::lock_guard lock(mutex_);
            if (started_ && is_unsigned != unsigned_) {
                throw py::type_error(std::string("ids must have dtype ") + (unsigned_ ? "uint64" : "int64") +
                                     ", as in earlier calls");
            }
            started_ = true;
            unsigned_ = is_unsigned;
            index_.encode(values, size, to);
        }
        return codes;
    }

    py::array ids() {
        const py::gil_scoped_release released;
        const std::lock_guard lock(mutex_);
        const py::gil_scoped_acquire acquired;
        const auto size = static_cast<py::ssize_t>(index_.ids().size());
        if (unsigned_) {
            return py::array_t<std::uint64_t>(size, index_.ids().data());
        }
        return py::array_t<std::int64_t>(size, reinterpret_cast<const std::int64_t*>(index_.ids().data()));
    }

private:
    std::mutex mutex_;
    IdentifierIndex index_;
    bool started_ = false;
    bool unsigned_ = false;
};

void relabel_codes(const py::object& codes_object, const py::object& map_object) {
    py::array codes = require_column<std::int32_t>(codes_object, "codes", "int32");
    const py::array map = require_column<std::int32_t>(map_object, "new_code_of_old", "int32");
    if (!codes.writeable()) {
        throw py::value_error("codes is read-only, but is changed in place");
    }
    auto* to = static_cast<std::int32_t*>(codes.mutable_data());
    const py::gil_scoped_release released;
    relabel(to, static_cast<std::size_t>(codes.size()), data_of<std::int32_t>(map),
            static_cast<std::size_t>(map.size()));
}

}  // namespace

void bind_identifiers(py::module_& module) {
    py::class_<IdIndexer>(module, "IdIndexer")
        .def(py::init<>())
        .def("encode", &IdIndexer::encode, py::arg("ids"))
        .def("ids", &IdIndexer::ids);
    module.def("relabel", &relabel_codes, py::arg("codes"), py::arg("new_code_of_old"));
}

}  // namespace covey::bindings
