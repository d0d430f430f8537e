#pragma once
// What every fuzzer shares: a claim that does not hold ends the program, and libFuzzer keeps the input.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "covey/questions.hpp"

namespace covey::fuzz {

inline void require(bool holds, const char* claim) {
    if (!holds) {
        std::fprintf(stderr, "does not hold: %s\n", claim);
        std::abort();
    }
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// A column that is absent has one name, which stands in no dictionary.
inline void require_names(const PackedIndex& column) {
    const std::size_t found = names_of(column).size();
    require(found == column.count || (found == 0 && column.count == 1 && column.data == nullptr),
            "as many names as were counted");
}

}  // namespace covey::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
