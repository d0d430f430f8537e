// One instruction set's table of kernels.

#include "families.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {

const Kernels kernels = {
    COVEY_KERNEL_NAME,
    // traits
    ages,
    age_range,
    largest_weight,
    quantise,
    decay,
    decay_exponent,
    weighted_decay,
    recent,
    entropy,
    // partition
    pack_8,
    pack_16,
    pack_32,
    pack_differences_32,
    pack_differences_64,
    pack_feedback,
    unpack_8,
    unpack_16,
    unpack_32,
    unpack_64,
    // columns
    learner_ends,
    never_decreases,
    widen,
    to_bytes,
    // plain histories
    plain_ages,
    plain_ages_of_seconds,
    plain_sets,
    plain_feedback,
    plain_first_uses,
    plain_learners,
    plain_traits,
    // days of activity
    day_ages,
    day_ages_of_seconds,
    active_days,
    // cohorts
    nearest,
    relabel,
    shrink,
    value_range,
    nearest_among,
    box_gaps,
    step_sums,
    cell_keys,
    distance_sums,
    // nearest neighbours
    closer_than,
    // moments, resampling, sketch
    bound_of_doubles,
    bound_of_floats,
    add_products_of_five,
    term_rows,
    add_rows,
    subset_sums,
    resample,
    drain,
    log_buckets,
};

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
