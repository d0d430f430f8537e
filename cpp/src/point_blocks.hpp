#pragma once
// Points brought into blocks of neighbours, so that k-means can decide about a block at once. Which points share a
// block changes how fast an answer comes, never the answer.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "covey/kmeans.hpp"
#include "covey/parallel.hpp"
#include "kernels.hpp"

namespace covey {

class PointBlocks {
public:
    static constexpr std::size_t largest_block =
        256;  // labels and coordinates of a block stay in the first-level cache

    // Blocks of the caller's columns as they are, labelled in `labels`: no boxes.
    PointBlocks(const PointColumns& points, std::int32_t* labels);

    // Sorts the points along a Morton curve, in buckets by its leading bits first, and cuts every bucket into blocks.
    // O(size); 4 * (dimensions + 2) bytes per point beside what the caller has. Takes over the points' labels.
    PointBlocks(const PointColumns& points, const std::int32_t* labels, ThreadTeam& team, const Kernels& kernels);

    bool are_neighbours() const { return positions_ != nullptr; }

    std::size_t count() const { return blocks_.size(); }
    std::size_t size(std::size_t block) const { return blocks_[block].size; }
    Points points(std::size_t block) const {
        return {data_ + blocks_[block].begin * between_points_, blocks_[block].stride, dimensions_};
    }
    // Positions of the block's points in the caller's columns.
    const std::int32_t* positions(std::size_t block) const { return positions_.get() + blocks_[block].begin; }
    std::int32_t* labels(std::size_t block) { return labels_ + blocks_[block].begin; }
    Box box(std::size_t block) const {
        const float* corner = boxes_.data() + 2 * block * dimensions_;
        return {corner, corner + dimensions_, blocks_[block].radius};
    }

private:
    struct Block {
        std::size_t begin;
        std::size_t stride;
        std::uint32_t size;
        float radius;
    };
    struct Bucket {
        std::size_t begin;
        std::size_t end;
        std::size_t first_block;
    };
    class Grid;
    class Scratch;

    std::vector<Bucket> fill_buckets(const PointColumns& points, const Grid& grid, ThreadTeam& team);
    void cut(const Bucket& bucket, const Grid& grid, const Kernels& kernels, Scratch& scratch);
    void describe(std::size_t block, const Kernels& kernels);

    std::size_t dimensions_;
    std::size_t between_points_;            // floats from one block's beginning to the next, per point
    std::unique_ptr<float[]> coordinates_;  // block after block, each columnar
    std::unique_ptr<std::int32_t[]> positions_;
    std::unique_ptr<std::int32_t[]> own_labels_;
    const float* data_;
    std::int32_t* labels_;
    std::vector<Block> blocks_;
    std::vector<float> boxes_;  // per block the centre, then the half width
};

}  // namespace covey
