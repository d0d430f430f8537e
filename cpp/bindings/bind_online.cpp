#include <pybind11/stl.h>

#include <map>

#include "arrays.hpp"
#include "covey/hash.hpp"
#include "covey/online.hpp"

namespace covey::bindings {
namespace {

// Shorter work keeps the interpreter: giving it away costs more than 10 us where other threads wait for it.
constexpr std::size_t events_worth_releasing = 4096;

struct Question {
    py::bytes message;  // owns what `parts` looks at
    LearnerQuestion parts;
};

struct Questions {
    py::bytes message;
    std::vector<QuestionPart> parts;

    const QuestionPart& at(std::size_t position) const {
        if (position >= parts.size()) {
            throw py::index_error("position " + std::to_string(position) + " of " + std::to_string(parts.size()) +
                                  " questions");
        }
        return parts[position];
    }
    const LearnerQuestion& plain(std::size_t position) const {
        const QuestionPart& part = at(position);
        if (!part.question) {
            throw py::value_error("question " + std::to_string(position) + " is not plain");
        }
        return *part.question;
    }
};

struct Analyzer {
    OnlineAnalyzer online;
    std::vector<std::string> tails;  // by cohort; one without cohorts
};

py::str text(std::string_view view) {
    return {view.data(), view.size()};
}

py::bytes bytes(std::string_view view) {
    return {view.data(), view.size()};
}

std::optional<Question> question_of(const py::bytes& message) {
    if (auto parts = read_question(static_cast<std::string_view>(message))) {
        return Question{message, *parts};
    }
    return std::nullopt;
}

std::optional<Questions> questions_of(const py::bytes& message) {
    if (auto parts = read_questions(static_cast<std::string_view>(message))) {
        return Questions{message, std::move(*parts)};
    }
    return std::nullopt;
}

std::uint32_t bucket(const LearnerQuestion& question, const std::string& salt) {
    std::string salted = salt;
    salted.append(1, ':').append(question.learner);
    return murmur3_x86_32(salted, 0);
}

py::array_t<std::uint32_t> buckets(const Questions& questions, const std::string& salt,
                                   const std::vector<std::size_t>& positions) {
    py::array_t<std::uint32_t> found(static_cast<py::ssize_t>(positions.size()));
    std::uint32_t* to = found.mutable_data();
    for (const std::size_t position : positions) {
        *to++ = bucket(questions.plain(position), salt);
    }
    return found;
}

template <typename Wanted>
std::vector<std::size_t> positions_where(const Questions& questions, const Wanted& wanted) {
    std::vector<std::size_t> positions;
    for (std::size_t i = 0; i < questions.parts.size(); ++i) {
        if (wanted(questions.parts[i])) {
            positions.push_back(i);
        }
    }
    return positions;
}

Analyzer make_analyzer(const TraitParameters& parameters, const py::object& scale, const py::object& centroids,
                       std::vector<std::string> tails, const std::optional<std::string>& isa) {
    const py::array scales = require_column<float>(scale, "scale", "float32", static_cast<py::ssize_t>(trait_count));
    const py::array rows = require_array(centroids, "centroids", 2);
    if (!holds<float>(rows)) {
        raise_dtype(rows, "centroids", "float32");
    }
    if (rows.shape(1) != static_cast<py::ssize_t>(trait_count)) {
        throw py::value_error("centroids must have shape (k, 5), not " + shape_text(rows));
    }
    const auto cohort_count = static_cast<std::size_t>(rows.shape(0));
    if (tails.size() != std::max<std::size_t>(cohort_count, 1)) {
        throw py::value_error("tails must have one element per cohort, and one without cohorts");
    }
    CohortTable cohorts;
    std::copy_n(data_of<float>(scales), trait_count, cohorts.scale.begin());
    cohorts.centroids.resize(cohort_count);
    for (std::size_t cohort = 0; cohort < cohort_count; ++cohort) {
        std::copy_n(data_of<float>(rows) + cohort * trait_count, trait_count, cohorts.centroids[cohort].begin());
    }
    return {OnlineAnalyzer(parameters, require_kernels(isa), std::move(cohorts)), std::move(tails)};
}

std::optional<std::string> message_of(const Analyzer& analyzer, const LearnerQuestion& question, const Finding& finding,
                                      std::int64_t as_of_us) {
    if (finding.event_count == 0) {
        return std::nullopt;
    }
    const std::size_t tail = analyzer.online.cohort_count() == 0 ? 0 : finding.cohort;
    return answer_message(question.learner, finding, as_of_us, analyzer.tails[tail]);
}

py::object as_python(const std::optional<std::string>& message) {
    return message ? py::object(bytes(*message)) : py::object(py::none());
}

py::object answer(const Analyzer& analyzer, const Question& question, std::int64_t as_of_us) {
    std::optional<std::string> message;
    {
        std::optional<py::gil_scoped_release> released;
        if (question.parts.event_count > events_worth_releasing) {
            released.emplace();
        }
        const Finding finding = analyzer.online.analyze({&question.parts}, as_of_us)[0];
        message = message_of(analyzer, question.parts, finding, as_of_us);
    }
    return as_python(message);
}

py::list answer_many(const Analyzer& analyzer, const Questions& questions, const std::vector<std::size_t>& positions,
                     std::int64_t default_as_of_us) {
    struct Group {
        std::vector<const LearnerQuestion*> questions;
        std::vector<std::size_t> places;
    };
    // One kernel call for all questions about one instant; nearly always that is all of them.
    std::map<std::pair<std::int64_t, bool>, Group> groups;
    for (std::size_t place = 0; place < positions.size(); ++place) {
        const LearnerQuestion& question = questions.plain(positions[place]);
        Group& group = groups[{question.as_of_us.value_or(default_as_of_us), question.weight != nullptr}];
        group.questions.push_back(&question);
        group.places.push_back(place);
    }
    std::vector<std::optional<std::string>> messages(positions.size());
    {
        const py::gil_scoped_release released;
        for (const auto& [key, group] : groups) {
            const std::vector<Finding> findings = analyzer.online.analyze(group.questions, key.first);
            for (std::size_t i = 0; i < findings.size(); ++i) {
                messages[group.places[i]] = message_of(analyzer, *group.questions[i], findings[i], key.first);
            }
        }
    }
    py::list answers(positions.size());
    for (std::size_t place = 0; place < positions.size(); ++place) {
        answers[place] = as_python(messages[place]);
    }
    return answers;
}

py::bytes response_of(const py::list& answers, const py::dict& failures) {
    std::string response;
    response.reserve(answers.size() * 160);
    std::size_t position = 0;
    for (const auto& answer : answers) {
        const py::int_ key(position++);
        if (answer.is_none()) {
            append_failure(response, static_cast<std::string_view>(py::bytes(failures[key])));
        } else {
            append_answer(response, static_cast<std::string_view>(py::cast<py::bytes>(answer)));
        }
    }
    return bytes(response);
}

}  // namespace

void bind_online(py::module_& module) {
    py::class_<Question>(module, "LearnerQuestion")
        .def_property_readonly("message", [](const Question& question) { return bytes(question.parts.message); })
        .def_property_readonly("learner_id", [](const Question& question) { return text(question.parts.learner); })
        .def_property_readonly("segment", [](const Question& question) { return text(question.parts.segment); })
        .def_property_readonly("as_of_us", [](const Question& question) { return question.parts.as_of_us; })
        .def_property_readonly("event_count", [](const Question& question) { return question.parts.event_count; })
        .def(
            "bucket", [](const Question& question, const std::string& salt) { return bucket(question.parts, salt); },
            py::arg("salt"));
    py::class_<Questions>(module, "LearnerQuestions")
        .def("__len__", [](const Questions& questions) { return questions.parts.size(); })
        .def(
            "message", [](const Questions& questions, std::size_t i) { return bytes(questions.at(i).message); },
            py::arg("position"))
        .def(
            "question",
            [](const Questions& questions, std::size_t i) {
                const QuestionPart& part = questions.at(i);
                return part.question ? std::optional(Question{questions.message, *part.question}) : std::nullopt;
            },
            py::arg("position"))
        .def("plain_positions",
             [](const Questions& questions) {
                 return positions_where(questions, [](const QuestionPart& part) { return part.question.has_value(); });
             })
        .def("other_positions",
             [](const Questions& questions) {
                 return positions_where(questions, [](const QuestionPart& part) { return !part.question.has_value(); });
             })
        .def("buckets", &buckets, py::arg("salt"), py::arg("positions"));
    py::class_<Analyzer>(module, "OnlineAnalyzer")
        .def(py::init(&make_analyzer), py::arg("parameters"), py::arg("scale"), py::arg("centroids"), py::arg("tails"),
             py::arg("isa") = py::none())
        .def("answer", &answer, py::arg("question"), py::arg("as_of_us"))
        .def("answer_many", &answer_many, py::arg("questions"), py::arg("positions"), py::arg("default_as_of_us"));
    module.def("read_question", &question_of, py::arg("message"));
    module.def("read_questions", &questions_of, py::arg("message"));
    module.def("learners_response", &response_of, py::arg("answers"), py::arg("failures"));
}

}  // namespace covey::bindings
