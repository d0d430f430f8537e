// Long calls return the same bits on one, two and three threads, and in every order of the rows; enough rows that the
// threads do run, which is what the thread sanitizer needs to see.

#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>

#include "check.hpp"
#include "covey/kmeans.hpp"
#include "covey/silhouette.hpp"
#include "covey/traits.hpp"

namespace covey::tests {
namespace {

constexpr std::size_t event_count = 100'000;
constexpr std::uint32_t learner_count = 1'500;
constexpr std::size_t point_count = 50'000;
constexpr std::size_t dimensions = 5;

struct Events {
    std::vector<std::int32_t> learner;
    std::vector<std::uint32_t> seconds;
    std::vector<std::uint8_t> domain;
    std::vector<std::uint16_t> capability;
    std::vector<float> weight;

    Events taken(const std::vector<std::size_t>& rows) const {
        Events events;
        for (const std::size_t row : rows) {
            events.learner.push_back(learner[row]);
            events.seconds.push_back(seconds[row]);
            events.domain.push_back(domain[row]);
            events.capability.push_back(capability[row]);
            events.weight.push_back(weight[row]);
        }
        return events;
    }

    // Without weights a learner's events in the order of time are a plain history.
    EventColumns columns(bool is_weighted) const {
        EventColumns columns;
        columns.size = learner.size();
        columns.learner_index = learner.data();
        columns.learner_count = learner_count;
        columns.time = {seconds.data(), TimeType::seconds_uint32, 1'700'000'000'000'000};
        columns.domain = {domain.data(), IndexType::uint8, 12, "domain_index"};
        columns.capability = {capability.data(), IndexType::uint16, 100, "capability_index"};
        if (is_weighted) {
            columns.weight = {weight.data(), WeightType::float32};
        }
        return columns;
    }
};

// A time-ordered log.
Events random_log(Random& random) {
    Events events;
    for (std::size_t row = 0; row < event_count; ++row) {
        events.learner.push_back(static_cast<std::int32_t>(random() % learner_count));
        events.seconds.push_back(static_cast<std::uint32_t>(row * 48));
        events.domain.push_back(static_cast<std::uint8_t>(random() % 12));
        events.capability.push_back(static_cast<std::uint16_t>(random() % 100));
        events.weight.push_back(static_cast<float>(random() % 8));
    }
    return events;
}

// Everything that a call returns.
std::vector<double> traits_of(const EventColumns& events, std::size_t threads, const Kernels& kernels) {
    std::vector<float> floats[7];
    for (auto& column : floats) {
        column.resize(learner_count);
    }
    std::vector<std::int64_t> counts(learner_count);
    std::vector<std::int32_t> days(learner_count);
    std::vector<double> tenure(learner_count);
    std::vector<double> recency(learner_count);
    const TraitColumns traits{floats[0].data(), floats[1].data(), floats[2].data(), floats[3].data(),
                              floats[4].data(), floats[5].data(), floats[6].data(), counts.data(),
                              days.data(),      tenure.data(),    recency.data()};
    const std::int64_t as_of_us = 1'700'000'000'000'000 + std::int64_t{event_count} * 47'000'000;
    std::vector<double> all{
        static_cast<double>(compute_traits(events, as_of_us, TraitParameters{}, threads, kernels, traits))};
    for (const auto& column : floats) {
        all.insert(all.end(), column.begin(), column.end());
    }
    all.insert(all.end(), counts.begin(), counts.end());
    all.insert(all.end(), days.begin(), days.end());
    all.insert(all.end(), tenure.begin(), tenure.end());
    all.insert(all.end(), recency.begin(), recency.end());
    return all;
}

void test_trait_threads(const Kernels& kernels, Random& random) {
    const Events log = random_log(random);
    std::vector<std::size_t> rows(event_count);
    std::iota(rows.begin(), rows.end(), 0);
    std::stable_sort(rows.begin(), rows.end(),
                     [&](std::size_t left, std::size_t right) { return log.learner[left] < log.learner[right]; });
    const Events sorted = log.taken(rows);
    std::shuffle(rows.begin(), rows.end(), random);
    const Events shuffled = log.taken(rows);
    std::vector<std::int64_t> offsets(learner_count + 1, 0);
    for (const std::int32_t learner : log.learner) {
        ++offsets[static_cast<std::size_t>(learner) + 1];
    }
    std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
    for (const bool is_weighted : {true, false}) {
        EventColumns grouped = sorted.columns(is_weighted);
        grouped.learner_index = nullptr;
        grouped.learner_offsets = offsets.data();
        const std::vector<double> expected = traits_of(sorted.columns(is_weighted), 1, kernels);
        for (const std::size_t threads : {1, 2, 3}) {
            for (const EventColumns& columns :
                 {sorted.columns(is_weighted), grouped, log.columns(is_weighted), shuffled.columns(is_weighted)}) {
                CHECK(traits_of(columns, threads, kernels) == expected);
            }
        }
    }
}

void test_cohort_threads(const Kernels& kernels, Random& random) {
    std::vector<float> data(dimensions * point_count);
    for (float& value : data) {
        value = static_cast<float>(random() % 1'000'000) * 1e-6f;
    }
    std::vector<std::uint64_t> hashes(point_count);
    std::generate(hashes.begin(), hashes.end(), random);
    const PointColumns points{data.data(), dimensions, point_count};
    constexpr std::size_t sample = 3'000;
    std::vector<float> few(dimensions * sample);
    for (std::size_t d = 0; d < dimensions; ++d) {
        std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(d * point_count), sample,
                    few.begin() + static_cast<std::ptrdiff_t>(d * sample));
    }
    const auto everything = [&](std::size_t threads) {
        const std::vector<float> seeds = seed_centroids(points, hashes.data(), 6, 3, threads, kernels);
        std::vector<std::int32_t> labels(point_count);
        const KMeans found = kmeans(points, seeds, 5, threads, kernels, labels.data());
        std::vector<std::int32_t> again(point_count);
        std::vector<float> squared_distance(point_count);
        assign(points, found.centroids, threads, kernels, again.data(), squared_distance.data());
        std::vector<double> all{found.inertia,
                                silhouette({few.data(), dimensions, sample}, labels.data(), 6, threads, kernels)};
        all.insert(all.end(), seeds.begin(), seeds.end());
        all.insert(all.end(), found.centroids.begin(), found.centroids.end());
        all.insert(all.end(), labels.begin(), labels.end());
        all.insert(all.end(), again.begin(), again.end());
        all.insert(all.end(), squared_distance.begin(), squared_distance.end());
        return all;
    };
    const std::vector<double> expected = everything(1);
    CHECK(everything(2) == expected);
    CHECK(everything(3) == expected);
}

// A call of several threads that another thread cancels either ends as cancelled or was done before.
void test_cancelled_from_outside(const Kernels& kernels, Random& random) {
    const Events log = random_log(random);
    Cancellation cancellation;
    std::thread other([&] { cancellation.cancel(); });
    std::vector<float> column(learner_count * 7);
    std::vector<std::int64_t> counts(learner_count);
    std::vector<std::int32_t> days(learner_count);
    std::vector<double> ages(learner_count * 2);
    const auto floats = [&](std::size_t number) { return column.data() + number * learner_count; };
    const TraitColumns traits{floats(0),
                              floats(1),
                              floats(2),
                              floats(3),
                              floats(4),
                              floats(5),
                              floats(6),
                              counts.data(),
                              days.data(),
                              ages.data(),
                              ages.data() + learner_count};
    try {
        compute_traits(log.columns(true), 1'800'000'000'000'000, TraitParameters{}, 3, kernels, traits, &cancellation);
    } catch (const Cancelled&) {
        CHECK(cancellation.is_cancelled());
    }
    other.join();
    bool cancelled = false;
    try {
        compute_traits(log.columns(false), 1'800'000'000'000'000, TraitParameters{}, 3, kernels, traits, &cancellation);
    } catch (const Cancelled&) {
        cancelled = true;
    }
    CHECK(cancelled);
}

}  // namespace

void test_threads(const Kernels& kernels) {
    Random random(5);
    test_trait_threads(kernels, random);
    test_cohort_threads(kernels, random);
    test_cancelled_from_outside(kernels, random);
}

}  // namespace covey::tests
