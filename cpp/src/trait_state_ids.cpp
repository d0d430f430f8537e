#include "trait_state_ids.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "covey/hash.hpp"
#include "covey/random.hpp"

namespace covey {
namespace {

std::uint64_t hash_of(const IdTable::Id& id) {
    if (id.kind == IdTable::Kind::text) {
        return splitmix_finalise(fnv1a_64(id.text));
    }
    return splitmix_finalise(id.bits + (id.kind == IdTable::Kind::negative ? 0x9E3779B97F4A7C15ull : 0));
}

}  // namespace

// Decimal text without leading zeros, plus sign or "-0", within int64 or uint64.
IdTable::Id IdTable::id_of(std::string_view text) {
    const bool negative = !text.empty() && text.front() == '-';
    const std::string_view digits = negative ? text.substr(1) : text;
    const bool canonical =
        !digits.empty() && digits.front() >= (negative || digits.size() > 1 ? '1' : '0') && digits.front() <= '9';
    if (canonical && digits.size() <= 20) {
        const char* end = text.data() + text.size();
        std::int64_t value = 0;
        std::uint64_t large = 0;
        if (negative) {
            if (const auto read = std::from_chars(text.data(), end, value); read.ec == std::errc{} && read.ptr == end) {
                return id_of(value);
            }
        } else if (const auto read = std::from_chars(text.data(), end, large);
                   read.ec == std::errc{} && read.ptr == end) {
            return id_of(large);
        }
    }
    return name_of(text);
}

std::uint32_t IdTable::intern(const Id& id) {
    if (2 * (std::size_t{live_count()} + 1) > slots_.size()) {
        resize_slots(slots_.empty() ? 16 : 2 * slots_.size());
    }
    const std::size_t slot = slot_of(id);
    if (slots_[slot] != unknown) {
        return slots_[slot];
    }
    if (id.text.size() > UINT32_MAX || entries_.size() == unknown) {
        throw std::length_error("too many ids, or one that is too long");
    }
    Entry entry{id.bits, static_cast<std::uint32_t>(id.text.size()), id.kind};
    if (id.kind == Kind::text) {
        entry.bits = texts_.size();
        texts_.insert(texts_.end(), id.text.begin(), id.text.end());
    }
    std::uint32_t number = size();
    if (free_.empty()) {
        entries_.push_back(entry);
    } else {
        number = free_.back();
        free_.pop_back();
        entries_[number] = entry;
    }
    return slots_[slot] = number;
}

std::uint32_t IdTable::find(const Id& id) const {
    return slots_.empty() ? unknown : slots_[slot_of(id)];
}

void IdTable::erase(std::uint32_t number) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t empty = slot_of((*this)[number]);
    slots_[empty] = unknown;
    // Ids that were pushed on by the one that goes move back, or a search would end before them.
    for (std::size_t slot = (empty + 1) & mask; slots_[slot] != unknown; slot = (slot + 1) & mask) {
        const std::size_t home = hash_of((*this)[slots_[slot]]) & mask;
        if (((slot - home) & mask) >= ((slot - empty) & mask)) {
            slots_[empty] = slots_[slot];
            slots_[slot] = unknown;
            empty = slot;
        }
    }
    Entry& entry = entries_[number];
    if (entry.kind == Kind::text) {
        std::fill_n(texts_.begin() + static_cast<std::ptrdiff_t>(entry.bits), entry.text_size, '\0');
    }
    entry = Entry{};
    free_.push_back(number);
}

IdTable::Id IdTable::operator[](std::uint32_t number) const {
    const Entry& entry = entries_[number];
    if (entry.kind != Kind::text) {
        return {entry.kind, entry.bits, {}};
    }
    return {entry.kind, 0, {texts_.data() + entry.bits, entry.text_size}};
}

std::size_t IdTable::byte_count() const {
    return entries_.capacity() * sizeof(Entry) + texts_.capacity() +
           (free_.capacity() + slots_.capacity()) * sizeof(std::uint32_t);
}

std::size_t IdTable::slot_of(const Id& id) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash_of(id) & mask;
    while (slots_[slot] != unknown && !holds(slots_[slot], id)) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

bool IdTable::holds(std::uint32_t number, const Id& id) const {
    const Id known = (*this)[number];
    return known.kind == id.kind && known.bits == id.bits && known.text == id.text;
}

void IdTable::resize_slots(std::size_t size) {
    slots_.assign(size, unknown);
    for (std::uint32_t number = 0; number < entries_.size(); ++number) {
        if (entries_[number].kind != Kind::free) {
            slots_[slot_of((*this)[number])] = number;
        }
    }
}

}  // namespace covey
