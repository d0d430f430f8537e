#pragma once
// Threads for one call: started when the first loop needs them, joined when the team goes out of scope. Nothing
// global, so a process may fork between calls.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "covey/cancellation.hpp"

namespace covey {

// task: which piece of the work; worker: which thread does it, below size(): for per-thread scratch.
using Task = std::function<void(std::size_t task, std::size_t worker)>;

class ThreadTeam {
public:
    // size >= 1 counts the calling thread; a team of one never starts a thread. The cancellation, where there is one,
    // is checked before every task and must outlive the team.
    explicit ThreadTeam(std::size_t size, const Cancellation* cancellation = nullptr)
        : size_(size), cancellation_(cancellation) {}
    ~ThreadTeam();
    ThreadTeam(const ThreadTeam&) = delete;
    ThreadTeam& operator=(const ThreadTeam&) = delete;

    std::size_t size() const { return size_; }

    // Runs body(0..tasks-1), each task once, in no particular order; returns when all are done. The exception of the
    // lowest failing task is rethrown here, so that an error does not depend on timing; Cancelled is one like others.
    void run(std::size_t tasks, const Task& body);

private:
    void serve(std::size_t worker);
    void drain(std::size_t worker);

    std::size_t size_;
    const Cancellation* cancellation_;
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable finished_;
    std::size_t loop_ = 0;     // number of the current loop, guarded by mutex_
    bool open_ = false;        // it may be joined, guarded by mutex_
    std::size_t working_ = 0;  // threads that joined and are still in it, guarded by mutex_
    bool stopping_ = false;
    const Task* body_ = nullptr;
    std::size_t tasks_ = 0;
    std::atomic<std::size_t> next_{0};
    std::size_t failed_task_ = 0;
    std::exception_ptr failure_;
};

// Threads worth starting for `items` pieces of work when one thread should have at least `items_per_thread`.
std::size_t useful_threads(std::size_t threads, std::size_t items, std::size_t items_per_thread);

}  // namespace covey
