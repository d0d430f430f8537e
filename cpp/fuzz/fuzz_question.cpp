// Questions about learners: whatever the bytes, a question is refused or answered with traits in [0, 1].

#include <optional>
#include <string>
#include <vector>

#include "covey/dispatch.hpp"
#include "covey/online.hpp"
#include "covey/questions.hpp"
#include "fuzz.hpp"

namespace covey::fuzz {
namespace {

constexpr std::int64_t as_of_us = 1'767'225'600'000'000;  // 2026-01-01

const OnlineAnalyzer& analyzer() {
    static const OnlineAnalyzer made(TraitParameters{}, select_kernels(""),
                                     CohortTable{{1.0f, 1.0f, 1.0f, 1.0f, 1.0f}, {{}, {1.0f, 1.0f, 1.0f, 1.0f, 1.0f}}});
    return made;
}

void answer(const std::vector<const LearnerQuestion*>& questions) {
    std::string response;
    const std::vector<Finding> findings = analyzer().analyze(questions, as_of_us);
    require(findings.size() == questions.size(), "a finding for every question");
    for (std::size_t i = 0; i < findings.size(); ++i) {
        require(findings[i].cohort < analyzer().cohort_count(), "a cohort of the model");
        for (const float trait : findings[i].traits) {
            require(findings[i].event_count == 0 || (trait >= 0.0f && trait <= 1.0f), "a trait in [0, 1]");
        }
        append_answer(response, answer_message(questions[i]->learner, findings[i], as_of_us, ""));
    }
}

}  // namespace
}  // namespace covey::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace covey;
    const std::string_view message = fuzz::text_of(data, size);
    if (const std::optional<LearnerQuestion> question = read_question(message)) {
        fuzz::require(!question->learner.empty() && question->learner.size() <= 256, "a learner id of 1 to 256 bytes");
        fuzz::require_names(question->domain);
        fuzz::require_names(question->capability);
        fuzz::answer({&*question});
    }
    if (const std::optional<std::vector<QuestionPart>> parts = read_questions(message)) {
        // Those with and without weights are not mixed in one call.
        for (const bool weighted : {false, true}) {
            std::vector<const LearnerQuestion*> questions;
            for (const QuestionPart& part : *parts) {
                if (part.question && (part.question->weight != nullptr) == weighted) {
                    questions.push_back(&*part.question);
                }
            }
            fuzz::answer(questions);
        }
    }
    return 0;
}
