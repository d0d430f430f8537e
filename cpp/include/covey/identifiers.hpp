#pragma once
// From ids as people write them to dense codes, while a file is read in pieces.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace covey {

// Open-addressing index of 64-bit ids. Codes count up from 0 in order of first appearance.
// About 14 bytes per distinct id at the usual load. Not thread-safe.
class IdentifierIndex {
public:
    // Writes the code of each id. Throws std::length_error beyond 2^31 - 1 distinct ids; ids seen before stay known.
    void encode(const std::uint64_t* ids, std::size_t size, std::int32_t* codes);

    // Distinct ids by code.
    const std::vector<std::uint64_t>& ids() const { return ids_; }

private:
    std::int32_t code_of(std::uint64_t id);
    void grow();

    std::vector<std::uint64_t> ids_;
    std::vector<std::int32_t> slots_;  // code, or -1 where empty; the size is a power of two
};

// codes[i] = new_code_of_old[codes[i]]. Throws std::invalid_argument for a code outside [0, new_size); changes
// nothing then.
void relabel(std::int32_t* codes, std::size_t size, const std::int32_t* new_code_of_old, std::size_t new_size);

}  // namespace covey
