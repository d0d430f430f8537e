// Kernels of re-randomisation and the Poisson bootstrap, see kernels.hpp for the contracts.

#include "families.h"
#include "simd.h"

namespace covey {
namespace COVEY_KERNEL_NAMESPACE {
namespace {

COVEY_INLINE u64v finalise(u64v x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

// One bit per 32-bit lane, lane 0 in bit 0: whether it is at most `limit`.
COVEY_INLINE uint32_t at_most(u64v halves, uint32_t limit) {
#if defined(__AVX512F__)
    return _mm512_cmple_epu32_mask(reinterpret_cast<__m512i>(halves), _mm512_set1_epi32(static_cast<int>(limit)));
#elif defined(__x86_64__)
    const i32v above = reinterpret_cast<i32v>(reinterpret_cast<u32v>(halves) ^ 0x80000000u) >
                       spread(static_cast<int32_t>(limit ^ 0x80000000u));
#if defined(__AVX2__)
    return ~static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(above))) & 0xFF;
#else
    return ~static_cast<uint32_t>(_mm_movemask_ps(reinterpret_cast<__m128>(above))) & 0xF;
#endif
#else
    const u32v values = reinterpret_cast<u32v>(halves);
    uint32_t bits = 0;
    for (size_t lane = 0; lane < lanes_32; ++lane) bits |= static_cast<uint32_t>(values[lane] <= limit) << lane;
    return bits;
#endif
}

constexpr size_t vectors_per_block = resampling_rows / lanes_64;
constexpr uint64_t even_bits = 0x5555555555555555ull;

struct Chosen {
    uint64_t low;   // by the low halves, in the order of resampling_row_of_bit
    uint64_t high;  // by the high halves
};

COVEY_INLINE Chosen chosen_rows(const u64v* mixed, uint32_t limit) {
    uint64_t words[2] = {0, 0};
    for (size_t v = 0; v < vectors_per_block; ++v) {
        const size_t in_word = v % (vectors_per_block / 2);
        words[v / (vectors_per_block / 2)] |= static_cast<uint64_t>(at_most(mixed[v], limit)) << (in_word * lanes_32);
    }
    return {(words[0] & even_bits) | ((words[1] & even_bits) << 1),
            ((words[0] >> 1) & even_bits) | (words[1] & ~even_bits)};
}

// Where the row of subset_sums of bits 4 nibble ... 4 nibble + 3 lies, in bytes from the nibble's first one.
template <size_t row_bytes>
COVEY_INLINE size_t offset_of_subset(uint64_t chosen, size_t nibble) {
    if ((row_bytes & (row_bytes - 1)) != 0) return ((chosen >> (4 * nibble)) & 15) * row_bytes;
    constexpr size_t places = row_bytes == 64 ? 6 : row_bytes == 128 ? 7 : 8;
    const uint64_t moved = 4 * nibble > places ? chosen >> (4 * nibble - places) : chosen << (places - 4 * nibble);
    return moved & (uint64_t{15} << places);
}

template <size_t stride>
COVEY_INLINE void add_subset(uint64_t chosen, const int64_t* subset_sums, int64_t* to) {
    constexpr size_t row_bytes = stride * sizeof(int64_t);
    i64v total[stride / lanes_64];
    for (size_t t = 0; t < stride / lanes_64; ++t) total[t] = load<i64v>(to + t * lanes_64);
    const auto* from = reinterpret_cast<const uint8_t*>(subset_sums);
    for (size_t nibble = 0; nibble < 16; ++nibble, from += 16 * row_bytes) {
        const uint8_t* row = from + offset_of_subset<row_bytes>(chosen, nibble);
        for (size_t t = 0; t < stride / lanes_64; ++t) total[t] += load<i64v>(row + t * sizeof(i64v));
        __asm__ volatile(
            "" ::
                : "memory");  // else all sixteen places are worked out first, more than there are registers
    }
    for (size_t t = 0; t < stride / lanes_64; ++t) store(to + t * lanes_64, total[t]);
}

COVEY_INLINE void mix(const uint64_t* id_hashes, uint64_t offset, u64v* mixed) {
    for (size_t v = 0; v < vectors_per_block; ++v) mixed[v] = finalise(load<u64v>(id_hashes + v * lanes_64) + offset);
}

// Of single draws: the masks of some pairs first, then their sums. Hashing and adding wait for different things, and a
// processor that sees one pair at a time looks ahead too little to overlap them.
template <size_t stride>
COVEY_INLINE void resample_once(const uint64_t* id_hashes, uint64_t present, const int64_t* subset_sums,
                                const uint64_t* offsets, size_t pair_count, uint32_t limit, int64_t* sums,
                                int64_t* counts) {
    constexpr size_t pairs_at_once = 16;
    uint64_t chosen[2 * pairs_at_once];
    for (size_t first = 0; first < pair_count; first += pairs_at_once) {
        const size_t pairs = pair_count - first < pairs_at_once ? pair_count - first : pairs_at_once;
        for (size_t pair = 0; pair < pairs; ++pair) {
            u64v mixed[vectors_per_block];
            mix(id_hashes, offsets[first + pair], mixed);
            const Chosen rows = chosen_rows(mixed, limit);
            chosen[2 * pair] = rows.low & present;
            chosen[2 * pair + 1] = rows.high & present;
        }
        for (size_t i = 0; i < 2 * pairs; ++i) {
            const size_t replicate = 2 * first + i;
            counts[replicate] += __builtin_popcountll(chosen[i]);
            add_subset<stride>(chosen[i], subset_sums, sums + replicate * stride);
        }
    }
}

template <size_t stride>
COVEY_INLINE void resample_in(const uint64_t* id_hashes, uint64_t present, const int64_t* subset_sums,
                              const uint64_t* offsets, size_t pair_count, const uint32_t* limits, size_t limit_count,
                              int64_t* sums, int64_t* counts) {
    if (limit_count == 1) {
        resample_once<stride>(id_hashes, present, subset_sums, offsets, pair_count, limits[0], sums, counts);
        return;
    }
    for (size_t pair = 0; pair < pair_count; ++pair) {
        u64v mixed[vectors_per_block];
        mix(id_hashes, offsets[pair], mixed);
        for (size_t k = 0; k < limit_count; ++k) {
            const Chosen chosen = chosen_rows(mixed, limits[k]);
            const uint64_t low = chosen.low & present;
            const uint64_t high = chosen.high & present;
            if ((low | high) == 0) break;
            counts[2 * pair] += __builtin_popcountll(low);
            counts[2 * pair + 1] += __builtin_popcountll(high);
            add_subset<stride>(low, subset_sums, sums + 2 * pair * stride);
            add_subset<stride>(high, subset_sums, sums + (2 * pair + 1) * stride);
        }
    }
}

}  // namespace

void subset_sums(const int64_t* rows, size_t stride, int64_t* sums) {
    for (size_t nibble = 0; nibble < 16; ++nibble) {
        int64_t* entries = sums + nibble * 16 * stride;
        for (size_t t = 0; t < stride; t += lanes_64) {
            store(entries + t, i64v{});
            for (size_t bit = 0; bit < 4; ++bit) {
                const i64v row = load<i64v>(rows + resampling_row_of_bit(4 * nibble + bit) * stride + t);
                const size_t known = size_t{1} << bit;
                for (size_t subset = 0; subset < known; ++subset) {
                    store(entries + (known + subset) * stride + t, load<i64v>(entries + subset * stride + t) + row);
                }
            }
        }
    }
}

void resample(const uint64_t* id_hashes, uint64_t present, const int64_t* subset_sums, size_t stride,
              const uint64_t* offsets, size_t pair_count, const uint32_t* limits, size_t limit_count, int64_t* sums,
              int64_t* counts) {
    switch (stride / 8) {
        case 1:
            return resample_in<8>(id_hashes, present, subset_sums, offsets, pair_count, limits, limit_count, sums,
                                  counts);
        case 2:
            return resample_in<16>(id_hashes, present, subset_sums, offsets, pair_count, limits, limit_count, sums,
                                   counts);
        case 3:
            return resample_in<24>(id_hashes, present, subset_sums, offsets, pair_count, limits, limit_count, sums,
                                   counts);
        case 4:
            return resample_in<32>(id_hashes, present, subset_sums, offsets, pair_count, limits, limit_count, sums,
                                   counts);
        case 5:
            return resample_in<40>(id_hashes, present, subset_sums, offsets, pair_count, limits, limit_count, sums,
                                   counts);
        default:
            return resample_in<48>(id_hashes, present, subset_sums, offsets, pair_count, limits, limit_count, sums,
                                   counts);
    }
}

}  // namespace COVEY_KERNEL_NAMESPACE
}  // namespace covey
