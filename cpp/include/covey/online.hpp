#pragma once
// Answers to questions about single learners: traits and the nearest cohort, as messages of covey.v1.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "covey/questions.hpp"
#include "covey/traits.hpp"

namespace covey {

constexpr std::size_t trait_count = 5;

using TraitVector = std::array<float, trait_count>;

// Cohorts of a model. A learner's cohort is the nearest centroid to their traits times `scale`, the first of equals.
struct CohortTable {
    TraitVector scale{};
    std::vector<TraitVector> centroids;
};

// What was found about one learner. Without an event at as_of event_count is 0 and nothing else counts.
struct Finding {
    TraitVector traits{};
    float domain_entropy = 0.0f;
    float momentum = 0.0f;
    std::int64_t event_count = 0;
    std::int64_t ignored_event_count = 0;
    std::int32_t active_days = 0;
    double tenure_days = 0.0;
    double recency_days = 0.0;
    std::size_t cohort = 0;  // meaningless without cohorts
};

class OnlineAnalyzer {
public:
    // Throws std::invalid_argument naming the first parameter out of its range.
    OnlineAnalyzer(const TraitParameters& parameters, const Kernels& kernels, CohortTable cohorts);

    std::size_t cohort_count() const { return cohorts_.centroids.size(); }

    // One call of the trait kernels for all questions: the bits are those of a bulk analysis. Questions with and
    // without weights are not mixed in one call by callers who have both: an absent weight is 1.
    std::vector<Finding> analyze(const std::vector<const LearnerQuestion*>& questions, std::int64_t as_of_us) const;

private:
    std::size_t nearest_cohort(const TraitVector& traits) const;

    TraitParameters parameters_;
    const Kernels& kernels_;
    CohortTable cohorts_;
};

// The AnalyzeLearnerResponse, ending with `tail`: its fields from the cohort on, which are the same for every learner
// of a cohort.
std::string answer_message(std::string_view learner_id, const Finding& finding, std::int64_t as_of_us,
                           std::string_view tail);

// Appends to an AnalyzeLearnersResponse: one learner's answer with status OK, or the google.rpc.Status of a failure.
void append_answer(std::string& response, std::string_view answer);
void append_failure(std::string& response, std::string_view status);

}  // namespace covey
