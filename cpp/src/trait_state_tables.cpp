#include "trait_state_tables.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "covey/random.hpp"

namespace covey {
namespace {

constexpr std::uint32_t smallest_chunk = 256;

// Capacities are 2, 3, 4, 6, 8, 12, 16, 24 ...
std::uint32_t next_capacity(std::uint32_t capacity) {
    if (capacity < 2) {
        return 2;
    }
    return std::has_single_bit(capacity) ? capacity + capacity / 2 : capacity / 3 * 4;
}

// The place that a key asks for first in a table searched by hash.
std::uint32_t home(std::uint32_t key, std::uint32_t capacity) {
    const std::uint64_t hash = splitmix_finalise(key + 0x9E3779B97F4A7C15ull) >> 32;
    return static_cast<std::uint32_t>((hash * capacity) >> 32);
}

}  // namespace

KeyTables::Slot KeyTables::insert(Table& table, std::uint32_t key, bool& is_new) {
    is_new = false;
    if (table.capacity != 0) {
        const Slot first = first_slot(table);
        const std::uint32_t* keys = chunks_[first.chunk].keys.get() + first.position;
        const std::uint32_t found =
            is_dense(table.capacity) ? find_dense(keys, table.size, key) : find_hashed(keys, table.capacity, key);
        if (found < table.capacity && keys[found] == key) {
            return {first.chunk, first.position + found};
        }
    }
    // A hashed table stays a fifth empty, so that searches end soon.
    const bool full = is_dense(table.capacity)
                          ? table.size == table.capacity
                          : std::uint64_t{5} * (table.size + 1) > std::uint64_t{4} * table.capacity;
    if (full) {
        grow(table);
    }
    const Slot first = first_slot(table);
    Chunk& chunk = chunks_[first.chunk];
    const std::uint32_t* keys = chunk.keys.get() + first.position;
    const std::uint32_t place = is_dense(table.capacity) ? table.size : find_hashed(keys, table.capacity, key);
    const Slot slot{first.chunk, first.position + place};
    chunk.keys[slot.position] = key;
    chunk.values[slot.position] = 0;
    if (has_second_) {
        chunk.seconds[slot.position] = default_second_;
    }
    ++table.size;
    is_new = true;
    return slot;
}

void KeyTables::set_second(Slot slot, std::uint64_t value) {
    if (!has_second_) {
        if (value == default_second_) {
            return;
        }
        std::vector<std::unique_ptr<std::uint64_t[]>> seconds;
        for (const Chunk& chunk : chunks_) {
            seconds.push_back(std::make_unique_for_overwrite<std::uint64_t[]>(chunk.size));
            std::fill_n(seconds.back().get(), chunk.size, default_second_);
        }
        for (std::size_t i = 0; i < chunks_.size(); ++i) {
            chunks_[i].seconds = std::move(seconds[i]);
        }
        has_second_ = true;
    }
    chunks_[slot.chunk].seconds[slot.position] = value;
}

void KeyTables::clear(Table& table) {
    if (table.capacity != 0) {
        give_back(table.begin, table.capacity);
    }
    table = {};
}

std::size_t KeyTables::byte_count() const {
    std::size_t bytes = chunks_.capacity() * sizeof(Chunk);
    for (const Chunk& chunk : chunks_) {
        bytes += chunk.size * (sizeof(std::uint32_t) + (has_second_ ? 2 : 1) * sizeof(std::uint64_t)) +
                 chunk.is_free.capacity() / 8;
    }
    for (const FreeRuns& runs : free_) {
        bytes += runs.begins.capacity() * sizeof(std::uint32_t);
    }
    return bytes;
}

// Eight keys at a time, without a branch among them. `size` where there is none.
std::uint32_t KeyTables::find_dense(const std::uint32_t* keys, std::uint32_t size, std::uint32_t key) const {
    std::uint32_t i = 0;
    for (; i + 8 <= size; i += 8) {
        std::uint32_t found = 0;
        for (std::uint32_t j = 0; j < 8; ++j) {
            found |= static_cast<std::uint32_t>(keys[i + j] == key) << j;
        }
        if (found != 0) {
            return i + static_cast<std::uint32_t>(std::countr_zero(found));
        }
    }
    while (i < size && keys[i] != key) {
        ++i;
    }
    return i < size ? i : UINT32_MAX;
}

// The key's place, or the empty one where it would be.
std::uint32_t KeyTables::find_hashed(const std::uint32_t* keys, std::uint32_t capacity, std::uint32_t key) const {
    std::uint32_t place = home(key, capacity);
    while (keys[place] != key && keys[place] != no_key) {
        place = place + 1 == capacity ? 0 : place + 1;
    }
    return place;
}

void KeyTables::grow(Table& table) {
    std::uint32_t capacity = next_capacity(table.capacity);
    if (!is_dense(capacity)) {
        while (std::uint64_t{5} * (table.size + 1) > std::uint64_t{4} * capacity) {
            capacity = next_capacity(capacity);
        }
    }
    Table larger{allocate(capacity), 0, capacity};
    const Slot to = first_slot(larger);
    for_each(table, [&](std::uint32_t key, Slot from) {
        Chunk& chunk = chunks_[to.chunk];
        std::uint32_t* keys = chunk.keys.get() + to.position;
        const std::uint32_t place = to.position + (is_dense(capacity) ? larger.size : find_hashed(keys, capacity, key));
        chunk.keys[place] = key;
        chunk.values[place] = chunks_[from.chunk].values[from.position];
        if (has_second_) {
            chunk.seconds[place] = chunks_[from.chunk].seconds[from.position];
        }
        ++larger.size;
    });
    if (table.capacity != 0) {
        give_back(table.begin, table.capacity);
    }
    table = larger;
}

std::uint32_t KeyTables::allocate(std::uint32_t capacity) {
    std::uint32_t begin = 0;
    if (capacity > chunk_slots) {
        add_chunk(capacity);
        begin = static_cast<std::uint32_t>(chunks_.size() - 1) << chunk_bits;
    } else {
        const std::uint32_t whole = std::bit_ceil(capacity);
        begin = take_run(std::countr_zero(whole));
        if (whole != capacity) {  // three quarters of it
            free_run(begin + capacity, std::countr_zero(whole) - 2);
        }
    }
    const Slot first = first_slot({begin, 0, capacity});
    std::fill_n(chunks_[first.chunk].keys.get() + first.position, capacity, no_key);
    return begin;
}

void KeyTables::give_back(std::uint32_t begin, std::uint32_t capacity) {
    if (capacity > chunk_slots) {  // it had a chunk of its own
        chunks_[begin >> chunk_bits] = Chunk{};
        return;
    }
    const std::uint32_t half = std::bit_floor(capacity);
    free_run(begin, std::countr_zero(half));
    if (half != capacity) {
        free_run(begin + half, std::countr_zero(half) - 1);
    }
}

std::uint32_t KeyTables::take_run(int level) {
    int from = level;
    while (from <= chunk_bits && free_[static_cast<std::size_t>(from)].count == 0) {
        ++from;
    }
    if (from > chunk_bits) {
        const auto doublings = static_cast<int>(std::min<std::size_t>(chunks_.size(), chunk_bits));
        const std::uint32_t size = std::min(smallest_chunk << std::min(doublings, 8), chunk_slots);
        from = std::max(level, std::countr_zero(size));
        add_chunk(1u << from);
        set_free(chunks_.back(), 1, static_cast<std::uint32_t>(chunks_.size() - 1) << chunk_bits, from);
    }
    FreeRuns& runs = free_[static_cast<std::size_t>(from)];
    while (true) {
        const std::uint32_t begin = runs.begins.back();
        runs.begins.pop_back();
        Chunk& chunk = chunks_[begin >> chunk_bits];
        const std::uint32_t node = (chunk.size + (begin & (chunk_slots - 1))) >> from;
        if (chunk.is_free[node]) {
            chunk.is_free[node] = false;
            --runs.count;
            for (; from > level; --from) {
                free_run(begin + (1u << (from - 1)), from - 1);
            }
            return begin;
        }
    }
}

void KeyTables::free_run(std::uint32_t begin, int level) {
    Chunk& chunk = chunks_[begin >> chunk_bits];
    std::uint32_t node = (chunk.size + (begin & (chunk_slots - 1))) >> level;
    while (node > 1 && chunk.is_free[node ^ 1]) {
        chunk.is_free[node ^ 1] = false;
        --free_[static_cast<std::size_t>(level)].count;
        node >>= 1;
        begin &= ~(1u << level);
        ++level;
    }
    set_free(chunk, node, begin, level);
}

void KeyTables::set_free(Chunk& chunk, std::uint32_t node, std::uint32_t begin, int level) {
    FreeRuns& runs = free_[static_cast<std::size_t>(level)];
    if (runs.begins.size() > 2 * runs.count + 1024) {
        std::erase_if(runs.begins, [&](std::uint32_t known) {
            const Chunk& owner = chunks_[known >> chunk_bits];
            return !owner.is_free[(owner.size + (known & (chunk_slots - 1))) >> level];
        });
        std::sort(runs.begins.begin(), runs.begins.end());
        runs.begins.erase(std::unique(runs.begins.begin(), runs.begins.end()), runs.begins.end());
    }
    chunk.is_free[node] = true;
    runs.begins.push_back(begin);
    ++runs.count;
}

void KeyTables::add_chunk(std::uint32_t size) {
    if (chunks_.size() == chunk_slots) {
        throw std::length_error("the trait state is full: it holds 2^32 entries");
    }
    Chunk chunk;
    chunk.keys = std::make_unique_for_overwrite<std::uint32_t[]>(size);
    chunk.values = std::make_unique_for_overwrite<std::uint64_t[]>(size);
    if (has_second_) {
        chunk.seconds = std::make_unique_for_overwrite<std::uint64_t[]>(size);
        std::fill_n(chunk.seconds.get(), size, default_second_);
    }
    chunk.size = size;
    chunk.is_free.resize(size > chunk_slots ? 0 : 2 * std::size_t{size});
    chunks_.push_back(std::move(chunk));
}

}  // namespace covey
