#include <algorithm>
#include <limits>
#include <utility>

#include "check.hpp"
#include "covey/neighbours.hpp"

namespace covey::tests {
namespace {

float squared_distance(const PointColumns& points, std::size_t i, const float* query) {
    float total = 0.0f;
    for (std::size_t d = 0; d < points.dimensions; ++d) {
        const float difference = points.data[d * points.size + i] - query[d];
        total = d == 0 ? difference * difference : total + difference * difference;
    }
    return total;
}

// Few distinct values: exact ties are common.
std::vector<float> random_floats(std::size_t size, Random& random) {
    std::vector<float> values(size);
    for (auto& value : values) value = static_cast<float>(random() % 9) * 0.1f;
    return values;
}

void test_kernel(const Kernels& kernels, const PointColumns& points, Random& random) {
    const auto query = random_floats(points.dimensions, random);
    for (const float limit : {0.0f, 0.05f, 0.3f, std::numeric_limits<float>::infinity()}) {
        std::vector<std::uint32_t> found(points.size);
        std::vector<float> distances(points.size);
        const std::size_t count = kernels.closer_than({points.data, points.size, points.dimensions}, points.size,
                                                      query.data(), limit, found.data(), distances.data());
        std::size_t expected = 0;
        for (std::size_t i = 0; i < points.size; ++i) {
            const float distance = squared_distance(points, i, query.data());
            if (!(distance < limit)) continue;
            CHECK(expected < count && found[expected] == i && distances[expected] == distance);
            ++expected;
        }
        CHECK(count == expected);
    }
}

void test_search(const Kernels& kernels, const PointColumns& points, Random& random) {
    const std::size_t query_count = 1 + random() % 40;
    const auto queries = random_floats(query_count * points.dimensions, random);
    std::vector<std::uint8_t> include(points.size);
    for (auto& flag : include) flag = random() % 3 != 0;
    for (const bool filtered : {false, true}) {
        for (const std::size_t count : {1, 7, 300}) {
            for (const std::size_t threads : {1, 2, 3}) {
                const Neighbours found = nearest_points(points, queries.data(), query_count, count,
                                                        filtered ? include.data() : nullptr, threads, kernels);
                for (std::size_t q = 0; q < query_count; ++q) {
                    std::vector<std::pair<float, std::int32_t>> all;
                    for (std::size_t i = 0; i < points.size; ++i) {
                        if (filtered && !include[i]) continue;
                        all.emplace_back(squared_distance(points, i, queries.data() + q * points.dimensions),
                                         static_cast<std::int32_t>(i));
                    }
                    std::sort(all.begin(), all.end());
                    for (std::size_t n = 0; n < count; ++n) {
                        const bool there = n < all.size();
                        CHECK(found.index[q * count + n] == (there ? all[n].second : -1));
                        CHECK(found.squared_distance[q * count + n] ==
                              (there ? all[n].first : std::numeric_limits<float>::infinity()));
                    }
                }
            }
        }
    }
}

// A single query over many points: threads share the points.
void test_shared_points(const Kernels& kernels, Random& random) {
    const std::size_t size = 150'000;
    const auto values = random_floats(size * 2, random);
    const PointColumns points{values.data(), 2, size};
    const float query[] = {0.31f, 0.42f};
    const Neighbours alone = nearest_points(points, query, 1, 50, nullptr, 1, kernels);
    for (const std::size_t threads : {2, 3}) {
        const Neighbours shared = nearest_points(points, query, 1, 50, nullptr, threads, kernels);
        CHECK(shared.index == alone.index && shared.squared_distance == alone.squared_distance);
    }
}

}  // namespace

void test_neighbours(const Kernels& kernels) {
    Random random(11);
    for (const std::size_t dimensions : {1, 3, 5, 32}) {
        for (const std::size_t size : {0, 1, 7, 16, 17, 64, 100, 1024, 1025, 2500}) {
            const auto values = random_floats(size * dimensions, random);
            const PointColumns points{values.data(), dimensions, size};
            test_kernel(kernels, points, random);
            if (size <= 1025 && dimensions != 32) test_search(kernels, points, random);
        }
    }
    test_shared_points(kernels, random);
}

}  // namespace covey::tests
