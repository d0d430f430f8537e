#pragma once
// Questions about single learners, read where they came in: messages of covey.v1 without a copy of their columns.
//
// Only plain questions are read: packed columns, every value in its range, every field once. Whatever is not plain is
// the full decoder's, which finds out what is wrong with it, if anything. The two must agree on what is plain.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "covey/columns.hpp"

namespace covey {

// Little-endian positions at any address, in a dictionary of `count` distinct names. Null data: all zero.
struct PackedIndex {
    const char* data = nullptr;
    IndexType type = IndexType::uint8;
    std::uint32_t count = 1;
    std::string_view dictionary;  // the message, of which `names_of` reads the names; empty where it is absent
};

// Views into the bytes of a PackedEvents message. Columns have event_count >= 1 rows, at any address, with values in
// their ranges; null where absent.
struct PackedColumns {
    std::size_t event_count = 0;
    const char* learner_id = nullptr;  // int64 or uint64; null in questions
    bool learner_id_is_signed = true;
    const char* time_us = nullptr;  // int64
    std::int64_t newest_us = 0;
    PackedIndex domain;
    PackedIndex capability;
    const char* kind = nullptr;
    const char* action_taken = nullptr;
    const char* weight = nullptr;  // float32
};

// Views into the bytes of an AnalyzeLearnerRequest.
struct LearnerQuestion : PackedColumns {
    std::string_view message;
    std::string_view learner;  // 1 to 256 bytes
    std::string_view segment;  // at most 64 bytes
    std::optional<std::int64_t> as_of_us;
};

// Views into the bytes of an AppendEventsRequest.
struct AppendedChunk : PackedColumns {
    std::int64_t sequence = 0;  // >= 1
};

// The question of an AnalyzeLearnerRequest; nullopt unless it is plain. O(bytes).
std::optional<LearnerQuestion> read_question(std::string_view message);

// The chunk of an AppendEventsRequest whose learners are integers; nullopt unless it is plain, or where the message
// names its dataset or append. O(bytes).
std::optional<AppendedChunk> read_chunk(std::string_view message);

// The names of a dictionary in their order.
std::vector<std::string_view> names_of(const PackedIndex& column);

// A question of a message of many.
struct QuestionPart {
    std::string_view message;
    std::optional<LearnerQuestion> question;  // nullopt unless it is plain
};

// The parts of an AnalyzeLearnersRequest; nullopt where it has anything but questions.
std::optional<std::vector<QuestionPart>> read_questions(std::string_view message);

}  // namespace covey
