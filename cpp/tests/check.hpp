#pragma once
// The little that the kernel tests need of a framework.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "kernels.hpp"

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                                \
        }                                                                                \
    } while (false)

namespace covey::tests {

constexpr std::size_t padding = 16;

// Around every vector width, and several vectors with a tail.
inline const std::vector<std::size_t> sizes = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257};

using Random = std::mt19937_64;

void test_parallel();
void test_histories();
void test_stats();
void test_trait_state();
void test_traits(const Kernels& kernels);
void test_activity(const Kernels& kernels);
void test_cohorts(const Kernels& kernels);
void test_partition(const Kernels& kernels);
void test_plain(const Kernels& kernels);
void test_moments(const Kernels& kernels);
void test_neighbours(const Kernels& kernels);
void test_guard_pages(const Kernels& kernels);
void test_threads(const Kernels& kernels);

}  // namespace covey::tests
