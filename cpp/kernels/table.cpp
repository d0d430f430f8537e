// One instruction set's table of kernels.

#include "families.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {

const Kernels kernels = {
    COVEY_KERNEL_NAME, ages,   age_range, largest_weight, quantise, decay,        decay_exponent,
    weighted_decay,    recent, entropy,   nearest,        shrink,   distance_sum,
};

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
