#pragma once
// Random choices as functions of (seed, round, id hash), never of position or of a generator's state.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace covey {

constexpr std::uint64_t silhouette_round = 65535;

// Finaliser of splitmix64 (Steele, Lea, Flood 2014).
constexpr std::uint64_t splitmix_finalise(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

// What to add to an id hash before it is finalised: one stream per (seed, round), round < 65536.
constexpr std::uint64_t mix_offset(std::uint64_t seed, std::uint64_t round) {
    return 0x9E3779B97F4A7C15ull * (seed * 65536 + round + 1);
}

constexpr std::uint64_t mix(std::uint64_t seed, std::uint64_t round, std::uint64_t id_hash) {
    return splitmix_finalise(id_hash + mix_offset(seed, round));
}

// A number in (0, 1] from 53 bits of `mixed`.
constexpr double unit_interval(std::uint64_t mixed) {
    return (static_cast<double>(mixed >> 11) + 0.5) * 0x1p-53;
}

// Positions of the min(count, size) smallest mix(seed, 65535, hash), ascending by it, ties by hash. O(size).
std::vector<std::int64_t> smallest_hashes(const std::uint64_t* id_hashes, std::size_t size, std::uint64_t seed,
                                          std::size_t count);

}  // namespace covey
