#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "covey/cancellation.hpp"
#include "covey/columns.hpp"
#include "covey/parallel.hpp"
#include "kernels.hpp"
#include "record_layout.hpp"
#include "record_store.hpp"

namespace covey {

// Rows of any order brought together by learner: a stable radix partition. One pass packs every row into a record of
// some bytes and writes it to its part, the rows of neighbouring learners; `part` sorts the records of one part by
// learner, which stays in the second-level cache, and unpacks them as columns.
class Partition {
public:
    // Columns of a part: one thread's memory.
    struct Scratch {
        std::vector<std::uint64_t> words[RecordStore::words_at_most];  // of the records in the order of learners
        std::vector<std::uint32_t> cursors;
        std::vector<std::int64_t> learner_offsets;
        std::vector<std::uint64_t> time;  // bytes of any type from here on
        std::vector<std::uint32_t> domain;
        std::vector<std::uint32_t> capability;
        std::vector<std::uint8_t> kind;
        std::vector<std::uint8_t> action_taken;
        std::vector<std::uint64_t> weight;
    };

    // The learners first_learner ... first_learner + columns.learner_count, given by offsets; no other part has them.
    struct Part {
        EventColumns columns;
        std::uint32_t first_learner;
    };

    // Needs learner_index and at least one row. Checks learner, domain and capability indices: throws
    // std::invalid_argument. `events` must outlive the partition only as far as their counts and names go.
    Partition(const EventColumns& events, ThreadTeam& team, const Kernels& kernels,
              const Cancellation* cancellation = nullptr);

    std::size_t size() const { return parts_; }

    // Indices come in the narrowest type that holds their count, times and weights in the type they had. The columns
    // are those of `scratch` until its next use.
    Part part(std::size_t part, Scratch& scratch) const;

private:
    bool fill_stores(ThreadTeam& team);
    std::uint64_t pack(std::size_t begin, std::size_t size, std::uint64_t* const words[]) const;
    std::uint32_t pack_index(const IndexColumn& column, const Field& field, std::size_t begin, std::size_t size,
                             std::uint64_t* const words[]) const;
    void sort_by_learner(std::size_t part, Scratch& scratch) const;
    template <std::size_t record_bytes>
    void sort_records(std::size_t part, Scratch& scratch) const;
    void unpack(const EventColumns& columns, std::size_t begin, std::size_t size, Scratch& scratch) const;

    EventColumns events_;
    const Kernels& kernels_;
    const Cancellation* cancellation_;
    unsigned shift_;  // learner_index >> shift_ is the part
    std::size_t parts_;
    RecordLayout layout_;
    std::vector<RecordStore> stores_;  // of consecutive ranges of rows
};

}  // namespace covey
