#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "block.hpp"
#include "covey/columns.hpp"
#include "covey/traits.hpp"
#include "learner_blocks.hpp"
#include "plain.hpp"

namespace covey {

// Traits of plain histories (kernels/plain.hpp), a block of learners at a time: contiguous passes over all events of
// the block, then one short loop per learner. Holds the scratch and the tables; one per thread. The bits are those of
// LearnerAnalyzer.
class PlainAnalyzer {
public:
    static constexpr std::size_t most_events = std::size_t{1} << 20;  // of a block

    PlainAnalyzer(const TraitParameters& parameters, const Instant& instant, const Kernels& kernels,
                  std::uint32_t domain_count, std::uint32_t capability_count);

    // Whether blocks of these columns may be analyzed at all.
    static bool fits(const EventColumns& events);

    // Rows begin + learners.begins[i] ... of the learners. Writes the traits of those with plain histories and leaves
    // is_plain()[i] 0 for the others, whose rows of `traits` hold anything then. Throws BadBlock.
    void analyze(const EventColumns& events, std::size_t begin, const BlockLearners& learners,
                 const TraitColumns& traits);

    const std::uint8_t* is_plain() const { return is_plain_.data(); }

private:
    void resize(std::size_t events, std::size_t learners);
    void load(const EventColumns& events, std::size_t begin, std::size_t size);
    void find_first_uses(const BlockLearners& learners);
    bool has_ties(std::size_t begin, std::size_t end) const;
    void find_tied_first_uses(std::size_t begin, std::size_t end, std::uint32_t stamp);
    void write(const BlockLearners& learners, const TraitColumns& traits);

    const Kernels& kernels_;
    Instant instant_;
    std::uint32_t window_days_;
    PlainRules rules_;
    PlainTraits trait_rules_;
    PlainBlock block_{};
    PlainSums sums_{};
    std::uint32_t next_stamp_ = 1;
    std::vector<std::uint32_t> stamps_;  // by capability: number of its last event, counted over all blocks
    std::vector<std::uint32_t> capability_;
    std::vector<double> age_us_;
    std::vector<std::uint32_t> day_age_;
    std::vector<std::uint8_t> bytes_;
    std::vector<std::uint64_t> sets_;
    std::vector<std::uint8_t> is_plain_;
    std::vector<double> learner_sums_;
    std::vector<std::byte> learner_columns_;
};

}  // namespace covey
