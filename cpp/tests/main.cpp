// Every kernel on every instruction set of this machine, or on those named, against the scalar truth.

#include <string>
#include <vector>

#include "check.hpp"
#include "covey/dispatch.hpp"

int main(int count, char** arguments) {
    covey::tests::test_parallel();
    covey::tests::test_histories();
    covey::tests::test_stats();
    covey::tests::test_trait_state();
    std::vector<std::string> names(arguments + 1, arguments + count);
    if (names.empty()) {
        names = covey::available_isas();
    }
    CHECK(!names.empty());
    for (const auto& name : names) {
        const covey::Kernels& kernels = covey::select_kernels(name);
        CHECK(name == kernels.name);
        covey::tests::test_traits(kernels);
        covey::tests::test_activity(kernels);
        covey::tests::test_cohorts(kernels);
        covey::tests::test_partition(kernels);
        covey::tests::test_plain(kernels);
        covey::tests::test_moments(kernels);
        covey::tests::test_neighbours(kernels);
        covey::tests::test_threads(kernels);
        covey::tests::test_guard_pages(kernels);
        std::printf("%s: every kernel agrees with the scalar truth\n", name.c_str());
    }
    return 0;
}
