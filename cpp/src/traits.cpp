#include "covey/traits.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>

#include "block.hpp"
#include "covey/parallel.hpp"
#include "learner.hpp"
#include "partition.hpp"

namespace covey {
namespace {

constexpr std::size_t events_per_block = 1024;  // scratch of one block: about 40 KB with weights
constexpr std::size_t events_per_thread = 32768;
constexpr std::size_t events_per_task = 65536;

// One thread's scratch.
struct Worker {
    Worker(const EventColumns& events, const Instant& instant, const TraitParameters& parameters,
           const Kernels& kernels)
        : analyzer(parameters, instant, kernels, events.domain.count, events.capability.count, events.size) {}

    Block block;
    LearnerAnalyzer analyzer;
    Partition::Scratch partition_scratch;
    std::vector<std::int32_t> learner_index;
};

class TraitPass {
public:
    TraitPass(const EventColumns& events, const Instant& instant, const TraitParameters& parameters,
              std::size_t threads, const Kernels& kernels, const TraitColumns& traits, const Cancellation* cancellation)
        : events_(events),
          instant_(instant),
          parameters_(parameters),
          kernels_(kernels),
          traits_(traits),
          cancellation_(cancellation),
          team_(useful_threads(threads, events.size, events_per_thread), cancellation),
          workers_(team_.size()) {}

    std::int64_t run() {
        fill_absent();
        if (is_sorted()) {
            run_in_place();
        } else {
            run_partitioned();
        }
        return static_cast<std::int64_t>(later_count_.load());
    }

private:
    void fill_absent();
    bool is_sorted();
    void run_in_place();
    void run_partitioned();
    Worker& worker(std::size_t number);
    void analyze(Worker& worker, const EventColumns& events, const std::uint32_t* rows, std::size_t begin,
                 std::size_t end);
    std::size_t block_end(const EventColumns& events, const std::uint32_t* rows, std::size_t begin,
                          std::size_t end) const;

    const EventColumns& events_;
    Instant instant_;
    const TraitParameters& parameters_;
    const Kernels& kernels_;
    const TraitColumns& traits_;
    const Cancellation* cancellation_;
    ThreadTeam team_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::atomic<std::size_t> later_count_{0};
};

void TraitPass::fill_absent() {
    const double prior_mean =
        parameters_.feedback_prior_acted / (parameters_.feedback_prior_acted + parameters_.feedback_prior_ignored);
    const std::size_t chunks = team_.size();
    team_.run(chunks, [&](std::size_t chunk, std::size_t) {
        const std::size_t begin = std::size_t{events_.learner_count} * chunk / chunks;
        const std::size_t size = std::size_t{events_.learner_count} * (chunk + 1) / chunks - begin;
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
    });
}

// Whether learner_index never decreases; checks its range where it is so, the partition checks it elsewhere.
bool TraitPass::is_sorted() {
    if (events_.size == 0) {
        return true;
    }
    const std::int32_t* learner = events_.learner_index;
    std::atomic<bool> sorted{true};
    std::atomic<bool> in_range{true};
    const std::size_t chunks = team_.size();
    team_.run(chunks, [&](std::size_t chunk, std::size_t) {
        const std::size_t begin = std::max<std::size_t>(events_.size * chunk / chunks, 1);
        const std::size_t end = events_.size * (chunk + 1) / chunks;
        std::uint32_t decreases = 0;
        std::uint32_t outside = static_cast<std::uint32_t>(learner[0]) >= events_.learner_count;
        for (std::size_t block = begin; block < end && sorted.load(std::memory_order_relaxed); block += 4096) {
            for (std::size_t row = block; row < std::min(block + 4096, end); ++row) {
                decreases |= learner[row] < learner[row - 1];
                outside |= static_cast<std::uint32_t>(learner[row]) >= events_.learner_count;
            }
            if (decreases != 0) {
                sorted = false;
            }
        }
        if (outside != 0) {
            in_range = false;
        }
    });
    if (!in_range) {
        raise_bad_index({learner, IndexType::int32, events_.learner_count, "learner_index"}, events_.size);
    }
    return sorted;
}

Worker& TraitPass::worker(std::size_t number) {
    if (!workers_[number]) {
        workers_[number] = std::make_unique<Worker>(events_, instant_, parameters_, kernels_);
    }
    return *workers_[number];
}

// Tasks of about equal numbers of events, moved to where a learner begins.
void TraitPass::run_in_place() {
    const std::int32_t* learner = events_.learner_index;
    const std::size_t tasks = team_.size() == 1 ? 1 : events_.size / events_per_task + 1;
    const auto task_begin = [&](std::size_t task) {
        const std::size_t row = static_cast<std::size_t>(static_cast<unsigned __int128>(events_.size) * task / tasks);
        return row == events_.size
                   ? row
                   : static_cast<std::size_t>(std::lower_bound(learner, learner + row, learner[row]) - learner);
    };
    team_.run(tasks, [&](std::size_t task, std::size_t number) {
        analyze(worker(number), events_, nullptr, task_begin(task), task_begin(task + 1));
    });
}

void TraitPass::run_partitioned() {
    const Partition partition(events_, team_, kernels_, cancellation_);
    team_.run(partition.size(), [&](std::size_t number_of_part, std::size_t number) {
        Worker& own = worker(number);
        Partition::Part part = partition.part(number_of_part, own.partition_scratch);
        own.learner_index.resize(part.columns.size);
        for (std::uint32_t learner = 0; learner < part.columns.learner_count; ++learner) {
            std::fill(own.learner_index.begin() + part.columns.learner_offsets[learner],
                      own.learner_index.begin() + part.columns.learner_offsets[learner + 1],
                      static_cast<std::int32_t>(part.first_learner + learner));
        }
        part.columns.learner_index = own.learner_index.data();
        analyze(own, part.columns, nullptr, 0, part.columns.size);
    });
}

void TraitPass::analyze(Worker& worker, const EventColumns& events, const std::uint32_t* rows, std::size_t begin,
                        std::size_t end) {
    std::size_t later = 0;
    while (begin < end) {
        check_cancellation(cancellation_);
        const std::size_t next = block_end(events, rows, begin, end);
        worker.block.load(events, rows, begin, next - begin, instant_, kernels_);
        later += worker.block.later_count();
        for (const auto& learner : worker.block.learners()) {
            if (learner.begin < learner.end) {
                worker.analyzer.analyze(worker.block, learner, traits_);
            }
        }
        begin = next;
    }
    later_count_ += later;
}

// As many whole learners as fit a block, at least one.
std::size_t TraitPass::block_end(const EventColumns& events, const std::uint32_t* rows, std::size_t begin,
                                 std::size_t end) const {
    if (end - begin <= events_per_block) {
        return end;
    }
    const auto learner_at = [&](std::size_t i) { return events.learner_index[rows == nullptr ? i : rows[i]]; };
    std::size_t cut = begin + events_per_block;
    while (cut > begin && learner_at(cut) == learner_at(cut - 1)) {
        --cut;
    }
    if (cut > begin) {
        return cut;
    }
    cut = begin + events_per_block;
    while (cut < end && learner_at(cut) == learner_at(begin)) {
        ++cut;
    }
    return cut;
}

[[noreturn]] void raise_bad_value(BadValue column, const EventColumns& events) {
    switch (column) {
        case BadValue::domain: raise_bad_index(events.domain, events.size);
        case BadValue::capability: raise_bad_index(events.capability, events.size);
        case BadValue::weight: raise_bad_weight(events.weight, events.size);
        case BadValue::time: raise_bad_time(events.time, events.size);
    }
    throw std::logic_error("unknown column");
}

void require(bool condition, const char* name, double value, const char* expected) {
    if (!condition) {
        throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) + ", expected " + expected);
    }
}

bool is_prior(double value) {
    return std::isfinite(value) && value >= 0.0;
}

}  // namespace

void check_parameters(const TraitParameters& parameters) {
    const auto& p = parameters;
    require(p.velocity_alpha > 0.0 && p.velocity_alpha <= 1.0, "velocity_alpha", p.velocity_alpha,
            "a number in (0, 1]");
    require(std::isfinite(p.velocity_kappa) && p.velocity_kappa > 0.0, "velocity_kappa", p.velocity_kappa,
            "a finite number > 0");
    require(p.affinity_entropy_penalty >= 0.0 && p.affinity_entropy_penalty <= 1.0, "affinity_entropy_penalty",
            p.affinity_entropy_penalty, "a number in [0, 1]");
    require(p.frequency_window_days >= 1, "frequency_window_days", p.frequency_window_days, "at least 1");
    require(is_prior(p.feedback_prior_acted), "feedback_prior_acted", p.feedback_prior_acted, "a finite number >= 0");
    require(is_prior(p.feedback_prior_ignored), "feedback_prior_ignored", p.feedback_prior_ignored,
            "a finite number >= 0");
    require(p.feedback_prior_acted + p.feedback_prior_ignored > 0.0, "feedback_prior_acted + feedback_prior_ignored",
            p.feedback_prior_acted + p.feedback_prior_ignored, "a sum > 0");
    require(std::isfinite(p.retention_decay_per_day) && p.retention_decay_per_day >= 0.0, "retention_decay_per_day",
            p.retention_decay_per_day, "a finite number >= 0");
    require(p.day_start_seconds > -86400 && p.day_start_seconds < 86400, "day_start_seconds", p.day_start_seconds,
            "seconds in (-86400, 86400)");
}

std::int64_t compute_traits(const EventColumns& events, std::int64_t as_of_us, const TraitParameters& parameters,
                            std::size_t threads, const Kernels& kernels, const TraitColumns& traits,
                            const Cancellation* cancellation) {
    check_parameters(parameters);
    constexpr std::int64_t limit = std::int64_t{1} << 62;
    if (as_of_us < -limit || as_of_us >= limit) {
        throw std::invalid_argument("as_of_us is " + std::to_string(as_of_us) + ", expected a time within +-2^62");
    }
    check_origin(events.time);
    EventColumns columns = events;
    std::vector<std::int32_t> learner_index;
    if (events.learner_offsets != nullptr) {
        check_offsets(events.learner_offsets, events.learner_count, events.size);
        learner_index.resize(events.size);
        for (std::uint32_t learner = 0; learner < events.learner_count; ++learner) {
            std::fill(learner_index.begin() + events.learner_offsets[learner],
                      learner_index.begin() + events.learner_offsets[learner + 1], static_cast<std::int32_t>(learner));
        }
        columns.learner_index = learner_index.data();
    }
    try {
        return TraitPass(columns, instant_of(as_of_us, parameters.day_start_seconds), parameters, threads, kernels,
                         traits, cancellation)
            .run();
    } catch (const BadBlock& bad) {
        raise_bad_value(bad.column, events);
    }
}

}  // namespace covey
