#include <algorithm>
#include <limits>

#include "covey/kmeans.hpp"
#include "covey/math.hpp"
#include "covey/parallel.hpp"
#include "covey/partial_kmeans.hpp"
#include "covey/random.hpp"
#include "kernels.hpp"

namespace covey {
namespace {

constexpr std::size_t points_per_thread = 16384;

struct Racer {
    double score = std::numeric_limits<double>::infinity();
    std::uint64_t id_hash = 0;
    std::size_t point = 0;
    bool found = false;
};

class Race {
public:
    Race(const PointColumns& points, const std::uint64_t* id_hashes, std::uint64_t seed, std::size_t threads,
         const Kernels& kernels, const Cancellation* cancellation)
        : points_(points),
          id_hashes_(id_hashes),
          seed_(seed),
          kernels_(kernels),
          team_(useful_threads(threads, points.size, points_per_thread), cancellation),
          nearest_(points.size, std::numeric_limits<float>::infinity()) {}

    void check_points() { coordinate_ranges(points_, kernels_, team_); }
    Racer winner(std::uint64_t round);
    void add_centroid(const float* centroid);

private:
    // One millisecond of work each: a cancellation is looked at between them.
    std::size_t chunk_count() const { return std::max(team_.size(), points_.size / (8 * points_per_thread)); }
    bool beats(const Racer& one, const Racer& other) const;
    Racer winner_of(std::size_t begin, std::size_t end, std::uint64_t round) const;

    const PointColumns& points_;
    const std::uint64_t* id_hashes_;
    std::uint64_t seed_;
    const Kernels& kernels_;
    ThreadTeam team_;
    std::vector<float> nearest_;  // squared distance to the nearest centroid so far
};

// Equal hashes of different ids: the coordinates decide, so that position never does.
bool Race::beats(const Racer& one, const Racer& other) const {
    if (!other.found || one.score != other.score) {
        return !other.found || one.score < other.score;
    }
    if (one.id_hash != other.id_hash) {
        return one.id_hash < other.id_hash;
    }
    for (std::size_t d = 0; d < points_.dimensions; ++d) {
        const float* row = points_.data + d * points_.size;
        if (row[one.point] != row[other.point]) {
            return row[one.point] < row[other.point];
        }
    }
    return false;
}

Racer Race::winner_of(std::size_t begin, std::size_t end, std::uint64_t round) const {
    // -ln(u) >= 1 - u: most points lose before a logarithm is taken; the factor covers the rounding of either side.
    constexpr double slack = 1.0 - 1e-12;
    const std::uint64_t offset = mix_offset(seed_, round);
    Racer best;
    for (std::size_t i = begin; i < end; ++i) {
        const double weight = round == 0 ? 1.0 : static_cast<double>(nearest_[i]);
        const double u = unit_interval(splitmix_finalise(id_hashes_[i] + offset));
        if ((1.0 - u) * slack > best.score * weight || weight <= 0.0) {
            continue;
        }
        const Racer racer{-natural_log(u) / weight, id_hashes_[i], i, true};
        if (beats(racer, best)) {
            best = racer;
        }
    }
    return best;
}

Racer Race::winner(std::uint64_t round) {
    const std::size_t chunks = chunk_count();
    std::vector<Racer> best(chunks);
    team_.run(chunks, [&](std::size_t chunk, std::size_t) {
        best[chunk] = winner_of(points_.size * chunk / chunks, points_.size * (chunk + 1) / chunks, round);
    });
    Racer winner;
    for (const Racer& racer : best) {
        if (racer.found && beats(racer, winner)) {
            winner = racer;
        }
    }
    return winner;
}

void Race::add_centroid(const float* centroid) {
    const std::size_t chunks = chunk_count();
    team_.run(chunks, [&](std::size_t chunk, std::size_t) {
        const std::size_t begin = points_.size * chunk / chunks;
        const std::size_t end = points_.size * (chunk + 1) / chunks;
        kernels_.shrink({points_.data + begin, points_.size, points_.dimensions}, end - begin, centroid,
                        nearest_.data() + begin);
    });
}

}  // namespace

std::vector<float> seed_centroids(const PointColumns& points, const std::uint64_t* id_hashes, std::size_t k,
                                  std::uint64_t seed, std::size_t threads, const Kernels& kernels,
                                  const Cancellation* cancellation) {
    Race race(points, id_hashes, seed, threads, kernels, cancellation);
    race.check_points();
    std::vector<float> centroids;
    for (std::size_t round = 0; round < k; ++round) {
        const Racer winner = race.winner(round);
        if (!winner.found) {
            break;
        }
        for (std::size_t d = 0; d < points.dimensions; ++d) {
            centroids.push_back(points.data[d * points.size + winner.point]);
        }
        if (round + 1 < k) {
            race.add_centroid(centroids.data() + round * points.dimensions);
        }
    }
    return centroids;
}

struct PartialSeeding::State {
    State(const PointColumns& own, const std::uint64_t* id_hashes, std::uint64_t seed, std::size_t threads,
          const Kernels& kernels)
        : points(own), race(points, id_hashes, seed, threads, kernels, nullptr) {}

    PointColumns points;
    Race race;
};

PartialSeeding::PartialSeeding(const PointColumns& points, const std::uint64_t* id_hashes, std::uint64_t seed,
                               std::size_t threads, const Kernels& kernels)
    : state_(std::make_unique<State>(points, id_hashes, seed, threads, kernels)) {
    state_->race.check_points();
}

PartialSeeding::~PartialSeeding() = default;

std::optional<PartialSeeding::Winner> PartialSeeding::winner(std::uint64_t round) {
    const Racer racer = state_->race.winner(round);
    if (!racer.found) {
        return std::nullopt;
    }
    return Winner{racer.score, racer.id_hash, racer.point};
}

void PartialSeeding::add_centroid(const float* centroid) {
    state_->race.add_centroid(centroid);
}

}  // namespace covey
