#pragma once
// CRC-32 of stored bytes, the one of zlib and of ISO 3309, at the speed of memory where the processor multiplies
// polynomials.

#include <cstddef>
#include <cstdint>

namespace covey {

// The checksum of `size` bytes that follow bytes whose checksum is `before`; 0 where nothing came before. O(size).
std::uint32_t crc32(const char* data, std::size_t size, std::uint32_t before = 0);

}  // namespace covey
