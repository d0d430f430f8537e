// Lloyd's iterations once few labels change: whole blocks, and groups of points in them, are left alone.

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>
#include <numeric>

#include "lloyd.hpp"

namespace covey {
namespace {

constexpr double most_moved = 4.0;   // diameters; what a float32 counter may hold, see slack_of
constexpr double look_again = 0.25;  // radii of a block that centroids move until its contenders may have become fewer

}  // namespace

void Lloyd::assign_block(std::size_t block, Scratch& scratch, ClusterSums& sums) {
    State& state = states_[block];
    if (state.count > 1) {
        state.moved += drift(state.contenders, state.count);
    }
    if (state.others_until <= moved_) {
        find_contenders(block, scratch);
        if (scratch.count == 1) {
            move_block(block, scratch.names[0], sums);
        } else {
            settle(block, scratch, sums);
        }
    } else if (state.count > 1 && static_cast<double>(state.least_until) <= state.moved) {
        std::copy_n(state.contenders, state.count, scratch.names.data());
        scratch.count = state.count;
        settle(block, scratch, sums);
    }
}

// What groups know holds among the contenders of before: it is forgotten where a new one has come.
void Lloyd::find_contenders(std::size_t block, Scratch& scratch) {
    State& state = states_[block];
    if (!blocks_.are_neighbours()) {
        everyone(state, scratch);
        return;
    }
    const double others = gaps(block, scratch);
    const std::int32_t* names = scratch.names.data();
    const Box box = blocks_.box(block);
    const bool no_new = std::includes(state.contenders, state.contenders + state.count, names, names + scratch.count);
    if (!no_new || state.moved > most_moved * diameter_) {
        std::fill(std::begin(state.until), std::end(state.until), -1.0f);
        state.least_until = -1.0f;
        state.moved = 0.0;
    }
    if (scratch.count > most_kept) {
        state.count = 0;
        state.others_until = -1.0;
    } else {
        state.count = static_cast<std::uint32_t>(scratch.count);
        std::copy_n(names, scratch.count, state.contenders);
        const double until = std::min(others - slack_, look_again * static_cast<double>(box.radius));
        state.others_until = others > slack_ ? moved_ + until : -1.0;
    }
}

// Without a box every centroid is a contender.
void Lloyd::everyone(State& state, Scratch& scratch) const {
    scratch.count = k_;
    std::iota(scratch.names.begin(), scratch.names.begin() + static_cast<std::ptrdiff_t>(k_), 0);
    std::fill(std::begin(state.until), std::end(state.until), -1.0f);
    state.least_until = -1.0f;
    state.moved = 0.0;
    state.others_until = -1.0;
    if (k_ <= most_kept && moved_ < most_moved * diameter_) {
        state.count = static_cast<std::uint32_t>(k_);
        std::copy_n(scratch.names.begin(), k_, state.contenders);
        state.others_until = moved_ + most_moved * diameter_;
    }
}

// Labels among several contenders.
void Lloyd::settle(std::size_t block, Scratch& scratch, ClusterSums& sums) {
    State& state = states_[block];
    const std::size_t size = blocks_.size(block);
    std::int32_t* labels = blocks_.labels(block);
    if (state.label >= 0) {
        std::fill_n(labels, size, state.label);
    }
    std::copy_n(labels, size, scratch.labels);
    const std::uint32_t changed =
        kernels_.nearest_among(blocks_.points(block), size, centroids_.data(), scratch.names.data(), scratch.count,
                               static_cast<float>(state.moved), static_cast<float>(slack_), state.until, labels);
    const std::size_t groups = (size + points_per_group - 1) / points_per_group;
    state.least_until = *std::min_element(state.until, state.until + groups);
    if (changed != 0) {
        move_points(block, changed, scratch, sums);
    }
    state.label = mixed;
}

// Names the centroids that can be the nearest to a point of the block; returns by how much the others are farther.
double Lloyd::gaps(std::size_t block, Scratch& scratch) const {
    kernels_.box_gaps(blocks_.box(block), dimensions_, centroid_columns_.data(), padded_k_, scratch.gaps.data());
    float others = std::numeric_limits<float>::infinity();
    scratch.count = 0;
    for (std::size_t c = 0; c < k_; ++c) {
        const float gap = scratch.gaps[c];
        if (static_cast<double>(gap) > slack_) {
            others = std::min(others, gap);
        } else {
            scratch.names[scratch.count++] = static_cast<std::int32_t>(c);
        }
    }
    return static_cast<double>(others);
}

// By how much two of these centroids together moved at most in the last update.
double Lloyd::drift(const std::int32_t* names, std::size_t count) const {
    double farthest = 0.0;
    double second = 0.0;
    for (std::size_t n = 0; n < count; ++n) {
        const double distance = drift_[static_cast<std::size_t>(names[n])];
        second = std::max(second, std::min(distance, farthest));
        farthest = std::max(farthest, distance);
    }
    return farthest + second;
}

void Lloyd::move_block(std::size_t block, std::int32_t label, ClusterSums& sums) {
    State& state = states_[block];
    const std::size_t size = blocks_.size(block);
    if (state.label == label) {
        return;
    }
    if (state.label == mixed) {
        const std::int32_t* labels = blocks_.labels(block);
        for (std::size_t i = 0; i < size; ++i) {
            if (labels[i] != label) {
                move_point(block, i, labels[i], label, sums);
            }
        }
    } else {
        for (std::size_t i = 0; i < size; ++i) {
            move_point(block, i, state.label, label, sums);
        }
    }
    state.label = label;
}

// scratch.labels are the labels of before.
void Lloyd::move_points(std::size_t block, std::uint32_t groups, const Scratch& scratch, ClusterSums& sums) {
    const std::size_t size = blocks_.size(block);
    const std::int32_t* labels = blocks_.labels(block);
    for (; groups != 0; groups &= groups - 1) {
        const std::size_t begin = static_cast<std::size_t>(std::countr_zero(groups)) * points_per_group;
        const std::size_t end = std::min(begin + points_per_group, size);
        for (std::size_t i = begin; i < end; ++i) {
            if (scratch.labels[i] != labels[i]) {
                move_point(block, i, scratch.labels[i], labels[i], sums);
            }
        }
    }
}

}  // namespace covey
