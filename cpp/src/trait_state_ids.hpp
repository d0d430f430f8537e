#pragma once
// Numbers for ids and names as they appear, whatever order and update they appear in.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace covey {

// From integers and texts to small numbers. Text that is an integer's decimal text is that integer, so 42 and "42" are
// one id. Numbers of erased ids are given again. Not thread-safe.
class IdTable {
public:
    static constexpr std::uint32_t unknown = UINT32_MAX;

    enum class Kind : std::uint8_t { free, non_negative, negative, text };

    struct Id {
        Kind kind = Kind::free;
        std::uint64_t bits = 0;   // of an integer
        std::string_view text{};  // valid until the table changes
    };

    static Id id_of(std::uint64_t value) { return {Kind::non_negative, value, {}}; }
    static Id id_of(std::int64_t value) {
        return {value < 0 ? Kind::negative : Kind::non_negative, static_cast<std::uint64_t>(value), {}};
    }
    static Id id_of(std::string_view text);
    // The same text, taken as it is: for names, where "1" is a name.
    static Id name_of(std::string_view text) { return {Kind::text, 0, text}; }

    std::uint32_t intern(const Id& id);
    std::uint32_t find(const Id& id) const;  // `unknown` where it is not there
    void erase(std::uint32_t number);        // overwrites the text

    Id operator[](std::uint32_t number) const;
    // Numbers ever given: above every number in use.
    std::uint32_t size() const { return static_cast<std::uint32_t>(entries_.size()); }
    std::uint32_t live_count() const { return size() - static_cast<std::uint32_t>(free_.size()); }

    std::size_t byte_count() const;

private:
    struct Entry {
        std::uint64_t bits = 0;  // of the integer, or the text's offset
        std::uint32_t text_size = 0;
        Kind kind = Kind::free;
    };

    std::size_t slot_of(const Id& id) const;  // of the id, or the empty one where it would be
    bool holds(std::uint32_t number, const Id& id) const;
    void resize_slots(std::size_t size);

    std::vector<Entry> entries_;
    std::vector<char> texts_;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> slots_;  // numbers; a power of two of them, at most half in use
};

}  // namespace covey
