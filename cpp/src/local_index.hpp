#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/random.hpp"

namespace covey {

// Replaces values of a wide range by positions 0, 1, 2 ... in order of first appearance, one learner at a time: a
// learner with few events must not need a table of a million capabilities. Emptying is a new generation number.
class LocalIndex {
public:
    // In place. Returns the number of distinct values. O(size).
    std::size_t relabel(std::uint32_t* values, std::size_t size) {
        reserve(size);
        if (++generation_ == 0) {
            entries_.assign(entries_.size(), {});
            generation_ = 1;
        }
        const std::size_t mask = entries_.size() - 1;
        std::uint32_t distinct = 0;
        for (std::size_t i = 0; i < size; ++i) {
            std::size_t slot = splitmix_finalise(values[i]) & mask;
            while (entries_[slot].generation == generation_ && entries_[slot].value != values[i]) {
                slot = (slot + 1) & mask;
            }
            if (entries_[slot].generation != generation_) {
                entries_[slot] = {values[i], generation_, distinct++};
            }
            values[i] = entries_[slot].position;
        }
        return distinct;
    }

private:
    struct Entry {
        std::uint32_t value = 0;
        std::uint32_t generation = 0;
        std::uint32_t position = 0;
    };

    void reserve(std::size_t size) {
        if (entries_.size() < 2 * size) {
            entries_.assign(std::bit_ceil(2 * size), {});
            generation_ = 0;
        }
    }

    std::vector<Entry> entries_;
    std::uint32_t generation_ = 0;
};

}  // namespace covey
