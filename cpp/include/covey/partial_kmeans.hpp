#pragma once
// k-means over points that are kept in parts: each part answers with sums that add, and whoever adds them decides. The
// sums are int64 in steps of 2^-32, so neither the number of parts nor the order of adding changes a bit. `kmeans` and
// `seed_centroids` are the same arithmetic with one part.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "covey/kmeans.hpp"

namespace covey {

// One part's share of Lloyd's iterations. Not for several threads at once.
class PartialKMeans {
public:
    // The labels for `centroids` (row-major). `ranges`: one per dimension; every point and centroid of every part lies
    // within. `labels` has room for every point; it and the points must outlive this. `max_iterations`: how many steps
    // may follow. Throws std::invalid_argument for a point outside of the ranges.
    PartialKMeans(const PointColumns& points, const std::vector<float>& centroids,
                  const std::vector<ValueRange>& ranges, int max_iterations, std::size_t threads,
                  const Kernels& kernels, std::int32_t* labels);
    ~PartialKMeans();
    PartialKMeans(const PartialKMeans&) = delete;
    PartialKMeans& operator=(const PartialKMeans&) = delete;

    // The labels for other centroids, as many as before.
    void step(const std::vector<float>& centroids);

    std::size_t k() const;
    const std::vector<std::int64_t>& coordinates() const;  // sums per cluster, row-major, in steps of 2^-32
    const std::vector<std::int64_t>& sizes() const;
    std::size_t changed() const;  // labels that the last step changed; all of them at first

    // Puts the labels in place; returns the sum of rint(2^32 * squared distance). No step may follow.
    std::int64_t finish();

private:
    struct State;
    std::unique_ptr<State> state_;
};

// One part's share of the race for the centroids that k-means begins with.
class PartialSeeding {
public:
    struct Winner {
        double score;  // the smallest of all parts' wins; ties go to the smaller id hash, then to the coordinates
        std::uint64_t id_hash;
        std::size_t point;
    };

    // Points and hashes must outlive this. The points are checked.
    PartialSeeding(const PointColumns& points, const std::uint64_t* id_hashes, std::uint64_t seed, std::size_t threads,
                   const Kernels& kernels);
    ~PartialSeeding();
    PartialSeeding(const PartialSeeding&) = delete;
    PartialSeeding& operator=(const PartialSeeding&) = delete;

    // This part's best in a round that follows `round` centroids; nothing where no point is left that differs from all.
    std::optional<Winner> winner(std::uint64_t round);
    void add_centroid(const float* centroid);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace covey
