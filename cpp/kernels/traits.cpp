// Kernels of the trait pass, see kernels.hpp for the contracts.

#include "families.h"
#include "simd.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

constexpr int64_t largest_time = int64_t{1} << 62;
struct Signs {
    i64v later;
    i64v out_of_range;
};

COVEY_INLINE void ages_of_vector(i64v time, int64_t as_of_us, uint64_t rest_of_day_us, uint64_t* age_us,
                                 uint32_t* day_age, Signs& signs) {
    const u64v unsigned_time = reinterpret_cast<u64v>(time);
    const u64v age = static_cast<uint64_t>(as_of_us) - unsigned_time;
    signs.later |= reinterpret_cast<i64v>(age);
    signs.out_of_range |= reinterpret_cast<i64v>(unsigned_time + static_cast<uint64_t>(largest_time));
    store(age_us, age);
    store(day_age, __builtin_convertvector(whole_days(age + rest_of_day_us), u32h));
}

bool any_negative(i64v vector) {
    int64_t all = 0;
    for (size_t lane = 0; lane < lanes_64; ++lane) all |= vector[lane];
    return all < 0;
}

// y = rate * (age - newest), at most 2^40: far beyond what any weight can outweigh, and exact to convert.
COVEY_INLINE f64v decayed_powers(const uint64_t* age_us, uint64_t newest_us, double rate) {
    const f64v powers = to_double(load<u64v>(age_us) - newest_us) * rate;
    return powers < spread(0x1p40) ? powers : spread(0x1p40);
}

COVEY_INLINE i64v day_ages(const uint32_t* day_age) {
    return __builtin_convertvector(load<u32h>(day_age), i64v);
}

// Exponent field, corrected for subnormal numbers; meaningless for 0.
COVEY_INLINE i64v exponents(f64v value) {
    const i64v normal = reinterpret_cast<i64v>(value) >> 52;
    const i64v subnormal = (reinterpret_cast<i64v>(value * 0x1p64) >> 52) - 64;
    return (normal == 0 ? subnormal : normal) - 1023;
}

}  // namespace

uint32_t ages(const int64_t* time_us, size_t size, int64_t as_of_us, uint64_t rest_of_day_us, uint64_t* age_us,
              uint32_t* day_age) {
    Signs signs{};
    size_t i = 0;
    for (; i + lanes_64 <= size; i += lanes_64) {
        ages_of_vector(load<i64v>(time_us + i), as_of_us, rest_of_day_us, age_us + i, day_age + i, signs);
    }
    if (i < size) {  // the caller's column ends here
        i64v tail = spread(time_us[size - 1]);
        for (size_t lane = 0; i + lane < size; ++lane) tail[lane] = time_us[i + lane];
        ages_of_vector(tail, as_of_us, rest_of_day_us, age_us + i, day_age + i, signs);
    }
    return (any_negative(signs.later) ? some_later : 0) | (any_negative(signs.out_of_range) ? some_out_of_range : 0);
}

AgeRange age_range(const uint64_t* age_us, const double* weight, size_t size) {
    // Ages are below 2^63: signed comparison is the cheaper one.
    const i64v none = spread(INT64_MAX);
    i64v oldest = spread(int64_t{0});
    i64v newest = none;
    i64v newest_positive = none;
    for (size_t i = 0; i < size; i += lanes_64) {
        const i64v inside = first_lanes_64(size - i);
        const i64v age = load<i64v>(age_us + i);
        const i64v low = inside ? age : none;
        oldest = (age & inside) > oldest ? age : oldest;
        newest = low < newest ? low : newest;
        if (weight != nullptr) {
            const i64v positive = load<f64v>(weight + i) > spread(0.0) ? low : none;
            newest_positive = positive < newest_positive ? positive : newest_positive;
        }
    }
    AgeRange range{0, INT64_MAX, INT64_MAX};
    for (size_t lane = 0; lane < lanes_64; ++lane) {
        const auto age_of_lane = [lane](i64v ages) { return static_cast<uint64_t>(ages[lane]); };
        if (age_of_lane(oldest) > range.oldest_us) range.oldest_us = age_of_lane(oldest);
        if (age_of_lane(newest) < range.newest_us) range.newest_us = age_of_lane(newest);
        if (age_of_lane(newest_positive) < range.newest_positive_us) {
            range.newest_positive_us = age_of_lane(newest_positive);
        }
    }
    if (weight == nullptr) range.newest_positive_us = range.newest_us;
    if (range.newest_positive_us == INT64_MAX) range.newest_positive_us = UINT64_MAX;
    return range;
}

double largest_weight(const double* weight, const uint32_t* day_age, uint32_t day_limit, size_t size) {
    f64v largest{};
    for (size_t i = 0; i < size; i += lanes_64) {
        const i64v counted = first_lanes_64(size - i) & (day_ages(day_age + i) < static_cast<int64_t>(day_limit));
        const f64v value = counted ? load<f64v>(weight + i) : spread(0.0);
        largest = value > largest ? value : largest;
    }
    double result = 0.0;
    for (size_t lane = 0; lane < lanes_64; ++lane) result = largest[lane] > result ? largest[lane] : result;
    return result;
}

int64_t quantise(const double* weight, size_t size, double factor, double second_factor, int64_t* steps) {
    i64v total{};
    for (size_t i = 0; i < size; i += lanes_64) {
        const f64v value = load<f64v>(weight + i);
        i64v rounded = round_to_integer(value * factor * second_factor);
        rounded -= (rounded == 0) & (value > spread(0.0));  // a true lane is -1
        store(steps + i, rounded);
        total += rounded & first_lanes_64(size - i);
    }
    return sum(total);
}

int64_t decay(const uint64_t* age_us, size_t size, uint64_t newest_us, double rate, int bits, int64_t* steps) {
    const double magic = decay_magic(bits);
    i64v total{};
    for (size_t i = 0; i < size; i += lanes_64) {
        f64v powers = decayed_powers(age_us + i, newest_us, rate);
        powers = powers < spread(1000.0) ? powers : spread(1000.0);
        powers = -powers;
        i64v rounded;
        decay_steps<1>(&powers, magic, &rounded);
        store(steps + i, rounded);
        total += rounded & first_lanes_64(size - i);
    }
    return sum(total);
}

int64_t decay_exponent(const uint64_t* age_us, const double* weight, size_t size, uint64_t newest_us, double rate) {
    const i64v none = spread(INT64_MIN / 2);
    i64v largest = none;
    for (size_t i = 0; i < size; i += lanes_64) {
        const f64v value = load<f64v>(weight + i);
        const i64v counted = first_lanes_64(size - i) & (value > spread(0.0));
        const i64v exponent = exponents(value) - round_to_integer(decayed_powers(age_us + i, newest_us, rate));
        largest = (counted ? exponent : none) > largest ? exponent : largest;
    }
    int64_t result = INT64_MIN;
    for (size_t lane = 0; lane < lanes_64; ++lane) result = largest[lane] > result ? largest[lane] : result;
    return result;
}

int64_t weighted_decay(const uint64_t* age_us, const double* weight, size_t size, uint64_t newest_us, double rate,
                       double shift, int64_t* steps) {
    i64v total{};
    for (size_t i = 0; i < size; i += lanes_64) {
        const f64v powers = shift - decayed_powers(age_us + i, newest_us, rate);
        i64v whole = round_to_integer(powers);
        const f64v fraction = powers - ((powers + rounding_magic) - rounding_magic);
        // 2^whole in two halves: it may lie outside the range of a double where its product with the weight does not.
        whole = whole > 2040 ? spread(int64_t{2040}) : whole;
        whole = whole < -2040 ? spread(int64_t{-2040}) : whole;
        const i64v half = whole >> 1;
        const f64v scaled = load<f64v>(weight + i) * power_of_two(half) * power_of_two(whole - half);
        const i64v rounded = round_to_integer(scaled * exp2_fraction(fraction));
        store(steps + i, rounded);
        total += rounded & first_lanes_64(size - i);
    }
    return sum(total);
}

void recent(const uint32_t* day_age, const double* weight, size_t size, double factor, double second_factor,
            int64_t* sums) {
    i64v last{};
    i64v before{};
    for (size_t i = 0; i < size; i += lanes_64) {
        const i64v age = day_ages(day_age + i);
        i64v value = spread(int64_t{1});
        if (weight != nullptr) value = round_to_integer(load<f64v>(weight + i) * factor * second_factor);
        value &= first_lanes_64(size - i);
        const i64v in_last = age < 14;
        last += value & in_last;
        before += value & (age < 28) & ~in_last;
    }
    sums[0] = sum(last);
    sums[1] = sum(before);
}

int64_t entropy(const int64_t* steps, size_t size, double total) {
    i64v sums{};
    for (size_t i = 0; i < size; i += lanes_64) {
        const i64v inside = first_lanes_64(size - i);
        const u64v counted = reinterpret_cast<u64v>(inside ? load<i64v>(steps + i) : spread(int64_t{1}));
        const f64v share = to_double(counted) / total;
        sums += round_to_integer(-share * log2_of(share) * 0x1p48) & inside;
    }
    return sum(sums);
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
