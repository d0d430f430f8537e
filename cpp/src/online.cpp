#include "covey/online.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "wire.hpp"

namespace covey {
namespace {

constexpr std::int64_t most_of_int32 = std::numeric_limits<std::int32_t>::max();

// The questions' columns behind one another. Dictionaries need not be brought together: traits compare a learner's own
// events only, so position 3 may mean another name for the next learner.
class Columns {
public:
    explicit Columns(const std::vector<const LearnerQuestion*>& questions);

    EventColumns events(std::uint32_t learner_count) const;

private:
    void append(const LearnerQuestion& question, std::size_t begin);

    bool wide_ = false;
    std::vector<std::int64_t> offsets_{0};
    std::vector<std::int64_t> time_us_;
    std::vector<std::uint16_t> narrow_indices_;  // domains, then capabilities
    std::vector<std::int32_t> wide_indices_;     // these where a dictionary has more than 65,536 names
    std::vector<std::uint8_t> kind_;
    std::vector<std::uint8_t> action_taken_;
    std::vector<float> weight_;
    std::uint32_t domain_count_ = 1;
    std::uint32_t capability_count_ = 1;
};

template <typename From, typename To>
void widen(const char* from, std::size_t size, To* to) {
    for (std::size_t i = 0; i < size; ++i) {
        From value;
        std::memcpy(&value, from + i * sizeof(From), sizeof(From));
        to[i] = static_cast<To>(value);
    }
}

template <typename To>
void append_index(const PackedIndex& from, std::size_t size, To* to) {
    if (from.data == nullptr) {
        std::fill_n(to, size, To{0});
        return;
    }
    switch (from.type) {
        case IndexType::uint8: return widen<std::uint8_t>(from.data, size, to);
        case IndexType::uint16: return widen<std::uint16_t>(from.data, size, to);
        case IndexType::int32: return widen<std::int32_t>(from.data, size, to);
    }
}

Columns::Columns(const std::vector<const LearnerQuestion*>& questions) {
    std::size_t size = 0;
    bool has_weight = false;
    for (const LearnerQuestion* question : questions) {
        size += question->event_count;
        domain_count_ = std::max(domain_count_, question->domain.count);
        capability_count_ = std::max(capability_count_, question->capability.count);
        has_weight |= question->weight != nullptr;
    }
    wide_ = std::max(domain_count_, capability_count_) > 1u << 16;
    offsets_.reserve(questions.size() + 1);
    time_us_.resize(size);
    (wide_ ? wide_indices_.resize(2 * size) : narrow_indices_.resize(2 * size));
    kind_.resize(size);
    action_taken_.resize(size);
    weight_.resize(has_weight ? size : 0, 1.0f);
    for (const LearnerQuestion* question : questions) {
        const std::int64_t begin = offsets_.back();
        append(*question, static_cast<std::size_t>(begin));
        offsets_.push_back(begin + static_cast<std::int64_t>(question->event_count));
    }
}

void Columns::append(const LearnerQuestion& question, std::size_t begin) {
    const std::size_t size = question.event_count;
    const std::size_t rows = time_us_.size();
    std::memcpy(time_us_.data() + begin, question.time_us, size * sizeof(std::int64_t));
    if (wide_) {
        append_index(question.domain, size, wide_indices_.data() + begin);
        append_index(question.capability, size, wide_indices_.data() + rows + begin);
    } else {
        append_index(question.domain, size, narrow_indices_.data() + begin);
        append_index(question.capability, size, narrow_indices_.data() + rows + begin);
    }
    if (question.kind != nullptr) {
        std::memcpy(kind_.data() + begin, question.kind, size);
    }
    if (question.action_taken != nullptr) {
        std::memcpy(action_taken_.data() + begin, question.action_taken, size);
    }
    if (question.weight != nullptr) {
        std::memcpy(weight_.data() + begin, question.weight, size * sizeof(float));
    }
}

EventColumns Columns::events(std::uint32_t learner_count) const {
    const std::size_t size = time_us_.size();
    const auto index = [&](std::size_t column, std::uint32_t count, const char* name) {
        return wide_ ? IndexColumn{wide_indices_.data() + column * size, IndexType::int32, count, name}
                     : IndexColumn{narrow_indices_.data() + column * size, IndexType::uint16, count, name};
    };
    EventColumns events;
    events.size = size;
    events.learner_offsets = offsets_.data();
    events.learner_count = learner_count;
    events.time = {time_us_.data(), TimeType::microseconds_int64, 0};
    events.domain = index(0, domain_count_, "domain_index");
    events.capability = index(1, capability_count_, "capability_index");
    events.kind = kind_.data();
    events.action_taken = action_taken_.data();
    if (!weight_.empty()) {
        events.weight = {weight_.data(), WeightType::float32};
    }
    return events;
}

// The result columns of all questions, in one piece of memory per type.
class Table {
public:
    explicit Table(std::size_t size) : size_(size), floats_(7 * size), doubles_(2 * size), counts_(size), days_(size) {}

    TraitColumns columns() {
        return {.learning_velocity = column(0),
                .domain_affinity = column(1),
                .interaction_frequency = column(2),
                .feedback_responsiveness = column(3),
                .retention_strength = column(4),
                .domain_entropy = column(5),
                .momentum = column(6),
                .event_count = counts_.data(),
                .active_days = days_.data(),
                .tenure_days = doubles_.data(),
                .recency_days = doubles_.data() + size_};
    }

    Finding finding(std::size_t learner, std::size_t row_count) {
        Finding found;
        for (std::size_t trait = 0; trait < trait_count; ++trait) {
            found.traits[trait] = column(trait)[learner];
        }
        found.domain_entropy = column(5)[learner];
        found.momentum = column(6)[learner];
        found.event_count = counts_[learner];
        found.ignored_event_count = static_cast<std::int64_t>(row_count) - counts_[learner];
        found.active_days = days_[learner];
        found.tenure_days = doubles_[learner];
        found.recency_days = doubles_[size_ + learner];
        return found;
    }

private:
    float* column(std::size_t number) { return floats_.data() + number * size_; }

    std::size_t size_;
    std::vector<float> floats_;
    std::vector<double> doubles_;
    std::vector<std::int64_t> counts_;
    std::vector<std::int32_t> days_;
};

std::string traits_message(const Finding& finding, std::int64_t as_of_us) {
    constexpr std::int64_t second_us = 1'000'000;
    const std::int64_t seconds = as_of_us / second_us - (as_of_us % second_us < 0 ? 1 : 0);
    std::string as_of;
    wire::put_integer(as_of, 1, seconds);
    wire::put_integer(as_of, 2, (as_of_us - seconds * second_us) * 1000);
    std::string traits;
    traits.reserve(96);
    for (std::size_t trait = 0; trait < trait_count; ++trait) {
        wire::put_real(traits, static_cast<std::uint32_t>(trait) + 1, finding.traits[trait]);
    }
    wire::put_integer(traits, 6, std::min(finding.event_count, most_of_int32));
    wire::put_integer(traits, 7, finding.active_days);
    wire::put_real(traits, 8, finding.tenure_days);
    wire::put_real(traits, 9, finding.recency_days);
    wire::put_real(traits, 10, finding.domain_entropy);
    wire::put_real(traits, 11, finding.momentum);
    wire::put_bytes(traits, 12, as_of);
    wire::put_integer(traits, 13, std::min(finding.ignored_event_count, most_of_int32));
    return traits;
}

}  // namespace

OnlineAnalyzer::OnlineAnalyzer(const TraitParameters& parameters, const Kernels& kernels, CohortTable cohorts)
    : parameters_(parameters), kernels_(kernels), cohorts_(std::move(cohorts)) {
    check_parameters(parameters_);
}

std::vector<Finding> OnlineAnalyzer::analyze(const std::vector<const LearnerQuestion*>& questions,
                                             std::int64_t as_of_us) const {
    const Columns columns(questions);
    Table table(questions.size());
    compute_traits(columns.events(static_cast<std::uint32_t>(questions.size())), as_of_us, parameters_, 1, kernels_,
                   table.columns());
    std::vector<Finding> findings(questions.size());
    for (std::size_t i = 0; i < questions.size(); ++i) {
        findings[i] = table.finding(i, questions[i]->event_count);
        findings[i].cohort = nearest_cohort(findings[i].traits);
    }
    return findings;
}

// Summed one trait after the other in single precision, as a discovery does.
std::size_t OnlineAnalyzer::nearest_cohort(const TraitVector& traits) const {
    std::size_t nearest = 0;
    float nearest_distance = std::numeric_limits<float>::infinity();
    for (std::size_t cohort = 0; cohort < cohorts_.centroids.size(); ++cohort) {
        float distance = 0.0f;
        for (std::size_t trait = 0; trait < trait_count; ++trait) {
            const float difference = traits[trait] * cohorts_.scale[trait] - cohorts_.centroids[cohort][trait];
            distance += difference * difference;
        }
        if (distance < nearest_distance) {
            nearest = cohort;
            nearest_distance = distance;
        }
    }
    return nearest;
}

std::string answer_message(std::string_view learner_id, const Finding& finding, std::int64_t as_of_us,
                           std::string_view tail) {
    const std::string traits = traits_message(finding, as_of_us);
    std::string answer;
    answer.reserve(learner_id.size() + traits.size() + tail.size() + 8);
    wire::put_bytes(answer, 1, learner_id);
    wire::put_bytes(answer, 2, traits);
    answer.append(tail);
    return answer;
}

void append_answer(std::string& response, std::string_view answer) {
    wire::put_tag(response, 1, wire::Type::bytes);
    wire::put_varint(response, 2 + 1 + wire::varint_size(answer.size()) + answer.size());
    wire::put_bytes(response, 1, {});  // the status: OK
    wire::put_bytes(response, 2, answer);
}

void append_failure(std::string& response, std::string_view status) {
    std::string result;
    wire::put_bytes(result, 1, status);
    wire::put_bytes(response, 1, result);
}

}  // namespace covey
