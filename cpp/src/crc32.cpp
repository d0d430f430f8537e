#include "covey/crc32.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace covey {
namespace {

constexpr std::uint32_t polynomial = 0xEDB88320u;  // bit-reversed: the lowest bit is the highest power of x
constexpr std::size_t slices = 8;

constexpr std::uint32_t times_x(std::uint32_t remainder) {
    return (remainder >> 1) ^ ((remainder & 1u) != 0 ? polynomial : 0u);
}

using Tables = std::array<std::array<std::uint32_t, 256>, slices>;

// tables[s][byte]: what a byte does to the remainder when s bytes follow it.
constexpr Tables make_tables() {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t remainder = byte;
        for (int bit = 0; bit < 8; ++bit) {
            remainder = times_x(remainder);
        }
        tables[0][byte] = remainder;
    }
    for (std::size_t slice = 1; slice < slices; ++slice) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t shorter = tables[slice - 1][byte];
            tables[slice][byte] = (shorter >> 8) ^ tables[0][shorter & 0xFFu];
        }
    }
    return tables;
}

constexpr Tables tables = make_tables();

std::uint32_t by_tables(const char* data, std::size_t size, std::uint32_t remainder) {
    for (; size >= slices; size -= slices, data += slices) {
        std::uint64_t word;
        std::memcpy(&word, data, slices);  // little-endian
        word ^= remainder;
        remainder = 0;
        for (std::size_t i = 0; i < slices; ++i) {
            remainder ^= tables[slices - 1 - i][(word >> (8 * i)) & 0xFFu];
        }
    }
    for (; size != 0; --size, ++data) {
        remainder = (remainder >> 8) ^ tables[0][(remainder ^ static_cast<std::uint8_t>(*data)) & 0xFFu];
    }
    return remainder;
}

#if defined(__x86_64__)

constexpr std::size_t lane_bytes = 16;
constexpr std::size_t lanes = 4;
constexpr std::size_t stride = lane_bytes * lanes;

// x^power modulo the polynomial, as the factor that moves 64 bits that far ahead.
constexpr long long factor(int power) {
    std::uint32_t remainder = 0x80000000u;
    for (int i = 0; i < power; ++i) {
        remainder = times_x(remainder);
    }
    return static_cast<long long>(remainder) << 1;
}

__attribute__((target("pclmul,sse2"))) __m128i load(const char* data) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data));
}

// The state moved ahead by as many bits as `factors` say, with what stands there.
__attribute__((target("pclmul,sse2"))) __m128i folded(__m128i state, __m128i factors, __m128i next) {
    const __m128i low = _mm_clmulepi64_si128(state, factors, 0x00);
    const __m128i high = _mm_clmulepi64_si128(state, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

// Folding as in Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009);
// the 16 bytes that are left go through the tables. At least `stride` bytes.
__attribute__((target("pclmul,sse2"))) std::uint32_t by_folding(const char* data, std::size_t size,
                                                                std::uint32_t remainder) {
    constexpr int far_bits = 8 * static_cast<int>(stride);
    constexpr int near_bits = 8 * static_cast<int>(lane_bytes);
    const __m128i far = _mm_set_epi64x(factor(far_bits - 32), factor(far_bits + 32));
    const __m128i near = _mm_set_epi64x(factor(near_bits - 32), factor(near_bits + 32));
    __m128i state[lanes];
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        state[lane] = load(data + lane * lane_bytes);
    }
    state[0] = _mm_xor_si128(state[0], _mm_cvtsi32_si128(static_cast<int>(remainder)));
    for (data += stride, size -= stride; size >= stride; data += stride, size -= stride) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            state[lane] = folded(state[lane], far, load(data + lane * lane_bytes));
        }
    }
    for (std::size_t lane = 1; lane < lanes; ++lane) {
        state[lane] = folded(state[lane - 1], near, state[lane]);
    }
    char left[lane_bytes];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(left), state[lanes - 1]);
    return by_tables(data, size, by_tables(left, lane_bytes, 0));
}

#endif

}  // namespace

std::uint32_t crc32(const char* data, std::size_t size, std::uint32_t before) {
#if defined(__x86_64__)
    static const bool multiplies = __builtin_cpu_supports("pclmul") != 0;
    if (multiplies && size >= stride) {
        return ~by_folding(data, size, ~before);
    }
#endif
    return ~by_tables(data, size, ~before);
}

}  // namespace covey
