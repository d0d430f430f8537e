#include "covey/hash.hpp"

#include <bit>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string>

namespace covey {
namespace {

constexpr std::size_t longest_integer = 20;  // characters of -2^63 and of 2^64 - 1

std::uint32_t murmur_word(std::uint32_t word) {
    return std::rotl(word * 0xCC9E2D51u, 15) * 0x1B873593u;
}

std::string_view string_at(const StringColumn& column, std::size_t i) {
    return {reinterpret_cast<const char*>(column.data) + column.offsets[i],
            static_cast<std::size_t>(column.offsets[i + 1] - column.offsets[i])};
}

}  // namespace

std::uint64_t fnv1a_64(std::string_view text) {
    std::uint64_t hash = 0xCBF29CE484222325ull;
    for (const char character : text) {
        hash = (hash ^ static_cast<std::uint8_t>(character)) * 0x100000001B3ull;
    }
    return hash;
}

std::uint32_t murmur3_x86_32(std::string_view bytes, std::uint32_t seed) {
    std::uint32_t hash = seed;
    std::size_t position = 0;
    for (; position + 4 <= bytes.size(); position += 4) {
        std::uint32_t word;
        std::memcpy(&word, bytes.data() + position, 4);  // little-endian, as the definition
        hash = std::rotl(hash ^ murmur_word(word), 13) * 5 + 0xE6546B64u;
    }
    std::uint32_t tail = 0;
    for (std::size_t i = bytes.size(); i > position; --i) {
        tail = (tail << 8) | static_cast<std::uint8_t>(bytes[i - 1]);
    }
    hash ^= murmur_word(tail);
    hash ^= static_cast<std::uint32_t>(bytes.size());
    hash = (hash ^ (hash >> 16)) * 0x85EBCA6Bu;
    hash = (hash ^ (hash >> 13)) * 0xC2B2AE35u;
    return hash ^ (hash >> 16);
}

void check_offsets(const StringColumn& column, std::size_t data_bytes) {
    std::int64_t previous = 0;
    for (std::size_t i = 0; i <= column.size; ++i) {
        const std::int64_t offset = column.offsets[i];
        if (offset < previous || static_cast<std::uint64_t>(offset) > data_bytes) {
            throw std::invalid_argument("offsets[" + std::to_string(i) + "] is " + std::to_string(offset) +
                                        ", expected a number in [" + std::to_string(previous) + ", " +
                                        std::to_string(data_bytes) + "]");
        }
        previous = offset;
    }
}

void hash_strings(const StringColumn& ids, std::uint64_t* hashes) {
    for (std::size_t i = 0; i < ids.size; ++i) {
        hashes[i] = fnv1a_64(string_at(ids, i));
    }
}

void bucket_strings(std::string_view salt, const StringColumn& ids, std::uint32_t* buckets) {
    std::string text;
    for (std::size_t i = 0; i < ids.size; ++i) {
        text.assign(salt).append(1, ':').append(string_at(ids, i));
        buckets[i] = murmur3_x86_32(text, 0);
    }
}

template <typename Id>
void hash_integers(const Id* ids, std::size_t size, std::uint64_t* hashes) {
    char digits[longest_integer];
    for (std::size_t i = 0; i < size; ++i) {
        const char* end = std::to_chars(digits, digits + longest_integer, ids[i]).ptr;
        hashes[i] = fnv1a_64({digits, static_cast<std::size_t>(end - digits)});
    }
}

template <typename Id>
void bucket_integers(std::string_view salt, const Id* ids, std::size_t size, std::uint32_t* buckets) {
    std::string text(salt);
    text.append(1, ':');
    const std::size_t prefix = text.size();
    text.resize(prefix + longest_integer);
    for (std::size_t i = 0; i < size; ++i) {
        const char* end = std::to_chars(text.data() + prefix, text.data() + text.size(), ids[i]).ptr;
        buckets[i] = murmur3_x86_32({text.data(), static_cast<std::size_t>(end - text.data())}, 0);
    }
}

template void hash_integers(const std::int64_t*, std::size_t, std::uint64_t*);
template void hash_integers(const std::uint64_t*, std::size_t, std::uint64_t*);
template void bucket_integers(std::string_view, const std::int64_t*, std::size_t, std::uint32_t*);
template void bucket_integers(std::string_view, const std::uint64_t*, std::size_t, std::uint32_t*);

}  // namespace covey
