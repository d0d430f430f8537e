#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "covey/columns.hpp"
#include "covey/parallel.hpp"

namespace covey {

// Rows of any order brought together by learner: a stable radix partition on the high bits of learner_index copies the
// columns (indices narrowed to the smallest type that holds their count) into parts of about 2^17 rows; within a part,
// which fits the second-level cache, `rows_by_learner` counts. Inputs of one part are not copied at all.
class Partition {
public:
    // Checks learner, domain and capability indices of the copied columns; throws std::invalid_argument.
    Partition(const EventColumns& events, ThreadTeam& team);

    std::size_t size() const { return begin_.size() - 1; }

    // Columns of a part, with the original learner_index; all learners of a part are in no other part.
    EventColumns part(std::size_t part) const;

    // Permutation that sorts the part stably by learner. `rows` and `counts` are scratch that keeps its memory.
    void rows_by_learner(std::size_t part, std::vector<std::uint32_t>& rows, std::vector<std::uint32_t>& counts) const;

private:
    using Cursors = std::vector<std::size_t>;  // one per part
    using Buffer = std::unique_ptr<std::byte[]>;

    void count_rows(ThreadTeam& team);
    void copy_columns(ThreadTeam& team);
    template <typename Target, typename Source>
    const Target* scatter(const void* source, Buffer& buffer, ThreadTeam& team) const;
    template <typename Source>
    void scatter_index(IndexColumn& column, Buffer& buffer, ThreadTeam& team) const;

    EventColumns source_;
    EventColumns columns_;  // what parts are slices of
    unsigned shift_ = 0;    // learner_index >> shift_ is the part
    std::vector<std::size_t> begin_;
    std::size_t chunks_ = 1;
    std::vector<Cursors> cursors_;  // by chunk of source rows
    Buffer learner_, time_, domain_, capability_, kind_, action_, weight_;
};

}  // namespace covey
