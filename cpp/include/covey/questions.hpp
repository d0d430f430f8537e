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
};

// Views into the bytes of an AnalyzeLearnerRequest, which outlive it. Columns have event_count >= 1 rows, at any
// address, with values in their ranges; null where absent.
struct LearnerQuestion {
    std::string_view message;
    std::string_view learner_id;  // 1 to 256 bytes
    std::string_view segment;     // at most 64 bytes
    std::optional<std::int64_t> as_of_us;
    std::size_t event_count = 0;
    const char* time_us = nullptr;  // int64
    PackedIndex domain;
    PackedIndex capability;
    const char* kind = nullptr;
    const char* action_taken = nullptr;
    const char* weight = nullptr;  // float32
};

// The question of an AnalyzeLearnerRequest; nullopt unless it is plain. O(bytes).
std::optional<LearnerQuestion> read_question(std::string_view message);

// A question of a message of many.
struct QuestionPart {
    std::string_view message;
    std::optional<LearnerQuestion> question;  // nullopt unless it is plain
};

// The parts of an AnalyzeLearnersRequest; nullopt where it has anything but questions.
std::optional<std::vector<QuestionPart>> read_questions(std::string_view message);

}  // namespace covey
