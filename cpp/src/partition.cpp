#include "partition.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <stdexcept>

namespace covey {
namespace {

// A part's records and columns fit a second-level cache of 1 MiB, the buffers of all parts do so too.
constexpr std::size_t rows_per_part = std::size_t{1} << 14;
constexpr std::size_t most_parts = 2048;
constexpr std::size_t rows_per_block = 512;  // their words stay in the first-level cache
constexpr std::size_t rows_per_store = std::size_t{1} << 31;

std::size_t parts_for(std::uint32_t learner_count, unsigned shift) {
    return learner_count == 0 ? 1 : ((learner_count - 1) >> shift) + 1;
}

unsigned shift_for(std::size_t rows, std::uint32_t learner_count) {
    const std::size_t wanted = std::clamp<std::size_t>(rows / rows_per_part, 1, most_parts);
    unsigned shift = 0;
    while (parts_for(learner_count, shift) > wanted) {
        ++shift;
    }
    return shift;
}

template <typename Value>
const Value* at(const void* data, std::size_t row) {
    return static_cast<const Value*>(data) + row;
}

// Elements of scratch keep their memory.
template <typename Element>
Element* room(std::vector<Element>& elements, std::size_t size) {
    if (elements.size() < size) {
        elements.resize(size);
    }
    return elements.data();
}

}  // namespace

Partition::Partition(const EventColumns& events, ThreadTeam& team, const Kernels& kernels,
                     const Cancellation* cancellation)
    : events_(events),
      kernels_(kernels),
      cancellation_(cancellation),
      shift_(shift_for(events.size, events.learner_count)),
      parts_(parts_for(events.learner_count, shift_)),
      layout_(events, shift_, likely_times(events)) {
    if (!fill_stores(team)) {
        layout_ = RecordLayout(events, shift_, exact_times(events, team));
        if (!fill_stores(team)) {
            throw std::logic_error("time changed while it was read");
        }
    }
}

// Whether all times fit the layout; stops early where they do not.
bool Partition::fill_stores(ThreadTeam& team) {
    const std::size_t count = std::max(team.size(), (events_.size + rows_per_store - 1) / rows_per_store);
    const auto begin_of = [&](std::size_t store) {
        return static_cast<std::size_t>(static_cast<unsigned __int128>(events_.size) * store / count);
    };
    stores_.clear();
    std::vector<std::optional<RecordStore>> stores(count);
    std::atomic<bool> fits{true};
    team.run(count, [&](std::size_t number, std::size_t) {
        const std::size_t end = begin_of(number + 1);
        RecordStore& store = stores[number].emplace(parts_, end - begin_of(number), layout_.bytes);
        alignas(64) std::uint64_t memory[RecordStore::words_at_most][rows_per_block];
        std::uint64_t* const words[] = {memory[0], memory[1], memory[2], memory[3]};
        for (std::size_t row = begin_of(number); row < end; row += rows_per_block) {
            check_cancellation(cancellation_);
            const std::size_t size = std::min(rows_per_block, end - row);
            if (!layout_.times.holds(pack(row, size, words))) {
                fits = false;
            }
            if (!fits.load(std::memory_order_relaxed)) {
                return;
            }
            store.add(events_.learner_index + row, size, shift_, words);
        }
        store.finish();
    });
    if (fits) {
        for (auto& store : stores) {
            stores_.push_back(std::move(*store));
        }
    }
    return fits;
}

// Returns the bits set in the differences of the times.
std::uint64_t Partition::pack(std::size_t begin, std::size_t size, std::uint64_t* const words[]) const {
    for (std::size_t word = 0; word < layout_.words; ++word) {
        std::fill_n(words[word], size, 0);
    }
    const auto* learner_index = reinterpret_cast<const std::uint32_t*>(events_.learner_index + begin);
    const auto learner_mask = static_cast<std::uint32_t>(layout_.learner.mask());
    if (kernels_.pack_32(learner_index, size, learner_mask, 0, words[0]) >= events_.learner_count) {
        raise_bad_index({events_.learner_index, IndexType::int32, events_.learner_count, "learner_index"},
                        events_.size);
    }
    for (const auto& [column, field] :
         {std::pair{&events_.domain, &layout_.domain}, std::pair{&events_.capability, &layout_.capability}}) {
        if (pack_index(*column, *field, begin, size, words) >= column->count) {
            raise_bad_index(*column, events_.size);
        }
    }
    if (events_.kind != nullptr) {
        const std::uint8_t* action = events_.action_taken == nullptr ? nullptr : events_.action_taken + begin;
        kernels_.pack_feedback(events_.kind + begin, action, size, feedback_kind, layout_.feedback.shift,
                               words[layout_.feedback.word]);
    }
    std::uint64_t* weight_words = words[layout_.weight.word];
    if (events_.weight.type == WeightType::float32) {
        kernels_.pack_32(at<std::uint32_t>(events_.weight.data, begin), size, UINT32_MAX, layout_.weight.shift,
                         weight_words);
    } else if (events_.weight.type == WeightType::float64) {
        kernels_.pack_differences_64(at<std::uint64_t>(events_.weight.data, begin), size, 0, 1, 0, layout_.weight.shift,
                                     weight_words);
    }
    const TimeRange& times = layout_.times;
    std::uint64_t* time_words = words[layout_.time.word];
    return events_.time.type == TimeType::seconds_uint32
               ? kernels_.pack_differences_32(at<std::uint32_t>(events_.time.data, begin), size, times.base,
                                              times.inverse, times.zeros, layout_.time.shift, time_words)
               : kernels_.pack_differences_64(at<std::uint64_t>(events_.time.data, begin), size, times.base,
                                              times.inverse, times.zeros, layout_.time.shift, time_words);
}

// Returns the largest index.
std::uint32_t Partition::pack_index(const IndexColumn& column, const Field& field, std::size_t begin, std::size_t size,
                                    std::uint64_t* const words[]) const {
    switch (column.type) {
        case IndexType::uint8:
            return kernels_.pack_8(at<std::uint8_t>(column.data, begin), size, field.shift, words[field.word]);
        case IndexType::uint16:
            return kernels_.pack_16(at<std::uint16_t>(column.data, begin), size, field.shift, words[field.word]);
        default:
            return kernels_.pack_32(at<std::uint32_t>(column.data, begin), size, UINT32_MAX, field.shift,
                                    words[field.word]);
    }
}

Partition::Part Partition::part(std::size_t part, Scratch& scratch) const {
    sort_by_learner(part, scratch);
    EventColumns columns = events_;
    columns.size = static_cast<std::size_t>(scratch.learner_offsets.back());
    columns.learner_index = nullptr;
    columns.learner_offsets = scratch.learner_offsets.data();
    columns.learner_count = static_cast<std::uint32_t>(scratch.learner_offsets.size() - 1);
    columns.domain.type = narrowest(columns.domain.count);
    columns.capability.type = narrowest(columns.capability.count);
    columns.time.data = room(scratch.time, columns.size);
    columns.domain.data = room(scratch.domain, columns.size);
    columns.capability.data = room(scratch.capability, columns.size);
    const bool has_action = events_.kind != nullptr && events_.action_taken != nullptr;
    columns.kind = events_.kind == nullptr ? nullptr : room(scratch.kind, columns.size);
    columns.action_taken = has_action ? room(scratch.action_taken, columns.size) : nullptr;
    if (events_.weight.type != WeightType::none) {
        columns.weight.data = room(scratch.weight, columns.size);
    }
    for (std::size_t row = 0; row < columns.size; row += rows_per_block) {
        unpack(columns, row, std::min(rows_per_block, columns.size - row), scratch);
    }
    return {columns, static_cast<std::uint32_t>(part) << shift_};
}

// Some rows of all columns, so that their words are read from the first-level cache but once. The memory of the columns
// is that of `scratch`.
void Partition::unpack(const EventColumns& columns, std::size_t begin, std::size_t size, Scratch& scratch) const {
    const auto words_of = [&](const Field& field) { return scratch.words[field.word].data() + begin; };
    const auto unpack_32 = [&](const Field& field, const TimeRange& range, void* values) {
        kernels_.unpack_32(words_of(field), size, field.shift, field.mask(), range.base, range.unit(),
                           static_cast<std::uint32_t*>(values) + begin);
    };
    const auto unpack_64 = [&](const Field& field, const TimeRange& range, void* values) {
        kernels_.unpack_64(words_of(field), size, field.shift, field.mask(), range.base, range.unit(),
                           static_cast<std::uint64_t*>(values) + begin);
    };
    const auto unpack_index = [&](const Field& field, IndexType type, void* values) {
        switch (type) {
            case IndexType::uint8:
                return kernels_.unpack_8(words_of(field), size, field.shift, field.mask(), 0,
                                         static_cast<std::uint8_t*>(values) + begin);
            case IndexType::uint16:
                return kernels_.unpack_16(words_of(field), size, field.shift, field.mask(),
                                          static_cast<std::uint16_t*>(values) + begin);
            case IndexType::int32: return unpack_32(field, {}, values);
        }
    };
    unpack_index(layout_.domain, columns.domain.type, scratch.domain.data());
    unpack_index(layout_.capability, columns.capability.type, scratch.capability.data());
    if (columns.time.type == TimeType::seconds_uint32) {
        unpack_32(layout_.time, layout_.times, scratch.time.data());
    } else {
        unpack_64(layout_.time, layout_.times, scratch.time.data());
    }
    const Field& feedback = layout_.feedback;
    if (columns.kind != nullptr) {
        static_assert(feedback_kind == 1 << 2);
        kernels_.unpack_8(words_of(feedback), size, feedback.shift, 1, 2, scratch.kind.data() + begin);
    }
    if (columns.action_taken != nullptr) {
        kernels_.unpack_8(words_of(feedback), size, feedback.shift + 1, 1, 0, scratch.action_taken.data() + begin);
    }
    if (columns.weight.type == WeightType::float32) {
        unpack_32(layout_.weight, {}, scratch.weight.data());
    } else if (columns.weight.type == WeightType::float64) {
        unpack_64(layout_.weight, {}, scratch.weight.data());
    }
}

void Partition::sort_by_learner(std::size_t part, Scratch& scratch) const {
    switch (layout_.bytes) {
        case 6: return sort_records<6>(part, scratch);
        case 8: return sort_records<8>(part, scratch);
        case 12: return sort_records<12>(part, scratch);
        case 16: return sort_records<16>(part, scratch);
        case 20: return sort_records<20>(part, scratch);
        case 24: return sort_records<24>(part, scratch);
        case 28: return sort_records<28>(part, scratch);
        default: return sort_records<32>(part, scratch);
    }
}

// A counting sort by the low bits of learner_index.
template <std::size_t record_bytes>
void Partition::sort_records(std::size_t part, Scratch& scratch) const {
    constexpr std::size_t word_count = (record_bytes + 7) / 8;
    const auto first = static_cast<std::uint32_t>(part) << shift_;
    const std::uint64_t learners = std::min<std::uint64_t>(std::uint64_t{1} << shift_, events_.learner_count - first);
    const std::uint64_t learner_mask = layout_.learner.mask();
    const auto word_at = [](const std::byte* from) {
        std::uint64_t word;
        std::memcpy(&word, from, sizeof word);
        return word;
    };

    scratch.cursors.assign(learners + 1, 0);
    std::uint32_t* const counts = scratch.cursors.data() + 1;
    std::size_t size = 0;
    for (const RecordStore& store : stores_) {
        size += store.size(part);
        store.each_run(part, [&](const std::byte* records, std::size_t count, const std::byte* next) {
            check_cancellation(cancellation_);
            // Runs lie anywhere in memory: the next one is fetched while this one is counted.
            constexpr std::size_t rows = 32;
            for (std::size_t begin = 0; begin < count; begin += rows) {
                for (std::size_t line = 0; line < rows * record_bytes; line += 64) {
                    __builtin_prefetch(next + begin * record_bytes + line);
                }
                const std::size_t end = std::min(begin + rows, count);
                for (std::size_t i = begin; i < end; ++i) {
                    ++counts[word_at(records + i * record_bytes) & learner_mask];
                }
            }
        });
    }
    if (size > UINT32_MAX) {
        throw std::length_error(
            "more than 2^32 - 1 unsorted events fall on neighbouring learners; sort them by learner");
    }
    scratch.learner_offsets.resize(learners + 1);
    std::uint32_t position = 0;
    for (std::size_t learner = 0; learner <= learners; ++learner) {
        position += scratch.cursors[learner];
        scratch.cursors[learner] = position;
        scratch.learner_offsets[learner] = position;
    }

    std::uint64_t* words[word_count];
    for (std::size_t word = 0; word < word_count; ++word) {
        words[word] = room(scratch.words[word], size);
    }
    std::uint32_t* const cursors = scratch.cursors.data();
    for (const RecordStore& store : stores_) {
        store.each_run(part, [&](const std::byte* records, std::size_t count, const std::byte*) {
            check_cancellation(cancellation_);
            for (std::size_t i = 0; i < count; ++i) {
                const std::byte* record = records + i * record_bytes;
                const std::uint64_t first_word = word_at(record);
                const std::size_t to = cursors[first_word & learner_mask]++;
                words[0][to] = first_word;
                for (std::size_t word = 1; word < word_count; ++word) {
                    words[word][to] = word_at(record + word * sizeof(std::uint64_t));
                }
            }
        });
    }
}

}  // namespace covey
