// Kernels that pack rows of columns into words of bits and unpack them, see kernels.hpp for the contracts. Loops that
// every compiler turns into vectors: no lane depends on another.

#include "families.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

template <typename Value>
inline uint32_t pack_positions(const Value* values, size_t size, uint32_t mask, unsigned shift, uint64_t* words) {
    uint32_t largest = 0;
    for (size_t i = 0; i < size; ++i) {
        const uint32_t value = values[i];
        largest = value > largest ? value : largest;
        words[i] |= static_cast<uint64_t>(value & mask) << shift;
    }
    return largest;
}

template <typename Value>
inline uint64_t pack_differences(const Value* values, size_t size, uint64_t base, uint64_t inverse, unsigned zeros,
                                 unsigned shift, uint64_t* words) {
    uint64_t differences = 0;
    for (size_t i = 0; i < size; ++i) {
        const uint64_t difference = (static_cast<uint64_t>(values[i]) - base) * inverse;
        differences |= difference;
        words[i] |= (difference >> zeros) << shift;
    }
    return differences;
}

template <typename Value>
inline void unpack(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, unsigned zeros, Value* values) {
    for (size_t i = 0; i < size; ++i) {
        values[i] = static_cast<Value>(((words[i] >> shift) & mask) << zeros);
    }
}

template <typename Value>
inline void unpack_multiples(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint64_t base,
                             uint64_t factor, Value* values) {
    for (size_t i = 0; i < size; ++i) {
        values[i] = static_cast<Value>(base + ((words[i] >> shift) & mask) * factor);
    }
}

}  // namespace

uint32_t pack_8(const uint8_t* values, size_t size, unsigned shift, uint64_t* words) {
    return pack_positions(values, size, UINT32_MAX, shift, words);
}

uint32_t pack_16(const uint16_t* values, size_t size, unsigned shift, uint64_t* words) {
    return pack_positions(values, size, UINT32_MAX, shift, words);
}

uint32_t pack_32(const uint32_t* values, size_t size, uint32_t mask, unsigned shift, uint64_t* words) {
    return pack_positions(values, size, mask, shift, words);
}

uint64_t pack_differences_32(const uint32_t* values, size_t size, uint64_t base, uint64_t inverse, unsigned zeros,
                             unsigned shift, uint64_t* words) {
    return pack_differences(values, size, base, inverse, zeros, shift, words);
}

uint64_t pack_differences_64(const uint64_t* values, size_t size, uint64_t base, uint64_t inverse, unsigned zeros,
                             unsigned shift, uint64_t* words) {
    return pack_differences(values, size, base, inverse, zeros, shift, words);
}

void pack_feedback(const uint8_t* kind, const uint8_t* action_taken, size_t size, uint8_t feedback, unsigned shift,
                   uint64_t* words) {
    if (action_taken == nullptr) {
        for (size_t i = 0; i < size; ++i) words[i] |= static_cast<uint64_t>(kind[i] == feedback) << shift;
        return;
    }
    for (size_t i = 0; i < size; ++i) {
        const unsigned flags = static_cast<unsigned>(kind[i] == feedback) | (action_taken[i] != 0 ? 2u : 0u);
        words[i] |= static_cast<uint64_t>(flags) << shift;
    }
}

void unpack_8(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, unsigned zeros, uint8_t* values) {
    unpack(words, size, shift, mask, zeros, values);
}

void unpack_16(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint16_t* values) {
    unpack(words, size, shift, mask, 0, values);
}

void unpack_32(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint64_t base, uint64_t factor,
               uint32_t* values) {
    unpack_multiples(words, size, shift, mask, base, factor, values);
}

void unpack_64(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint64_t base, uint64_t factor,
               uint64_t* values) {
    unpack_multiples(words, size, shift, mask, base, factor, values);
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
