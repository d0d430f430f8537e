// The kernels of plain histories against scalar truth.

#include <algorithm>
#include <utility>

#include "check.hpp"

namespace covey::tests {
namespace {

constexpr std::int64_t day_us = 86'400'000'000;
constexpr std::int64_t as_of_us = 19'800 * day_us + 77;
constexpr std::int64_t rest_of_day_us = day_us - 1 - 77;
constexpr std::uint32_t window_days = 20;

bool holds(const std::uint64_t* set, std::size_t i) {
    return (set[i / 64] >> (i % 64) & 1) != 0;
}

struct Scratch {
    explicit Scratch(std::size_t size)
        : age(1 + size + 128), day(1 + size + 128), bytes(size + 128), words((size + 128) / 64 + 3) {
        sets.resize(12 * words);
        std::uint64_t* next = sets.data();
        const auto take = [&] { return std::exchange(next, next + words); };
        block = {size,   age.data() + 1, day.data() + 1, bytes.data(), take(), take(), take(), take(),
                 take(), take(),         take(),         take(),       take(), take(), take(), take()};
    }

    std::vector<double> age;
    std::vector<std::uint32_t> day;
    std::vector<std::uint8_t> bytes;
    std::size_t words;
    std::vector<std::uint64_t> sets;
    PlainBlock block;
};

void check_ages(const PlainBlock& block, const std::vector<std::int64_t>& time) {
    for (std::size_t i = 0; i < time.size(); ++i) {
        const std::int64_t age = as_of_us - time[i];
        const bool is_plain = age >= 0 && age < std::int64_t{1} << plain_age_bits;
        CHECK(holds(block.unusable, i) == !is_plain);
        if (is_plain) {
            CHECK(block.age_us[i] == static_cast<double>(age));
            CHECK(block.day_age[i] == static_cast<std::uint64_t>((age + rest_of_day_us) / day_us));
        }
    }
}

void test_ages(const Kernels& kernels, std::size_t size, Random& random) {
    Scratch scratch(size);
    std::vector<std::int64_t> time(size);
    for (int round = 0; round < 20; ++round) {
        for (auto& value : time) {  // around midnights, at any distance, later than as_of
            const auto back = static_cast<std::int64_t>(random() >> (12 + random() % 50));
            value = as_of_us - back;
            if (random() % 2 == 0) {
                value = value / day_us * day_us - static_cast<std::int64_t>(random() % 2);
            }
            if (random() % 16 == 0) {
                value = as_of_us + 1 + static_cast<std::int64_t>(random() % 1000);
            }
        }
        CHECK(kernels.plain_ages(time.data(), size, as_of_us, rest_of_day_us, scratch.block) == 0);
        check_ages(scratch.block, time);
    }
    time[size / 2] = -(std::int64_t{1} << 62) - 1;
    CHECK(kernels.plain_ages(time.data(), size, as_of_us, rest_of_day_us, scratch.block) == some_out_of_range);

    std::vector<std::uint32_t> seconds(size);
    for (const std::int64_t origin_us : {as_of_us - std::int64_t{4'000'000'000'000'000}, as_of_us - 5, as_of_us + 9}) {
        for (std::size_t i = 0; i < size; ++i) {
            seconds[i] = static_cast<std::uint32_t>(random() >> (32 + random() % 32));
            time[i] = origin_us + std::int64_t{1'000'000} * seconds[i];
        }
        kernels.plain_ages_of_seconds(seconds.data(), size, as_of_us - origin_us, rest_of_day_us, scratch.block);
        check_ages(scratch.block, time);
    }
}

void test_sets(const Kernels& kernels, std::size_t size, Random& random) {
    Scratch scratch(size);
    const PlainBlock& block = scratch.block;
    block.age_us[-1] = 0.0;
    block.day_age[-1] = 0;
    for (std::size_t i = 0; i < size; ++i) {
        const bool is_tied = i > 0 && random() % 4 == 0;
        block.age_us[i] = is_tied ? block.age_us[i - 1] : static_cast<double>(random() % 1'000);
        block.day_age[i] = static_cast<std::uint32_t>(random() % (random() % 2 == 0 ? 40 : 13'030));
    }
    kernels.plain_sets(block, window_days);
    for (std::size_t i = 0; i < size; ++i) {
        const double age = block.age_us[i];
        const double before = *(block.age_us + i - 1);
        const std::uint32_t day = block.day_age[i];
        const std::uint32_t day_before = *(block.day_age + i - 1);
        CHECK(holds(block.unordered, i) == (age > before));
        CHECK(holds(block.tied, i) == (age == before));
        CHECK(holds(block.new_day, i) == (day != day_before));
        CHECK(holds(block.new_week, i) == (day / 7 != day_before / 7));
        CHECK(holds(block.last_14, i) == (day < 14));
        CHECK(holds(block.last_28, i) == (day < 28));
        CHECK(holds(block.in_window, i) == (day < window_days));
    }
}

void test_columns(const Kernels& kernels, std::size_t size, Random& random) {
    Scratch scratch(size);
    std::vector<std::uint8_t> kind(size);
    std::vector<std::uint8_t> action(size);
    std::vector<std::uint16_t> wide(size);
    std::vector<std::int32_t> learner(size);
    for (std::size_t i = 0; i < size; ++i) {
        kind[i] = static_cast<std::uint8_t>(random() % 5);
        action[i] = static_cast<std::uint8_t>(random() % 2);
        wide[i] = static_cast<std::uint16_t>(random());
        learner[i] = (i == 0 ? 0 : learner[i - 1]) + (random() % 5 == 0 ? 1 : 0);
    }
    for (const std::uint8_t* actions :
         {static_cast<const std::uint8_t*>(action.data()), static_cast<const std::uint8_t*>(nullptr)}) {
        kernels.plain_feedback(kind.data(), actions, size, scratch.block);
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(holds(scratch.block.feedback, i) == (kind[i] == 4));
            CHECK(holds(scratch.block.acted, i) == (kind[i] == 4 && actions != nullptr && actions[i] != 0));
        }
    }
    std::vector<std::uint32_t> out(size + 1);
    std::vector<std::uint8_t> bytes(size);
    CHECK(kernels.widen(wide.data(), 2, size, out.data()) == *std::max_element(wide.begin(), wide.end()));
    CHECK(kernels.to_bytes(wide.data(), 2, size, bytes.data()) == *std::max_element(wide.begin(), wide.end()));
    for (std::size_t i = 0; i < size; ++i) {
        CHECK(out[i] == wide[i] && bytes[i] == static_cast<std::uint8_t>(wide[i]));
    }
    std::vector<std::uint32_t> ends;
    for (std::size_t i = 0; i < size; ++i) {
        if (i + 1 == size || learner[i] != learner[i + 1]) {
            ends.push_back(static_cast<std::uint32_t>(i) + 1);
        }
    }
    std::uint32_t decreases = 1;
    CHECK(kernels.learner_ends(learner.data(), size, out.data(), &decreases) == ends.size());
    CHECK(decreases == 0);
    CHECK(std::equal(ends.begin(), ends.end(), out.begin()));
    CHECK(kernels.never_decreases(learner.data(), size));
    for (std::size_t i = 1; i < size; ++i) {
        const std::int32_t kept = std::exchange(learner[i], learner[i - 1] - 1);
        CHECK(!kernels.never_decreases(learner.data(), size));
        kernels.learner_ends(learner.data(), size, out.data(), &decreases);
        CHECK(decreases != 0);
        learner[i] = kept;
    }
}

// Two learners from any event on to any other; the bits beside stay.
void test_first_uses(const Kernels& kernels, std::size_t size, Random& random) {
    constexpr std::size_t capabilities = 10;
    std::vector<std::uint32_t> capability(size + 16);
    std::vector<std::uint32_t> positions(2 * capabilities);
    std::vector<std::uint64_t> first(size / 64 + 2);
    for (auto& value : capability) {
        value = static_cast<std::uint32_t>(random() % capabilities);
    }
    for (int round = 0; round < 20; ++round) {
        std::uint32_t begins[3];
        for (auto& begin : begins) {
            begin = static_cast<std::uint32_t>(random() % (size + 1));
        }
        std::sort(std::begin(begins), std::end(begins));
        std::vector<bool> expected(64 * first.size());
        for (std::uint32_t i = begins[2]; i-- > begins[0];) {
            positions[(i < begins[1] ? 0 : capabilities) + capability[i]] = i;
        }
        for (std::size_t i = begins[0]; i < begins[2]; ++i) {
            const auto own = capability.begin() + (i < begins[1] ? begins[0] : begins[1]);
            const auto here = capability.begin() + static_cast<std::ptrdiff_t>(i);
            expected[i] = std::find(own, here, *here) == here;
        }
        std::fill(first.begin(), first.end(), 0);
        if (begins[0] > 0) {
            expected[begins[0] - 1] = true;
            first[(begins[0] - 1) / 64] = std::uint64_t{1} << ((begins[0] - 1) % 64);
        }
        kernels.plain_first_uses(positions.data(), capabilities, capability.data(), begins, 2, first.data());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            CHECK(holds(first.data(), i) == expected[i]);
        }
    }
}

}  // namespace

void test_plain(const Kernels& kernels) {
    Random random(9);
    for (const std::size_t size : sizes) {
        test_ages(kernels, size, random);
        test_sets(kernels, size, random);
        test_columns(kernels, size, random);
        test_first_uses(kernels, size, random);
    }
}

}  // namespace covey::tests
