#include <algorithm>
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

void test_relabel(const Kernels& kernels, Points points, std::size_t size, Random& random) {
    const auto centroids = random_floats(3 * points.dimensions, random);
    std::vector<std::int32_t> known(size);
    for (auto& label : known) label = static_cast<std::int32_t>(random() % 3);
    std::vector<std::int32_t> truth(size);
    std::vector<float> true_distances(size);
    kernels.nearest(points, size, centroids.data(), 3, truth.data(), true_distances.data());
    for (const bool with_distances : {true, false}) {
        std::vector<std::int32_t> labels(size);
        std::vector<float> distances(size);
        std::vector<std::uint64_t> changed((size + 63) / 64, ~std::uint64_t{0});
        kernels.relabel(points, size, centroids.data(), 3, known.data(), labels.data(),
                        with_distances ? distances.data() : nullptr, changed.data());
        CHECK(labels == truth);
        CHECK(!with_distances || distances == true_distances);
        for (std::size_t i = 0; i < changed.size() * 64; ++i) {
            CHECK((changed[i / 64] >> (i % 64) & 1) == (i < size && labels[i] != known[i]));
        }
    }
}

void test_value_range(const Kernels& kernels, std::size_t size, Random& random) {
    if (size == 0) return;
    auto values = random_floats(size, random);
    for (auto& value : values) value -= 0.4f;
    float low;
    float high;
    CHECK(kernels.value_range(values.data(), size, &low, &high));
    CHECK(low == *std::min_element(values.begin(), values.end()));
    CHECK(high == *std::max_element(values.begin(), values.end()));
    constexpr float infinity = std::numeric_limits<float>::infinity();
    for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
        auto broken = values;
        broken[random() % size] = bad;
        CHECK(!kernels.value_range(broken.data(), size, &low, &high));
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

// Three cells, two of them in the first labelling's row 0; the sums are added to what is there.
void test_distance_sums(const Kernels& kernels, std::size_t dimensions, std::size_t size, Random& random) {
    const auto own = random_floats(dimensions * 16, random);
    const auto others = random_floats(dimensions * size, random);
    const std::vector<std::uint32_t> begin{0, static_cast<std::uint32_t>(size / 3),
                                           static_cast<std::uint32_t>(size / 2), static_cast<std::uint32_t>(size)};
    const std::vector<std::uint32_t> rows{0, 2, 1, 3, 0, 4};
    for (const float scale : {0x1p10f, 0x1p27f}) {
        std::vector<std::int64_t> truth(5 * 16, 7);
        for (std::size_t cell = 0; cell < 3; ++cell) {
            for (std::size_t j = begin[cell]; j < begin[cell + 1]; ++j) {
                for (std::size_t i = 0; i < 16; ++i) {
                    const float squared =
                        squared_distance({own.data(), 16, dimensions}, i, others.data() + j * dimensions);
                    const auto steps = static_cast<std::int32_t>(std::sqrt(squared) * scale);
                    truth[rows[2 * cell] * 16 + i] += steps;
                    truth[rows[2 * cell + 1] * 16 + i] += steps;
                }
            }
        }
        std::vector<std::int64_t> sums(5 * 16, 7);
        kernels.distance_sums(own.data(), others.data(), dimensions, begin.data(), 3, rows.data(), 2, scale,
                              sums.data());
        CHECK(sums == truth);
    }
}

// Labels of settled groups stay, those of the others are the nearest of the named centroids, and no gap is overstated.
void test_nearest_among(const Kernels& kernels, Points points, std::size_t size, Random& random) {
    const auto centroids = random_floats(9 * points.dimensions, random);
    const std::vector<std::int32_t> names = {1, 2, 5, 8};
    const std::size_t groups = (size + points_per_group - 1) / points_per_group;
    std::vector<float> until(groups, 0.5f);
    if (groups > 1) until[1] = 2.0f;
    std::vector<std::int32_t> labels(size, 77);
    const std::uint32_t changed = kernels.nearest_among(points, size, centroids.data(), names.data(), names.size(),
                                                        1.0f, 0.25f, until.data(), labels.data());
    for (std::size_t i = 0; i < size; ++i) {
        const std::size_t group = i / points_per_group;
        CHECK(((changed >> group) & 1u) == (group == 1 ? 0u : 1u));
        if (group == 1) {
            CHECK(labels[i] == 77 && until[group] == 2.0f);
            continue;
        }
        std::int32_t best = names[0];
        float nearest = std::numeric_limits<float>::infinity();
        float second = nearest;
        for (const std::int32_t name : names) {
            const float distance =
                squared_distance(points, i, centroids.data() + static_cast<std::size_t>(name) * points.dimensions);
            if (distance < nearest) {
                second = nearest;
                nearest = distance;
                best = name;
            } else {
                second = std::min(second, distance);
            }
        }
        CHECK(labels[i] == best);
        CHECK(until[group] - 0.75f <= std::sqrt(second) - std::sqrt(nearest) + 1e-6f);
    }
    if (groups == 1) {
        CHECK(kernels.nearest_among(points, size, centroids.data(), names.data(), names.size(), 1.0f, 0.25f,
                                    std::vector<float>(groups, 0.0f).data(), labels.data()) == 0);
    }
}

// No point of the box is nearer to a centroid than its gap says.
void test_box_gaps(const Kernels& kernels, Points points, std::size_t size, Random& random) {
    constexpr std::size_t count = 32;
    const auto columns = random_floats(count * points.dimensions, random);
    std::vector<float> centre(points.dimensions);
    std::vector<float> half_width(points.dimensions);
    float squared_radius = 0.0f;
    for (std::size_t d = 0; d < points.dimensions; ++d) {
        const float* row = points.data + d * points.stride;
        const auto [low, high] = std::minmax_element(row, row + size);
        centre[d] = 0.5f * (*low + *high);
        half_width[d] = (*high - *low) * 0.50001f;
        squared_radius += half_width[d] * half_width[d];
    }
    std::vector<float> gaps(count);
    const Box box{centre.data(), half_width.data(), std::sqrt(squared_radius) * 1.0001f};
    kernels.box_gaps(box, points.dimensions, columns.data(), count, gaps.data());
    auto distance = [&](std::size_t c, auto coordinate) {
        double total = 0.0;
        for (std::size_t d = 0; d < points.dimensions; ++d) {
            const double difference = static_cast<double>(coordinate(d)) - static_cast<double>(columns[d * count + c]);
            total += difference * difference;
        }
        return std::sqrt(total);
    };
    for (std::size_t i = 0; i < size; ++i) {
        const auto of_point = [&](std::size_t d) { return points.data[d * points.stride + i]; };
        double nearest = distance(0, of_point);
        for (std::size_t c = 1; c < count; ++c) nearest = std::min(nearest, distance(c, of_point));
        for (std::size_t c = 0; c < count; ++c) {
            CHECK(!(static_cast<double>(gaps[c]) > distance(c, of_point) - nearest + 2e-5));
        }
    }
}

void test_step_sums(const Kernels& kernels, Points points, std::size_t size, Random& random) {
    std::vector<std::int32_t> labels(size);
    for (auto& label : labels) label = static_cast<std::int32_t>(random() % 3);
    for (const bool all : {true, false}) {
        const std::int32_t* of = all ? nullptr : labels.data();
        std::vector<std::int64_t> truth(points.dimensions, 0);
        std::int64_t count = 0;
        for (std::size_t i = 0; i < size; ++i) {
            if (of != nullptr && of[i] != 1) continue;
            ++count;
            for (std::size_t d = 0; d < points.dimensions; ++d) {
                truth[d] += __builtin_llrint(static_cast<double>(points.data[d * points.stride + i]) * 0x1p32);
            }
        }
        std::vector<std::int64_t> sums(points.dimensions, -1);
        CHECK(kernels.step_sums(points, size, of, 1, sums.data()) == count);
        CHECK(sums == truth);
    }
}

void test_cell_keys(const Kernels& kernels, Points points, std::size_t size) {
    const std::size_t bits = 20 / points.dimensions > 4 ? 4 : 1;
    const std::vector<float> low(points.dimensions, 0.25f);
    std::vector<std::uint32_t> keys(size);
    kernels.cell_keys(points, size, low.data(), 20.0f, bits, keys.data());
    for (std::size_t i = 0; i < size; ++i) {
        std::uint32_t key = 0;
        for (std::size_t d = 0; d < points.dimensions; ++d) {
            const float cell = (points.data[d * points.stride + i] - low[d]) * 20.0f;
            const float last = static_cast<float>((1u << bits) - 1);
            const auto number = static_cast<std::uint32_t>(std::min(std::max(cell, 0.0f), last));
            for (std::size_t bit = 0; bit < bits; ++bit) {
                key |= ((number >> bit) & 1u) << (bit * points.dimensions + d);
            }
        }
        CHECK(keys[i] == key);
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
            test_relabel(kernels, points, size, random);
            test_value_range(kernels, size, random);
            test_shrink(kernels, points, size, random);
            test_nearest_among(kernels, points, size, random);
            test_box_gaps(kernels, points, size, random);
            test_step_sums(kernels, points, size, random);
            if (dimensions < 32) test_cell_keys(kernels, points, size);
            test_distance_sums(kernels, dimensions, size, random);
        }
    }
}

}  // namespace covey::tests
