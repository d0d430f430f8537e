#pragma once
// Lloyd's iterations over blocks of points. While many labels change every point meets every centroid. Then the points
// are brought together with their neighbours where there are many centroids, and a block is left alone while no
// centroid has moved far enough to change a label in it; otherwise the centroids that cannot be the nearest anywhere in
// its bounding box are set aside first. Both shortcuts hold for the float32 distances that define the labels, rounding
// included: `slack_of` says why. The result is that of the plain algorithm.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/kmeans.hpp"
#include "covey/parallel.hpp"
#include "kernels.hpp"
#include "point_blocks.hpp"

namespace covey {

// Sums and sizes of clusters in steps of 2^-32, exact in int64 whatever the order.
struct ClusterSums {
    ClusterSums(std::size_t k, std::size_t dimensions) : coordinates(k * dimensions, 0), sizes(k, 0) {}

    void add(const ClusterSums& other);

    std::vector<std::int64_t> coordinates;
    std::vector<std::int64_t> sizes;
    std::size_t changed = 0;         // points that went from one cluster to another
    std::int64_t squared_steps = 0;  // the inertia, where it was asked for
};

struct Extent {
    double largest;   // no coordinate of a point or centroid is larger, whatever its sign
    double diameter;  // no distance between two of them is larger
};

class Lloyd {
public:
    // `labels` has room for every point. All references must outlive this.
    Lloyd(const PointColumns& points, const std::vector<float>& centroids, Extent extent, int max_iterations,
          ThreadTeam& team, const Kernels& kernels, std::int32_t* labels);

    KMeans run();

    // The iterations one at a time, for points that are a part of all points: whoever adds the sums of the parts says
    // what the centroids are. Which labels follow from them is the same as in `run`.
    void begin() { assign(&Lloyd::assign_first); }
    void step(const std::vector<float>& centroids, bool is_last = false);
    const ClusterSums& sums() const { return total_; }  // `squared_steps` is not among them
    // The labels in the caller's order, and the inertia in steps of 2^-32; no step may follow.
    std::int64_t finish();

private:
    static constexpr std::int32_t mixed = -1;  // labels are in the block's own row
    static constexpr std::size_t most_kept = 16;

    // What is known about a block. `moved_` counts by how much any two centroids have moved together, `moved` the same
    // for the block's contenders: the centroids that can be the nearest to one of its points.
    struct State {
        double others_until = -1.0;  // nobody else becomes a contender while moved_ is below
        double moved = 0.0;
        float least_until = -1.0f;
        std::int32_t label = mixed;
        std::uint32_t count = 0;  // of the contenders that are kept, ascending; 0: unknown
        std::int32_t contenders[most_kept];
        float
            until[PointBlocks::largest_block / points_per_group];  // no label of the group changes while moved is below
    };
    struct Scratch {
        Scratch(std::size_t padded_k, std::size_t dimensions)
            : gaps(padded_k), names(padded_k), centroids(padded_k * dimensions) {}

        std::vector<float> gaps;
        std::vector<std::int32_t> names;  // of the contenders, ascending
        std::size_t count = 0;
        std::vector<float> centroids;
        alignas(64) std::int32_t labels[PointBlocks::largest_block];
        alignas(64) float distances[PointBlocks::largest_block];
        std::uint64_t changed[PointBlocks::largest_block / 64];
    };

    std::size_t task_count() const;
    void assign(void (Lloyd::*assign_one)(std::size_t block, Scratch& scratch, ClusterSums& sums));
    void assign_first(std::size_t block, Scratch& scratch, ClusterSums& sums);
    void assign_all(std::size_t block, Scratch& scratch, ClusterSums& sums);
    void assign_last(std::size_t block, Scratch& scratch, ClusterSums& sums);
    void assign_only(std::size_t block, Scratch& scratch, ClusterSums& sums);
    template <typename Move>
    void for_changed(std::size_t block, const Scratch& scratch, Move move);
    void assign_block(std::size_t block, Scratch& scratch, ClusterSums& sums);
    void find_contenders(std::size_t block, Scratch& scratch);
    void everyone(State& state, Scratch& scratch) const;
    void settle(std::size_t block, Scratch& scratch, ClusterSums& sums);
    double gaps(std::size_t block, Scratch& scratch) const;
    double drift(const std::int32_t* names, std::size_t count) const;
    void move_block(std::size_t block, std::int32_t label, ClusterSums& sums);
    std::int64_t distance_steps(const Scratch& scratch, std::size_t size) const;
    void move_points(std::size_t block, std::uint32_t groups, const Scratch& scratch, ClusterSums& sums);
    void move_point(std::size_t block, std::size_t point, std::int32_t from, std::int32_t to, ClusterSums& sums);
    void move_to(const std::vector<float>& centroids);
    void lay_out_centroids();

    const PointColumns& points_;
    const Kernels& kernels_;
    int max_iterations_;
    std::int32_t* labels_;
    std::size_t dimensions_;
    std::size_t k_;
    std::size_t padded_k_;
    float largest_;  // bound of every coordinate
    double diameter_;
    double slack_;
    ThreadTeam& team_;
    PointBlocks blocks_;
    std::vector<State> states_;
    ClusterSums total_;
    std::vector<float> centroids_;         // row-major
    std::vector<float> centroid_columns_;  // dimensions x padded_k, what is behind k is far away
    std::vector<double> drift_;            // by how much each centroid moved in the last update, rounded up
    double moved_ = 0.0;
    int iterations_ = 0;
    bool settled_ = false;           // few labels change: blocks know their contenders
    bool inertia_is_known_ = false;  // total_.squared_steps is that of the last labels
};

// The mean of each cluster, a mean in double rounded to float once; an empty one keeps its centroid.
std::vector<float> means_of(const ClusterSums& sums, const std::vector<float>& centroids, std::size_t dimensions);

}  // namespace covey
