#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "block.hpp"
#include "covey/cancellation.hpp"
#include "covey/parallel.hpp"
#include "covey/traits.hpp"
#include "learner.hpp"
#include "learner_blocks.hpp"
#include "partition.hpp"
#include "plain_analyzer.hpp"

namespace covey {

// One call of compute_traits: finds how the rows lie, cuts them into tasks of about equal numbers of events and these
// into blocks of whole learners.
class TraitPass {
public:
    TraitPass(const EventColumns& events, const Instant& instant, const TraitParameters& parameters,
              std::size_t threads, const Kernels& kernels, const TraitColumns& traits,
              const Cancellation* cancellation);

    // The number of events later than as_of. Throws BadBlock, std::invalid_argument and Cancelled.
    std::int64_t run();

private:
    struct Worker {  // one thread's scratch
        Block block;
        LearnerAnalyzer general;
        std::unique_ptr<PlainAnalyzer> plain;  // null where the columns do not fit it
        Partition::Scratch partition;
    };

    void run_partitioned();
    Worker& worker(std::size_t number);
    void analyze(Worker& worker, const EventColumns& events, LearnerBlocks& blocks);
    void analyze_generally(Worker& worker, const EventColumns& events, std::size_t row, const BlockLearners& learners,
                           std::size_t first, std::size_t last);
    void fill_absent(std::size_t begin, std::size_t end) const;

    const EventColumns& events_;
    Instant instant_;
    const TraitParameters& parameters_;
    const Kernels& kernels_;
    const TraitColumns& traits_;
    const Cancellation* cancellation_;
    bool is_plain_;
    std::size_t block_rows_;
    ThreadTeam team_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::atomic<std::size_t> later_count_{0};
};

}  // namespace covey
