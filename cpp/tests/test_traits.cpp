#include <algorithm>
#include <cmath>

#include "check.hpp"

namespace covey::tests {
namespace {

constexpr std::int64_t day_us = 86'400'000'000;
constexpr std::int64_t limit = std::int64_t{1} << 62;

std::int64_t floor_days(std::int64_t value) {
    return value / day_us - (value % day_us < 0);
}

struct Columns {
    std::vector<std::uint64_t> age_us;
    std::vector<std::uint32_t> day_age;
    std::vector<double> weight;
};

// Garbage behind the end: kernels may read it but must not count it.
Columns random_columns(std::size_t size, Random& random) {
    Columns columns{std::vector<std::uint64_t>(size + padding, 1), std::vector<std::uint32_t>(size + padding, 3),
                    std::vector<double>(size + padding, 1e308)};
    for (std::size_t i = 0; i < size; ++i) {
        columns.age_us[i] = 5 + random() % (90 * day_us);
        columns.day_age[i] = static_cast<std::uint32_t>(columns.age_us[i] / day_us);
        columns.weight[i] = random() % 4 == 0 ? 0.0
                                              : std::ldexp(1.0 + static_cast<double>(random() % 1000),
                                                           static_cast<int>(random() % 40) - 20);
    }
    return columns;
}

void test_ages(const Kernels& kernels, std::size_t size, Random& random) {
    const std::int64_t as_of = 19'800 * day_us + 77;
    const std::uint64_t rest = static_cast<std::uint64_t>(day_us - 1 - 77);
    std::vector<std::int64_t> time(size);  // not padded: a kernel that read behind it would be found by a sanitizer
    std::vector<std::uint64_t> age(size + padding);
    std::vector<std::uint32_t> day(size + padding);
    for (int round = 0; round < 20; ++round) {
        for (auto& value : time) {
            const auto back = static_cast<std::int64_t>(random() >> (2 + random() % 60));
            value = round % 2 == 0 ? floor_days(as_of - back) * day_us : as_of - back;
            value = std::max(value, -limit);
        }
        CHECK(kernels.ages(time.data(), size, as_of, rest, age.data(), day.data()) == 0);
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(age[i] == static_cast<std::uint64_t>(as_of - time[i]));
            CHECK(day[i] == static_cast<std::uint64_t>(floor_days(as_of) - floor_days(time[i])));
        }
    }
    for (std::size_t i = 0; i < size; ++i) {
        const std::int64_t kept = time[i];
        time[i] = as_of + 1;
        CHECK(kernels.ages(time.data(), size, as_of, rest, age.data(), day.data()) == some_later);
        time[i] = -limit - 1;
        CHECK(kernels.ages(time.data(), size, as_of, rest, age.data(), day.data()) & some_out_of_range);
        time[i] = limit;
        CHECK(kernels.ages(time.data(), size, as_of, rest, age.data(), day.data()) & some_out_of_range);
        time[i] = kept;
    }
}

void test_ranges(const Kernels& kernels, const Columns& columns, std::size_t size) {
    AgeRange truth{0, UINT64_MAX, UINT64_MAX};
    double largest = 0.0;
    double largest_recent = 0.0;
    for (std::size_t i = 0; i < size; ++i) {
        truth.oldest_us = std::max(truth.oldest_us, columns.age_us[i]);
        truth.newest_us = std::min(truth.newest_us, columns.age_us[i]);
        if (columns.weight[i] > 0.0) truth.newest_positive_us = std::min(truth.newest_positive_us, columns.age_us[i]);
        largest = std::max(largest, columns.weight[i]);
        if (columns.day_age[i] < 28) largest_recent = std::max(largest_recent, columns.weight[i]);
    }
    const AgeRange weighted = kernels.age_range(columns.age_us.data(), columns.weight.data(), size);
    CHECK(weighted.oldest_us == truth.oldest_us && weighted.newest_us == truth.newest_us);
    CHECK(weighted.newest_positive_us == truth.newest_positive_us);
    const AgeRange plain = kernels.age_range(columns.age_us.data(), nullptr, size);
    CHECK(plain.oldest_us == truth.oldest_us && plain.newest_positive_us == truth.newest_us);
    CHECK(kernels.largest_weight(columns.weight.data(), columns.day_age.data(), UINT32_MAX, size) == largest);
    CHECK(kernels.largest_weight(columns.weight.data(), columns.day_age.data(), 28, size) == largest_recent);
}

void test_sums(const Kernels& kernels, const Columns& columns, std::size_t size) {
    std::vector<std::int64_t> steps(size + padding);
    for (const double factor : {0x1p10, 0x1p-12}) {
        std::int64_t total = 0;
        std::int64_t recent[2] = {0, 0};
        const std::int64_t found = kernels.quantise(columns.weight.data(), size, factor, 0x1p3, steps.data());
        for (std::size_t i = 0; i < size; ++i) {
            const auto rounded = static_cast<std::int64_t>(std::nearbyint(columns.weight[i] * factor * 0x1p3));
            const std::int64_t truth = rounded == 0 && columns.weight[i] > 0.0 ? 1 : rounded;
            CHECK(steps[i] == truth);
            total += truth;
            if (columns.day_age[i] < 28) recent[columns.day_age[i] < 14 ? 0 : 1] += rounded;
        }
        CHECK(found == total);
        std::int64_t sums[2];
        kernels.recent(columns.day_age.data(), columns.weight.data(), size, factor, 0x1p3, sums);
        CHECK(sums[0] == recent[0] && sums[1] == recent[1]);
    }
    const auto* days = columns.day_age.data();
    std::int64_t counts[2];
    kernels.recent(days, nullptr, size, 1.0, 1.0, counts);
    CHECK(counts[0] == std::count_if(days, days + size, [](std::uint32_t day) { return day < 14; }));
    CHECK(counts[1] == std::count_if(days, days + size, [](std::uint32_t day) { return day >= 14 && day < 28; }));
}

bool is_near(std::int64_t steps, long double truth, long double relative_error) {
    return std::abs(static_cast<long double>(steps) - truth) <= relative_error * truth + 0.5L;
}

void test_decay(const Kernels& kernels, const Columns& columns, std::size_t size) {
    constexpr int bits = 45;
    const AgeRange range = kernels.age_range(columns.age_us.data(), columns.weight.data(), size);
    std::vector<std::int64_t> steps(size + padding);
    for (const double rate : {0.0, 1e-13, 8.35e-13, 1e-9, 1e300}) {
        const auto powers = [&](std::size_t i, std::uint64_t newest) {
            return static_cast<long double>(columns.age_us[i] - newest) * static_cast<long double>(rate);
        };
        std::int64_t total = 0;
        const auto found = kernels.decay(columns.age_us.data(), size, range.newest_us, rate, bits, steps.data());
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(is_near(steps[i], std::exp2(bits - powers(i, range.newest_us)), 2.7e-9L));
            total += steps[i];
        }
        CHECK(found == total);
        if (range.newest_positive_us == UINT64_MAX) continue;

        const std::uint64_t newest = range.newest_positive_us;
        const std::int64_t exponent =
            kernels.decay_exponent(columns.age_us.data(), columns.weight.data(), size, newest, rate);
        const auto shift = static_cast<double>(bits - 2 - exponent);
        const auto weighted = kernels.weighted_decay(columns.age_us.data(), columns.weight.data(), size, newest, rate,
                                                     shift, steps.data());
        total = 0;
        long double largest = 0.0L;
        for (std::size_t i = 0; i < size; ++i) {
            // An event newer than the newest positive weight has weight 0.
            const long double term = columns.weight[i] > 0.0
                                         ? static_cast<long double>(columns.weight[i]) *
                                               std::exp2(static_cast<long double>(shift) - powers(i, newest))
                                         : 0.0L;
            CHECK(is_near(steps[i], term, 1e-11L));
            largest = std::max(largest, term);
            total += steps[i];
        }
        CHECK(weighted == total);
        CHECK(largest < std::exp2(static_cast<long double>(bits)) && largest >= std::exp2(bits - 3.0L));
    }
}

// Weights whose product with the decay is ordinary although neither factor is.
void test_extreme_weights(const Kernels& kernels) {
    std::vector<std::uint64_t> age(2 + padding, 0);
    std::vector<double> weight(2 + padding, 0.0);
    std::vector<std::int64_t> steps(2 + padding);
    age[1] = 1'000'000;
    for (const auto& [newest, older] : {std::pair{5e-324, 5e-324}, {5e-324, 1e300}, {1e-300, 1e308}, {1e308, 1e308}}) {
        weight[0] = newest;
        weight[1] = older;
        const double powers_apart = std::log2(older) - std::log2(newest);  // brings both terms to the same size
        const double rate = powers_apart / 1e6;
        const auto exponent = kernels.decay_exponent(age.data(), weight.data(), 2, 0, rate);
        kernels.weighted_decay(age.data(), weight.data(), 2, 0, rate, static_cast<double>(40 - exponent), steps.data());
        CHECK(steps[0] > (std::int64_t{1} << 38) && steps[0] < (std::int64_t{1} << 42));
        CHECK(std::abs(static_cast<double>(steps[1]) / static_cast<double>(steps[0]) - 1.0) < 1e-9);
    }
}

void test_entropy(const Kernels& kernels, std::size_t size, Random& random) {
    std::vector<std::int64_t> steps(size + padding, -1);
    long double total = 0.0L;
    for (std::size_t i = 0; i < size; ++i) {
        steps[i] = 1 + static_cast<std::int64_t>(random() >> (4 + random() % 59)) / static_cast<std::int64_t>(size);
        total += static_cast<long double>(steps[i]);
    }
    long double truth = 0.0L;
    for (std::size_t i = 0; i < size; ++i) {
        const long double share = static_cast<long double>(steps[i]) / total;
        truth -= share * std::log2(share);
    }
    const auto found = kernels.entropy(steps.data(), size, static_cast<double>(total));
    CHECK(std::abs(static_cast<long double>(found) * 0x1p-48L - truth) < 1e-13L * static_cast<long double>(size));
}

}  // namespace

void test_traits(const Kernels& kernels) {
    Random random(1);
    for (const std::size_t size : sizes) {
        test_ages(kernels, size, random);
        for (int round = 0; round < 5; ++round) {
            const Columns columns = random_columns(size, random);
            test_ranges(kernels, columns, size);
            test_sums(kernels, columns, size);
            test_decay(kernels, columns, size);
            test_entropy(kernels, size, random);
        }
    }
    test_extreme_weights(kernels);
}

}  // namespace covey::tests
