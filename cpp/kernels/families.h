#pragma once
// Declarations of one instruction set's kernels; COVEY_KERNEL_NAMESPACE is defined by the build.

#include "kernels.hpp"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {

uint32_t ages(const int64_t* time_us, size_t size, int64_t as_of_us, uint64_t rest_of_day_us, uint64_t* age_us,
              uint32_t* day_age);
AgeRange age_range(const uint64_t* age_us, const double* weight, size_t size);
double largest_weight(const double* weight, const uint32_t* day_age, uint32_t day_limit, size_t size);
int64_t quantise(const double* weight, size_t size, double factor, double second_factor, int64_t* steps);
int64_t decay(const uint64_t* age_us, size_t size, uint64_t newest_us, double rate, int bits, int64_t* steps);
int64_t decay_exponent(const uint64_t* age_us, const double* weight, size_t size, uint64_t newest_us, double rate);
int64_t weighted_decay(const uint64_t* age_us, const double* weight, size_t size, uint64_t newest_us, double rate,
                       double shift, int64_t* steps);
void recent(const uint32_t* day_age, const double* weight, size_t size, double factor, double second_factor,
            int64_t* sums);
int64_t entropy(const int64_t* steps, size_t size, double total);

uint32_t pack_8(const uint8_t* values, size_t size, unsigned shift, uint64_t* words);
uint32_t pack_16(const uint16_t* values, size_t size, unsigned shift, uint64_t* words);
uint32_t pack_32(const uint32_t* values, size_t size, uint32_t mask, unsigned shift, uint64_t* words);
uint64_t pack_differences_32(const uint32_t* values, size_t size, uint64_t base, uint64_t inverse, unsigned zeros,
                             unsigned shift, uint64_t* words);
uint64_t pack_differences_64(const uint64_t* values, size_t size, uint64_t base, uint64_t inverse, unsigned zeros,
                             unsigned shift, uint64_t* words);
void pack_feedback(const uint8_t* kind, const uint8_t* action_taken, size_t size, uint8_t feedback, unsigned shift,
                   uint64_t* words);
void unpack_8(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, unsigned zeros, uint8_t* values);
void unpack_16(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint16_t* values);
void unpack_32(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint64_t base, uint64_t factor,
               uint32_t* values);
void unpack_64(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint64_t base, uint64_t factor,
               uint64_t* values);

size_t learner_ends(const int32_t* learner_index, size_t size, uint32_t* ends, uint32_t* decreases);
bool never_decreases(const int32_t* values, size_t size);
uint32_t widen(const void* values, size_t value_bytes, size_t size, uint32_t* out);
uint32_t to_bytes(const void* values, size_t value_bytes, size_t size, uint8_t* out);
uint32_t plain_ages(const int64_t* time_us, size_t size, int64_t as_of_us, uint64_t rest_of_day_us,
                    const PlainBlock& block);
void plain_ages_of_seconds(const uint32_t* seconds, size_t size, int64_t age_of_origin_us, uint64_t rest_of_day_us,
                           const PlainBlock& block);
void plain_sets(const PlainBlock& block, uint32_t window_days);
void plain_feedback(const uint8_t* kind, const uint8_t* action_taken, size_t size, const PlainBlock& block);
void plain_first_uses(const uint32_t* positions, size_t stride, const uint32_t* capability, const uint32_t* begins,
                      size_t count, uint64_t* first);
void plain_learners(const PlainBlock& block, const uint32_t* begins, size_t count, const PlainRules& rules,
                    const PlainAhead& ahead, const PlainSums& sums);
void plain_traits(const PlainSums& sums, size_t count, const PlainTraits& rules, const PlainColumns& out);

uint32_t day_ages(const int64_t* time_us, size_t size, int64_t as_of_us, uint64_t rest_of_day_us, uint32_t* day_age);
uint32_t day_ages_of_seconds(const uint32_t* seconds, size_t size, int64_t age_of_origin_us, uint64_t rest_of_day_us,
                             uint32_t* day_age);
void active_days(const uint32_t* day_age, const uint32_t* begins, size_t count, uint32_t* oldest, uint32_t* newest,
                 uint64_t* days);

void nearest(Points points, size_t size, const float* centroids, size_t count, int32_t* labels,
             float* squared_distance);
void relabel(Points points, size_t size, const float* centroids, size_t count, const int32_t* known, int32_t* labels,
             float* squared_distance, uint64_t* changed);
void shrink(Points points, size_t size, const float* centroid, float* nearest);
uint32_t value_range(const float* values, size_t size, float* low, float* high);
uint32_t nearest_among(Points points, size_t size, const float* centroids, const int32_t* names, size_t count,
                       float moved, float slack, float* until, int32_t* labels);
void box_gaps(Box box, size_t dimensions, const float* centroids, size_t count, float* gaps);
int64_t step_sums(Points points, size_t size, const int32_t* labels, int32_t label, int64_t* sums);
void cell_keys(Points points, size_t size, const float* low, float scale, size_t bits, uint32_t* keys);
void distance_sums(const float* own, const float* others, size_t dimensions, const uint32_t* begin, size_t cell_count,
                   const uint32_t* rows, size_t row_count, float scale, int64_t* sums);

size_t closer_than(Points points, size_t size, const float* query, float limit, uint32_t* found,
                   float* squared_distance);

int32_t bound_of_doubles(const double* values, size_t size);
int32_t bound_of_floats(const float* values, size_t size);
void add_products_of_five(const ScaledColumn* columns, size_t column_count, size_t begin, size_t size,
                          const uint8_t* codes, uint64_t* table);
void term_rows(const ScaledColumn* columns, size_t column_count, const Term* terms, size_t stride, size_t begin,
               size_t size, int64_t* rows);
void add_rows(const int64_t* rows, size_t stride, const uint8_t* codes, size_t size, int64_t* table);
void subset_sums(const int64_t* rows, size_t stride, int64_t* sums);
void resample(const uint64_t* id_hashes, uint64_t present, const int64_t* subset_sums, size_t stride,
              const uint64_t* offsets, size_t pair_count, const uint32_t* limits, size_t limit_count, int64_t* sums,
              int64_t* counts);
void drain(int64_t* from, size_t size, int64_t* high, int64_t* low);
void log_buckets(const double* values, size_t size, double buckets_per_doubling, int64_t* buckets);

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
