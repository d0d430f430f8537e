#pragma once
// The table of kernels that every instruction set fills. Plain C types only: kernel objects must hold no weak symbols,
// because the linker could pick an AVX-512 copy of an inline function for code that runs everywhere.
//
// Arrays marked "padded" are scratch: a kernel may read and write up to one vector (64 bytes) behind the last element.
// All arithmetic is plain IEEE in a fixed order (no fused multiply-add, no reassociation of floats), so every
// implementation returns the same bits.

#include <stddef.h>
#include <stdint.h>

#include "plain.hpp"

namespace covey {

struct AgeRange {
    uint64_t oldest_us;
    uint64_t newest_us;
    uint64_t newest_positive_us;  // among positive weights; UINT64_MAX where there are none
};

// Bits of the result of `ages`.
constexpr uint32_t some_later = 1;         // an event is later than as_of: its age is meaningless
constexpr uint32_t some_out_of_range = 2;  // a time is outside +-2^62

// points[d * stride + i] is coordinate d of point i.
struct Points {
    const float* data;
    size_t stride;
    size_t dimensions;
};

constexpr size_t largest_dimensions = 32;

// A metric; value * scale is in (-1, 1), scale a power of two.
struct ScaledColumn {
    const void* data;
    uint32_t is_float32;  // else double
    double scale;
};

// The product of two columns by their numbers; the column behind the last one is 1 everywhere.
struct Term {
    uint8_t first;
    uint8_t second;
};

constexpr int32_t not_finite = INT32_MAX;
constexpr size_t most_metrics = 8;
constexpr size_t most_terms = 48;  // sums, squares, products and the count of 8 metrics, and padding
constexpr int term_bits = 51;      // a term is in steps of 2^-51
constexpr int drained_bits = 26;
constexpr size_t resampling_rows = 64;

// add_products_of_five: rows at once, and what it keeps of each group: slots 0 ... 4 sums, 8 + i the squares of i, 16 +
// i the products of i and (i + 1) mod 5, 24 + i those of i and (i + 2) mod 5. Slot 7 modulo 2^48 is the number of rows.
// Each slot is its sum + rows * biased_bits, modulo 2^64; the others mean nothing.
constexpr size_t rows_of_products = 64;
constexpr size_t slots_of_products = 32;
constexpr size_t slot_of_count = 7;
constexpr uint64_t biased_bits = 0x4008000000000000ull;  // of 3.0, to which terms are added to round them

// Which of a block's 64 rows a bit of a mask stands for: the order in which comparing both halves of hashes gives them.
constexpr size_t resampling_row_of_bit(size_t bit) {
    return bit % 2 * 32 + bit / 2;
}

// Points that k-means looks at together, whatever the width of the vectors.
constexpr size_t points_per_group = 16;

// A bounding box: |coordinate - centre| <= half_width; `radius` is the length of half_width.
struct Box {
    const float* centre;
    const float* half_width;
    float radius;
};

struct Kernels {
    const char* name;

    // ---- traits ----
    // age_us = as_of - time; day_age = floor((age_us + rest_of_day_us) / 86,400 s), where rest_of_day_us is the time
    // from as_of to the last microsecond of its day. Outputs padded. Returns some_later | some_out_of_range.
    uint32_t (*ages)(const int64_t* time_us, size_t size, int64_t as_of_us, uint64_t rest_of_day_us, uint64_t* age_us,
                     uint32_t* day_age);

    // size >= 1. Padded. `weight` may be null: all positive.
    AgeRange (*age_range)(const uint64_t* age_us, const double* weight, size_t size);

    // Largest weight among events of day_age < day_limit, 0 where there are none. Padded.
    double (*largest_weight)(const double* weight, const uint32_t* day_age, uint32_t day_limit, size_t size);

    // steps = rint(weight * factor * second_factor), at least 1 where the weight is positive; products below 2^50.
    // Padded. Returns the sum.
    int64_t (*quantise)(const double* weight, size_t size, double factor, double second_factor, int64_t* steps);

    // steps = rint(2^(bits - rate * (age_us - newest_us))); bits <= 50, rate >= 0 in powers of two per microsecond.
    // Padded. Returns the sum.
    int64_t (*decay)(const uint64_t* age_us, size_t size, uint64_t newest_us, double rate, int bits, int64_t* steps);

    // An integer e with weight * 2^(-rate * (age_us - newest_us)) < 2^(e + 2) for all and >= 2^(e - 1) for one event of
    // positive weight; there is one. Padded.
    int64_t (*decay_exponent)(const uint64_t* age_us, const double* weight, size_t size, uint64_t newest_us,
                              double rate);

    // steps = rint(weight * 2^(shift - rate * (age_us - newest_us))), results below 2^50. Padded. Returns the sum.
    int64_t (*weighted_decay)(const uint64_t* age_us, const double* weight, size_t size, uint64_t newest_us,
                              double rate, double shift, int64_t* steps);

    // sums[0]: rint(weight * factor * second_factor) over day_age < 14, sums[1]: over 14 <= day_age < 28; products of
    // these events below 2^50. `weight` may be null: the events are counted. Padded.
    void (*recent)(const uint32_t* day_age, const double* weight, size_t size, double factor, double second_factor,
                   int64_t* sums);

    // Sum of rint(-2^48 * p * log2(p)) over the shares p = steps / total; steps in [1, total], total < 2^63. Padded.
    int64_t (*entropy)(const int64_t* steps, size_t size, double total);

    // ---- partition: columns packed into words of bits ----
    // words[i] |= value << shift. Returns the largest value. Not padded, nor is anything of the partition.
    uint32_t (*pack_8)(const uint8_t* values, size_t size, unsigned shift, uint64_t* words);
    uint32_t (*pack_16)(const uint16_t* values, size_t size, unsigned shift, uint64_t* words);
    // Only the bits of `mask` are packed.
    uint32_t (*pack_32)(const uint32_t* values, size_t size, uint32_t mask, unsigned shift, uint64_t* words);

    // words[i] |= (((value - base) * inverse) >> zeros) << shift. Returns the bits set in any (value - base) * inverse.
    uint64_t (*pack_differences_32)(const uint32_t* values, size_t size, uint64_t base, uint64_t inverse,
                                    unsigned zeros, unsigned shift, uint64_t* words);
    uint64_t (*pack_differences_64)(const uint64_t* values, size_t size, uint64_t base, uint64_t inverse,
                                    unsigned zeros, unsigned shift, uint64_t* words);

    // words[i] |= (1 where kind is `feedback` + 2 where action_taken is not 0) << shift; action_taken may be null.
    void (*pack_feedback)(const uint8_t* kind, const uint8_t* action_taken, size_t size, uint8_t feedback,
                          unsigned shift, uint64_t* words);

    // values[i] = ((words[i] >> shift) & mask) << zeros, cut to the type; zeros is 0 for 16 bits.
    void (*unpack_8)(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, unsigned zeros,
                     uint8_t* values);
    void (*unpack_16)(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint16_t* values);

    // values[i] = base + ((words[i] >> shift) & mask) * factor, cut to the type.
    void (*unpack_32)(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint64_t base, uint64_t factor,
                      uint32_t* values);
    void (*unpack_64)(const uint64_t* words, size_t size, unsigned shift, uint64_t mask, uint64_t base, uint64_t factor,
                      uint64_t* values);

    // ---- columns; the inputs are not padded ----
    // Writes one past the last row of each run of equal values, ascending, and returns their number. size >= 1.
    // decreases: whether a value is below the one before.
    size_t (*learner_ends)(const int32_t* learner_index, size_t size, uint32_t* ends, uint32_t* decreases);
    bool (*never_decreases)(const int32_t* values, size_t size);
    // Copy unsigned values of 1, 2 or 4 bytes and return the largest; `to_bytes` keeps the low byte of each.
    uint32_t (*widen)(const void* values, size_t value_bytes, size_t size, uint32_t* out);
    uint32_t (*to_bytes)(const void* values, size_t value_bytes, size_t size, uint8_t* out);

    // ---- plain histories (plain.hpp); the columns are not padded ----
    // Ages, day ages and `unusable`. Returns some_out_of_range, or 0.
    uint32_t (*plain_ages)(const int64_t* time_us, size_t size, int64_t as_of_us, uint64_t rest_of_day_us,
                           const PlainBlock& block);
    // The same of seconds since an origin of that age, which may be negative.
    void (*plain_ages_of_seconds)(const uint32_t* seconds, size_t size, int64_t age_of_origin_us,
                                  uint64_t rest_of_day_us, const PlainBlock& block);
    // The sets that follow from ages and day ages. The first event of the block is compared with what lies before it.
    void (*plain_sets)(const PlainBlock& block, uint32_t window_days);
    // `feedback` and `acted`; `action_taken` may be null.
    void (*plain_feedback)(const uint8_t* kind, const uint8_t* action_taken, size_t size, const PlainBlock& block);
    // Sets the bits of the events begins[l] <= i < begins[l + 1] in `first` for which positions[l * stride +
    // capability[i]] is i; other bits stay. Padded, up to 16 valid capabilities behind the last.
    void (*plain_first_uses)(const uint32_t* positions, size_t stride, const uint32_t* capability,
                             const uint32_t* begins, size_t count, uint64_t* first);
    // Sums of the learners whose events are begins[i] ... begins[i + 1]; not plain where they have none, events
    // unusable or unordered, or a history that only the general way computes the same bits for.
    void (*plain_learners)(const PlainBlock& block, const uint32_t* begins, size_t count, const PlainRules& rules,
                           const PlainAhead& ahead, const PlainSums& sums);
    // What follows from the sums; meaningless where they are.
    void (*plain_traits)(const PlainSums& sums, size_t count, const PlainTraits& rules, const PlainColumns& out);

    // ---- days of activity; the times are not padded, day ages are ----
    // Day ages as `ages` has them. Returns some_later | some_out_of_range. size >= 1.
    uint32_t (*day_ages)(const int64_t* time_us, size_t size, int64_t as_of_us, uint64_t rest_of_day_us,
                         uint32_t* day_age);
    // The same of seconds since an origin of that age, which may be negative. Returns some_later, or 0.
    uint32_t (*day_ages_of_seconds)(const uint32_t* seconds, size_t size, int64_t age_of_origin_us,
                                    uint64_t rest_of_day_us, uint32_t* day_age);
    // Of the learners whose events are begins[i] ... begins[i + 1]: the largest and the smallest day age, and a bit for
    // each of the 64 days from the oldest on. Nothing is written for learners without events.
    void (*active_days)(const uint32_t* day_age, const uint32_t* begins, size_t count, uint32_t* oldest,
                        uint32_t* newest, uint64_t* days);

    // ---- cohorts ----
    // Squared distance = sum over d = 0, 1, ... of (p_d - c_d) * (p_d - c_d) in float32. Not padded.
    // labels[i] = lowest index among the nearest of `count` centroids (row-major, count x dimensions), i < size;
    // `squared_distance` may be null.
    void (*nearest)(Points points, size_t size, const float* centroids, size_t count, int32_t* labels,
                    float* squared_distance);

    // As `nearest`, and bit i % 64 of changed[i / 64] says whether labels[i] differs from known[i].
    void (*relabel)(Points points, size_t size, const float* centroids, size_t count, const int32_t* known,
                    int32_t* labels, float* squared_distance, uint64_t* changed);

    // nearest[i] = min(nearest[i], squared distance to one centroid).
    void (*shrink)(Points points, size_t size, const float* centroid, float* nearest);

    // Writes the smallest and the largest of the values, size >= 1. Returns whether all are finite; where not, the
    // range means nothing.
    uint32_t (*value_range)(const float* values, size_t size, float* low, float* high);

    // ---- cohorts, by blocks of neighbouring points ----
    // For groups g of 16 points with until[g] <= moved: labels as `nearest` among the centroids of the rows names[0] <
    // names[1] < ..., the labels being those names, and until[g] = moved - slack + a gap: at most the least difference
    // between the distances of a point of g to its second nearest centroid and to its nearest, but for float32
    // rounding. size <= 512. Returns the groups in which a label differs from before, a bit each.
    uint32_t (*nearest_among)(Points points, size_t size, const float* centroids, const int32_t* names, size_t count,
                              float moved, float slack, float* until, int32_t* labels);

    // gaps[c] <= distance to c - distance to the centroid nearest to the box's centre, for every point of the box, but
    // for float32 rounding; not above 0, or NaN, for that centroid itself. centroids[d * count + c]; count and gaps
    // are whole vectors.
    void (*box_gaps)(Box box, size_t dimensions, const float* centroids, size_t count, float* gaps);

    // sums[d] = sum of rint(coordinate * 2^32) over the points with labels[i] = label, all points where `labels` is
    // null; |coordinate| < 2^19. Returns how many points these are.
    int64_t (*step_sums)(Points points, size_t size, const int32_t* labels, int32_t label, int64_t* sums);

    // Morton code of the cell floor((coordinate - low) * scale), clamped to `bits` bits: bit j of dimension d is bit
    // j * dimensions + d of the key. dimensions * bits <= 31.
    void (*cell_keys)(Points points, size_t size, const float* low, float scale, size_t bits, uint32_t* keys);

    // ---- silhouette ----
    // Distances of 16 points own[d * 16 + i] to others[j * dimensions + d]. For every cell and m < row_count, the sum
    // over begin[cell] <= j < begin[cell + 1] of trunc(distance * scale), every product below 2^31, is added to
    // sums[rows[cell * row_count + m] * 16 + i]: one distance serves every labelling that has a row.
    void (*distance_sums)(const float* own, const float* others, size_t dimensions, const uint32_t* begin,
                          size_t cell_count, const uint32_t* rows, size_t row_count, float scale, int64_t* sums);

    // ---- nearest neighbours ----
    // Writes the numbers i < size <= 2^32 of the points whose squared distance to `query` is below `limit`, ascending,
    // and those distances; returns how many they are. Distances as of `nearest`. Not padded.
    size_t (*closer_than)(Points points, size_t size, const float* query, float limit, uint32_t* found,
                          float* squared_distance);

    // ---- moments, resampling, sketch ----
    // Smallest e with |value| < 2^e for all (-1022 and -126 for those too small to tell), or not_finite. Not padded.
    int32_t (*bound_of_doubles)(const double* values, size_t size);
    int32_t (*bound_of_floats)(const float* values, size_t size);

    // Adds size <= 64 rows of 1 ... 5 columns and all their products to the groups' slots. Columns not padded.
    void (*add_products_of_five)(const ScaledColumn* columns, size_t column_count, size_t begin, size_t size,
                                 const uint8_t* codes, uint64_t* table);

    // rows[i * stride + t] = rint(2^51 * (product t of the scaled columns in row begin + i)), i < size; `stride` terms,
    // a multiple of 8, at most 48. Columns not padded.
    void (*term_rows)(const ScaledColumn* columns, size_t column_count, const Term* terms, size_t stride, size_t begin,
                      size_t size, int64_t* rows);

    // table[codes[i] * stride + t] += rows[i * stride + t]; stride as above.
    void (*add_rows)(const int64_t* rows, size_t stride, const uint8_t* codes, size_t size, int64_t* table);

    // sums[(n * 16 + s) * stride + t]: term t summed over the rows of a block of 64 that stand for bits 4 n + b with
    // bit b set in s < 16 (resampling_row_of_bit).
    void (*subset_sums)(const int64_t* rows, size_t stride, int64_t* sums);

    // One block of 64 rows. Replicates 2 p and 2 p + 1 take the low and high half of splitmix_finalise(id_hash +
    // offsets[p]); a row counts as often as there are limits (descending) not below that half. Adds weighted rows to
    // sums[replicate * stride + t] and weights to counts[replicate]. `present`: the bits of the rows that count at all.
    void (*resample)(const uint64_t* id_hashes, uint64_t present, const int64_t* subset_sums, size_t stride,
                     const uint64_t* offsets, size_t pair_count, const uint32_t* limits, size_t limit_count,
                     int64_t* sums, int64_t* counts);

    // from = 2^26 high + low, 0 <= low < 2^26: adds both parts to the totals and clears `from`. size: a multiple of 8.
    void (*drain)(int64_t* from, size_t size, int64_t* high, int64_t* low);

    // ceil(log2(|value|) * buckets_per_doubling) of finite values, those below 2^-1022 taken as 2^-1022. Padded.
    void (*log_buckets)(const double* values, size_t size, double buckets_per_doubling, int64_t* buckets);
};

#if defined(__x86_64__)
namespace avx512 {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
#endif
// What every machine of the target architecture runs; named "neon" on ARM.
namespace baseline {
extern const Kernels kernels;
}

}  // namespace covey
