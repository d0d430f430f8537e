#pragma once
// Vectors of the native width through the GCC and Clang vector extensions: one source, one width per instruction set.
// Everything has internal linkage, see kernels.hpp.

#include <stddef.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define COVEY_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define COVEY_VECTOR_BYTES 32
#else
#define COVEY_VECTOR_BYTES 16
#endif

#define COVEY_INLINE static inline __attribute__((always_inline))

typedef float f32v __attribute__((vector_size(COVEY_VECTOR_BYTES)));
typedef uint32_t u32v __attribute__((vector_size(COVEY_VECTOR_BYTES)));
typedef int32_t i32v __attribute__((vector_size(COVEY_VECTOR_BYTES)));
typedef uint8_t u8v __attribute__((vector_size(COVEY_VECTOR_BYTES)));
typedef int8_t i8v __attribute__((vector_size(COVEY_VECTOR_BYTES)));
typedef double f64v __attribute__((vector_size(COVEY_VECTOR_BYTES)));
typedef int64_t i64v __attribute__((vector_size(COVEY_VECTOR_BYTES)));
typedef uint64_t u64v __attribute__((vector_size(COVEY_VECTOR_BYTES)));
// As many 8-bit lanes as a full vector has 64-bit ones.
typedef uint8_t u8e __attribute__((vector_size(COVEY_VECTOR_BYTES / 8)));
// As many 32-bit lanes as a full vector has 64-bit ones.
typedef uint32_t u32h __attribute__((vector_size(COVEY_VECTOR_BYTES / 2)));
typedef int32_t i32h __attribute__((vector_size(COVEY_VECTOR_BYTES / 2)));

namespace {

constexpr size_t lanes_8 = COVEY_VECTOR_BYTES;
constexpr size_t lanes_32 = COVEY_VECTOR_BYTES / 4;
constexpr size_t lanes_64 = COVEY_VECTOR_BYTES / 8;

template <typename Vector>
COVEY_INLINE Vector load(const void* from) {
    Vector vector;
    __builtin_memcpy(&vector, from, sizeof vector);
    return vector;
}

template <typename Vector>
COVEY_INLINE void store(void* to, Vector vector) {
    __builtin_memcpy(to, &vector, sizeof vector);
}

COVEY_INLINE f64v spread(double value) {
    return value - f64v{};
}
COVEY_INLINE i64v spread(int64_t value) {
    return value - i64v{};
}
COVEY_INLINE u64v spread(uint64_t value) {
    return value - u64v{};
}
COVEY_INLINE f32v spread(float value) {
    return value - f32v{};
}
COVEY_INLINE i32v spread(int32_t value) {
    return value - i32v{};
}

COVEY_INLINE i64v lane_numbers_64() {
    i64v numbers;
    for (size_t lane = 0; lane < lanes_64; ++lane) numbers[lane] = static_cast<int64_t>(lane);
    return numbers;
}

// All bits set in the lanes of the first `count` elements.
COVEY_INLINE i64v first_lanes_64(size_t count) {
    return lane_numbers_64() < spread(static_cast<int64_t>(count));
}

COVEY_INLINE int64_t sum(i64v vector) {
#if COVEY_VECTOR_BYTES == 64
    vector += __builtin_shufflevector(vector, vector, 4, 5, 6, 7, 0, 1, 2, 3);
    vector += __builtin_shufflevector(vector, vector, 2, 3, 0, 1, 6, 7, 4, 5);
#elif COVEY_VECTOR_BYTES == 32
    vector += __builtin_shufflevector(vector, vector, 2, 3, 0, 1);
#endif
    return vector[0] + vector[1];
}

#if COVEY_VECTOR_BYTES == 32
constexpr int64_t lane_masks[16][4] = {{0, 0, 0, 0},   {-1, 0, 0, 0},   {0, -1, 0, 0},   {-1, -1, 0, 0},
                                       {0, 0, -1, 0},  {-1, 0, -1, 0},  {0, -1, -1, 0},  {-1, -1, -1, 0},
                                       {0, 0, 0, -1},  {-1, 0, 0, -1},  {0, -1, 0, -1},  {-1, -1, 0, -1},
                                       {0, 0, -1, -1}, {-1, 0, -1, -1}, {0, -1, -1, -1}, {-1, -1, -1, -1}};
#elif COVEY_VECTOR_BYTES == 16
constexpr int64_t lane_masks[4][2] = {{0, 0}, {-1, 0}, {0, -1}, {-1, -1}};
#endif

// total + value in the lanes whose bits are set, lane 0 lowest; higher bits are ignored.
COVEY_INLINE i64v add_where(uint64_t bits, i64v total, i64v value) {
#if defined(__AVX512F__)
    const __m512i sum_of_all = reinterpret_cast<__m512i>(total + value);
    return reinterpret_cast<i64v>(
        _mm512_mask_mov_epi64(reinterpret_cast<__m512i>(total), static_cast<__mmask8>(bits), sum_of_all));
#else
    return total + (value & load<i64v>(lane_masks[bits % (1 << lanes_64)]));
#endif
}

// ---- a bit per lane, lane 0 lowest ----

COVEY_INLINE uint64_t signs_of(i64v value) {
#if defined(__AVX512F__)
    return _mm512_movepi64_mask(reinterpret_cast<__m512i>(value));
#elif defined(__AVX2__)
    return static_cast<uint64_t>(_mm256_movemask_pd(reinterpret_cast<__m256d>(value)));
#elif defined(__x86_64__)
    return static_cast<uint64_t>(_mm_movemask_pd(reinterpret_cast<__m128d>(value)));
#else
    uint64_t bits = 0;
    for (size_t lane = 0; lane < lanes_64; ++lane) bits |= static_cast<uint64_t>(value[lane] < 0) << lane;
    return bits;
#endif
}

COVEY_INLINE uint64_t where_less(f64v left, f64v right) {
#if defined(__AVX512F__)
    return _mm512_cmp_pd_mask(reinterpret_cast<__m512d>(left), reinterpret_cast<__m512d>(right), _CMP_LT_OQ);
#else
    return signs_of(left < right);
#endif
}

COVEY_INLINE uint64_t where_equal(f64v left, f64v right) {
#if defined(__AVX512F__)
    return _mm512_cmp_pd_mask(reinterpret_cast<__m512d>(left), reinterpret_cast<__m512d>(right), _CMP_EQ_OQ);
#else
    return signs_of(left == right);
#endif
}

COVEY_INLINE uint64_t signs_of(i32v value) {
#if defined(__AVX512F__)
    return _mm512_movepi32_mask(reinterpret_cast<__m512i>(value));
#elif defined(__AVX2__)
    return static_cast<uint64_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(value)));
#elif defined(__x86_64__)
    return static_cast<uint64_t>(_mm_movemask_ps(reinterpret_cast<__m128>(value)));
#else
    uint64_t bits = 0;
    for (size_t lane = 0; lane < lanes_32; ++lane) bits |= static_cast<uint64_t>(value[lane] < 0) << lane;
    return bits;
#endif
}

COVEY_INLINE uint64_t where_less(i32v left, i32v right) {
#if defined(__AVX512F__)
    return _mm512_cmplt_epi32_mask(reinterpret_cast<__m512i>(left), reinterpret_cast<__m512i>(right));
#else
    return signs_of(left < right);
#endif
}

COVEY_INLINE uint64_t where_different(i32v left, i32v right) {
#if defined(__AVX512F__)
    return _mm512_cmpneq_epi32_mask(reinterpret_cast<__m512i>(left), reinterpret_cast<__m512i>(right));
#else
    return signs_of(left != right);
#endif
}

// Bits of table[indices[i]] == first + i, i < 16.
COVEY_INLINE uint64_t where_entries_count(const uint32_t* table, const uint32_t* indices, uint32_t first) {
#if defined(__AVX512F__)
    const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i entries = _mm512_mask_i32gather_epi32(numbers, 0xFFFF, _mm512_loadu_si512(indices), table, 4);
    return _mm512_cmpeq_epi32_mask(entries, _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)), numbers));
#elif defined(__AVX2__)
    const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    uint64_t bits = 0;
    for (int part = 0; part < 2; ++part) {
        const __m256i at = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(indices + 8 * part));
        const __m256i entries = _mm256_i32gather_epi32(reinterpret_cast<const int*>(table), at, 4);
        const __m256i wanted = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(first) + 8 * part), numbers);
        const __m256i equal = _mm256_cmpeq_epi32(entries, wanted);
        bits |= static_cast<uint64_t>(_mm256_movemask_ps(_mm256_castsi256_ps(equal))) << (8 * part);
    }
    return bits;
#else
    uint64_t bits = 0;
    for (uint32_t i = 0; i < 16; ++i) bits |= static_cast<uint64_t>(table[indices[i]] == first + i) << i;
    return bits;
#endif
}

COVEY_INLINE uint64_t where_equal(u8v left, u8v right) {
#if defined(__AVX512F__)
    return _mm512_cmpeq_epi8_mask(reinterpret_cast<__m512i>(left), reinterpret_cast<__m512i>(right));
#elif defined(__AVX2__)
    return static_cast<uint32_t>(_mm256_movemask_epi8(reinterpret_cast<__m256i>(left == right)));
#elif defined(__x86_64__)
    return static_cast<uint32_t>(_mm_movemask_epi8(reinterpret_cast<__m128i>(left == right)));
#else
    uint64_t bits = 0;
    for (size_t lane = 0; lane < lanes_8; ++lane) bits |= static_cast<uint64_t>(left[lane] == right[lane]) << lane;
    return bits;
#endif
}

// The bits of 64 bytes.
COVEY_INLINE uint64_t bits_of_byte(const uint8_t* bytes, u8v value) {
    uint64_t bits = 0;
    for (size_t part = 0; part < 64 / lanes_8; ++part) {
        bits |= where_equal(load<u8v>(bytes + part * lanes_8), value) << (part * lanes_8 % 64);
    }
    return bits;
}

COVEY_INLINE uint64_t count_ones(uint64_t bits) {
#if defined(__POPCNT__) || defined(__aarch64__)
    return static_cast<uint64_t>(__builtin_popcountll(bits));
#else  // the library call costs more
    bits -= (bits >> 1) & 0x5555555555555555ull;
    bits = (bits & 0x3333333333333333ull) + ((bits >> 2) & 0x3333333333333333ull);
    return (((bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0Full) * 0x0101010101010101ull) >> 56;
#endif
}

// ---- conversions that SSE2 and AVX2 lack, exact by the magic of adding 2^52 ----

// Integers below 2^52.
COVEY_INLINE f64v small_to_double(u64v value) {
    return reinterpret_cast<f64v>(value | 0x4330000000000000ull) - 0x1p52;
}

// Any unsigned integer, rounded once: as a scalar cast would.
COVEY_INLINE f64v to_double(u64v value) {
    return small_to_double(value >> 32) * 0x1p32 + small_to_double(value & 0xFFFFFFFFull);
}

// 86,400 s in microseconds is 10,546,875 * 2^13: after the shift every quotient is exact in a double.
constexpr int day_shift = 13;
constexpr double day_divisor = 10546875.0;

// floor(value / 86,400 s), as rint of the quotient of value / 2^13 and half a step more, less one half. That is 0.5 / d
// or more away from where rint would turn (d = day_divisor, 2^-24.33), and wrong by less: the product by 2^-25.33 and
// the sum by 2^-26.33 at most, for value / 2^13 <= 2^50.
COVEY_INLINE u64v whole_days(u64v value) {
    constexpr double to_days = 1.0 / day_divisor;
    const f64v magic = small_to_double(value >> day_shift) * to_days + (0.5 * to_days - 0.5) + 0x1.8p52;
    return reinterpret_cast<u64v>(magic) - 0x4338000000000000ull;
}

constexpr double rounding_magic = 0x1.8p52;

// rint(value) as an integer, half to even, for |value| <= 2^51.
COVEY_INLINE i64v round_to_integer(f64v value) {
    return reinterpret_cast<i64v>(value + rounding_magic) - 0x4338000000000000ll;
}

// 2^exponent for -1022 <= exponent <= 1023.
COVEY_INLINE f64v power_of_two(i64v exponent) {
    return reinterpret_cast<f64v>((exponent + 1023) << 52);
}

// 2^f for |f| <= 1/2: Taylor series of e^(f ln 2) to the ninth power, relative error below 7e-12.
COVEY_INLINE f64v exp2_fraction(f64v f) {
    const f64v x = f * 0x1.62e42fefa39efp-1;
    f64v series = spread(1.0 / 362880);
    series = series * x + 1.0 / 40320;
    series = series * x + 1.0 / 5040;
    series = series * x + 1.0 / 720;
    series = series * x + 1.0 / 120;
    series = series * x + 1.0 / 24;
    series = series * x + 1.0 / 6;
    series = series * x + 0.5;
    series = series * x + 1.0;
    return series * x + 1.0;
}

// 2^f for |f| <= 1/2: interpolated at the Chebyshev nodes to the sixth power, relative error below 2.6e-9, 1 at 0.
template <size_t count>
COVEY_INLINE void exp2_fractions_short(const f64v* f, f64v* series) {
    constexpr double coefficients[] = {0x1.5f48c04f62e63p-10, 0x1.3b2a1b7152bf1p-7, 0x1.c6aecc669b6ddp-5,
                                       0x1.ebfbe045f4d3cp-3,  0x1.62e430d034702p-1, 1.0};
    for (size_t v = 0; v < count; ++v) series[v] = spread(0x1.443fffc90db78p-13);
    for (const double coefficient : coefficients) {
        for (size_t v = 0; v < count; ++v) series[v] = series[v] * f[v];
        for (size_t v = 0; v < count; ++v) series[v] = series[v] + coefficient;
    }
}

// Bits of the largest term in fixed point, so that the sum of `size` terms stays below 2^62.
COVEY_INLINE int decay_bits(size_t size) {
    const int width = 64 - __builtin_clzll(size);
    return width > 12 ? 62 - width : 50;
}

COVEY_INLINE double decay_magic(int bits) {
    return rounding_magic + bits;
}

// rint(2^(power + bits)) for -1000 <= power <= 0, of `count` vectors: `magic` puts the whole part of the power and the
// bits where a shift makes them an exponent. The vectors go side by side, since each step waits for the one before.
template <size_t count>
COVEY_INLINE void decay_steps(const f64v* power, double magic, i64v* steps) {
    f64v whole[count];
    f64v f[count];
    f64v series[count];
    for (size_t v = 0; v < count; ++v) whole[v] = power[v] + magic;
    for (size_t v = 0; v < count; ++v) f[v] = whole[v] - magic;
    for (size_t v = 0; v < count; ++v) f[v] = power[v] - f[v];
    exp2_fractions_short<count>(f, series);
    for (size_t v = 0; v < count; ++v) {
        const u64v exponent = reinterpret_cast<u64v>(whole[v]) << 52;
        series[v] = reinterpret_cast<f64v>(reinterpret_cast<u64v>(series[v]) + exponent);
    }
    for (size_t v = 0; v < count; ++v) steps[v] = round_to_integer(series[v]);
}

// log2 of normal numbers: the exponent and 2 atanh(s) log2(e), s = (m - 1) / (m + 1), with m in [sqrt(1/2), sqrt(2)).
// As covey::binary_log.
COVEY_INLINE f64v log2_of(f64v value) {
    const i64v bits = reinterpret_cast<i64v>(value);
    f64v mantissa = reinterpret_cast<f64v>((bits & 0xFFFFFFFFFFFFFll) | 0x3FF0000000000000ll);
    const i64v upper = mantissa >= spread(0x1.6a09e667f3bcdp+0);
    mantissa = upper ? mantissa * 0.5 : mantissa;
    const i64v exponent = (bits >> 52) - 1023 - upper;  // a true lane is -1
    const f64v s = (mantissa - 1.0) / (mantissa + 1.0);
    const f64v s2 = s * s;
    f64v series = spread(1.0 / 21);
    series = series * s2 + 1.0 / 19;
    series = series * s2 + 1.0 / 17;
    series = series * s2 + 1.0 / 15;
    series = series * s2 + 1.0 / 13;
    series = series * s2 + 1.0 / 11;
    series = series * s2 + 1.0 / 9;
    series = series * s2 + 1.0 / 7;
    series = series * s2 + 1.0 / 5;
    series = series * s2 + 1.0 / 3;
    const f64v log = 2.0 * s + 2.0 * s * (s2 * series);
    const f64v whole = reinterpret_cast<f64v>(exponent + 0x4338000000000000ll) - rounding_magic;
    return whole + log * 0x1.71547652b82fep+0;
}

COVEY_INLINE f32v square_root(f32v value) {
#if defined(__AVX512F__)
    return reinterpret_cast<f32v>(_mm512_maskz_sqrt_ps(0xFFFF, reinterpret_cast<__m512>(value)));
#elif defined(__AVX2__)
    return reinterpret_cast<f32v>(_mm256_sqrt_ps(reinterpret_cast<__m256>(value)));
#elif defined(__x86_64__)
    return reinterpret_cast<f32v>(_mm_sqrt_ps(reinterpret_cast<__m128>(value)));
#elif defined(__aarch64__)
    return reinterpret_cast<f32v>(vsqrtq_f32(reinterpret_cast<float32x4_t>(value)));
#else
    for (size_t lane = 0; lane < lanes_32; ++lane) value[lane] = __builtin_sqrtf(value[lane]);
    return value;
#endif
}

}  // namespace
