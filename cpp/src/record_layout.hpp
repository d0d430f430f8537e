#pragma once

#include <cstddef>
#include <cstdint>

#include "covey/columns.hpp"
#include "covey/parallel.hpp"

namespace covey {

// Bits of one 64-bit word.
struct Field {
    unsigned word = 0;
    unsigned shift = 0;
    unsigned bits = 0;

    std::uint64_t mask() const { return bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1; }
};

// Times as `bits` bits: (time - base) / (odd << zeros), exact where `holds`. The division by an odd number is the
// multiplication by its inverse modulo 2^64: logs are often written in whole seconds or milliseconds.
struct TimeRange {
    std::uint64_t base = 0;
    unsigned zeros = 0;
    unsigned bits = 64;
    std::uint64_t odd = 1;
    std::uint64_t inverse = 1;

    std::uint64_t unit() const { return odd << zeros; }

    // `differences`: the bits set in any (time - base) * inverse. Where it holds, such a product times `odd` is below
    // 2^64, so it is the difference itself.
    bool holds(std::uint64_t differences) const {
        const bool low = (differences & ((std::uint64_t{1} << zeros) - 1)) != 0;
        const bool high = bits + zeros < 64 && differences >> (bits + zeros) != 0;
        return !low && !high;
    }
};

// Guessed from a sample, with room at both ends: the rows themselves must be asked whether it holds.
TimeRange likely_times(const EventColumns& events);

// As narrow as can be, from all rows.
TimeRange exact_times(const EventColumns& events, ThreadTeam& team);

// Smallest type that holds every position of a column.
IndexType narrowest(std::uint32_t count);

// How a row is packed: all fields of an event in one to four words, of which the last is cut to the bytes it needs.
struct RecordLayout {
    RecordLayout(const EventColumns& events, unsigned learner_bits, const TimeRange& times);

    Field learner;  // low bits of learner_index: shift 0 of word 0
    Field feedback;
    Field domain;
    Field capability;
    Field time;
    Field weight;
    TimeRange times;
    std::size_t words = 1;
    std::size_t bytes = 8;  // 6, or a multiple of 4 up to 32
};

}  // namespace covey
