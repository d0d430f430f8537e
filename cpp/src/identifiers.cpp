#include "covey/identifiers.hpp"

#include <limits>
#include <stdexcept>
#include <string>

#include "covey/random.hpp"

namespace covey {

void IdentifierIndex::encode(const std::uint64_t* ids, std::size_t size, std::int32_t* codes) {
    for (std::size_t i = 0; i < size; ++i) {
        // Files sorted by learner repeat the id of the row before.
        codes[i] = i > 0 && ids[i] == ids[i - 1] ? codes[i - 1] : code_of(ids[i]);
    }
}

std::int32_t IdentifierIndex::code_of(std::uint64_t id) {
    if (2 * (ids_.size() + 1) > slots_.size()) {
        grow();
    }
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = splitmix_finalise(id) & mask;
    while (slots_[slot] >= 0) {
        if (ids_[static_cast<std::size_t>(slots_[slot])] == id) {
            return slots_[slot];
        }
        slot = (slot + 1) & mask;
    }
    if (ids_.size() == static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::length_error("more than 2147483647 distinct ids");
    }
    ids_.push_back(id);
    return slots_[slot] = static_cast<std::int32_t>(ids_.size() - 1);
}

void IdentifierIndex::grow() {
    std::vector<std::int32_t> slots(slots_.empty() ? 64 : 2 * slots_.size(), -1);
    const std::size_t mask = slots.size() - 1;
    for (std::size_t code = 0; code < ids_.size(); ++code) {
        std::size_t slot = splitmix_finalise(ids_[code]) & mask;
        while (slots[slot] >= 0) {
            slot = (slot + 1) & mask;
        }
        slots[slot] = static_cast<std::int32_t>(code);
    }
    slots_ = std::move(slots);
}

void relabel(std::int32_t* codes, std::size_t size, const std::int32_t* new_code_of_old, std::size_t new_size) {
    for (std::size_t row = 0; row < size; ++row) {
        if (codes[row] < 0 || static_cast<std::size_t>(codes[row]) >= new_size) {
            throw std::invalid_argument("codes[" + std::to_string(row) + "] is " + std::to_string(codes[row]) +
                                        ", expected a position in [0, " + std::to_string(new_size) + ")");
        }
    }
    for (std::size_t row = 0; row < size; ++row) {
        codes[row] = new_code_of_old[codes[row]];
    }
}

}  // namespace covey
