#include "trait_pass.hpp"

#include <algorithm>

#include "learner_walk.hpp"

namespace covey {
namespace {

constexpr std::size_t plain_block_rows = 1024;    // scratch of one block: about 50 KB
constexpr std::size_t general_block_rows = 1024;  // about 40 KB with weights
constexpr std::size_t events_per_thread = 32768;

}  // namespace

TraitPass::TraitPass(const EventColumns& events, const Instant& instant, const TraitParameters& parameters,
                     std::size_t threads, const Kernels& kernels, const TraitColumns& traits,
                     const Cancellation* cancellation)
    : events_(events),
      instant_(instant),
      parameters_(parameters),
      kernels_(kernels),
      traits_(traits),
      cancellation_(cancellation),
      is_plain_(PlainAnalyzer::fits(events)),
      block_rows_(is_plain_ ? plain_block_rows : general_block_rows),
      team_(useful_threads(threads, events.size, events_per_thread), cancellation),
      workers_(team_.size()) {}

std::int64_t TraitPass::run() {
    const Walk walk{events_, block_rows_, kernels_, team_};
    const auto one_task = [&](LearnerBlocks& blocks, std::size_t number) { analyze(worker(number), events_, blocks); };
    const auto pass_over = [&](const AbsentLearners& absent) {
        fill_absent(absent.first_absent, absent.first);
        fill_absent(absent.behind, absent.behind_absent);
    };
    if (events_.size == 0) {
        fill_absent(0, events_.learner_count);
    } else if (events_.learner_offsets != nullptr) {
        walk_by_offsets(walk, one_task);
    } else if (!walk_by_index(walk, one_task, pass_over)) {
        later_count_ = 0;
        run_partitioned();
    }
    return static_cast<std::int64_t>(later_count_.load());
}

void TraitPass::fill_absent(std::size_t begin, std::size_t end) const {
    if (begin >= end) {
        return;
    }
    const double prior_mean =
        parameters_.feedback_prior_acted / (parameters_.feedback_prior_acted + parameters_.feedback_prior_ignored);
    const std::size_t size = end - begin;
    for (float* column : {traits_.learning_velocity, traits_.domain_affinity, traits_.interaction_frequency,
                          traits_.retention_strength, traits_.domain_entropy}) {
        std::fill_n(column + begin, size, 0.0f);
    }
    std::fill_n(traits_.feedback_responsiveness + begin, size, static_cast<float>(prior_mean));
    std::fill_n(traits_.momentum + begin, size, 0.5f);
    std::fill_n(traits_.event_count + begin, size, 0);
    std::fill_n(traits_.active_days + begin, size, 0);
    std::fill_n(traits_.tenure_days + begin, size, 0.0);
    std::fill_n(traits_.recency_days + begin, size, 0.0);
}

TraitPass::Worker& TraitPass::worker(std::size_t number) {
    if (!workers_[number]) {
        workers_[number].reset(new Worker{
            .block = {},
            .general = LearnerAnalyzer(parameters_, instant_, kernels_, events_.domain.count, events_.capability.count,
                                       events_.size, cancellation_),
            .plain = is_plain_ ? std::make_unique<PlainAnalyzer>(parameters_, instant_, kernels_, events_.domain.count,
                                                                 events_.capability.count)
                               : nullptr,
            .partition = {}});
    }
    return *workers_[number];
}

void TraitPass::run_partitioned() {
    const Partition partition(events_, team_, kernels_, cancellation_);
    team_.run(partition.size(), [&](std::size_t number_of_part, std::size_t number) {
        Worker& own = worker(number);
        const Partition::Part part = partition.part(number_of_part, own.partition);
        LearnerBlocks blocks(part.columns.learner_offsets, 0, part.columns.learner_count, part.first_learner,
                             block_rows_, kernels_);
        analyze(own, part.columns, blocks);
    });
}

void TraitPass::analyze(Worker& worker, const EventColumns& events, LearnerBlocks& blocks) {
    std::uint32_t next_learner = UINT32_MAX;
    while (blocks.next()) {
        check_cancellation(cancellation_);
        const BlockLearners& learners = blocks.learners();
        for (const std::uint32_t id : learners.ids) {
            if (id > next_learner) {
                fill_absent(next_learner, id);
            }
            next_learner = id + 1;
        }
        if (worker.plain == nullptr || learners.row_count() > PlainAnalyzer::most_events) {
            analyze_generally(worker, events, blocks.row(), learners, 0, learners.size());
            continue;
        }
        worker.plain->analyze(events, blocks.row(), learners, &events == &events_, traits_);
        const std::uint8_t* is_plain = worker.plain->is_plain();
        for (std::size_t first = 0; first < learners.size(); ++first) {
            std::size_t last = first;
            while (last < learners.size() && !is_plain[last]) {
                ++last;
            }
            if (last > first) {
                analyze_generally(worker, events, blocks.row(), learners, first, last);
                first = last;
            }
        }
    }
}

void TraitPass::analyze_generally(Worker& worker, const EventColumns& events, std::size_t row,
                                  const BlockLearners& learners, std::size_t first, std::size_t last) {
    worker.block.load(events, row, learners, first, last, instant_, kernels_, cancellation_);
    later_count_ += worker.block.later_count();
    for (const auto& rows : worker.block.learners()) {
        if (rows.begin < rows.end) {
            worker.general.analyze(worker.block, rows, traits_);
        } else {
            fill_absent(rows.learner, std::size_t{rows.learner} + 1);
        }
    }
}

}  // namespace covey
