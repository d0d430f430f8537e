// Saved trait states: whatever the bytes, they are refused, or make a state that works and is saved as it was loaded.

#include <bit>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "covey/trait_state.hpp"
#include "fuzz.hpp"

namespace covey::fuzz {
namespace {

// The last word made the checksum of those before it, as TraitState::save makes it: what is tried is what lies behind.
void seal(std::vector<std::byte>& bytes) {
    std::uint64_t value = 0x243F6A8885A308D3ull;
    const std::size_t end = bytes.size() - 8;
    for (std::size_t i = 0; i < end; i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + i, 8);
        value = std::rotl(value ^ word, 29) * 0x9E3779B97F4A7C15ull;
    }
    std::memcpy(bytes.data() + end, &value, 8);
}

std::vector<std::byte> saved(const TraitState& state) {
    std::vector<std::byte> bytes;
    state.save([&bytes](const void* piece, std::size_t size) {
        const auto* from = static_cast<const std::byte*>(piece);
        bytes.insert(bytes.end(), from, from + size);
    });
    return bytes;
}

void work_with(const TraitState& state) {
    const std::vector<std::int64_t> learners = state.learners();
    require(learners.size() == state.learner_count(), "as many learners as were counted");
    if (learners.empty()) {
        return;
    }
    std::vector<std::int64_t> offsets;
    std::string texts;
    state.text_ids(learners, offsets, texts);
    const std::vector<std::byte> bytes = saved(state);
    require(saved(TraitState::load(bytes)) == bytes, "a state saved as it was loaded");
}

}  // namespace
}  // namespace covey::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 8 || size % 8 != 0) {
        return 0;
    }
    const auto* from = reinterpret_cast<const std::byte*>(data);
    std::vector<std::byte> bytes(from, from + size);
    covey::fuzz::seal(bytes);
    try {
        covey::fuzz::work_with(covey::TraitState::load(bytes));
    } catch (const std::invalid_argument&) {
        // Refused, in words.
    }
    return 0;
}
