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

    // Rows begin + learners.begins[i] ... of the learners; `is_streamed` where the rows behind them come next and lie
    // in no near cache. Writes the traits of those with plain histories and leaves is_plain()[i] 0 for the others,
    // whose rows of `traits` hold anything then. Throws BadBlock.
    void analyze(const EventColumns& events, std::size_t begin, const BlockLearners& learners, bool is_streamed,
                 const TraitColumns& traits);

    const std::uint8_t* is_plain() const { return is_plain_.data(); }

private:
    void resize(std::size_t events, std::size_t learners);
    void load(const EventColumns& events, std::size_t begin, std::size_t size);
    void find_first_uses(const BlockLearners& learners);
    void remove_tied_uses(const BlockLearners& learners, std::size_t first, std::size_t last);
    bool has_ties(std::size_t begin, std::size_t end) const;
    PlainAhead rows_behind(const EventColumns& events, std::size_t begin) const;
    void write(const BlockLearners& learners, const TraitColumns& traits);

    const Kernels& kernels_;
    Instant instant_;
    std::uint32_t window_days_;
    PlainRules rules_;
    PlainTraits trait_rules_;
    PlainBlock block_{};
    PlainSums sums_{};
    std::uint32_t capability_count_;
    // For some learners at a time, by learner and capability: the event of its first use. Never cleared, since only
    // what the learners at hand have written is read.
    std::vector<std::uint32_t> positions_;
    std::vector<std::uint32_t> capability_;
    std::vector<double> age_us_;
    std::vector<std::uint32_t> day_age_;
    std::vector<std::uint8_t> bytes_;
    std::vector<std::uint64_t> sets_;
    std::vector<std::uint8_t> is_plain_;
    std::vector<double> learner_sums_;
    std::vector<std::int32_t> learner_counts_;
    std::vector<std::byte> learner_columns_;
};

}  // namespace covey
