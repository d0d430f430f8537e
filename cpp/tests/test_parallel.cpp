// Teams of threads: every task once, errors that do not depend on timing, and cancelling between tasks.

#include <atomic>
#include <stdexcept>
#include <string>

#include "check.hpp"
#include "covey/cancellation.hpp"
#include "covey/parallel.hpp"

namespace covey::tests {
namespace {

constexpr std::size_t tasks = 1000;

void runs_every_task_once(std::size_t size) {
    ThreadTeam team(size);
    for (int loop = 0; loop < 20; ++loop) {
        std::vector<std::atomic<int>> runs(tasks);
        team.run(tasks, [&](std::size_t task, std::size_t worker) {
            CHECK(worker < size);
            ++runs[task];
        });
        for (const auto& count : runs) {
            CHECK(count == 1);
        }
    }
}

void rethrows_the_lowest_failure(std::size_t size) {
    ThreadTeam team(size);
    for (int loop = 0; loop < 20; ++loop) {
        std::string message;
        try {
            team.run(tasks, [](std::size_t task, std::size_t) {
                if (task % 100 == 7) {
                    throw std::runtime_error(std::to_string(task));
                }
            });
        } catch (const std::runtime_error& error) {
            message = error.what();
        }
        CHECK(message == "7");
    }
}

void stops_between_tasks(std::size_t size) {
    Cancellation cancellation;
    ThreadTeam team(size, &cancellation);
    std::atomic<std::size_t> ran{0};
    bool was_cancelled = false;
    try {
        team.run(tasks, [&](std::size_t, std::size_t) {
            if (++ran >= 10) {
                cancellation.cancel();
            }
        });
    } catch (const Cancelled&) {
        was_cancelled = true;
    }
    CHECK(was_cancelled);
    CHECK(ran >= 10 && ran < 10 + size);  // each thread cancels in the last task that it begins
    was_cancelled = false;
    try {
        team.run(1, [&](std::size_t, std::size_t) { CHECK(false); });
    } catch (const Cancelled&) {
        was_cancelled = true;
    }
    CHECK(was_cancelled);
}

}  // namespace

void test_parallel() {
    for (const std::size_t size : {1, 2, 3, 8}) {
        runs_every_task_once(size);
        rethrows_the_lowest_failure(size);
        stops_between_tasks(size);
    }
}

}  // namespace covey::tests
