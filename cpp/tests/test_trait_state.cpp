#include <cmath>
#include <map>
#include <string>

#include "check.hpp"
#include "covey/dispatch.hpp"
#include "covey/trait_state.hpp"
#include "trait_state_ids.hpp"
#include "trait_state_sum.hpp"
#include "trait_state_tables.hpp"

namespace covey::tests {
namespace {

double value_of(WideSum sum) {
    return wide::ratio(sum, wide::one);
}

void test_sums(Random& random) {
    CHECK(wide::of(0.0) == 0 && wide::of(1.0) == wide::one && wide::add(0, wide::one) == wide::one);
    for (int round = 0; round < 20'000; ++round) {
        const double one = std::ldexp(1.0 + static_cast<double>(random() % 4096), static_cast<int>(random() % 80) - 40);
        const double other = std::ldexp(1.0 + static_cast<double>(random() % 99), static_cast<int>(random() % 80) - 40);
        CHECK(std::abs(value_of(wide::add(wide::of(one), wide::of(other))) / (one + other) - 1.0) < 1e-14);
        const double halvings = std::ldexp(static_cast<double>(random() % 1'000'000), -14);
        CHECK(std::abs(value_of(wide::decayed(wide::of(one), halvings)) / (one * std::exp2(-halvings)) - 1.0) < 1e-12);
    }
    // Far outside of a double: sums of the largest, decay below the smallest.
    const WideSum largest = wide::of(1.7976931348623157e308);
    const WideSum smallest = wide::of(5e-324);
    CHECK(std::abs(wide::ratio(largest, wide::add(largest, largest)) - 0.5) < 1e-14);
    CHECK(std::abs(wide::ratio(smallest, wide::add(smallest, smallest)) - 0.5) < 1e-14);
    CHECK(std::abs(wide::ratio(wide::decayed(largest, 5000.0), wide::decayed(largest, 5001.0)) - 2.0) < 1e-12);
    CHECK(wide::decayed(smallest, 1e6) == 0 && wide::decayed(largest, 1e300) == 0);
    CHECK(wide::ratio(smallest, largest) == 0.0);
}

void test_tables(Random& random) {
    for (const bool with_second : {false, true}) {
        KeyTables tables;
        tables.set_default_second(7);
        std::vector<KeyTables::Table> runs(40);
        std::vector<std::map<std::uint32_t, std::uint64_t>> truth(runs.size());
        for (int step = 0; step < 200'000; ++step) {
            const std::size_t which = random() % runs.size();
            if (random() % 5'000 == 0) {
                tables.clear(runs[which]);
                truth[which].clear();
                continue;
            }
            // One table in eight grows large.
            const auto key = static_cast<std::uint32_t>(random() % (which % 8 == 0 ? 100'000 : 90));
            bool is_new = false;
            const KeyTables::Slot slot = tables.insert(runs[which], key, is_new);
            CHECK(is_new == !truth[which].contains(key));
            CHECK(tables.value(slot) == truth[which][key]);
            tables.value(slot) += key + 1;
            truth[which][key] += key + 1;
            if (with_second) {
                tables.set_second(slot, key);
            } else {
                CHECK(tables.second(slot) == 7);
            }
        }
        for (std::size_t which = 0; which < runs.size(); ++which) {
            CHECK(runs[which].size == truth[which].size());
            std::size_t seen = 0;
            tables.for_each(runs[which], [&](std::uint32_t key, KeyTables::Slot slot) {
                CHECK(tables.value(slot) == truth[which].at(key));
                CHECK(tables.second(slot) == (with_second ? key : 7));
                ++seen;
            });
            CHECK(seen == truth[which].size());
        }
    }
}

// Runs that many small tables have grown out of serve the larger ones.
void test_little_is_wasted() {
    constexpr std::uint32_t table_count = 2'000;
    constexpr std::uint32_t keys = 60;
    KeyTables tables;
    std::vector<KeyTables::Table> runs(table_count);
    for (std::uint32_t key = 0; key < keys; ++key) {
        for (auto& run : runs) {
            bool is_new = false;
            tables.insert(run, key, is_new);
        }
    }
    CHECK(tables.byte_count() < table_count * keys * 12 * 2);
    KeyTables::Table huge;  // needs more than a chunk
    for (std::uint32_t key = 0; key < 200'000; ++key) {
        bool is_new = false;
        tables.value(tables.insert(huge, key * 7919, is_new)) = key;
        CHECK(is_new);
    }
    bool is_new = false;
    CHECK(tables.value(tables.insert(huge, 123'456 * 7919u, is_new)) == 123'456 && !is_new);
}

void test_ids(Random& random) {
    CHECK(IdTable::id_of(std::string_view("18446744073709551615")).kind == IdTable::Kind::non_negative);
    CHECK(IdTable::id_of(std::string_view("-9223372036854775808")).kind == IdTable::Kind::negative);
    for (const char* text : {"", "-", "-0", "00", "+1", "1 ", "18446744073709551616", "-9223372036854775809", "1e3"}) {
        CHECK(IdTable::id_of(std::string_view(text)).kind == IdTable::Kind::text);
    }
    IdTable table;
    std::map<std::string, std::uint32_t> truth;
    for (int step = 0; step < 100'000; ++step) {
        const std::string text = (random() % 2 == 0 ? "" : "x") + std::to_string(random() % 3'000);
        const IdTable::Id id = IdTable::id_of(std::string_view(text));
        const auto known = truth.find(text);
        CHECK(table.find(id) == (known == truth.end() ? IdTable::unknown : known->second));
        if (known != truth.end() && random() % 2 == 0) {
            table.erase(known->second);
            truth.erase(known);
        } else {
            truth[text] = table.intern(id);
        }
        CHECK(table.live_count() == truth.size());
    }
}

}  // namespace

void test_trait_state() {
    Random random(11);
    test_sums(random);
    test_tables(random);
    test_little_is_wasted();
    test_ids(random);
}

}  // namespace covey::tests
