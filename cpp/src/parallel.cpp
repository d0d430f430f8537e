#include "covey/parallel.hpp"

#include <algorithm>

namespace covey {

ThreadTeam::~ThreadTeam() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) {
        thread.join();
    }
}

void ThreadTeam::run(std::size_t tasks, const Task& body) {
    if (size_ == 1 || tasks <= 1) {
        for (std::size_t task = 0; task < tasks; ++task) {
            check_cancellation(cancellation_);
            body(task, 0);
        }
        return;
    }
    while (threads_.size() + 1 < size_) {
        threads_.emplace_back(&ThreadTeam::serve, this, threads_.size() + 1);
    }
    {
        const std::lock_guard lock(mutex_);
        body_ = &body;
        tasks_ = tasks;
        next_.store(0, std::memory_order_relaxed);
        failure_ = nullptr;
        open_ = true;
        ++loop_;
    }
    wake_.notify_all();
    drain(0);
    // A thread that has not woken by now finds the loop closed: on a busy machine nobody waits for a latecomer.
    std::unique_lock lock(mutex_);
    open_ = false;
    finished_.wait(lock, [this] { return working_ == 0; });
    if (failure_) {
        std::rethrow_exception(failure_);
    }
}

void ThreadTeam::serve(std::size_t worker) {
    std::size_t seen = 0;
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [&] { return stopping_ || (open_ && loop_ != seen); });
        if (stopping_) {
            return;
        }
        seen = loop_;
        ++working_;
        lock.unlock();
        drain(worker);
        lock.lock();
        if (--working_ == 0) {
            finished_.notify_one();
        }
    }
}

// After a failure the tasks before it still run (they were taken earlier) and those after it are skipped.
void ThreadTeam::drain(std::size_t worker) {
    while (true) {
        const std::size_t task = next_.fetch_add(1, std::memory_order_relaxed);
        if (task >= tasks_) {
            return;
        }
        try {
            check_cancellation(cancellation_);
            (*body_)(task, worker);
        } catch (...) {
            const std::lock_guard lock(mutex_);
            next_.store(tasks_, std::memory_order_relaxed);
            if (!failure_ || task < failed_task_) {
                failure_ = std::current_exception();
                failed_task_ = task;
            }
        }
    }
}

std::size_t useful_threads(std::size_t threads, std::size_t items, std::size_t items_per_thread) {
    return std::clamp<std::size_t>(items / items_per_thread, 1, std::max<std::size_t>(threads, 1));
}

}  // namespace covey
