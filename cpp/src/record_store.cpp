#include "record_store.hpp"

#include <cstring>
#include <new>
#include <stdexcept>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace covey {
namespace {

constexpr std::size_t cache_line = 64;
constexpr std::size_t huge_page = std::size_t{1} << 21;

// Whole cache lines, at least two: single ones cost the memory more. A power of two.
constexpr std::size_t rows_per_flush(std::size_t record_bytes) {
    std::size_t rows = 8;
    while (rows * record_bytes % cache_line != 0 || rows * record_bytes < 2 * cache_line) {
        rows *= 2;
    }
    return rows;
}

// Small pages would cost more to hand over than the records to write.
std::byte* allocate(std::size_t bytes) {
    const std::size_t alignment = bytes >= 2 * huge_page ? huge_page : cache_line;
    bytes = (bytes + alignment - 1) / alignment * alignment;
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, bytes));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
#if defined(__linux__)
    if (alignment == huge_page) {
        madvise(memory, bytes, MADV_HUGEPAGE);
    }
#endif
    return memory;
}

// Both are cache lines.
void copy_past_cache(std::byte* to, const std::byte* from, std::size_t bytes) {
#if defined(__x86_64__)
    for (std::size_t i = 0; i < bytes; i += sizeof(__m128i)) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm_load_si128(reinterpret_cast<const __m128i*>(from + i)));
    }
#else
    std::memcpy(to, from, bytes);
#endif
}

}  // namespace

RecordStore::RecordStore(std::size_t parts, std::size_t rows, std::size_t record_bytes)
    : record_bytes_(record_bytes),
      rows_per_flush_(rows_per_flush(record_bytes)),
      buffers_(allocate(parts * rows_per_flush_ * record_bytes)),
      sizes_(parts, 0),
      ends_(parts, nullptr),
      first_run_(parts, 0),
      last_run_(parts, 0),
      next_run_(rows / rows_per_run + parts, 0) {
    if (rows > UINT32_MAX) {
        throw std::length_error("a record store of more than 2^32 - 1 rows");
    }
    memory_.reset(allocate(next_run_.size() * rows_per_run * record_bytes + sizeof(std::uint64_t)));
}

// Where records go of which the part has so many already.
std::byte* RecordStore::end_of(std::size_t part, std::size_t rows_before) {
    if (rows_before % rows_per_run == 0) {
        const auto run = static_cast<std::uint32_t>(runs_++);
        (rows_before == 0 ? first_run_[part] : next_run_[last_run_[part]]) = run;
        last_run_[part] = run;
        ends_[part] = run_data(run);
    }
    return ends_[part];
}

template <std::size_t bytes>
void RecordStore::add_sized(const std::int32_t* learner_index, std::size_t size, unsigned shift,
                            const std::uint64_t* const words[words_at_most]) {
    constexpr std::size_t rows = rows_per_flush(bytes);
    std::byte* const buffers = buffers_.get();
    std::uint32_t* const sizes = sizes_.data();
    for (std::size_t i = 0; i < size; ++i) {
        const std::size_t part = static_cast<std::uint32_t>(learner_index[i]) >> shift;
        const std::size_t before = sizes[part]++;
        std::byte* const buffer = buffers + part * rows * bytes;
        std::byte* const record = buffer + before % rows * bytes;
        for (std::size_t word = 0; word * 8 < bytes; ++word) {
            std::memcpy(record + word * 8, &words[word][i], bytes - word * 8 < 8 ? bytes - word * 8 : 8);
        }
        if ((before + 1) % rows == 0) {
            copy_past_cache(end_of(part, before + 1 - rows), buffer, rows * bytes);
            ends_[part] += rows * bytes;
        }
    }
}

void RecordStore::add(const std::int32_t* learner_index, std::size_t size, unsigned shift,
                      const std::uint64_t* const words[words_at_most]) {
    switch (record_bytes_) {
        case 6: return add_sized<6>(learner_index, size, shift, words);
        case 8: return add_sized<8>(learner_index, size, shift, words);
        case 12: return add_sized<12>(learner_index, size, shift, words);
        case 16: return add_sized<16>(learner_index, size, shift, words);
        case 20: return add_sized<20>(learner_index, size, shift, words);
        case 24: return add_sized<24>(learner_index, size, shift, words);
        case 28: return add_sized<28>(learner_index, size, shift, words);
        case 32: return add_sized<32>(learner_index, size, shift, words);
        default: throw std::logic_error("no record has " + std::to_string(record_bytes_) + " bytes");
    }
}

void RecordStore::finish() {
    for (std::size_t part = 0; part < sizes_.size(); ++part) {
        const std::size_t left = sizes_[part] % rows_per_flush_;
        if (left > 0) {
            std::byte* to = end_of(part, sizes_[part] - left);
            std::memcpy(to, buffers_.get() + part * rows_per_flush_ * record_bytes_, left * record_bytes_);
        }
    }
#if defined(__x86_64__)
    _mm_sfence();  // before another thread reads
#endif
    buffers_.reset();
}

}  // namespace covey
