#include "covey/neighbours.hpp"

#include <algorithm>
#include <limits>

#include "covey/parallel.hpp"
#include "kernels.hpp"

namespace covey {
namespace {

constexpr std::size_t points_per_block = 1024;  // five coordinates of a block stay in the first cache
constexpr std::size_t queries_per_task = 16;    // these share a block while it is there
constexpr std::size_t points_per_part = 16 * points_per_block;
constexpr std::size_t points_per_step = 64 * points_per_part;  // a few milliseconds, so that a cancellation is heard

struct Neighbour {
    float squared_distance;
    std::int32_t index;

    bool operator<(const Neighbour& other) const {
        return squared_distance != other.squared_distance ? squared_distance < other.squared_distance
                                                          : index < other.index;
    }
};

// The nearest so far, the farthest of them on top. Candidates come by ascending index, so that a later one at the same
// distance as the farthest is never nearer.
class Nearest {
public:
    explicit Nearest(std::size_t count) : count_(count) {}

    float limit() const {
        return heap_.size() < count_ ? std::numeric_limits<float>::infinity() : heap_.front().squared_distance;
    }

    void offer(const Neighbour& candidate) {
        if (!(candidate.squared_distance < limit())) {
            return;
        }
        if (heap_.size() == count_) {
            std::pop_heap(heap_.begin(), heap_.end());
            heap_.pop_back();
        }
        heap_.push_back(candidate);
        std::push_heap(heap_.begin(), heap_.end());
    }

    const std::vector<Neighbour>& kept() const { return heap_; }

private:
    std::size_t count_;
    std::vector<Neighbour> heap_;
};

struct Range {
    std::size_t begin;
    std::size_t end;
};

void search(const PointColumns& points, Range part, const float* queries, std::size_t count,
            const std::uint8_t* include, const Kernels& kernels, Nearest* nearest) {
    std::uint32_t found[points_per_block];
    float squared_distance[points_per_block];
    for (std::size_t begin = part.begin; begin < part.end; begin += points_per_block) {
        const std::size_t size = std::min(points_per_block, part.end - begin);
        const Points block{points.data + begin, points.size, points.dimensions};
        for (std::size_t q = 0; q < count; ++q) {
            const std::size_t closer = kernels.closer_than(block, size, queries + q * points.dimensions,
                                                           nearest[q].limit(), found, squared_distance);
            for (std::size_t c = 0; c < closer; ++c) {
                const std::size_t index = begin + found[c];
                if (include == nullptr || include[index] != 0) {
                    nearest[q].offer({squared_distance[c], static_cast<std::int32_t>(index)});
                }
            }
        }
    }
}

}  // namespace

Neighbours nearest_points(const PointColumns& points, const float* queries, std::size_t query_count, std::size_t count,
                          const std::uint8_t* include, std::size_t threads, const Kernels& kernels,
                          const Cancellation* cancellation) {
    const std::size_t kept = std::min(count, points.size);
    Neighbours result{std::vector<std::int32_t>(query_count * count, -1),
                      std::vector<float>(query_count * count, std::numeric_limits<float>::infinity())};
    ThreadTeam team(useful_threads(threads, points.size * query_count, 4 * points_per_part), cancellation);
    const std::size_t groups = (query_count + queries_per_task - 1) / queries_per_task;
    // Threads share the queries where there are enough of them, else the points.
    const std::size_t parts =
        groups >= team.size() ? 1 : std::max<std::size_t>(1, std::min(team.size(), points.size / points_per_part));
    const std::size_t part_size = (points.size + parts - 1) / parts;
    std::vector<Nearest> nearest(query_count * parts, Nearest(kept));
    const std::size_t steps = (part_size + points_per_step - 1) / points_per_step;
    for (std::size_t step = 0; step < steps; ++step) {
        team.run(groups * parts, [&](std::size_t task, std::size_t) {
            const std::size_t first = task / parts * queries_per_task;
            const std::size_t part = task % parts;
            const std::size_t group = std::min(queries_per_task, query_count - first);
            const std::size_t end = std::min((part + 1) * part_size, points.size);
            const std::size_t begin = std::min(part * part_size + step * points_per_step, end);
            // Heaps of one task lie side by side: [part][query].
            search(points, {begin, std::min(begin + points_per_step, end)}, queries + first * points.dimensions, group,
                   include, kernels, nearest.data() + part * query_count + first);
        });
    }
    std::vector<Neighbour> all;
    for (std::size_t q = 0; q < query_count; ++q) {
        all.clear();
        for (std::size_t part = 0; part < parts; ++part) {
            const auto& some = nearest[part * query_count + q].kept();
            all.insert(all.end(), some.begin(), some.end());
        }
        std::sort(all.begin(), all.end());
        for (std::size_t n = 0; n < std::min(kept, all.size()); ++n) {
            result.index[q * count + n] = all[n].index;
            result.squared_distance[q * count + n] = all[n].squared_distance;
        }
    }
    return result;
}

}  // namespace covey
