// No kernel touches memory outside its columns: every column ends where a page that nobody may read begins, then begins
// where such a page ends. A read across crashes the test.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "check.hpp"
#include "covey/kmeans.hpp"
#include "covey/silhouette.hpp"
#include "covey/traits.hpp"

namespace covey::tests {
namespace {

constexpr std::size_t largest_size = 200;
constexpr std::size_t vector_bytes = 64;  // what a kernel may touch behind a padded array

// Readable pages between two that are not.
class GuardedMemory {
public:
    GuardedMemory() {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        bytes_ = std::max<std::size_t>(page, 16'384);
        whole_ = bytes_ + 2 * page;
        void* memory = mmap(nullptr, whole_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(memory != MAP_FAILED);
        begin_ = static_cast<std::byte*>(memory) + page;
        CHECK(mprotect(begin_, bytes_, PROT_READ | PROT_WRITE) == 0);
        page_ = page;
    }
    ~GuardedMemory() { munmap(begin_ - page_, whole_); }
    GuardedMemory(const GuardedMemory&) = delete;
    GuardedMemory& operator=(const GuardedMemory&) = delete;

    std::byte* place(std::size_t bytes, bool at_end) {
        CHECK(bytes <= bytes_);
        return at_end ? begin_ + (bytes_ - bytes) : begin_;
    }

private:
    std::byte* begin_;
    std::size_t bytes_;
    std::size_t whole_;
    std::size_t page_;
};

// Columns of one call, each in guarded memory of its own that the next call uses again.
class GuardedColumns {
public:
    void place(bool at_end) {
        at_end_ = at_end;
        next_ = 0;
    }

    // `spare` bytes behind the last value may be touched. value(i) makes them.
    template <typename Value, typename Make>
    Value* column(std::size_t size, std::size_t spare, const Make& value) {
        if (next_ == memory_.size()) {
            memory_.push_back(std::make_unique<GuardedMemory>());
        }
        std::byte* bytes = memory_[next_++]->place(size * sizeof(Value) + spare, at_end_);
        auto* values = reinterpret_cast<Value*>(bytes);
        for (std::size_t i = 0; i < size; ++i) {
            values[i] = static_cast<Value>(value(i));
        }
        return values;
    }

    template <typename Value>
    Value* empty(std::size_t size, std::size_t spare = 0) {
        return column<Value>(size, spare, [](std::size_t) { return 0; });
    }

private:
    std::vector<std::unique_ptr<GuardedMemory>> memory_;
    std::size_t next_ = 0;
    bool at_end_ = true;
};

TraitColumns trait_columns(GuardedColumns& memory, std::size_t learners) {
    const auto floats = [&] { return memory.empty<float>(learners); };
    return {floats(),
            floats(),
            floats(),
            floats(),
            floats(),
            floats(),
            floats(),
            memory.empty<std::int64_t>(learners),
            memory.empty<std::int32_t>(learners),
            memory.empty<double>(learners),
            memory.empty<double>(learners)};
}

// Every type of every column, rows sorted, grouped and in no order.
void guard_trait_columns(const Kernels& kernels, GuardedColumns& memory, bool at_end, std::size_t size,
                         Random& random) {
    const auto below = [&](std::uint64_t limit) { return [&random, limit](std::size_t) { return random() % limit; }; };
    const std::uint32_t learners = 1 + static_cast<std::uint32_t>(size / 7);
    for (int way = 0; way < 6; ++way) {
        memory.place(at_end);
        EventColumns events;
        events.size = size;
        events.learner_count = learners;
        if (way % 3 == 0) {
            events.learner_index = memory.column<std::int32_t>(size, 0, below(learners));
        } else if (way % 3 == 1) {
            events.learner_index = memory.column<std::int32_t>(size, 0, [](std::size_t i) { return i / 7; });
        } else {
            events.learner_offsets = memory.column<std::int64_t>(
                learners + 1, 0, [&](std::size_t i) { return i == learners ? size : std::min(size, i * 7); });
        }
        if (way < 3) {
            events.time = {memory.column<std::uint32_t>(size, 0, below(5'000'000)), TimeType::seconds_uint32, 7};
            events.domain = {memory.column<std::uint8_t>(size, 0, below(12)), IndexType::uint8, 12, "domain_index"};
            events.capability = {memory.column<std::uint16_t>(size, 0, below(100)), IndexType::uint16, 100,
                                 "capability"};
            if (way > 0) {
                events.weight = {memory.column<float>(size, 0, below(5)), WeightType::float32};
            }
        } else {
            events.time = {memory.column<std::int64_t>(size, 0, below(5'000'000'000'000)), TimeType::microseconds_int64,
                           0};
            events.domain = {memory.column<std::uint16_t>(size, 0, below(300)), IndexType::uint16, 300, "domain_index"};
            events.capability = {memory.column<std::int32_t>(size, 0, below(9000)), IndexType::int32, 9000,
                                 "capability"};
            events.weight = {memory.column<double>(size, 0, below(5)), WeightType::float64};
            events.kind = memory.column<std::uint8_t>(size, 0, below(5));
            events.action_taken = memory.column<std::uint8_t>(size, 0, below(2));
        }
        const TraitColumns traits = trait_columns(memory, learners);
        const std::int64_t later = compute_traits(events, 4'000'000'000'000, TraitParameters{}, 1, kernels, traits);
        std::int64_t counted = later;
        for (std::uint32_t learner = 0; learner < learners; ++learner) {
            counted += traits.event_count[learner];
        }
        CHECK(counted == static_cast<std::int64_t>(size));
    }
}

void guard_point_columns(const Kernels& kernels, GuardedColumns& memory, bool at_end, std::size_t size,
                         Random& random) {
    const auto coordinate = [&](std::size_t) { return static_cast<float>(random() % 1000) * 1e-3f; };
    for (const std::size_t dimensions : {1, 5}) {
        memory.place(at_end);
        const PointColumns points{memory.column<float>(size * dimensions, 0, coordinate), dimensions, size};
        const auto* hashes = memory.column<std::uint64_t>(size, 0, [&](std::size_t) { return random(); });
        auto* labels = memory.empty<std::int32_t>(size);
        auto* squared_distance = memory.empty<float>(size);
        const auto seeds = seed_centroids(points, hashes, std::min<std::size_t>(size, 3), 1, 1, kernels);
        kmeans(points, seeds, 3, 1, kernels, labels);
        assign(points, seeds, 1, kernels, labels, squared_distance);
        if (seeds.size() > dimensions) {
            silhouette(points, labels, seeds.size() / dimensions, 1, kernels);
        }
    }
}

// The kernels themselves; scratch arrays are padded by a vector and not a byte more.
void guard_trait_kernels(const Kernels& kernels, GuardedColumns& memory, bool at_end, std::size_t size,
                         Random& random) {
    memory.place(at_end);
    const auto* time = memory.column<std::int64_t>(size, 0, [&](std::size_t) { return random() % 5'000'000; });
    auto* age = memory.empty<std::uint64_t>(size, vector_bytes);
    auto* day = memory.empty<std::uint32_t>(size, vector_bytes);
    const auto* weight = memory.column<double>(size, vector_bytes, [&](std::size_t) { return random() % 5; });
    auto* steps = memory.empty<std::int64_t>(size, vector_bytes);
    CHECK(kernels.ages(time, size, 5'000'000, 0, age, day) == 0);
    CHECK(kernels.day_ages(time, size, 5'000'000, 0, day) == 0);
    const auto* seconds = memory.column<std::uint32_t>(size, 0, [&](std::size_t) { return random() % 500; });
    CHECK(kernels.day_ages_of_seconds(seconds, size, 500'000'000, 0, day) == 0);
    const std::uint32_t begins[] = {0, static_cast<std::uint32_t>(size)};
    std::uint32_t range[2];
    std::uint64_t active = 0;
    kernels.active_days(day, begins, 1, range, range + 1, &active);
    kernels.age_range(age, weight, size);
    kernels.largest_weight(weight, day, 28, size);
    kernels.quantise(weight, size, 8.0, 1.0, steps);
    kernels.decay(age, size, 0, 1e-9, 40, steps);
    kernels.decay_exponent(age, weight, size, 0, 1e-9);
    kernels.weighted_decay(age, weight, size, 0, 1e-9, 30.0, steps);
    std::int64_t sums[2];
    kernels.recent(day, weight, size, 8.0, 1.0, sums);
    std::fill_n(steps, size, 1);
    kernels.entropy(steps, size, static_cast<double>(size));
}

void guard_partition_kernels(const Kernels& kernels, GuardedColumns& memory, bool at_end, std::size_t size,
                             Random& random) {
    memory.place(at_end);
    const auto any = [&](std::size_t) { return random(); };
    auto* words = memory.empty<std::uint64_t>(size);
    auto* bytes = memory.column<std::uint8_t>(size, 0, any);
    auto* halves = memory.column<std::uint16_t>(size, 0, any);
    auto* singles = memory.column<std::uint32_t>(size, 0, any);
    auto* doubles = memory.column<std::uint64_t>(size, 0, any);
    auto* kind = memory.column<std::uint8_t>(size, 0, [&](std::size_t) { return random() % 5; });
    kernels.pack_8(bytes, size, 3, words);
    kernels.unpack_8(words, size, 3, 0xFF, 0, bytes);
    kernels.pack_16(halves, size, 11, words);
    kernels.unpack_16(words, size, 11, 0xFFFF, halves);
    kernels.pack_32(singles, size, 0xFF, 27, words);
    kernels.pack_feedback(kind, nullptr, size, 4, 1, words);
    kernels.pack_feedback(kind, bytes, size, 4, 1, words);
    std::fill_n(words, size, 0);
    kernels.pack_differences_32(singles, size, 77, 1, 0, 1, words);
    kernels.unpack_32(words, size, 1, ~std::uint64_t{0}, 77, 1, singles);
    std::fill_n(words, size, 0);
    kernels.pack_differences_64(doubles, size, 5, 1, 0, 0, words);
    kernels.unpack_64(words, size, 0, ~std::uint64_t{0}, 5, 1, doubles);
}

// Only the columns of the caller have no padding.
void guard_plain_kernels(const Kernels& kernels, GuardedColumns& memory, bool at_end, std::size_t size,
                         Random& random) {
    memory.place(at_end);
    const auto any = [&](std::size_t) { return random(); };
    constexpr std::size_t padded_size = largest_size + 128;
    std::vector<double> age(1 + padded_size);
    std::vector<std::uint32_t> day(1 + padded_size);
    std::vector<std::uint32_t> numbers(padded_size);
    std::vector<std::uint8_t> bytes(padded_size);
    std::vector<std::uint64_t> sets(3 * padded_size);
    PlainBlock block{};
    block.size = size;
    block.age_us = age.data() + 1;
    block.day_age = day.data() + 1;
    block.unusable = sets.data();
    block.feedback = sets.data() + padded_size;
    block.acted = sets.data() + 2 * padded_size;
    const auto* time = memory.column<std::int64_t>(size, 0, [&](std::size_t) { return random() % 5'000'000; });
    const auto* seconds = memory.column<std::uint32_t>(size, 0, any);
    const auto* kind = memory.column<std::uint8_t>(size, 0, [&](std::size_t) { return random() % 5; });
    const auto* halves = memory.column<std::uint16_t>(size, 0, any);
    const auto* learner = memory.column<std::int32_t>(size, 0, [](std::size_t i) { return i / 7; });
    CHECK(kernels.plain_ages(time, size, 5'000'000, 0, block) == 0);
    kernels.plain_ages_of_seconds(seconds, size, 5'000'000, 0, block);
    kernels.plain_feedback(kind, kind, size, block);
    kernels.plain_feedback(kind, nullptr, size, block);
    kernels.widen(halves, sizeof *halves, size, numbers.data());
    kernels.widen(seconds, sizeof *seconds, size, numbers.data());
    kernels.to_bytes(kind, sizeof *kind, size, bytes.data());
    kernels.to_bytes(halves, sizeof *halves, size, bytes.data());
    CHECK(kernels.never_decreases(learner, size));
    std::uint32_t decreases = 1;
    CHECK(kernels.learner_ends(learner, size, numbers.data(), &decreases) == (size + 6) / 7);
    CHECK(decreases == 0);
    CHECK(numbers[(size + 6) / 7 - 1] == size);
}

void guard_cohort_kernels(const Kernels& kernels, GuardedColumns& memory, bool at_end, std::size_t size,
                          Random& random) {
    memory.place(at_end);
    constexpr std::size_t dimensions = 5;
    const auto coordinate = [&](std::size_t) { return static_cast<float>(random() % 1000) * 1e-3f; };
    const Points points{memory.column<float>(size * dimensions, 0, coordinate), size, dimensions};
    const auto* rows_of_points = memory.column<float>(size * dimensions, 0, coordinate);
    const auto* own = memory.column<float>(16 * dimensions, 0, coordinate);
    const auto* centroids = memory.column<float>(7 * dimensions, 0, coordinate);
    auto* labels = memory.empty<std::int32_t>(size);
    auto* squared_distance = memory.empty<float>(size);
    for (const std::size_t count : {1, 2, 7}) {
        kernels.nearest(points, size, centroids, count, labels, squared_distance);
        auto* numbers = reinterpret_cast<std::uint32_t*>(labels);
        CHECK(kernels.closer_than(points, size, centroids, 1e9f, numbers, squared_distance) == size);
        kernels.nearest(points, size, centroids, count, labels, nullptr);
    }
    kernels.shrink(points, size, centroids, squared_distance);
    const auto* known = memory.empty<std::int32_t>(size);
    auto* changed = memory.empty<std::uint64_t>((size + 63) / 64);
    kernels.relabel(points, size, centroids, 7, known, labels, squared_distance, changed);
    if (size > 0) {
        float low;
        float high;
        kernels.value_range(points.data, size * dimensions, &low, &high);
    }
    const auto* begin = memory.column<std::uint32_t>(3, 0, [&](std::size_t cell) { return cell * size / 2; });
    const auto* rows = memory.column<std::uint32_t>(4, 0, [](std::size_t i) { return i; });
    auto* sums = memory.empty<std::int64_t>(4 * 16);
    kernels.distance_sums(own, rows_of_points, dimensions, begin, 2, rows, 2, 100.0f, sums);
}

}  // namespace

void test_guard_pages(const Kernels& kernels) {
    Random random(6);
    GuardedColumns memory;
    for (const bool at_end : {true, false}) {
        for (std::size_t size = 0; size <= largest_size; ++size) {
            guard_trait_columns(kernels, memory, at_end, size, random);
            if (size == 0) {
                continue;
            }
            guard_point_columns(kernels, memory, at_end, size, random);
            guard_trait_kernels(kernels, memory, at_end, size, random);
            guard_plain_kernels(kernels, memory, at_end, size, random);
            guard_partition_kernels(kernels, memory, at_end, size, random);
            guard_cohort_kernels(kernels, memory, at_end, size, random);
        }
    }
}

}  // namespace covey::tests
