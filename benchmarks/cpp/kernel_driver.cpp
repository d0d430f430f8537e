// Runs one kernel family once on deterministic columns, so that its instructions can be counted:
//   covey_kernel_driver --list | --compiler | FAMILY
// COVEY_ISA chooses the implementation. Only what runs inside `covey_measured` is the family's work.

#include <cstdio>
#include <cstring>
#include <exception>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "covey/dispatch.hpp"
#include "covey/kmeans.hpp"
#include "covey/resampling.hpp"
#include "covey/silhouette.hpp"
#include "covey/sketch.hpp"
#include "covey/trait_state.hpp"
#include "covey/traits.hpp"
#include "driver_columns.hpp"

namespace {

using namespace covey;
using namespace covey::driver;

constexpr std::uint32_t few_learners = 2'000;
constexpr std::uint32_t learners_of_a_log = 5'000;  // enough rows for the partition
constexpr std::size_t point_count = 50'000;

void run_traits(const Events& events, const EventColumns& columns, const Kernels& kernels) {
    Traits traits(events.learner_count);
    covey_measured([&] { compute_traits(columns, events.as_of_us, TraitParameters{}, 1, kernels, traits.columns()); });
}

void traits_sorted(const Kernels& kernels) {
    const Events events = events_by_learner(few_learners);
    run_traits(events, events.wide(), kernels);
}

void traits_narrow(const Kernels& kernels) {
    const Events events = events_by_learner(few_learners);
    run_traits(events, events.narrow(), kernels);
}

void traits_log(const Kernels& kernels) {
    const Events events = events_by_time(learners_of_a_log);
    run_traits(events, events.wide(), kernels);
}

// Not a kernel, and the same on every instruction set, but the path of every append.
void trait_state(const Kernels&) {
    const Events events = events_by_time(few_learners);
    std::vector<std::int64_t> ids(few_learners);
    std::iota(ids.begin(), ids.end(), std::int64_t{1'000});
    LearnerIdColumn learners;
    learners.integers = ids.data();
    learners.size = ids.size();
    const Names domains(domain_count), capabilities(capability_count);
    TraitState state{TraitParameters{}};
    covey_measured([&] { state.update(learners, events.wide(), domains.column(), capabilities.column()); });
}

void seeding(const Kernels& kernels) {
    const CloudOfPoints points(point_count);
    covey_measured([&] { seed_centroids(points.columns(), points.hashes.data(), 12, 1, 1, kernels); });
}

void run_kmeans(std::size_t k, const Kernels& kernels) {
    const CloudOfPoints points(point_count);
    const auto initial = seed_centroids(points.columns(), points.hashes.data(), k, 1, 1, kernels);
    std::vector<std::int32_t> labels(point_count);
    covey_measured([&] { kmeans(points.columns(), initial, 20, 1, kernels, labels.data()); });
}

void kmeans_5(const Kernels& kernels) {
    run_kmeans(5, kernels);
}

void kmeans_16(const Kernels& kernels) {
    run_kmeans(16, kernels);
}

void assignment(const Kernels& kernels) {
    const CloudOfPoints points(point_count);
    const auto centroids = seed_centroids(points.columns(), points.hashes.data(), 8, 1, 1, kernels);
    std::vector<std::int32_t> labels(point_count);
    std::vector<float> distances(point_count);
    covey_measured([&] { assign(points.columns(), centroids, 1, kernels, labels.data(), distances.data()); });
}

void silhouettes(const Kernels& kernels) {
    const CloudOfPoints points(2'000);
    const auto centroids = seed_centroids(points.columns(), points.hashes.data(), 5, 1, 1, kernels);
    std::vector<std::int32_t> labels(2'000);
    std::vector<float> distances(2'000);
    assign(points.columns(), centroids, 1, kernels, labels.data(), distances.data());
    covey_measured([&] { silhouette(points.columns(), labels.data(), 5, 1, kernels); });
}

// Five metrics, their squares and products, in 16 groups.
struct Metrics {
    Metrics() : points(point_count) {
        for (std::uint8_t metric = 0; metric < CloudOfPoints::dimensions; ++metric) {
            const float* values = points.coordinates.data() + metric * point_count;
            table.metrics.push_back({values, MetricType::float32, std::to_string(metric)});
            table.products.push_back({metric, metric});
        }
        table.size = point_count;
        for (const std::uint64_t hash : points.hashes) codes.push_back(hash % 16);
    }
    CloudOfPoints points;
    MetricTable table;
    std::vector<std::uint8_t> codes;
};

void moments(const Kernels& kernels) {
    const Metrics metrics;
    const GroupColumn groups{metrics.codes.data(), CodeType::uint8, 16};
    covey_measured([&] { grouped_moments(metrics.table, groups, 1, kernels); });
}

void rerandomisation(const Kernels& kernels) {
    const Metrics metrics;
    covey_measured(
        [&] { rerandomise(metrics.table, metrics.points.hashes.data(), {}, {1, 0, 20}, 5'000, 1, kernels); });
}

void bootstrap(const Kernels& kernels) {
    const Metrics metrics;
    covey_measured([&] { poisson_bootstrap(metrics.table, metrics.points.hashes.data(), {}, {1, 0, 20}, 1, kernels); });
}

void sketch(const Kernels& kernels) {
    const Metrics metrics;
    covey_measured([&] { count_in_log_buckets(metrics.table.metrics[0], point_count, 1.02, 1, kernels); });
}

const std::pair<const char*, void (*)(const Kernels&)> families[] = {
    {"traits_sorted", traits_sorted},
    {"traits_narrow", traits_narrow},
    {"traits_log", traits_log},
    {"trait_state", trait_state},
    {"seeding", seeding},
    {"kmeans_5", kmeans_5},
    {"kmeans_16", kmeans_16},
    {"assignment", assignment},
    {"silhouettes", silhouettes},
    {"moments", moments},
    {"rerandomisation", rerandomisation},
    {"bootstrap", bootstrap},
    {"sketch", sketch},
};

}  // namespace

int main(int argument_count, char** arguments) {
    const std::string asked = argument_count == 2 ? arguments[1] : "";
    if (asked == "--compiler") {
#ifdef __clang__
        std::printf("clang %s\n", __clang_version__);
#else
        std::printf("gcc %s\n", __VERSION__);
#endif
        return 0;
    }
    try {
        for (const auto& [name, run] : families) {
            if (asked == "--list") std::printf("%s\n", name);
            if (asked != name) continue;
            run(select_kernels(""));
            return 0;
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", asked.c_str(), error.what());
        return 1;
    }
    if (asked == "--list") return 0;
    std::fprintf(stderr, "usage: covey_kernel_driver --list | --compiler | FAMILY\n");
    return 2;
}
