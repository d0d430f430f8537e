#include <pybind11/stl.h>

#include "arrays.hpp"
#include "covey/questions.hpp"

namespace covey::bindings {
namespace {

struct Chunk {
    py::bytes message;  // owns what `columns` looks at
    AppendedChunk columns;
};

std::optional<Chunk> chunk_of(const py::bytes& message) {
    const auto view = static_cast<std::string_view>(message);
    std::optional<AppendedChunk> columns;
    {
        const py::gil_scoped_release released;
        columns = read_chunk(view);
    }
    if (!columns) {
        return std::nullopt;
    }
    return Chunk{message, *columns};
}

py::list texts(const PackedIndex& column) {
    py::list names;
    for (const std::string_view name : names_of(column)) {
        names.append(py::str(name.data(), name.size()));
    }
    return names;
}

const char* index_type(const PackedIndex& column) {
    switch (column.type) {
        case IndexType::uint8: return "uint8";
        case IndexType::uint16: return "uint16";
        case IndexType::int32: return "int32";
    }
    return "";
}

// (name, type, first byte in the message) of every column that is there.
py::list layout(const Chunk& chunk) {
    const AppendedChunk& columns = chunk.columns;
    const char* begin = static_cast<std::string_view>(chunk.message).data();
    py::list found;
    const auto add = [&](const char* name, const char* type, const char* data) {
        if (data != nullptr) {
            found.append(py::make_tuple(name, type, data - begin));
        }
    };
    add("learner_id", columns.learner_id_is_signed ? "int64" : "uint64", columns.learner_id);
    add("time", "int64", columns.time_us);
    add("domain", index_type(columns.domain), columns.domain.data);
    add("capability", index_type(columns.capability), columns.capability.data);
    add("kind", "uint8", columns.kind);
    add("action_taken", "uint8", columns.action_taken);
    add("weight", "float32", columns.weight);
    return found;
}

// Equal for chunks whose columns and dictionaries are the same, whatever is in them.
py::bytes shape(const Chunk& chunk) {
    std::string key;
    const AppendedChunk& columns = chunk.columns;
    for (const char* data : {columns.kind, columns.action_taken, columns.weight}) {
        key.push_back(data == nullptr ? '0' : '1');
    }
    key.push_back(columns.learner_id_is_signed ? 'i' : 'u');
    for (const PackedIndex* column : {&columns.domain, &columns.capability}) {
        key.append(column->data == nullptr ? "none" : index_type(*column));
        for (const std::string_view name : names_of(*column)) {
            key.append(std::to_string(name.size())).append(1, ':').append(name);
        }
        key.push_back(';');
    }
    return py::bytes(key);
}

}  // namespace

void bind_appended(py::module_& module) {
    py::class_<Chunk>(module, "AppendedChunk")
        .def_property_readonly("message", [](const Chunk& chunk) { return chunk.message; })
        .def_property_readonly("chunk_sequence", [](const Chunk& chunk) { return chunk.columns.sequence; })
        .def_property_readonly("row_count", [](const Chunk& chunk) { return chunk.columns.event_count; })
        .def_property_readonly("newest_us", [](const Chunk& chunk) { return chunk.columns.newest_us; })
        .def_property_readonly("domains", [](const Chunk& chunk) { return texts(chunk.columns.domain); })
        .def_property_readonly("capabilities", [](const Chunk& chunk) { return texts(chunk.columns.capability); })
        .def_property_readonly("layout", &layout)
        .def_property_readonly("shape", &shape);
    module.def("read_chunk", &chunk_of, py::arg("message"));
}

}  // namespace covey::bindings
