// The memory limit that column claims are held against: the sum of a column's bytes as 64-bit words, which is as little
// as can be done with what was read.
#include <cstddef>
#include <cstdint>

extern "C" uint64_t covey_read_column(const uint8_t* bytes, size_t byte_count) {
    constexpr size_t lane_count = 64;
    // Independent sums: additions never wait for each other.
    uint64_t sums[lane_count] = {};
    const size_t word_count = byte_count / sizeof(uint64_t);
    const auto* words = reinterpret_cast<const uint64_t*>(bytes);
    size_t word = 0;
    for (; word + lane_count <= word_count; word += lane_count) {
        for (size_t lane = 0; lane < lane_count; ++lane) sums[lane] += words[word + lane];
    }
    uint64_t total = 0;
    for (; word < word_count; ++word) total += words[word];
    for (const uint64_t sum : sums) total += sum;
    for (size_t byte = word_count * sizeof(uint64_t); byte < byte_count; ++byte) total += bytes[byte];
    return total;
}
