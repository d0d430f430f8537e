#include "covey/random.hpp"

#include <algorithm>
#include <tuple>

namespace covey {
namespace {

struct Draw {
    std::uint64_t mixed;
    std::uint64_t id_hash;
    std::int64_t position;
    bool operator<(const Draw& other) const {
        return std::tie(mixed, id_hash, position) < std::tie(other.mixed, other.id_hash, other.position);
    }
};

}  // namespace

// Keeps at most twice `count` candidates and the bound that new ones must beat.
std::vector<std::int64_t> smallest_hashes(const std::uint64_t* id_hashes, std::size_t size, std::uint64_t seed,
                                          std::size_t count) {
    count = std::min(count, size);
    if (count == 0) {
        return {};
    }
    const std::uint64_t offset = mix_offset(seed, silhouette_round);
    const std::size_t room = std::min(size, 2 * count);
    std::vector<Draw> draws;
    draws.reserve(room);
    std::uint64_t bound = ~std::uint64_t{0};
    for (std::size_t i = 0; i < size; ++i) {
        const std::uint64_t mixed = splitmix_finalise(id_hashes[i] + offset);
        if (mixed > bound) {
            continue;
        }
        draws.push_back({mixed, id_hashes[i], static_cast<std::int64_t>(i)});
        if (draws.size() == room && room > count) {
            std::nth_element(draws.begin(), draws.begin() + static_cast<std::ptrdiff_t>(count) - 1, draws.end());
            draws.resize(count);
            bound = draws.back().mixed;
        }
    }
    std::sort(draws.begin(), draws.end());
    draws.resize(count);
    std::vector<std::int64_t> positions(count);
    std::transform(draws.begin(), draws.end(), positions.begin(), [](const Draw& draw) { return draw.position; });
    return positions;
}

}  // namespace covey
