#include <algorithm>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "covey/random.hpp"

namespace covey::tests {
namespace {

std::vector<double> random_values(std::size_t size, Random& random) {
    std::vector<double> values(size);
    for (auto& value : values) value = static_cast<double>(static_cast<std::int64_t>(random())) * 0x1p-63;
    return values;
}

void test_bounds(const Kernels& kernels, std::size_t size, Random& random) {
    auto values = random_values(size, random);
    for (auto& value : values) value = std::ldexp(value, static_cast<int>(random() % 200) - 100);
    const std::vector<float> floats(values.begin(), values.end());
    int truth = -1022;
    int float_truth = -126;
    for (std::size_t i = 0; i < size; ++i) {
        truth = std::max(truth, std::ilogb(values[i]) + 1);
        float_truth = std::max(float_truth, std::ilogb(floats[i]) + 1);
    }
    CHECK(kernels.bound_of_doubles(values.data(), size) == truth);
    CHECK(kernels.bound_of_floats(floats.data(), size) == float_truth);
    const std::vector<double> zeros(size, -0.0);
    CHECK(kernels.bound_of_doubles(zeros.data(), size) == -1022);
    for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
        const std::size_t where = random() % size;
        auto broken = values;
        broken[where] = bad;
        CHECK(kernels.bound_of_doubles(broken.data(), size) == not_finite);
        auto broken_floats = floats;
        broken_floats[where] = static_cast<float>(bad);
        CHECK(kernels.bound_of_floats(broken_floats.data(), size) == not_finite);
    }
}

void test_products_of_five(const Kernels& kernels, std::size_t size, std::size_t columns, Random& random) {
    size = std::min(size, rows_of_products);
    std::vector<std::vector<double>> values;
    std::vector<ScaledColumn> scaled;
    for (std::size_t c = 0; c < columns; ++c) values.push_back(random_values(size, random));
    for (const auto& column : values) scaled.push_back({column.data(), 0, 1.0});
    std::vector<std::uint8_t> codes(size);
    for (auto& code : codes) code = random() % 3;
    std::vector<std::uint64_t> table(3 * slots_of_products);
    kernels.add_products_of_five(scaled.data(), columns, 0, size, codes.data(), table.data());
    for (std::size_t group = 0; group < 3; ++group) {
        const std::uint64_t* slots = table.data() + group * slots_of_products;
        const std::uint64_t rows = slots[slot_of_count] & 0xFFFFFFFFFFFFull;
        CHECK(rows == static_cast<std::uint64_t>(std::count(codes.begin(), codes.end(), group)));
        const auto sum_of = [&](std::size_t first, std::size_t second) {
            std::int64_t total = 0;
            for (std::size_t i = 0; i < size && first < columns; ++i) {
                const double other = second == 5 ? 1.0 : second < columns ? values[second][i] : 0.0;
                if (codes[i] == group) total += std::llrint(values[first][i] * other * 0x1p51);
            }
            return static_cast<std::uint64_t>(total) + rows * biased_bits;
        };
        for (std::size_t c = 0; c < 5; ++c) {
            CHECK(slots[c] == sum_of(c, 5));
            for (std::size_t move = 0; move < 3; ++move) CHECK(slots[8 + 8 * move + c] == sum_of(c, (c + move) % 5));
        }
    }
}

void test_term_rows(const Kernels& kernels, std::size_t size, Random& random) {
    // Exactly as long as said: nothing may be read behind the last row.
    const auto doubles = random_values(size + 3, random);
    const auto halves = random_values(size, random);
    std::vector<float> floats(halves.begin(), halves.end());
    floats.insert(floats.begin(), 3, 0.0f);
    const ScaledColumn columns[] = {{doubles.data(), 0, 1.0}, {floats.data(), 1, 0.25}};
    const Term terms[] = {{0, 2}, {1, 2}, {0, 0}, {0, 1}, {1, 1}, {2, 2}, {1, 0}, {2, 2}};
    std::vector<std::int64_t> rows(size * 8);
    kernels.term_rows(columns, 2, terms, 8, 3, size, rows.data());
    std::vector<std::int64_t> truth(size * 8);
    for (std::size_t i = 0; i < size; ++i) {
        const double values[] = {doubles[i + 3], static_cast<double>(floats[i + 3]) * 0.25, 1.0};
        for (std::size_t t = 0; t < 8; ++t) {
            truth[i * 8 + t] = std::llrint(values[terms[t].first] * values[terms[t].second] * 0x1p51);
        }
    }
    CHECK(rows == truth);
}

void test_add_rows(const Kernels& kernels, std::size_t size, std::size_t stride, Random& random) {
    std::vector<std::int64_t> rows(size * stride);
    std::vector<std::uint8_t> codes(size);
    for (auto& value : rows) value = static_cast<std::int64_t>(random() >> 12);
    for (auto& code : codes) code = random() % 5;
    std::vector<std::int64_t> table(5 * stride, 7);
    auto truth = table;
    kernels.add_rows(rows.data(), stride, codes.data(), size, table.data());
    for (std::size_t i = 0; i < size; ++i) {
        for (std::size_t t = 0; t < stride; ++t) truth[codes[i] * stride + t] += rows[i * stride + t];
    }
    CHECK(table == truth);
    std::vector<std::int64_t> high(table.size(), 1);
    std::vector<std::int64_t> low(table.size(), 2);
    table[0] = -3;
    truth[0] = -3;
    kernels.drain(table.data(), table.size(), high.data(), low.data());
    for (std::size_t i = 0; i < table.size(); ++i) {
        CHECK(table[i] == 0 && low[i] >= 2 && low[i] < 2 + (1 << drained_bits));
        CHECK((high[i] - 1) * (1 << drained_bits) + low[i] - 2 == truth[i]);
    }
}

void test_resample(const Kernels& kernels, std::size_t stride, Random& random) {
    std::vector<std::int64_t> rows(resampling_rows * stride);
    for (auto& value : rows) value = static_cast<std::int64_t>(random() >> 13) - (std::int64_t{1} << 50);
    std::vector<std::int64_t> subsets(16 * 16 * stride);
    kernels.subset_sums(rows.data(), stride, subsets.data());
    std::uint64_t hashes[resampling_rows];
    for (auto& hash : hashes) hash = random();
    const std::uint64_t offsets[] = {mix_offset(1, 2), mix_offset(3, 4), mix_offset(5, 6)};
    const std::uint64_t present = random() | random();
    for (const auto& limits : std::vector<std::vector<std::uint32_t>>{
             {}, {0}, {0x7FFFFFFF}, {0x80000000}, {0xFFFFFFFF}, {2714937126, 1134906957, 344891873, 5}}) {
        std::vector<std::int64_t> sums(6 * stride, 5);
        std::vector<std::int64_t> counts(6, 9);
        auto true_sums = sums;
        auto true_counts = counts;
        kernels.resample(hashes, present, subsets.data(), stride, offsets, 3, limits.data(), limits.size(), sums.data(),
                         counts.data());
        for (std::size_t bit = 0; bit < resampling_rows; ++bit) {
            const std::size_t row = resampling_row_of_bit(bit);
            for (std::size_t replicate = 0; replicate < 6 && (present >> bit & 1) != 0; ++replicate) {
                const std::uint64_t mixed = splitmix_finalise(hashes[row] + offsets[replicate / 2]);
                const auto bucket = static_cast<std::uint32_t>(replicate % 2 == 0 ? mixed : mixed >> 32);
                for (const std::uint32_t limit : limits) {
                    if (bucket > limit) continue;
                    ++true_counts[replicate];
                    for (std::size_t t = 0; t < stride; ++t) {
                        true_sums[replicate * stride + t] += rows[row * stride + t];
                    }
                }
            }
        }
        CHECK(sums == true_sums);
        CHECK(counts == true_counts);
    }
}

void test_log_buckets(const Kernels& kernels, std::size_t size, Random& random) {
    auto values = random_values(size + padding, random);
    for (auto& value : values) value = std::ldexp(value, static_cast<int>(random() % 2000) - 1000);
    values[0] = 0.0;
    std::vector<std::int64_t> buckets(size + padding);
    const double per_doubling = 1.0 / std::log2(1.05);
    kernels.log_buckets(values.data(), size, per_doubling, buckets.data());
    for (std::size_t i = 0; i < size; ++i) {
        const double position = std::log2(std::max(std::fabs(values[i]), 0x1p-1022)) * per_doubling;
        CHECK(static_cast<double>(buckets[i]) > position - 1e-8 &&
              static_cast<double>(buckets[i]) < position + 1 + 1e-8);
    }
    std::vector<double> powers(padding + 2);
    powers[0] = 1.0;
    powers[1] = 8.0;
    kernels.log_buckets(powers.data(), 2, 1.0, buckets.data());
    CHECK(buckets[0] == 0 && buckets[1] == 3);
}

}  // namespace

void test_moments(const Kernels& kernels) {
    Random random(3);
    for (const std::size_t size : sizes) {
        test_bounds(kernels, size, random);
        for (std::size_t columns = 1; columns <= 5; ++columns) test_products_of_five(kernels, size, columns, random);
        test_term_rows(kernels, size, random);
        test_log_buckets(kernels, size, random);
        for (std::size_t stride = 8; stride <= most_terms; stride += 8) test_add_rows(kernels, size, stride, random);
    }
    for (std::size_t stride = 8; stride <= most_terms; stride += 8) test_resample(kernels, stride, random);
}

}  // namespace covey::tests
