#include "partition.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace covey {
namespace {

constexpr std::size_t rows_per_part = std::size_t{1} << 17;
constexpr std::size_t most_parts = 1024;  // write streams at a time

unsigned shift_for(std::size_t rows, std::uint32_t learner_count) {
    const std::size_t wanted = std::clamp<std::size_t>(rows / rows_per_part, 1, most_parts);
    unsigned shift = 0;
    while (learner_count > 0 && ((learner_count - 1) >> shift) + 1 > wanted) {
        ++shift;
    }
    return shift;
}

template <typename Value>
const void* slice(const void* data, std::size_t begin) {
    return data == nullptr ? nullptr : static_cast<const Value*>(data) + begin;
}

}  // namespace

Partition::Partition(const EventColumns& events, ThreadTeam& team)
    : source_(events), columns_(events), shift_(shift_for(events.size, events.learner_count)) {
    const std::size_t parts = events.learner_count == 0 ? 1 : ((events.learner_count - 1) >> shift_) + 1;
    begin_.assign(parts + 1, events.size);
    begin_[0] = 0;
    if (parts > 1) {
        count_rows(team);
        copy_columns(team);
    }
}

// cursors_[chunk][part] becomes where the chunk's first row of the part goes: parts in order, chunks in order within.
void Partition::count_rows(ThreadTeam& team) {
    const std::size_t parts = size();
    chunks_ = team.size();
    cursors_.assign(chunks_, Cursors(parts, 0));
    team.run(chunks_, [&](std::size_t chunk, std::size_t) {
        Cursors counts(parts, 0);
        const std::size_t end = source_.size * (chunk + 1) / chunks_;
        for (std::size_t row = source_.size * chunk / chunks_; row < end; ++row) {
            ++counts[static_cast<std::uint32_t>(source_.learner_index[row]) >> shift_];
        }
        cursors_[chunk] = std::move(counts);
    });
    std::size_t position = 0;
    for (std::size_t part = 0; part < parts; ++part) {
        begin_[part] = position;
        for (auto& cursors : cursors_) {
            position += std::exchange(cursors[part], position);
        }
    }
}

template <typename Target, typename Source>
const Target* Partition::scatter(const void* source, Buffer& buffer, ThreadTeam& team) const {
    buffer = std::make_unique_for_overwrite<std::byte[]>(source_.size * sizeof(Target));
    const auto* from = static_cast<const Source*>(source);
    auto* to = reinterpret_cast<Target*>(buffer.get());
    team.run(chunks_, [&](std::size_t chunk, std::size_t) {
        Cursors cursors = cursors_[chunk];
        const std::size_t end = source_.size * (chunk + 1) / chunks_;
        for (std::size_t row = source_.size * chunk / chunks_; row < end; ++row) {
            const std::uint32_t part = static_cast<std::uint32_t>(source_.learner_index[row]) >> shift_;
            to[cursors[part]++] = static_cast<Target>(from[row]);
        }
    });
    return to;
}

template <typename Source>
void Partition::scatter_index(IndexColumn& column, Buffer& buffer, ThreadTeam& team) const {
    const auto* values = static_cast<const Source*>(column.data);
    std::vector<Source> largest(chunks_, 0);
    team.run(chunks_, [&](std::size_t chunk, std::size_t) {
        const auto* begin = values + source_.size * chunk / chunks_;
        const auto* end = values + source_.size * (chunk + 1) / chunks_;
        largest[chunk] = begin == end ? Source{0} : *std::max_element(begin, end);
    });
    if (*std::max_element(largest.begin(), largest.end()) >= column.count) {
        raise_bad_index(column, source_.size);
    }
    if (column.count <= 256) {
        column.data = scatter<std::uint8_t, Source>(values, buffer, team);
        column.type = IndexType::uint8;
    } else if (column.count <= 65536) {
        column.data = scatter<std::uint16_t, Source>(values, buffer, team);
        column.type = IndexType::uint16;
    } else {
        column.data = scatter<std::uint32_t, Source>(values, buffer, team);
        column.type = IndexType::int32;
    }
}

void Partition::copy_columns(ThreadTeam& team) {
    for (auto [column, buffer] : {std::pair{&columns_.domain, &domain_}, {&columns_.capability, &capability_}}) {
        switch (column->type) {
            case IndexType::uint8: scatter_index<std::uint8_t>(*column, *buffer, team); break;
            case IndexType::uint16: scatter_index<std::uint16_t>(*column, *buffer, team); break;
            case IndexType::int32: scatter_index<std::uint32_t>(*column, *buffer, team); break;
        }
    }
    columns_.learner_index = scatter<std::int32_t, std::int32_t>(source_.learner_index, learner_, team);
    if (source_.time.type == TimeType::seconds_uint32) {
        columns_.time.data = scatter<std::uint32_t, std::uint32_t>(source_.time.data, time_, team);
    } else {
        columns_.time.data = scatter<std::int64_t, std::int64_t>(source_.time.data, time_, team);
    }
    if (source_.kind != nullptr) {
        columns_.kind = scatter<std::uint8_t, std::uint8_t>(source_.kind, kind_, team);
        if (source_.action_taken != nullptr) {
            columns_.action_taken = scatter<std::uint8_t, std::uint8_t>(source_.action_taken, action_, team);
        }
    }
    if (source_.weight.type == WeightType::float32) {
        columns_.weight.data = scatter<float, float>(source_.weight.data, weight_, team);
    } else if (source_.weight.type == WeightType::float64) {
        columns_.weight.data = scatter<double, double>(source_.weight.data, weight_, team);
    }
}

EventColumns Partition::part(std::size_t part) const {
    EventColumns columns = columns_;
    const std::size_t begin = begin_[part];
    columns.size = begin_[part + 1] - begin;
    columns.learner_index += begin;
    columns.time.data = static_cast<const std::byte*>(columns.time.data) + begin * bytes_per_row(columns.time.type);
    for (auto* column : {&columns.domain, &columns.capability}) {
        column->data = static_cast<const std::byte*>(column->data) + begin * bytes_per_row(column->type);
    }
    columns.kind = static_cast<const std::uint8_t*>(slice<std::uint8_t>(columns.kind, begin));
    columns.action_taken = static_cast<const std::uint8_t*>(slice<std::uint8_t>(columns.action_taken, begin));
    columns.weight.data = columns.weight.type == WeightType::float32 ? slice<float>(columns.weight.data, begin)
                                                                     : slice<double>(columns.weight.data, begin);
    return columns;
}

void Partition::rows_by_learner(std::size_t part, std::vector<std::uint32_t>& rows,
                                std::vector<std::uint32_t>& counts) const {
    const std::size_t begin = begin_[part];
    const std::size_t size = begin_[part + 1] - begin;
    if (size > UINT32_MAX) {
        throw std::length_error(
            "more than 2^32 - 1 unsorted events fall on neighbouring learners; sort them by learner");
    }
    const std::int32_t* learner_index = columns_.learner_index + begin;
    const auto first = static_cast<std::uint32_t>(part) << shift_;
    const std::uint64_t learners = std::min<std::uint64_t>(std::uint64_t{1} << shift_, source_.learner_count - first);
    counts.assign(learners + 1, 0);
    for (std::size_t row = 0; row < size; ++row) {
        ++counts[static_cast<std::uint32_t>(learner_index[row]) - first + 1];
    }
    for (std::size_t learner = 1; learner < learners; ++learner) {
        counts[learner] += counts[learner - 1];
    }
    rows.resize(size);
    for (std::size_t row = 0; row < size; ++row) {
        rows[counts[static_cast<std::uint32_t>(learner_index[row]) - first]++] = static_cast<std::uint32_t>(row);
    }
}

}  // namespace covey
