#include "point_blocks.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace covey {
namespace {

constexpr std::size_t points_per_bucket = 4096;  // one bucket is sorted in the second-level cache
constexpr std::size_t points_per_chunk = 131072;
constexpr std::size_t points_per_keys = 2048;
constexpr std::size_t most_bucket_bits = 10;
constexpr std::size_t fine_bits = 10;
constexpr std::size_t most_key_bits = 20;
constexpr std::size_t range_sample = 1024;
constexpr std::size_t vector_points = 16;

// The five traits without a loop.
inline void copy_record(const PointColumns& points, std::size_t i, float* record) {
    const float* from = points.data + i;
    if (points.dimensions == 5) {
        record[0] = from[0];
        record[1] = from[points.size];
        record[2] = from[2 * points.size];
        record[3] = from[3 * points.size];
        record[4] = from[4 * points.size];
        return;
    }
    for (std::size_t d = 0; d < points.dimensions; ++d) {
        record[d] = from[d * points.size];
    }
}

std::size_t blocks_of(std::size_t points) {
    return (points + PointBlocks::largest_block - 1) / PointBlocks::largest_block;
}

}  // namespace

// Cells of equal width in every dimension: distances are Euclidean. A few outliers must not push everyone else into one
// cell, so the cells cover the middle 96 % of a sample.
class PointBlocks::Grid {
public:
    Grid(const PointColumns& points, const Kernels& kernels)
        : kernels_(kernels), dimensions_(std::min(points.dimensions, most_key_bits)) {
        bits_ = std::min<std::size_t>(most_key_bits / dimensions_, 10);
        const std::size_t key_bits = bits_ * dimensions_;
        const std::size_t wanted = std::bit_width(points.size / points_per_bucket);
        bucket_bits_ = std::min({wanted, most_bucket_bits, key_bits});
        bucket_shift_ = key_bits - bucket_bits_;
        fine_shift_ = bucket_shift_ > fine_bits ? bucket_shift_ - fine_bits : 0;
        float width = 0.0f;
        for (std::size_t d = 0; d < dimensions_; ++d) {
            width = std::max(width, sample_range(points.data + d * points.size, points.size, low_[d]));
        }
        const float cells = static_cast<float>(std::size_t{1} << bits_) / width;
        scale_ = std::isfinite(cells) ? cells : 0.0f;
    }

    std::size_t bucket_count() const { return std::size_t{1} << bucket_bits_; }
    static std::size_t fine_count() { return std::size_t{1} << fine_bits; }

    void keys(Points points, std::size_t size, std::uint32_t* keys) const {
        kernels_.cell_keys({points.data, points.stride, dimensions_}, size, low_, scale_, bits_, keys);
    }
    std::size_t bucket(std::uint32_t key) const { return key >> bucket_shift_; }
    std::size_t fine(std::uint32_t key) const { return (key >> fine_shift_) & (fine_count() - 1); }

private:
    static float sample_range(const float* row, std::size_t size, float& low) {
        const std::size_t count = std::min(size, range_sample);
        float sample[range_sample];
        for (std::size_t i = 0; i < count; ++i) {
            sample[i] = row[size * i / count];
        }
        if (count == 0) {
            low = 0.0f;
            return 0.0f;
        }
        std::sort(sample, sample + count);
        low = sample[count / 50];
        return sample[count - 1 - count / 50] - low;
    }

    const Kernels& kernels_;
    std::size_t dimensions_;
    std::size_t bits_;
    std::size_t bucket_bits_;
    std::size_t bucket_shift_;
    std::size_t fine_shift_;
    float low_[most_key_bits];
    float scale_;
};

class PointBlocks::Scratch {
public:
    Scratch(std::size_t largest_bucket, std::size_t dimensions)
        : coordinates(std::make_unique_for_overwrite<float[]>(largest_bucket * dimensions)),
          positions(std::make_unique_for_overwrite<std::int32_t[]>(largest_bucket)),
          keys(std::make_unique_for_overwrite<std::uint32_t[]>(largest_bucket)),
          order(std::make_unique_for_overwrite<std::uint32_t[]>(largest_bucket)),
          next(Grid::fine_count() + 1) {}

    std::unique_ptr<float[]> coordinates;
    std::unique_ptr<std::int32_t[]> positions;
    std::unique_ptr<std::uint32_t[]> keys;
    std::unique_ptr<std::uint32_t[]> order;
    std::vector<std::uint32_t> next;
};

PointBlocks::PointBlocks(const PointColumns& points, std::int32_t* labels)
    : dimensions_(points.dimensions), between_points_(1), data_(points.data), labels_(labels) {
    for (std::size_t begin = 0; begin < points.size; begin += largest_block) {
        const std::size_t size = std::min(largest_block, points.size - begin);
        blocks_.push_back({begin, points.size, static_cast<std::uint32_t>(size), 0.0f});
    }
}

PointBlocks::PointBlocks(const PointColumns& points, const std::int32_t* labels, ThreadTeam& team,
                         const Kernels& kernels)
    : dimensions_(points.dimensions),
      between_points_(points.dimensions),
      coordinates_(std::make_unique_for_overwrite<float[]>(points.size * points.dimensions)),
      positions_(std::make_unique_for_overwrite<std::int32_t[]>(points.size)),
      own_labels_(std::make_unique_for_overwrite<std::int32_t[]>(points.size)),
      data_(coordinates_.get()),
      labels_(own_labels_.get()) {
    const Grid grid(points, kernels);
    const std::vector<Bucket> buckets = fill_buckets(points, grid, team);
    std::size_t largest_bucket = 0;
    for (const Bucket& bucket : buckets) {
        largest_bucket = std::max(largest_bucket, bucket.end - bucket.begin);
    }
    const std::size_t blocks = buckets.empty() ? 0 : buckets.back().first_block;
    blocks_.resize(blocks);
    boxes_.resize(2 * blocks * dimensions_);
    std::vector<std::unique_ptr<Scratch>> scratch(team.size());
    team.run(buckets.size(), [&](std::size_t task, std::size_t worker) {
        if (!scratch[worker]) {
            scratch[worker] = std::make_unique<Scratch>(largest_bucket, dimensions_);
        }
        const Bucket& bucket = buckets[task];
        cut(bucket, grid, kernels, *scratch[worker]);
        for (std::size_t i = bucket.begin; i < bucket.end; ++i) {
            own_labels_[i] = labels[positions_[i]];
        }
    });
}

// Brings the points together by bucket, each point's coordinates side by side.
std::vector<PointBlocks::Bucket> PointBlocks::fill_buckets(const PointColumns& points, const Grid& grid,
                                                           ThreadTeam& team) {
    const std::size_t chunks = (points.size + points_per_chunk - 1) / points_per_chunk;
    const std::size_t bucket_count = grid.bucket_count();
    const auto bucket_of = std::make_unique_for_overwrite<std::uint16_t[]>(points.size);
    std::vector<std::size_t> next(chunks * bucket_count, 0);
    team.run(chunks, [&](std::size_t chunk, std::size_t) {
        std::size_t* counts = next.data() + chunk * bucket_count;
        const std::size_t end = std::min((chunk + 1) * points_per_chunk, points.size);
        std::uint32_t keys[points_per_keys];
        for (std::size_t begin = chunk * points_per_chunk; begin < end; begin += points_per_keys) {
            const std::size_t size = std::min(points_per_keys, end - begin);
            grid.keys({points.data + begin, points.size, points.dimensions}, size, keys);
            for (std::size_t i = 0; i < size; ++i) {
                const std::size_t bucket = grid.bucket(keys[i]);
                bucket_of[begin + i] = static_cast<std::uint16_t>(bucket);
                ++counts[bucket];
            }
        }
    });
    std::vector<Bucket> buckets;
    std::size_t begin = 0;
    std::size_t first_block = 0;
    for (std::size_t bucket = 0; bucket < bucket_count; ++bucket) {
        const std::size_t bucket_begin = begin;
        for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
            begin += std::exchange(next[chunk * bucket_count + bucket], begin);
        }
        if (begin > bucket_begin) {
            buckets.push_back({bucket_begin, begin, first_block});
            first_block += blocks_of(begin - bucket_begin);
        }
    }
    team.run(chunks, [&](std::size_t chunk, std::size_t) {
        std::size_t* cursors = next.data() + chunk * bucket_count;
        const std::size_t end = std::min((chunk + 1) * points_per_chunk, points.size);
        for (std::size_t i = chunk * points_per_chunk; i < end; ++i) {
            const std::size_t to = cursors[bucket_of[i]]++;
            positions_[to] = static_cast<std::int32_t>(i);
            copy_record(points, i, coordinates_.get() + to * dimensions_);
        }
    });
    buckets.push_back({begin, begin, first_block});
    return buckets;
}

// Sorts the bucket by the further bits of the key and writes its blocks where its records were.
void PointBlocks::cut(const Bucket& bucket, const Grid& grid, const Kernels& kernels, Scratch& scratch) {
    const std::size_t size = bucket.end - bucket.begin;
    const float* records = coordinates_.get() + bucket.begin * dimensions_;
    for (std::size_t i = 0; i < size; ++i) {
        for (std::size_t d = 0; d < dimensions_; ++d) {
            scratch.coordinates[d * size + i] = records[i * dimensions_ + d];
        }
    }
    std::copy_n(positions_.get() + bucket.begin, size, scratch.positions.get());
    grid.keys({scratch.coordinates.get(), size, dimensions_}, size, scratch.keys.get());
    std::fill(scratch.next.begin(), scratch.next.end(), 0);
    for (std::size_t i = 0; i < size; ++i) {
        ++scratch.next[grid.fine(scratch.keys[i]) + 1];
    }
    for (std::size_t cell = 0; cell < Grid::fine_count(); ++cell) {
        scratch.next[cell + 1] += scratch.next[cell];
    }
    for (std::size_t i = 0; i < size; ++i) {
        scratch.order[scratch.next[grid.fine(scratch.keys[i])]++] = static_cast<std::uint32_t>(i);
    }
    const std::size_t blocks = blocks_of(size);
    // Equal blocks, of whole vectors but for the last.
    const std::size_t vectors = (size + vector_points - 1) / vector_points;
    for (std::size_t block = 0; block < blocks; ++block) {
        const std::size_t begin = vectors * block / blocks * vector_points;
        const std::size_t end = std::min(vectors * (block + 1) / blocks * vector_points, size);
        float* to = coordinates_.get() + (bucket.begin + begin) * dimensions_;
        for (std::size_t d = 0; d < dimensions_; ++d) {
            const float* row = scratch.coordinates.get() + d * size;
            for (std::size_t i = begin; i < end; ++i) {
                *to++ = row[scratch.order[i]];
            }
        }
        for (std::size_t i = begin; i < end; ++i) {
            positions_[bucket.begin + i] = scratch.positions[scratch.order[i]];
        }
        blocks_[bucket.first_block + block] = {bucket.begin + begin, end - begin,
                                               static_cast<std::uint32_t>(end - begin), 0.0f};
        describe(bucket.first_block + block, kernels);
    }
}

void PointBlocks::describe(std::size_t block, const Kernels& kernels) {
    constexpr float up = 1.0f + 0x1p-20f;  // more than what float32 rounded away
    const Points own = points(block);
    float* centre = boxes_.data() + 2 * block * dimensions_;
    float* half_width = centre + dimensions_;
    double squared_radius = 0.0;
    for (std::size_t d = 0; d < dimensions_; ++d) {
        float low;
        float high;
        kernels.value_range(own.data + d * own.stride, own.stride, &low, &high);
        centre[d] = low * 0.5f + high * 0.5f;
        half_width[d] = std::max(high - centre[d], centre[d] - low) * up;
        squared_radius += static_cast<double>(half_width[d]) * static_cast<double>(half_width[d]);
    }
    blocks_[block].radius = static_cast<float>(std::sqrt(squared_radius)) * up;
}

}  // namespace covey
