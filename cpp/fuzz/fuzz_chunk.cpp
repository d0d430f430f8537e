// Chunks of a bulk append: whatever the bytes, a chunk is refused, or its columns lie in the message and in range.

#include <algorithm>
#include <cstring>
#include <optional>

#include "covey/questions.hpp"
#include "fuzz.hpp"

namespace covey::fuzz {
namespace {

template <typename Value>
Value read(const char* column, std::size_t row) {
    Value value;
    std::memcpy(&value, column + row * sizeof value, sizeof value);
    return value;
}

std::uint32_t position(const PackedIndex& column, std::size_t row) {
    switch (column.type) {
        case IndexType::uint8: return read<std::uint8_t>(column.data, row);
        case IndexType::uint16: return read<std::uint16_t>(column.data, row);
        case IndexType::int32: return static_cast<std::uint32_t>(read<std::int32_t>(column.data, row));
    }
    return 0;
}

void read_through(const AppendedChunk& chunk) {
    require(chunk.event_count >= 1 && chunk.sequence >= 1, "a chunk with events and a sequence");
    std::int64_t newest_us = read<std::int64_t>(chunk.time_us, 0);
    for (std::size_t row = 0; row < chunk.event_count; ++row) {
        newest_us = std::max(newest_us, read<std::int64_t>(chunk.time_us, row));
        read<std::int64_t>(chunk.learner_id, row);
        for (const PackedIndex* column : {&chunk.domain, &chunk.capability}) {
            require(column->data == nullptr || position(*column, row) < column->count, "a position in the dictionary");
        }
        require(chunk.kind == nullptr || read<std::uint8_t>(chunk.kind, row) < 5, "a kind");
        require(chunk.action_taken == nullptr || read<std::uint8_t>(chunk.action_taken, row) < 2, "0 or 1");
        require(chunk.weight == nullptr || read<float>(chunk.weight, row) >= 0.0f, "a weight of 0 or more");
    }
    require(newest_us == chunk.newest_us, "the newest time");
    require_names(chunk.domain);
    require_names(chunk.capability);
}

}  // namespace
}  // namespace covey::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (const auto chunk = covey::read_chunk(covey::fuzz::text_of(data, size))) {
        covey::fuzz::read_through(*chunk);
    }
    return 0;
}
