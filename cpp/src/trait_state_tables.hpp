#pragma once
// Many small tables in one arena: what a learner did by domain, by capability, by day.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace covey {

// Tables from 32-bit keys to one or two 64-bit values. A table is a run of slots: up to `dense_slots` they fill from
// the front and are searched side by side; a larger one is searched by hash. Adding a key is O(1), amortised.
// Runs that tables have grown out of are kept for others. Not thread-safe.
class KeyTables {
public:
    static constexpr std::uint32_t no_key = UINT32_MAX;  // may not be added
    static constexpr std::uint32_t dense_slots = 64;

    struct Table {
        std::uint32_t begin = 0;
        std::uint32_t size = 0;
        std::uint32_t capacity = 0;
    };

    // A slot in use, until a key is added to any table.
    struct Slot {
        std::uint32_t chunk;
        std::uint32_t position;
    };

    // The slot of a key, added with zero values where it is new.
    Slot insert(Table& table, std::uint32_t key, bool& is_new);

    std::uint64_t& value(Slot slot) { return chunks_[slot.chunk].values[slot.position]; }

    // The second value of every key is `default_second` until one is set to something else: only then it costs memory.
    std::uint64_t second(Slot slot) const {
        const Chunk& chunk = chunks_[slot.chunk];
        return has_second_ ? chunk.seconds[slot.position] : default_second_;
    }
    void set_second(Slot slot, std::uint64_t value);
    void set_default_second(std::uint64_t value) { default_second_ = value; }
    bool has_second() const { return has_second_; }

    // Gives the slots of a table back.
    void clear(Table& table);

    // Calls visit(key, slot) for every key.
    template <typename Visit>
    void for_each(const Table& table, Visit&& visit) const {
        const Slot first = first_slot(table);
        for (std::uint32_t i = 0; i < slots_used(table); ++i) {
            const Slot slot{first.chunk, first.position + i};
            const std::uint32_t key = chunks_[slot.chunk].keys[slot.position];
            if (key != no_key) {
                visit(key, slot);
            }
        }
    }

    // Takes every key out for which drop(key) holds. Only for a table that never grew beyond `dense_slots`.
    template <typename Drop>
    void erase_if(Table& table, Drop&& drop) {
        const Slot first = first_slot(table);
        for (std::uint32_t i = table.size; i-- > 0;) {
            Chunk& chunk = chunks_[first.chunk];
            if (drop(chunk.keys[first.position + i])) {
                const std::uint32_t last = first.position + --table.size;
                chunk.keys[first.position + i] = chunk.keys[last];
                chunk.values[first.position + i] = chunk.values[last];
                chunk.keys[last] = no_key;
            }
        }
    }

    std::uint64_t value(Slot slot) const { return chunks_[slot.chunk].values[slot.position]; }

    std::size_t byte_count() const;

private:
    static constexpr int chunk_bits = 16;
    static constexpr std::uint32_t chunk_slots = 1u << chunk_bits;

    // The free runs of a chunk are nodes of a binary tree over its slots: two free halves become a free whole, so
    // that runs which many tables have grown out of serve larger ones.
    struct Chunk {
        std::unique_ptr<std::uint32_t[]> keys;
        std::unique_ptr<std::uint64_t[]> values;
        std::unique_ptr<std::uint64_t[]> seconds;
        std::vector<bool> is_free;  // by node: 1 is the whole, 2n and 2n + 1 are the halves of n
        std::uint32_t size = 0;     // a power of two, unless one table has the chunk for itself
    };
    struct FreeRuns {
        std::vector<std::uint32_t> begins;  // some of them gone meanwhile: is_free decides
        std::size_t count = 0;
    };

    static Slot first_slot(const Table& table) { return {table.begin >> chunk_bits, table.begin & (chunk_slots - 1)}; }
    static bool is_dense(std::uint32_t capacity) { return capacity <= dense_slots; }
    static std::uint32_t slots_used(const Table& table) {
        return is_dense(table.capacity) ? table.size : table.capacity;
    }

    std::uint32_t find_dense(const std::uint32_t* keys, std::uint32_t size, std::uint32_t key) const;
    std::uint32_t find_hashed(const std::uint32_t* keys, std::uint32_t capacity, std::uint32_t key) const;
    void grow(Table& table);
    std::uint32_t allocate(std::uint32_t capacity);
    void give_back(std::uint32_t begin, std::uint32_t capacity);
    std::uint32_t take_run(int level);
    void free_run(std::uint32_t begin, int level);
    void set_free(Chunk& chunk, std::uint32_t node, std::uint32_t begin, int level);
    void add_chunk(std::uint32_t size);

    std::vector<Chunk> chunks_;
    std::array<FreeRuns, chunk_bits + 1> free_;  // by level: runs of 2^level slots
    bool has_second_ = false;
    std::uint64_t default_second_ = 0;
};

}  // namespace covey
