// Rows come out of a partition grouped by learner, unchanged and in their order, whatever the types and values.

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include "check.hpp"
#include "partition.hpp"

namespace covey::tests {
namespace {

constexpr std::size_t some_parts = 70'000;  // rows for several parts

// A table of events in every type that columns may have.
struct Table {
    std::vector<std::int32_t> learner;
    std::vector<std::int64_t> time_us;
    std::vector<std::uint32_t> seconds;
    std::vector<std::uint8_t> domain_8;
    std::vector<std::uint16_t> domain_16;
    std::vector<std::int32_t> domain;
    std::vector<std::int32_t> capability;
    std::vector<std::uint8_t> kind;
    std::vector<std::uint8_t> action_taken;
    std::vector<float> weight_32;
    std::vector<double> weight_64;
};

// Which of them a test takes.
struct Choice {
    std::uint32_t learner_count;
    std::uint32_t domain_count;
    std::uint32_t capability_count;
    TimeType time;
    WeightType weight;
    bool has_kind;
    bool has_action;
};

Table random_table(std::size_t size, const Choice& choice, Random& random) {
    Table table;
    for (std::size_t row = 0; row < size; ++row) {
        // A tenth of all rows are of one learner, and many learners have none.
        table.learner.push_back(static_cast<std::int32_t>(
            random() % 10 == 0 ? choice.learner_count / 3 : random() % choice.learner_count / 3 * 3));
        table.seconds.push_back(static_cast<std::uint32_t>(random() % 4'838'400));
        // Whole seconds, or any times where there are many domains.
        const auto below_second = static_cast<std::int64_t>(choice.domain_count > 256 ? random() % 1'000'000 : 0);
        table.time_us.push_back((static_cast<std::int64_t>(random() % 4'838'400) - 2'000'000) * 1'000'000 +
                                below_second);
        const auto domain = static_cast<std::int32_t>(random() % choice.domain_count);
        table.domain.push_back(domain);
        table.domain_8.push_back(static_cast<std::uint8_t>(domain));
        table.domain_16.push_back(static_cast<std::uint16_t>(domain));
        table.capability.push_back(static_cast<std::int32_t>(random() % choice.capability_count));
        table.kind.push_back(static_cast<std::uint8_t>(random() % 6));
        table.action_taken.push_back(static_cast<std::uint8_t>(random() % 3));
        table.weight_64.push_back(static_cast<double>(random() % 1000) / 7.0);
        table.weight_32.push_back(static_cast<float>(table.weight_64.back()));
    }
    return table;
}

EventColumns columns_of(const Table& table, const Choice& choice) {
    EventColumns columns;
    columns.size = table.learner.size();
    columns.learner_index = table.learner.data();
    columns.learner_count = choice.learner_count;
    columns.time = {table.time_us.data(), TimeType::microseconds_int64, 0};
    if (choice.time == TimeType::seconds_uint32) {
        columns.time = {table.seconds.data(), TimeType::seconds_uint32, 5};
    }
    columns.domain = {table.domain.data(), IndexType::int32, choice.domain_count, "domain_index"};
    if (choice.domain_count <= 256) {
        columns.domain.data = table.domain_8.data();
        columns.domain.type = IndexType::uint8;
    } else if (choice.domain_count <= 65536) {
        columns.domain.data = table.domain_16.data();
        columns.domain.type = IndexType::uint16;
    }
    columns.capability = {table.capability.data(), IndexType::int32, choice.capability_count, "capability_index"};
    columns.kind = choice.has_kind ? table.kind.data() : nullptr;
    columns.action_taken = choice.has_action ? table.action_taken.data() : nullptr;
    columns.weight.type = choice.weight;
    if (choice.weight != WeightType::none) {
        columns.weight.data = choice.weight == WeightType::float32 ? static_cast<const void*>(table.weight_32.data())
                                                                   : table.weight_64.data();
    }
    return columns;
}

std::uint32_t index_at(const IndexColumn& column, std::size_t row) {
    switch (column.type) {
        case IndexType::uint8: return static_cast<const std::uint8_t*>(column.data)[row];
        case IndexType::uint16: return static_cast<const std::uint16_t*>(column.data)[row];
        default: return static_cast<const std::uint32_t*>(column.data)[row];
    }
}

void check_row(const EventColumns& found, std::size_t row, const EventColumns& source, std::size_t origin) {
    CHECK(index_at(found.domain, row) == index_at(source.domain, origin));
    CHECK(index_at(found.capability, row) == index_at(source.capability, origin));
    if (source.time.type == TimeType::seconds_uint32) {
        CHECK(found.time.seconds()[row] == source.time.seconds()[origin]);
    } else {
        CHECK(found.time.microseconds()[row] == source.time.microseconds()[origin]);
    }
    if (source.kind != nullptr) {
        CHECK((found.kind[row] == feedback_kind) == (source.kind[origin] == feedback_kind));
        if (source.action_taken != nullptr) {
            CHECK((found.action_taken[row] != 0) == (source.action_taken[origin] != 0));
        }
    }
    if (source.weight.type == WeightType::float32) {
        CHECK(static_cast<const float*>(found.weight.data)[row] ==
              static_cast<const float*>(source.weight.data)[origin]);
    } else if (source.weight.type == WeightType::float64) {
        CHECK(static_cast<const double*>(found.weight.data)[row] ==
              static_cast<const double*>(source.weight.data)[origin]);
    }
}

void check_partition(const EventColumns& source, std::size_t threads, const Kernels& kernels) {
    std::vector<std::size_t> rows(source.size);
    std::iota(rows.begin(), rows.end(), 0);
    std::stable_sort(rows.begin(), rows.end(), [&](std::size_t left, std::size_t right) {
        return source.learner_index[left] < source.learner_index[right];
    });
    ThreadTeam team(threads);
    const Partition partition(source, team, kernels);
    Partition::Scratch scratch;
    std::size_t next = 0;
    std::uint32_t learner = 0;
    for (std::size_t number = 0; number < partition.size(); ++number) {
        const auto [columns, first_learner] = partition.part(number, scratch);
        CHECK(first_learner == learner);
        CHECK(columns.learner_index == nullptr && columns.learner_offsets[0] == 0);
        CHECK((columns.kind == nullptr) == (source.kind == nullptr));
        CHECK(columns.time.origin_us == source.time.origin_us);
        for (std::uint32_t local = 0; local < columns.learner_count; ++local, ++learner) {
            for (auto row = columns.learner_offsets[local]; row < columns.learner_offsets[local + 1]; ++row, ++next) {
                CHECK(source.learner_index[rows[next]] == static_cast<std::int32_t>(learner));
                check_row(columns, static_cast<std::size_t>(row), source, rows[next]);
            }
        }
        CHECK(columns.learner_offsets[columns.learner_count] == static_cast<std::int64_t>(columns.size));
    }
    CHECK(next == source.size && learner == source.learner_count);
}

// Records of all lengths from 6 to 32 bytes.
const std::vector<Choice> choices = {
    {1'000, 12, 100, TimeType::seconds_uint32, WeightType::none, false, false},
    {1'000, 12, 100, TimeType::microseconds_int64, WeightType::none, true, false},
    {1'000, 12, 100, TimeType::seconds_uint32, WeightType::float32, true, true},
    {20'000, 300, 70'000, TimeType::microseconds_int64, WeightType::float32, true, true},
    {20'000, 12, 70'000, TimeType::microseconds_int64, WeightType::float64, true, true},
    {3, 1, 1, TimeType::seconds_uint32, WeightType::float64, false, true},
    {200'000, 1'000'000, 1'000'000'000, TimeType::microseconds_int64, WeightType::float64, true, true},
};

void test_columns(const Kernels& kernels, Random& random) {
    for (const Choice& choice : choices) {
        Table table = random_table(some_parts, choice, random);
        const EventColumns columns = columns_of(table, choice);
        for (const std::size_t threads : {1, 2, 3}) {
            check_partition(columns, threads, kernels);
        }
        // Rows that no sample sees and that the range of the others does not hold, also at the ends of the types.
        table.seconds[some_parts / 2 + 1] = UINT32_MAX;
        table.time_us[some_parts / 2 + 1] += 1;
        check_partition(columns, 2, kernels);
        table.time_us[some_parts / 2 + 1] = INT64_MIN;
        table.time_us[some_parts / 2 + 3] = INT64_MAX;
        check_partition(columns, 2, kernels);
    }
}

void test_few_rows(const Kernels& kernels, Random& random) {
    for (const std::size_t size : {1, 2, 7, 64, 513, 1023, 1024, 1025, 5000}) {
        const Table table = random_table(size, choices[2], random);
        check_partition(columns_of(table, choices[2]), 1, kernels);
    }
}

void test_bad_indices(const Kernels& kernels, Random& random) {
    const Choice choice{1'000, 12, 100, TimeType::seconds_uint32, WeightType::none, false, false};
    const auto is_refused = [&](const EventColumns& columns, const std::string& expected) {
        ThreadTeam team(2);
        try {
            const Partition partition(columns, team, kernels);
        } catch (const std::invalid_argument& error) {
            return std::string(error.what()).starts_with(expected);
        }
        return false;
    };
    for (const std::size_t row : {std::size_t{0}, some_parts / 2, some_parts - 1}) {
        const std::string position = "[" + std::to_string(row) + "] is ";
        Table table = random_table(some_parts, choice, random);
        const EventColumns columns = columns_of(table, choice);
        table.capability[row] = -1;
        CHECK(is_refused(columns, "capability_index" + position + "4294967295") ||
              is_refused(columns, "capability_index" + position + "-1"));
        table.domain_8[row] = 12;
        CHECK(is_refused(columns, "domain_index" + position + "12"));
        table.learner[row] = 1'000;
        CHECK(is_refused(columns, "learner_index" + position + "1000"));
        table.learner[row] = INT32_MIN;
        CHECK(is_refused(columns, "learner_index" + position));
    }
}

void test_cancelled(const Kernels& kernels, Random& random) {
    const Table table = random_table(some_parts, choices[0], random);
    Cancellation cancellation;
    ThreadTeam team(2);
    const Partition partition(columns_of(table, choices[0]), team, kernels, &cancellation);
    cancellation.cancel();
    Partition::Scratch scratch;
    bool cancelled = false;
    try {
        partition.part(0, scratch);
    } catch (const Cancelled&) {
        cancelled = true;
    }
    CHECK(cancelled);
}

}  // namespace

void test_partition(const Kernels& kernels) {
    Random random(4);
    test_columns(kernels, random);
    test_few_rows(kernels, random);
    test_bad_indices(kernels, random);
    test_cancelled(kernels, random);
}

}  // namespace covey::tests
