#include "covey/questions.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "covey/hash.hpp"
#include "wire.hpp"

namespace covey {
namespace {

using wire::Field;
using wire::Reader;
using wire::Type;

constexpr std::size_t longest_learner_id = 256;
constexpr std::size_t longest_segment = 64;
constexpr std::size_t largest_history = std::size_t{4} << 20;
constexpr std::size_t most_names = 1024;                       // larger dictionaries are the full decoder's
constexpr std::int64_t earliest_us = -62'135'596'800'000'000;  // 0001-01-01
constexpr std::int64_t latest_us = 253'402'300'799'999'999;    // 9999-12-31
constexpr std::uint8_t kind_count = 5;

bool is_continuation(char byte) {
    return (static_cast<std::uint8_t>(byte) & 0xC0u) == 0x80u;
}

// Length of the well-formed UTF-8 sequence that begins with a byte >= 0x80; 0 where there is none.
std::size_t sequence_size(std::string_view text) {
    const auto first = static_cast<std::uint8_t>(text[0]);
    const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() < size) {
        return 0;
    }
    for (std::size_t i = 1; i < size; ++i) {
        if (!is_continuation(text[i])) {
            return 0;
        }
    }
    const auto second = static_cast<std::uint8_t>(text[1]);
    const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
    const bool beyond = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
    return overlong || beyond ? 0 : size;
}

bool is_utf8(std::string_view text) {
    std::size_t i = 0;
    while (i < text.size()) {
        if (static_cast<std::uint8_t>(text[i]) < 0x80) {
            ++i;
        } else if (const std::size_t size = sequence_size(text.substr(i)); size > 0) {
            i += size;
        } else {
            return false;
        }
    }
    return true;
}

// Names of a dictionary so far, to find one that comes twice: an open table of their positions + 1.
class Names {
public:
    // False where the name was there, is no text, or is one too many.
    bool add(std::string_view name) {
        if (size_ == most_names || !is_utf8(name)) {
            return false;
        }
        std::size_t slot = fnv1a_64(name) % slots_.size();
        while (slots_[slot] != 0) {
            const std::size_t other = slots_[slot] - 1u;
            if (std::string_view(begins_[other], sizes_[other]) == name) {
                return false;
            }
            slot = (slot + 1) % slots_.size();
        }
        begins_[size_] = name.data();
        sizes_[size_] = static_cast<std::uint32_t>(name.size());
        slots_[slot] = static_cast<std::uint16_t>(++size_);
        return true;
    }

    std::size_t size() const { return size_; }

private:
    std::array<std::uint16_t, 2 * most_names> slots_{};
    std::array<const char*, most_names> begins_;  // these two are set as names come
    std::array<std::uint32_t, most_names> sizes_;
    std::size_t size_ = 0;
};

template <typename Value>
Value value_at(const char* column, std::size_t i) {
    Value value;
    std::memcpy(&value, column + i * sizeof(Value), sizeof(Value));
    return value;
}

template <typename Value>
bool all_below(const char* column, std::size_t size, std::uint32_t limit) {
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < size; ++i) {
        largest = std::max(largest, static_cast<std::uint32_t>(value_at<Value>(column, i)));  // negative: very large
    }
    return largest < limit;
}

bool times_in_range(const char* column, std::size_t size, std::int64_t& newest_us) {
    std::int64_t oldest = std::numeric_limits<std::int64_t>::max();
    std::int64_t newest = std::numeric_limits<std::int64_t>::min();
    for (std::size_t i = 0; i < size; ++i) {
        const auto time = value_at<std::int64_t>(column, i);
        oldest = std::min(oldest, time);
        newest = std::max(newest, time);
    }
    newest_us = newest;
    return oldest >= earliest_us && newest <= latest_us;
}

bool weights_in_range(const char* column, std::size_t size) {
    bool good = true;
    for (std::size_t i = 0; i < size; ++i) {
        const auto weight = value_at<float>(column, i);
        good &= weight >= 0.0f && weight <= std::numeric_limits<float>::max();
    }
    return good;
}

// Whether a field comes for the first time; remembers it.
class Once {
public:
    bool operator()(std::uint32_t number) {
        const bool first = number < 32 && (seen_ >> number & 1u) == 0;
        seen_ |= number < 32 ? 1u << number : 0u;
        return first;
    }

private:
    std::uint32_t seen_ = 0;
};

bool read_dictionary(std::string_view message, std::size_t rows, PackedIndex& column) {
    constexpr std::array types = {IndexType::uint8, IndexType::uint16, IndexType::int32};
    column.dictionary = message;
    Reader reader(message);
    Names names;
    Field field;
    while (!reader.at_end()) {
        if (!reader.read(field) || field.type != Type::bytes) {
            return false;
        }
        if (field.number == 1) {
            if (!names.add(field.bytes)) {
                return false;
            }
            continue;
        }
        if (field.number > 4 || column.data != nullptr) {
            return false;
        }
        column.type = types[field.number - 2];
        column.data = field.bytes.data();
        if (field.bytes.size() != rows * bytes_per_row(column.type)) {
            return false;
        }
    }
    column.count = static_cast<std::uint32_t>(names.size());
    if (column.data == nullptr || column.count == 0) {
        return false;
    }
    switch (column.type) {
        case IndexType::uint8: return all_below<std::uint8_t>(column.data, rows, column.count);
        case IndexType::uint16: return all_below<std::uint16_t>(column.data, rows, column.count);
        case IndexType::int32: return all_below<std::int32_t>(column.data, rows, column.count);
    }
    return false;
}

bool read_timestamp(std::string_view message, std::int64_t& microseconds) {
    Reader reader(message);
    Once first;
    Field field;
    std::int64_t seconds = 0;
    std::int64_t nanos = 0;
    while (!reader.at_end()) {
        if (!reader.read(field) || field.type != Type::varint || field.number > 2 || !first(field.number)) {
            return false;
        }
        (field.number == 1 ? seconds : nanos) = static_cast<std::int64_t>(field.value);
    }
    if (seconds < earliest_us / 1'000'000 || seconds > latest_us / 1'000'000 || nanos < 0 || nanos >= 1'000'000'000) {
        return false;
    }
    microseconds = seconds * 1'000'000 + nanos / 1000;
    return true;
}

// Fields of PackedEvents by number. A dictionary of learners (4) is the full decoder's.
struct PackedFields {
    std::array<std::string_view, 11> bytes{};
    std::size_t rows = 0;
};

bool read_fields(std::string_view message, PackedFields& fields) {
    Reader reader(message);
    Once first;
    Field field;
    while (!reader.at_end()) {
        if (!reader.read(field) || !first(field.number)) {
            return false;
        }
        if (field.number == 1 && field.type == Type::varint && field.value <= largest_history) {
            fields.rows = static_cast<std::size_t>(field.value);
        } else if (field.number >= 2 && field.number <= 10 && field.number != 4 && field.type == Type::bytes) {
            fields.bytes[field.number] = field.bytes;
        } else {
            return false;
        }
    }
    return true;
}

// An empty column is an absent one.
bool take_column(std::string_view bytes, std::size_t expected_size, const char*& column) {
    column = bytes.empty() ? nullptr : bytes.data();
    return bytes.empty() || bytes.size() == expected_size;
}

bool take_learners(const PackedFields& fields, bool wanted, PackedColumns& columns) {
    const std::string_view as_signed = fields.bytes[2];
    const std::string_view as_unsigned = fields.bytes[3];
    if (!wanted) {
        return as_signed.data() == nullptr && as_unsigned.data() == nullptr;
    }
    columns.learner_id_is_signed = as_signed.data() != nullptr;
    const std::string_view bytes = columns.learner_id_is_signed ? as_signed : as_unsigned;
    columns.learner_id = bytes.data();
    const bool both = columns.learner_id_is_signed && as_unsigned.data() != nullptr;
    return !both && bytes.size() == columns.event_count * sizeof(std::int64_t);
}

bool read_packed(std::string_view message, bool with_learners, PackedColumns& columns) {
    PackedFields fields;
    if (message.size() > largest_history || !read_fields(message, fields) || fields.rows == 0) {
        return false;
    }
    const std::size_t rows = columns.event_count = fields.rows;
    // A dictionary that was sent and is empty is not one that was not sent; the full decoder tells them apart.
    const auto dictionary = [&](std::string_view bytes, PackedIndex& column) {
        return bytes.data() == nullptr || read_dictionary(bytes, rows, column);
    };
    return take_learners(fields, with_learners, columns) && fields.bytes[5].size() == rows * sizeof(std::int64_t) &&
           take_column(fields.bytes[5], rows * sizeof(std::int64_t), columns.time_us) &&
           take_column(fields.bytes[8], rows, columns.kind) &&
           take_column(fields.bytes[9], rows, columns.action_taken) &&
           take_column(fields.bytes[10], rows * sizeof(float), columns.weight) &&
           dictionary(fields.bytes[6], columns.domain) && dictionary(fields.bytes[7], columns.capability) &&
           times_in_range(columns.time_us, rows, columns.newest_us) &&
           (columns.kind == nullptr || all_below<std::uint8_t>(columns.kind, rows, kind_count)) &&
           (columns.action_taken == nullptr || all_below<std::uint8_t>(columns.action_taken, rows, 2)) &&
           (columns.weight == nullptr || weights_in_range(columns.weight, rows));
}

}  // namespace

std::optional<LearnerQuestion> read_question(std::string_view message) {
    LearnerQuestion question;
    question.message = message;
    Reader reader(message);
    Once first;
    Field field;
    while (!reader.at_end()) {
        if (!reader.read(field) || field.type != Type::bytes || !first(field.number)) {
            return std::nullopt;
        }
        bool good = true;
        std::int64_t as_of_us = 0;
        switch (field.number) {
            case 1: question.learner = field.bytes; break;
            case 3: good = read_packed(field.bytes, false, question); break;
            case 5:
                good = read_timestamp(field.bytes, as_of_us);
                question.as_of_us = as_of_us;
                break;
            case 6: question.segment = field.bytes; break;
            default: good = false;
        }
        if (!good) {
            return std::nullopt;
        }
    }
    const std::size_t id_size = question.learner.size();
    if (question.event_count == 0 || id_size == 0 || id_size > longest_learner_id || !is_utf8(question.learner) ||
        question.segment.size() > longest_segment || !is_utf8(question.segment)) {
        return std::nullopt;
    }
    return question;
}

std::optional<AppendedChunk> read_chunk(std::string_view message) {
    AppendedChunk chunk;
    Reader reader(message);
    Once first;
    Field field;
    while (!reader.at_end()) {
        if (!reader.read(field) || !first(field.number)) {
            return std::nullopt;
        }
        if (field.number == 3 && field.type == Type::varint) {
            chunk.sequence = static_cast<std::int64_t>(field.value);
        } else if (field.number != 4 || field.type != Type::bytes || !read_packed(field.bytes, true, chunk)) {
            return std::nullopt;
        }
    }
    return chunk.sequence >= 1 && chunk.event_count > 0 ? std::optional(chunk) : std::nullopt;
}

std::vector<std::string_view> names_of(const PackedIndex& column) {
    std::vector<std::string_view> names;
    Reader reader(column.dictionary);
    Field field;
    while (!reader.at_end() && reader.read(field)) {
        if (field.number == 1) {
            names.push_back(field.bytes);
        }
    }
    return names;
}

std::optional<std::vector<QuestionPart>> read_questions(std::string_view message) {
    std::vector<QuestionPart> parts;
    Reader reader(message);
    Field field;
    while (!reader.at_end()) {
        if (!reader.read(field) || field.number != 1 || field.type != Type::bytes) {
            return std::nullopt;
        }
        parts.push_back({field.bytes, read_question(field.bytes)});
    }
    return parts;
}

}  // namespace covey
