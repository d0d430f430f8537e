// Kernels of days of activity, see kernels.hpp for the contracts.

#include "families.h"
#include "simd.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

constexpr int64_t largest_time = int64_t{1} << 62;

COVEY_INLINE i64v store_day_ages(u64v age, uint64_t rest_of_day_us, uint32_t* day_age) {
    store(day_age, __builtin_convertvector(whole_days(age + rest_of_day_us), u32h));
    return reinterpret_cast<i64v>(age);
}

COVEY_INLINE i32v lane_numbers_32() {
    i32v numbers;
    for (size_t lane = 0; lane < lanes_32; ++lane) numbers[lane] = static_cast<int32_t>(lane);
    return numbers;
}

struct Range {
    uint32_t oldest;
    uint32_t newest;
};

// Lanes behind the end count as the first event once more. Day ages have 31 bits at most: signed compares do.
COVEY_INLINE Range range_of(const uint32_t* day_age, size_t size) {
    const i32v first = spread(static_cast<int32_t>(day_age[0]));
    i32v oldest = first;
    i32v newest = first;
    size_t i = 0;
    for (; i + lanes_32 <= size; i += lanes_32) {
        const i32v age = load<i32v>(day_age + i);
        oldest = age > oldest ? age : oldest;
        newest = age < newest ? age : newest;
    }
    if (i < size) {
        const i32v inside = lane_numbers_32() < spread(static_cast<int32_t>(size - i));
        const i32v age = inside ? load<i32v>(day_age + i) : first;
        oldest = age > oldest ? age : oldest;
        newest = age < newest ? age : newest;
    }
    int32_t largest = oldest[0];
    int32_t smallest = newest[0];
    for (size_t lane = 1; lane < lanes_32; ++lane) {
        largest = oldest[lane] > largest ? oldest[lane] : largest;
        smallest = newest[lane] < smallest ? newest[lane] : smallest;
    }
    return {static_cast<uint32_t>(largest), static_cast<uint32_t>(smallest)};
}

struct Days {
    uint64_t bits;
    bool is_within;  // no event lies outside of the range
};

// Bit d for every event d days after the oldest, d < 64.
COVEY_INLINE Days days_after(const uint32_t* day_age, size_t size, const Range& range) {
    const uint32_t span = range.oldest - range.newest;
#if COVEY_VECTOR_BYTES == 64
    const __m256i oldest = _mm256_set1_epi32(static_cast<int>(range.oldest));
    const __m256i largest = _mm256_set1_epi32(static_cast<int>(span));
    const __m512i one = _mm512_set1_epi64(1);
    __m512i bits = _mm512_setzero_si512();
    unsigned outside = 0;
    for (size_t i = 0; i < size; i += lanes_64) {
        const auto inside = static_cast<__mmask8>(size - i >= lanes_64 ? 0xFF : (1u << (size - i)) - 1);
        const __m256i day = _mm256_sub_epi32(oldest, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(day_age + i)));
        outside |= _mm256_mask_cmpgt_epu32_mask(inside, day, largest);
        // A shift by 64 or more leaves nothing.
        bits = _mm512_or_si512(bits, _mm512_maskz_sllv_epi64(inside, one, _mm512_maskz_cvtepu32_epi64(inside, day)));
    }
    u64v all = reinterpret_cast<u64v>(bits);
    all |= __builtin_shufflevector(all, all, 4, 5, 6, 7, 0, 1, 2, 3);
    all |= __builtin_shufflevector(all, all, 2, 3, 0, 1, 6, 7, 4, 5);
    return {all[0] | all[1], outside == 0};
#elif COVEY_VECTOR_BYTES == 32
    const __m128i oldest = _mm_set1_epi32(static_cast<int>(range.oldest));
    const __m256i one = _mm256_set1_epi64x(1);
    __m256i bits = _mm256_setzero_si256();
    __m128i most = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 4 <= size; i += 4) {
        const __m128i day = _mm_sub_epi32(oldest, _mm_loadu_si128(reinterpret_cast<const __m128i*>(day_age + i)));
        most = _mm_max_epu32(most, day);
        // A shift by 64 or more leaves nothing.
        bits = _mm256_or_si256(bits, _mm256_sllv_epi64(one, _mm256_cvtepu32_epi64(day)));
    }
    const u64v four = reinterpret_cast<u64v>(bits);
    uint64_t all = (four[0] | four[1]) | (four[2] | four[3]);
    bool is_within = true;
    for (; i < size; ++i) {
        const uint32_t day = range.oldest - day_age[i];
        is_within &= day <= span;
        all |= static_cast<uint64_t>(day < 64) << (day & 63);
    }
    const __m128i largest = _mm_set1_epi32(static_cast<int>(span));
    const __m128i inside = _mm_cmpeq_epi32(_mm_max_epu32(most, largest), largest);
    return {all, is_within && _mm_movemask_epi8(inside) == 0xFFFF};
#else  // narrower vectors shift one by one
    uint64_t bits = 0;
    bool is_within = true;
    for (size_t i = 0; i < size; ++i) {
        const uint32_t day = range.oldest - day_age[i];
        is_within &= day <= span;
        bits |= static_cast<uint64_t>(day < 64) << (day & 63);
    }
    return {bits, is_within};
#endif
}

}  // namespace

uint32_t day_ages(const int64_t* time_us, size_t size, int64_t as_of_us, uint64_t rest_of_day_us, uint32_t* day_age) {
    i64v later{};
    i64v outside{};
    for (size_t i = 0; i < size; i += lanes_64) {
        u64v time;
        if (i + lanes_64 <= size) {
            time = load<u64v>(time_us + i);
        } else {  // the caller's column ends here
            time = spread(static_cast<uint64_t>(time_us[size - 1]));
            for (size_t lane = 0; i + lane < size; ++lane) time[lane] = static_cast<uint64_t>(time_us[i + lane]);
        }
        outside |= reinterpret_cast<i64v>(time + static_cast<uint64_t>(largest_time));
        later |= store_day_ages(static_cast<uint64_t>(as_of_us) - time, rest_of_day_us, day_age + i);
    }
    return (signs_of(later) != 0 ? some_later : 0) | (signs_of(outside) != 0 ? some_out_of_range : 0);
}

uint32_t day_ages_of_seconds(const uint32_t* seconds, size_t size, int64_t age_of_origin_us, uint64_t rest_of_day_us,
                             uint32_t* day_age) {
    const u64v newest = spread(static_cast<uint64_t>(age_of_origin_us));
    i64v later{};
    for (size_t i = 0; i < size; i += lanes_64) {
        u32h values;
        if (i + lanes_64 <= size) {
            values = load<u32h>(seconds + i);
        } else {
            values = seconds[size - 1] - u32h{};
            for (size_t lane = 0; i + lane < size; ++lane) values[lane] = seconds[i + lane];
        }
        const u64v age = newest - __builtin_convertvector(values, u64v) * 1'000'000;
        later |= store_day_ages(age, rest_of_day_us, day_age + i);
    }
    return signs_of(later) != 0 ? some_later : 0;
}

void active_days(const uint32_t* day_age, const uint32_t* begins, size_t count, uint32_t* oldest, uint32_t* newest,
                 uint64_t* days) {
    for (size_t i = 0; i < count; ++i) {
        const uint32_t* own = day_age + begins[i];
        const size_t size = begins[i + 1] - begins[i];
        if (size == 0) continue;
        // Most histories come in the order of time: the first event is the oldest, the last one the newest.
        Range range{own[0], own[size - 1]};
        Days found = days_after(own, size, range);
        if (range.oldest < range.newest || !found.is_within) {
            range = range_of(own, size);
            found = days_after(own, size, range);
        }
        oldest[i] = range.oldest;
        newest[i] = range.newest;
        days[i] = found.bits;
    }
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
