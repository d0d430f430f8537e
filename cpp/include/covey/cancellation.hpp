#pragma once
// Ending long work early: one flag, set by whoever no longer wants the result and read by the loops that make it.

#include <atomic>
#include <exception>

namespace covey {

// Thrown by work that found its cancellation set; what it was to write is in no defined state.
class Cancelled : public std::exception {
public:
    const char* what() const noexcept override { return "cancelled"; }
};

// Set once, from any thread, and never taken back. Long loops check it at least every 5 ms of work in every thread:
// between the tasks of a team, and within a task that takes longer.
class Cancellation {
public:
    Cancellation() = default;
    Cancellation(const Cancellation&) = delete;
    Cancellation& operator=(const Cancellation&) = delete;

    void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
    bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

    void check() const {
        if (is_cancelled()) {
            throw Cancelled();
        }
    }

private:
    std::atomic<bool> cancelled_{false};
};

// For calls that may run without one.
inline void check_cancellation(const Cancellation* cancellation) {
    if (cancellation != nullptr) {
        cancellation->check();
    }
}

}  // namespace covey
