#include <cstring>
#include <stdexcept>
#include <string>

#include "trait_state_parts.hpp"

// A trait state as bytes: header, names, learners, checksum. Numbers are little-endian, as on every machine that covey
// is built for; names and learners are numbered anew in the order in which they are written.

namespace covey {
namespace {

static_assert(std::endian::native == std::endian::little, "the bytes of a trait state are little-endian");

constexpr std::uint64_t magic = 0x3154535954565943ull;  // "CYVTYST1"
constexpr std::uint32_t version = 1;
constexpr std::size_t piece_bytes = std::size_t{1} << 20;
constexpr std::uint32_t learners_between_checks = 1024;

[[noreturn]] void raise_bad(const std::string& problem) {
    throw std::invalid_argument("these are not the bytes of a whole trait state: " + problem);
}

// Of 64-bit words. Every step can be undone, so no single difference is lost.
class Checksum {
public:
    void add(const std::byte* bytes, std::size_t size) {
        for (std::size_t i = 0; i < size; i += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + i, 8);
            value_ = std::rotl(value_ ^ word, 29) * 0x9E3779B97F4A7C15ull;
        }
    }
    std::uint64_t value() const { return value_; }

private:
    std::uint64_t value_ = 0x243F6A8885A308D3ull;
};

class Writer {
public:
    explicit Writer(const ByteSink& sink) : sink_(sink) { buffer_.reserve(piece_bytes + 4096); }

    template <typename Value>
    void put(Value value) {
        append(&value, sizeof value);
    }
    void put_text(std::string_view text) {
        put(static_cast<std::uint32_t>(text.size()));
        append(text.data(), text.size());
    }
    void finish() {
        buffer_.resize((buffer_.size() + 7) / 8 * 8);
        checksum_.add(buffer_.data(), buffer_.size());
        const std::uint64_t checksum = checksum_.value();
        append_raw(&checksum, sizeof checksum);
        sink_(buffer_.data(), buffer_.size());
    }

private:
    void append_raw(const void* bytes, std::size_t size) {
        const auto* from = static_cast<const std::byte*>(bytes);
        buffer_.insert(buffer_.end(), from, from + size);
    }
    void append(const void* bytes, std::size_t size) {
        append_raw(bytes, size);
        if (buffer_.size() >= piece_bytes) {
            const std::size_t whole = buffer_.size() / 8 * 8;
            checksum_.add(buffer_.data(), whole);
            sink_(buffer_.data(), whole);
            buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(whole));
        }
    }

    const ByteSink& sink_;
    std::vector<std::byte> buffer_;
    Checksum checksum_;
};

class Reader {
public:
    explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    template <typename Value>
    Value take() {
        Value value;
        std::memcpy(&value, advance(sizeof value), sizeof value);
        return value;
    }
    std::string_view take_text() {
        const auto size = take<std::uint32_t>();
        return {reinterpret_cast<const char*>(advance(size)), size};
    }
    std::size_t left() const { return bytes_.size(); }

private:
    const std::byte* advance(std::size_t size) {
        if (size > bytes_.size()) {
            raise_bad("they end too soon");
        }
        const std::byte* begin = bytes_.data();
        bytes_ = bytes_.subspan(size);
        return begin;
    }

    std::span<const std::byte> bytes_;
};

void put_parameters(Writer& writer, const TraitParameters& parameters) {
    writer.put(parameters.velocity_alpha);
    writer.put(parameters.velocity_kappa);
    writer.put(parameters.affinity_entropy_penalty);
    writer.put(parameters.feedback_prior_acted);
    writer.put(parameters.feedback_prior_ignored);
    writer.put(parameters.retention_decay_per_day);
    writer.put(parameters.frequency_window_days);
    writer.put(parameters.day_start_seconds);
}

TraitParameters take_parameters(Reader& reader) {
    TraitParameters parameters;
    parameters.velocity_alpha = reader.take<double>();
    parameters.velocity_kappa = reader.take<double>();
    parameters.affinity_entropy_penalty = reader.take<double>();
    parameters.feedback_prior_acted = reader.take<double>();
    parameters.feedback_prior_ignored = reader.take<double>();
    parameters.retention_decay_per_day = reader.take<double>();
    parameters.frequency_window_days = reader.take<std::int32_t>();
    parameters.day_start_seconds = reader.take<std::int32_t>();
    return parameters;
}

void put_id(Writer& writer, const IdTable::Id& id) {
    writer.put(id.kind);
    if (id.kind == IdTable::Kind::text) {
        writer.put_text(id.text);
    } else {
        writer.put(id.bits);
    }
}

IdTable::Id take_id(Reader& reader) {
    switch (reader.take<IdTable::Kind>()) {
        case IdTable::Kind::non_negative: return IdTable::id_of(reader.take<std::uint64_t>());
        case IdTable::Kind::negative: return {IdTable::Kind::negative, reader.take<std::uint64_t>(), {}};
        case IdTable::Kind::text: return IdTable::name_of(reader.take_text());
        default: raise_bad("an id is of no known kind");
    }
}

// Writes the names in use; returns the position of each by its code.
std::vector<std::uint32_t> put_names(Writer& writer, const IdTable& names) {
    std::vector<std::uint32_t> position(names.size(), 0);
    std::uint32_t count = 0;
    writer.put(names.live_count());
    for (std::uint32_t code = 0; code < names.size(); ++code) {
        if (const IdTable::Id name = names[code]; name.kind != IdTable::Kind::free) {
            position[code] = count++;
            writer.put_text(name.text);
        }
    }
    return position;
}

void take_names(Reader& reader, Names& names) {
    const auto count = reader.take<std::uint32_t>();
    for (std::uint32_t code = 0; code < count; ++code) {
        if (names.intern(reader.take_text()) != code) {
            raise_bad("a name comes twice");
        }
    }
}

// put_key(key) is what the key is called in the bytes.
template <typename KeyOf>
void put_table(Writer& writer, const KeyTables& tables, const KeyTables::Table& table, bool with_second,
               const KeyOf& key_of) {
    writer.put(table.size);
    tables.for_each(table, [&](std::uint32_t key, KeyTables::Slot slot) {
        writer.put(key_of(key));
        writer.put(tables.value(slot));
        if (with_second) {
            writer.put(tables.second(slot));
        }
    });
}

void take_table(Reader& reader, KeyTables& tables, KeyTables::Table& table, bool with_second, std::uint32_t key_count,
                std::vector<std::uint32_t>* users) {
    const auto size = reader.take<std::uint32_t>();
    for (std::uint32_t i = 0; i < size; ++i) {
        const auto key = reader.take<std::uint32_t>();
        if (key >= key_count) {
            raise_bad("a table names what is not there");
        }
        bool is_new = false;
        const KeyTables::Slot slot = tables.insert(table, key, is_new);
        tables.value(slot) = reader.take<std::uint64_t>();
        if (with_second) {
            tables.set_second(slot, reader.take<std::uint64_t>());
        }
        if (!is_new) {
            raise_bad("a table names something twice");
        }
        if (users != nullptr) {
            (*users)[key] += 1;
        }
    }
}

std::span<const std::byte> checked(std::span<const std::byte> bytes) {
    if (bytes.size() < 32 || bytes.size() % 8 != 0) {
        raise_bad("there are " + std::to_string(bytes.size()) + " of them");
    }
    Reader reader(bytes);
    if (reader.take<std::uint64_t>() != magic) {
        raise_bad("they begin otherwise");
    }
    if (const auto found = reader.take<std::uint32_t>(); found != version) {
        raise_bad("their version is " + std::to_string(found) + ", and this program reads version " +
                  std::to_string(version));
    }
    Checksum checksum;
    checksum.add(bytes.data(), bytes.size() - 8);
    if (Reader(bytes.last(8)).take<std::uint64_t>() != checksum.value()) {
        raise_bad("their checksum differs");
    }
    return bytes.subspan(12, bytes.size() - 20);
}

}  // namespace

void TraitState::save(const ByteSink& sink, const Cancellation* cancellation) const {
    const Parts& parts = *parts_;
    parts.require_whole();
    Writer writer(sink);
    writer.put(magic);
    writer.put(version);
    put_parameters(writer, parts.parameters);
    writer.put(parts.event_count);
    writer.put(parts.newest_us);
    const bool with_second = parts.capabilities.has_second();
    writer.put(static_cast<std::uint16_t>(with_second));
    writer.put(static_cast<std::uint16_t>(parts.has_text_ids));
    const std::vector<std::uint32_t> domain_position = put_names(writer, parts.domain_names.table);
    const std::vector<std::uint32_t> capability_position = put_names(writer, parts.capability_names.table);
    writer.put(parts.ids.live_count());
    for (std::uint32_t number = 0; number < parts.ids.size(); ++number) {
        if (number % learners_between_checks == 0) {
            check_cancellation(cancellation);
        }
        const LearnerState& learner = parts.learners[number];
        if (learner.event_count == 0) {
            continue;
        }
        put_id(writer, parts.ids[number]);
        writer.put(learner.oldest_us);
        writer.put(learner.newest_us);
        writer.put(learner.newest_positive_us);
        writer.put(learner.total);
        writer.put(learner.repeated);
        writer.put(learner.event_count);
        writer.put(learner.feedback_count);
        writer.put(learner.acted_count);
        writer.put(learner.active_days);
        const auto as_it_is = [](std::uint32_t key) { return key; };
        put_table(writer, parts.days, learner.days, false, as_it_is);
        put_table(writer, parts.recent, learner.recent, false, as_it_is);
        put_table(writer, parts.domains, learner.domains, false, [&](auto key) { return domain_position[key]; });
        put_table(writer, parts.capabilities, learner.capabilities, with_second,
                  [&](auto key) { return capability_position[key]; });
    }
    writer.finish();
}

TraitState TraitState::load(std::span<const std::byte> bytes, const Cancellation* cancellation) {
    Reader reader(checked(bytes));
    TraitState state(take_parameters(reader));
    Parts& parts = *state.parts_;
    parts.event_count = reader.take<std::uint64_t>();
    parts.newest_us = reader.take<std::int64_t>();
    const bool with_second = reader.take<std::uint16_t>() != 0;
    parts.has_text_ids = reader.take<std::uint16_t>() != 0;
    take_names(reader, parts.domain_names);
    take_names(reader, parts.capability_names);
    const auto learner_count = reader.take<std::uint32_t>();
    for (std::uint32_t number = 0; number < learner_count; ++number) {
        if (number % learners_between_checks == 0) {
            check_cancellation(cancellation);
        }
        if (parts.ids.intern(take_id(reader)) != number) {
            raise_bad("a learner comes twice");
        }
        parts.learners.reserve(number + 1);
        LearnerState& learner = parts.learners[number];
        learner.oldest_us = reader.take<std::int64_t>();
        learner.newest_us = reader.take<std::int64_t>();
        learner.newest_positive_us = reader.take<std::int64_t>();
        learner.total = reader.take<WideSum>();
        learner.repeated = reader.take<WideSum>();
        learner.event_count = reader.take<std::uint64_t>();
        learner.feedback_count = reader.take<std::uint32_t>();
        learner.acted_count = reader.take<std::uint32_t>();
        learner.active_days = reader.take<std::uint32_t>();
        take_table(reader, parts.days, learner.days, false, KeyTables::no_key, nullptr);
        take_table(reader, parts.recent, learner.recent, false, KeyTables::no_key, nullptr);
        take_table(reader, parts.domains, learner.domains, false, parts.domain_names.table.size(),
                   &parts.domain_names.users);
        take_table(reader, parts.capabilities, learner.capabilities, with_second, parts.capability_names.table.size(),
                   &parts.capability_names.users);
        if (learner.event_count == 0 || learner.capabilities.size == 0 ||
            learner.recent.size > KeyTables::dense_slots) {
            raise_bad("a learner's tables do not fit their history");
        }
    }
    if (reader.left() >= 8) {
        raise_bad("more follows than belongs to it");
    }
    return state;
}

}  // namespace covey
