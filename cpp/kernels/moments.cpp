// Kernels of grouped moments and the quantile sketch, see kernels.hpp for the contracts.

#include "families.h"
#include "simd.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

typedef float f32h __attribute__((vector_size(COVEY_VECTOR_BYTES / 2)));

COVEY_INLINE f64v magnitude(f64v value) {
    return reinterpret_cast<f64v>(reinterpret_cast<u64v>(value) & 0x7FFFFFFFFFFFFFFFull);
}

COVEY_INLINE int32_t larger(int32_t one, int32_t other) {
    return one > other ? one : other;
}

COVEY_INLINE int32_t largest_lane(i32v vector) {
    int32_t result = vector[0];
    for (size_t lane = 1; lane < lanes_32; ++lane) result = larger(result, vector[lane]);
    return result;
}

// From 2 to 4 the numbers are 2^-51 apart: adding 3 rounds a number of [-1, 1] to that step, half to even.
constexpr double step_magic = 3.0;
constexpr uint64_t step_magic_bits = biased_bits;

COVEY_INLINE i64v to_steps(f64v value) {
    return reinterpret_cast<i64v>(reinterpret_cast<u64v>(value + step_magic) - step_magic_bits);
}

COVEY_INLINE f64v load_scaled(const ScaledColumn& column, size_t i, size_t left) {
    f64v values{};
    if (column.is_float32) {
        const float* from = static_cast<const float*>(column.data) + i;
        if (left >= lanes_64) {
            f32h narrow;
            __builtin_memcpy(&narrow, from, sizeof narrow);
            values = __builtin_convertvector(narrow, f64v);
        } else {
            for (size_t lane = 0; lane < left; ++lane) values[lane] = from[lane];
        }
    } else {
        const double* from = static_cast<const double*>(column.data) + i;
        if (left >= lanes_64) {
            values = load<f64v>(from);
        } else {
            for (size_t lane = 0; lane < left; ++lane) values[lane] = from[lane];
        }
    }
    return values * column.scale;
}

// Row r of the tile becomes column r.
#if COVEY_VECTOR_BYTES == 64
COVEY_INLINE void transpose(i64v* tile) {
    i64v pairs[8];
    for (size_t r = 0; r < 8; r += 2) {
        pairs[r] = __builtin_shufflevector(tile[r], tile[r + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        pairs[r + 1] = __builtin_shufflevector(tile[r], tile[r + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    i64v fours[8];
    for (size_t r = 0; r < 8; r += 4) {
        for (size_t c = 0; c < 2; ++c) {
            fours[r + c] = __builtin_shufflevector(pairs[r + c], pairs[r + c + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            fours[r + c + 2] = __builtin_shufflevector(pairs[r + c], pairs[r + c + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    for (size_t c = 0; c < 4; ++c) {
        tile[c] = __builtin_shufflevector(fours[c], fours[c + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        tile[c + 4] = __builtin_shufflevector(fours[c], fours[c + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}
#elif COVEY_VECTOR_BYTES == 32
COVEY_INLINE void transpose(i64v* tile) {
    i64v pairs[4];
    for (size_t r = 0; r < 4; r += 2) {
        pairs[r] = __builtin_shufflevector(tile[r], tile[r + 1], 0, 4, 2, 6);
        pairs[r + 1] = __builtin_shufflevector(tile[r], tile[r + 1], 1, 5, 3, 7);
    }
    for (size_t c = 0; c < 2; ++c) {
        tile[c] = __builtin_shufflevector(pairs[c], pairs[c + 2], 0, 1, 4, 5);
        tile[c + 2] = __builtin_shufflevector(pairs[c], pairs[c + 2], 2, 3, 6, 7);
    }
}
#else
COVEY_INLINE void transpose(i64v* tile) {
    const i64v first = tile[0];
    tile[0] = __builtin_shufflevector(first, tile[1], 0, 2);
    tile[1] = __builtin_shufflevector(first, tile[1], 1, 3);
}
#endif

template <size_t stride>
COVEY_INLINE void add_rows_of(const int64_t* rows, const uint8_t* codes, size_t size, int64_t* table) {
    for (size_t i = 0; i < size; ++i) {
        int64_t* to = table + codes[i] * stride;
        const int64_t* from = rows + i * stride;
        for (size_t t = 0; t < stride; t += lanes_64) {
            store(to + t, load<u64v>(to + t) + load<u64v>(from + t));  // a group that nobody reads may wrap
        }
    }
}

}  // namespace

int32_t bound_of_doubles(const double* values, size_t size) {
    // The upper halves without the sign, compared as integers: larger for larger magnitudes, largest for NaN.
    i32v largest[4] = {};
    size_t i = 0;
    for (; i + 4 * lanes_64 <= size; i += 4 * lanes_64) {
        for (size_t chain = 0; chain < 4; ++chain) {
            const i32v upper =
                reinterpret_cast<i32v>(load<u64v>(values + i + chain * lanes_64) & 0x7FFFFFFF00000000ull);
            largest[chain] = largest[chain] > upper ? largest[chain] : upper;
        }
    }
    int32_t bits = 0;
    for (size_t chain = 0; chain < 4; ++chain) bits = larger(bits, largest_lane(largest[chain]));
    for (; i < size; ++i) {
        uint64_t value;
        __builtin_memcpy(&value, values + i, sizeof value);
        bits = larger(bits, static_cast<int32_t>(value >> 32 & 0x7FFFFFFF));
    }
    return bits >= 0x7FF00000 ? not_finite : (bits >> 20) - 1022;
}

int32_t bound_of_floats(const float* values, size_t size) {
    i32v largest[4] = {};
    size_t i = 0;
    for (; i + 4 * lanes_32 <= size; i += 4 * lanes_32) {
        for (size_t chain = 0; chain < 4; ++chain) {
            const i32v upper = load<i32v>(values + i + chain * lanes_32) & 0x7FFFFFFF;
            largest[chain] = largest[chain] > upper ? largest[chain] : upper;
        }
    }
    int32_t bits = 0;
    for (size_t chain = 0; chain < 4; ++chain) bits = larger(bits, largest_lane(largest[chain]));
    for (; i < size; ++i) {
        uint32_t value;
        __builtin_memcpy(&value, values + i, sizeof value);
        bits = larger(bits, static_cast<int32_t>(value & 0x7FFFFFFF));
    }
    return bits >= 0x7F800000 ? not_finite : (bits >> 23) - 126;
}

void term_rows(const ScaledColumn* columns, size_t column_count, const Term* terms, size_t stride, size_t begin,
               size_t size, int64_t* rows) {
    f64v values[most_metrics + 1];
    for (size_t i = 0; i < size; i += lanes_64) {
        const size_t left = size - i;
        for (size_t c = 0; c < column_count; ++c) values[c] = load_scaled(columns[c], begin + i, left);
        values[column_count] = spread(1.0);
        const size_t valid = left < lanes_64 ? left : lanes_64;
        for (size_t t = 0; t < stride; t += lanes_64) {
            i64v tile[lanes_64];
            for (size_t lane = 0; lane < lanes_64; ++lane) {
                tile[lane] = to_steps(values[terms[t + lane].first] * values[terms[t + lane].second]);
            }
            transpose(tile);
            if (valid == lanes_64) {
                for (size_t lane = 0; lane < lanes_64; ++lane) store(rows + (i + lane) * stride + t, tile[lane]);
            } else {
                for (size_t lane = 0; lane < valid; ++lane) store(rows + (i + lane) * stride + t, tile[lane]);
            }
        }
    }
}

// A row becomes (x0 ... x4, x0, x1, a step): its products by pairs are those with itself moved by 0, 1 and 2 places.
void add_products_of_five(const ScaledColumn* columns, size_t column_count, size_t begin, size_t size,
                          const uint8_t* codes, uint64_t* table) {
    alignas(64) double rows[(rows_of_products + 1) * 8];
    f64v columns_of_tile[8];
    for (size_t i = 0; i < size; i += lanes_64) {
        for (size_t c = 0; c < 5; ++c) {
            columns_of_tile[c] = c < column_count ? load_scaled(columns[c], begin + i, size - i) : f64v{};
        }
        columns_of_tile[5] = columns_of_tile[0];
        columns_of_tile[6] = columns_of_tile[1];
        columns_of_tile[7] = spread(0x1p-51);
        for (size_t c = 0; c < 8; c += lanes_64) {
            i64v tile[lanes_64];
            for (size_t lane = 0; lane < lanes_64; ++lane)
                tile[lane] = reinterpret_cast<i64v>(columns_of_tile[c + lane]);
            transpose(tile);
            for (size_t lane = 0; lane < lanes_64; ++lane) store(rows + (i + lane) * 8 + c, tile[lane]);
        }
    }
    for (size_t c = 0; c < 8; ++c) rows[size * 8 + c] = 0.0;
    for (size_t i = 0; i < size; ++i) {
        uint64_t* to = table + codes[i] * slots_of_products;
        for (size_t c = 0; c < 8; c += lanes_64) {
            const f64v row = load<f64v>(rows + i * 8 + c);
            const f64v values[] = {row, row * row, row * load<f64v>(rows + i * 8 + c + 1),
                                   row * load<f64v>(rows + i * 8 + c + 2)};
            for (size_t move = 0; move < 4; ++move) {
                const u64v biased = reinterpret_cast<u64v>(values[move] + step_magic);
                store(to + move * 8 + c, load<u64v>(to + move * 8 + c) + biased);
            }
        }
    }
}

void add_rows(const int64_t* rows, size_t stride, const uint8_t* codes, size_t size, int64_t* table) {
    switch (stride / 8) {
        case 1: return add_rows_of<8>(rows, codes, size, table);
        case 2: return add_rows_of<16>(rows, codes, size, table);
        case 3: return add_rows_of<24>(rows, codes, size, table);
        case 4: return add_rows_of<32>(rows, codes, size, table);
        case 5: return add_rows_of<40>(rows, codes, size, table);
        default: return add_rows_of<48>(rows, codes, size, table);
    }
}

void drain(int64_t* from, size_t size, int64_t* high, int64_t* low) {
    for (size_t i = 0; i < size; i += lanes_64) {
        const i64v value = load<i64v>(from + i);
        store(high + i, load<i64v>(high + i) + (value >> drained_bits));
        store(low + i, load<i64v>(low + i) + (value & ((int64_t{1} << drained_bits) - 1)));
        store(from + i, i64v{});
    }
}

void log_buckets(const double* values, size_t size, double buckets_per_doubling, int64_t* buckets) {
    for (size_t i = 0; i < size; i += lanes_64) {
        const f64v smallest = spread(0x1p-1022);
        f64v value = magnitude(load<f64v>(values + i));
        value = value > smallest ? value : smallest;
        const f64v position = log2_of(value) * buckets_per_doubling;
        const i64v nearest = round_to_integer(position);
        const f64v whole = (position + rounding_magic) - rounding_magic;
        store(buckets + i, nearest - (whole < position));  // a true lane is -1
    }
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
