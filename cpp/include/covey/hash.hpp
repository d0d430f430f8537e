#pragma once
// Hashes that other languages must be able to repeat: FNV-1a 64 of an id's text, MurmurHash3 x86 32 for routing.
// The text of an integer id is its decimal digits.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace covey {

std::uint64_t fnv1a_64(std::string_view text);
std::uint32_t murmur3_x86_32(std::string_view bytes, std::uint32_t seed);

// String i is data[offsets[i], offsets[i + 1]); `size` strings, size + 1 offsets.
struct StringColumn {
    const std::int64_t* offsets = nullptr;
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;
};

// Throws std::invalid_argument naming the first offset that decreases or leaves [0, data_bytes].
void check_offsets(const StringColumn& column, std::size_t data_bytes);

void hash_strings(const StringColumn& ids, std::uint64_t* hashes);
void bucket_strings(std::string_view salt, const StringColumn& ids, std::uint32_t* buckets);

// Id: std::int64_t or std::uint64_t.
template <typename Id>
void hash_integers(const Id* ids, std::size_t size, std::uint64_t* hashes);
template <typename Id>
void bucket_integers(std::string_view salt, const Id* ids, std::size_t size, std::uint32_t* buckets);

}  // namespace covey
