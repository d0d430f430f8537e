#pragma once
// The protobuf wire format, as much of it as questions and answers about learners need: varints, byte strings and, for
// answers, fixed numbers. Little-endian, like the machines this runs on.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace covey::wire {

enum class Type : std::uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
    std::uint32_t number = 0;
    Type type = Type::varint;
    std::uint64_t value = 0;  // of a varint
    std::string_view bytes;   // of a byte string
};

class Reader {
public:
    explicit Reader(std::string_view message) : at_(message.data()), end_(at_ + message.size()) {}

    bool at_end() const { return at_ == end_; }

    // False for bytes that are no field, and for types that no question has.
    bool read(Field& field) {
        std::uint64_t tag = 0;
        if (!read_varint(tag) || tag >> 3 == 0 || tag >> 32 != 0) {
            return false;
        }
        field.number = static_cast<std::uint32_t>(tag >> 3);
        field.type = static_cast<Type>(tag & 7);
        if (field.type == Type::varint) {
            return read_varint(field.value);
        }
        std::uint64_t size = 0;
        if (field.type != Type::bytes || !read_varint(size) || size > static_cast<std::uint64_t>(end_ - at_)) {
            return false;
        }
        field.bytes = {at_, static_cast<std::size_t>(size)};
        at_ += size;
        return true;
    }

private:
    bool read_varint(std::uint64_t& value) {
        value = 0;
        for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
            const auto byte = static_cast<std::uint8_t>(*at_++);
            value |= std::uint64_t{byte & 0x7Fu} << shift;
            if (byte < 0x80) {
                return shift < 63 || byte <= 1;
            }
        }
        return false;
    }

    const char* at_;
    const char* end_;
};

inline std::size_t varint_size(std::uint64_t value) {
    return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

inline void put_varint(std::string& to, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        to.push_back(static_cast<char>(value | 0x80));
    }
    to.push_back(static_cast<char>(value));
}

inline void put_tag(std::string& to, std::uint32_t number, Type type) {
    put_varint(to, number << 3 | static_cast<std::uint32_t>(type));
}

inline void put_bytes(std::string& to, std::uint32_t number, std::string_view bytes) {
    put_tag(to, number, Type::bytes);
    put_varint(to, bytes.size());
    to.append(bytes);
}

// A field of a number type without presence: absent at zero (all bits: -0.0 is there).
inline void put_integer(std::string& to, std::uint32_t number, std::int64_t value) {
    if (value != 0) {
        put_tag(to, number, Type::varint);
        put_varint(to, static_cast<std::uint64_t>(value));
    }
}

template <typename Number>
void put_real(std::string& to, std::uint32_t number, Number value) {
    char bytes[sizeof(Number)];
    constexpr char zero[sizeof(Number)] = {};
    std::memcpy(bytes, &value, sizeof(Number));
    if (std::memcmp(bytes, zero, sizeof(Number)) != 0) {
        put_tag(to, number, sizeof(Number) == 4 ? Type::fixed32 : Type::fixed64);
        to.append(bytes, sizeof(Number));
    }
}

}  // namespace covey::wire
