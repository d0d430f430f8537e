// Every kernel on every instruction set of this machine against the scalar truth.

#include "check.hpp"
#include "covey/dispatch.hpp"

int main() {
    covey::tests::test_parallel();
    covey::tests::test_trait_state();
    const auto names = covey::available_isas();
    CHECK(!names.empty());
    for (const auto& name : names) {
        const covey::Kernels& kernels = covey::select_kernels(name);
        CHECK(name == kernels.name);
        covey::tests::test_traits(kernels);
        covey::tests::test_cohorts(kernels);
        covey::tests::test_partition(kernels);
        covey::tests::test_moments(kernels);
        std::printf("%s: every kernel agrees with the scalar truth\n", name.c_str());
    }
    return 0;
}
