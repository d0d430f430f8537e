#include "covey/activity.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include "block.hpp"
#include "covey/parallel.hpp"
#include "kernels.hpp"
#include "learner_blocks.hpp"
#include "learner_walk.hpp"

namespace covey {
namespace {

constexpr std::size_t block_rows = 2048;  // scratch of one block: 8 KB of day ages, 24 KB of learners
constexpr std::size_t events_per_thread = 65536;
constexpr std::int64_t time_limit = std::int64_t{1} << 62;

// One learner's days, which grow by an event at a time, in any order.
struct Days {
    std::int32_t& first;
    std::int32_t& last;
    std::uint64_t* active;
    std::size_t words;

    void set(std::int64_t offset) const {
        if (offset < static_cast<std::int64_t>(words * 64)) {
            active[offset / 64] |= std::uint64_t{1} << (offset % 64);
        }
    }

    // Counts all days from an earlier first one.
    void begin_at(std::int32_t day) const {
        const auto by = static_cast<std::size_t>(std::int64_t{first} - day);
        const std::size_t whole = by / 64;
        const std::size_t rest = by % 64;
        for (std::size_t word = words; word-- > 0;) {
            std::uint64_t moved = word >= whole ? active[word - whole] << rest : 0;
            if (rest > 0 && word > whole) {
                moved |= active[word - whole - 1] >> (64 - rest);
            }
            active[word] = moved;
        }
        first = day;
    }

    void add(std::int32_t day) const {
        if (first == no_first_day) {
            first = day;
            last = day;
            active[0] = 1;
            return;
        }
        if (day < first) {
            begin_at(day);
        }
        last = std::max(last, day);
        set(std::int64_t{day} - first);
    }

    void merge(const Days& other) const {
        if (other.first == no_first_day) {
            return;
        }
        if (first == no_first_day) {
            first = other.first;
            last = other.last;
            std::copy_n(other.active, words, active);
            return;
        }
        if (other.first < first) {
            begin_at(other.first);
        } else {
            other.begin_at(first);
        }
        last = std::max(last, other.last);
        for (std::size_t word = 0; word < words; ++word) {
            active[word] |= other.active[word];
        }
    }
};

class ActivityPass {
public:
    ActivityPass(const EventColumns& events, const ActivityRules& rules, std::size_t threads, const Kernels& kernels,
                 const ActivityColumns& columns, const Cancellation* cancellation)
        : events_(events),
          rules_(rules),
          instant_(instant_of(rules.as_of_us, rules.day_start_seconds)),
          kernels_(kernels),
          columns_(columns),
          cancellation_(cancellation),
          team_(useful_threads(threads, events.size, events_per_thread), cancellation),
          scratch_(team_.size()) {
        constexpr auto day = static_cast<std::int64_t>(day_us);
        const std::int64_t end_of_day = rules.as_of_us - std::int64_t{rules.day_start_seconds} * 1'000'000 +
                                        static_cast<std::int64_t>(instant_.rest_of_day_us);
        as_of_day_ = static_cast<std::int32_t>((end_of_day + 1) / day - 1);
    }

    std::int64_t run() {
        clear(columns_, 0, events_.learner_count);
        if (events_.size == 0) {
            return 0;
        }
        const Walk walk{events_, block_rows, kernels_, team_};
        const auto one_task = [&](LearnerBlocks& blocks, std::size_t worker) { analyze(blocks, scratch_[worker]); };
        if (events_.learner_offsets != nullptr) {
            walk_by_offsets(walk, one_task);
        } else if (!walk_by_index(walk, one_task, [](const AbsentLearners&) {})) {
            later_count_ = 0;
            clear(columns_, 0, events_.learner_count);
            run_unordered();
        }
        return static_cast<std::int64_t>(later_count_.load());
    }

private:
    struct Scratch {
        std::vector<std::uint32_t> day_age = std::vector<std::uint32_t>(block_rows + padding);
        std::vector<std::uint32_t> oldest;
        std::vector<std::uint32_t> newest;
        std::vector<std::uint64_t> days;
    };

    void clear(const ActivityColumns& columns, std::size_t begin, std::size_t end) const {
        std::fill(columns.first_day + begin, columns.first_day + end, no_first_day);
        std::fill(columns.last_day + begin, columns.last_day + end, no_last_day);
        std::fill(columns.active + begin * rules_.words, columns.active + end * rules_.words, 0);
    }

    Days days_of(const ActivityColumns& columns, std::size_t learner) const {
        return {columns.first_day[learner], columns.last_day[learner], columns.active + learner * rules_.words,
                rules_.words};
    }

    bool is_later(std::size_t row) const {
        const std::int64_t time = events_.time.type == TimeType::seconds_uint32
                                      ? events_.time.origin_us + std::int64_t{1'000'000} * events_.time.seconds()[row]
                                      : events_.time.microseconds()[row];
        return time > rules_.as_of_us;
    }

    // Whether some of these events are later than as_of; their ages mean nothing.
    bool load(std::size_t row, std::size_t size, Scratch& scratch) const {
        if (scratch.day_age.size() < size + padding) {
            scratch.day_age.resize(size + padding);
        }
        std::uint32_t* day_age = scratch.day_age.data();
        const std::uint64_t rest = instant_.rest_of_day_us;
        const std::uint32_t flags =
            events_.time.type == TimeType::seconds_uint32
                ? kernels_.day_ages_of_seconds(events_.time.seconds() + row, size,
                                               rules_.as_of_us - events_.time.origin_us, rest, day_age)
                : kernels_.day_ages(events_.time.microseconds() + row, size, rules_.as_of_us, rest, day_age);
        if (flags & some_out_of_range) {
            raise_bad_time(events_.time, events_.size);
        }
        return (flags & some_later) != 0;
    }

    void analyze(LearnerBlocks& blocks, Scratch& scratch) {
        while (blocks.next()) {
            check_cancellation(cancellation_);
            const BlockLearners& learners = blocks.learners();
            if (learners.row_count() == 0) {
                continue;
            }
            if (load(blocks.row(), learners.row_count(), scratch)) {
                add_each(blocks.row(), learners, scratch);
            } else {
                add_runs(learners, scratch);
            }
        }
    }

    void add_runs(const BlockLearners& learners, Scratch& scratch) const {
        const std::size_t count = learners.size();
        if (scratch.oldest.size() < count) {
            scratch.oldest.resize(count);
            scratch.newest.resize(count);
            scratch.days.resize(count);
        }
        kernels_.active_days(scratch.day_age.data(), learners.begins.data(), count, scratch.oldest.data(),
                             scratch.newest.data(), scratch.days.data());
        for (std::size_t i = 0; i < count; ++i) {
            if (learners.begins[i] == learners.begins[i + 1]) {
                continue;
            }
            const Days days = days_of(columns_, learners.ids[i]);
            days.first = as_of_day_ - static_cast<std::int32_t>(scratch.oldest[i]);
            days.last = as_of_day_ - static_cast<std::int32_t>(scratch.newest[i]);
            days.active[0] = scratch.days[i];
            if (rules_.words > 1 && scratch.oldest[i] - scratch.newest[i] >= 64) {
                for (std::uint32_t row = learners.begins[i]; row < learners.begins[i + 1]; ++row) {
                    days.set(std::int64_t{scratch.oldest[i]} - scratch.day_age[row]);
                }
            }
        }
    }

    void add_each(std::size_t first_row, const BlockLearners& learners, const Scratch& scratch) {
        for (std::size_t i = 0; i < learners.size(); ++i) {
            const Days days = days_of(columns_, learners.ids[i]);
            for (std::uint32_t row = learners.begins[i]; row < learners.begins[i + 1]; ++row) {
                if (is_later(first_row + row)) {
                    ++later_count_;
                } else {
                    days.add(as_of_day_ - static_cast<std::int32_t>(scratch.day_age[row]));
                }
            }
        }
    }

    // Each thread adds its rows to columns of its own: nobody waits for a learner. Rows of any order.
    void run_unordered() {
        struct Columns {
            std::vector<std::int32_t> first_day;
            std::vector<std::int32_t> last_day;
            std::vector<std::uint64_t> active;
        };
        const std::size_t learners = events_.learner_count;
        std::vector<Columns> own(team_.size() - 1);
        std::vector<ActivityColumns> parts{columns_};
        for (Columns& part : own) {
            part.first_day.resize(learners);
            part.last_day.resize(learners);
            part.active.resize(learners * rules_.words);
            parts.push_back({part.first_day.data(), part.last_day.data(), part.active.data()});
            clear(parts.back(), 0, learners);
        }
        const std::size_t share = (events_.size + parts.size() - 1) / parts.size();
        team_.run(parts.size(), [&](std::size_t part, std::size_t worker) {
            const std::size_t end = std::min(events_.size, (part + 1) * share);
            for (std::size_t row = part * share; row < end; row += block_rows) {
                check_cancellation(cancellation_);
                add_rows(row, std::min(block_rows, end - row), parts[part], scratch_[worker]);
            }
        });
        for (std::size_t part = 1; part < parts.size(); ++part) {
            check_cancellation(cancellation_);
            for (std::size_t learner = 0; learner < learners; ++learner) {
                days_of(columns_, learner).merge(days_of(parts[part], learner));
            }
        }
    }

    void add_rows(std::size_t first_row, std::size_t size, const ActivityColumns& columns, Scratch& scratch) {
        const bool has_later = load(first_row, size, scratch);
        const std::int32_t* learner = events_.learner_index + first_row;
        std::size_t later = 0;
        for (std::size_t i = 0; i < size; ++i) {
            if (static_cast<std::uint32_t>(learner[i]) >= events_.learner_count) {
                raise_bad_index({events_.learner_index, IndexType::int32, events_.learner_count, "learner_index"},
                                events_.size);
            }
            if (has_later && is_later(first_row + i)) {
                ++later;
                continue;
            }
            days_of(columns, static_cast<std::size_t>(learner[i]))
                .add(as_of_day_ - static_cast<std::int32_t>(scratch.day_age[i]));
        }
        later_count_ += later;
    }

    const EventColumns& events_;
    const ActivityRules& rules_;
    Instant instant_;
    const Kernels& kernels_;
    const ActivityColumns& columns_;
    const Cancellation* cancellation_;
    std::int32_t as_of_day_ = 0;
    ThreadTeam team_;
    std::vector<Scratch> scratch_;
    std::atomic<std::size_t> later_count_{0};
};

void require(bool condition, const std::string& problem) {
    if (!condition) {
        throw std::invalid_argument(problem);
    }
}

}  // namespace

std::int64_t days_of_activity(const EventColumns& events, const ActivityRules& rules, std::size_t threads,
                              const Kernels& kernels, const ActivityColumns& columns,
                              const Cancellation* cancellation) {
    require(rules.as_of_us >= -time_limit && rules.as_of_us < time_limit,
            std::string("as_of_us is ") + std::to_string(rules.as_of_us) + ", expected a time within +-2^62");
    require(rules.day_start_seconds > -86400 && rules.day_start_seconds < 86400,
            std::string("day_start_seconds is ") + std::to_string(rules.day_start_seconds) +
                ", expected seconds in (-86400, 86400)");
    require(rules.words >= 1 && rules.words <= largest_activity_words,
            std::string("words is ") + std::to_string(rules.words) + ", expected 1 ... " +
                std::to_string(largest_activity_words));
    check_origin(events.time);
    if (events.learner_offsets != nullptr) {
        check_offsets(events.learner_offsets, events.learner_count, events.size);
    }
    return ActivityPass(events, rules, threads, kernels, columns, cancellation).run();
}

}  // namespace covey
