#include <cmath>
#include <limits>

#include "check.hpp"

namespace covey::tests {
namespace {

float squared_distance(Points points, std::size_t i, const float* centroid) {
    float total = 0.0f;
    for (std::size_t d = 0; d < points.dimensions; ++d) {
        const float difference = points.data[d * points.stride + i] - centroid[d];
        total = d == 0 ? difference * difference : total + difference * difference;
    }
    return total;
}

std::vector<float> random_floats(std::size_t size, Random& random) {
    std::vector<float> values(size);
    // Few distinct values: exact ties are common.
    for (auto& value : values) value = static_cast<float>(random() % 9) * 0.1f;
    return values;
}

void test_nearest(const Kernels& kernels, Points points, std::size_t size, Random& random) {
    for (const std::size_t count : {1, 2, 5, 16}) {
        const auto centroids = random_floats(count * points.dimensions, random);
        std::vector<std::int32_t> labels(size);
        std::vector<float> distances(size);
        kernels.nearest(points, size, centroids.data(), count, labels.data(), distances.data());
        std::vector<std::int32_t> labels_only(size);
        kernels.nearest(points, size, centroids.data(), count, labels_only.data(), nullptr);
        CHECK(labels == labels_only);
        for (std::size_t i = 0; i < size; ++i) {
            std::int32_t best = 0;
            for (std::size_t c = 1; c < count; ++c) {
                const float* centroid = centroids.data() + c * points.dimensions;
                const float* known = centroids.data() + static_cast<std::size_t>(best) * points.dimensions;
                if (squared_distance(points, i, centroid) < squared_distance(points, i, known)) {
                    best = static_cast<std::int32_t>(c);
                }
            }
            CHECK(labels[i] == best);
            CHECK(distances[i] ==
                  squared_distance(points, i, centroids.data() + static_cast<std::size_t>(best) * points.dimensions));
        }
    }
}

void test_shrink(const Kernels& kernels, Points points, std::size_t size, Random& random) {
    std::vector<float> nearest(size, std::numeric_limits<float>::infinity());
    std::vector<float> truth = nearest;
    for (int round = 0; round < 3; ++round) {
        const auto centroid = random_floats(points.dimensions, random);
        kernels.shrink(points, size, centroid.data(), nearest.data());
        for (std::size_t i = 0; i < size; ++i) {
            truth[i] = std::min(truth[i], squared_distance(points, i, centroid.data()));
        }
        CHECK(nearest == truth);
    }
}

void test_distance_sum(const Kernels& kernels, Points points, std::size_t size, Random& random) {
    const auto point = random_floats(points.dimensions, random);
    for (const float scale : {0x1p10f, 0x1p27f}) {
        std::int64_t truth = 0;
        for (std::size_t i = 0; i < size; ++i) {
            truth += static_cast<std::int32_t>(std::sqrt(squared_distance(points, i, point.data())) * scale);
        }
        CHECK(kernels.distance_sum(points, size, point.data(), scale) == truth);
    }
}

}  // namespace

void test_cohorts(const Kernels& kernels) {
    Random random(2);
    for (const std::size_t size : sizes) {
        for (const std::size_t dimensions : {1, 2, 5, 7, 32}) {
            // Not padded for k-means: the columns end with the caller's array.
            const auto data = random_floats(dimensions * size, random);
            const Points points{data.data(), size, dimensions};
            test_nearest(kernels, points, size, random);
            test_shrink(kernels, points, size, random);
            const auto padded = random_floats(dimensions * (size + padding), random);
            test_distance_sum(kernels, {padded.data(), size + padding, dimensions}, size, random);
        }
    }
}

}  // namespace covey::tests
