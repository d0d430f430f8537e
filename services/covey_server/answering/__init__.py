"""Per-learner calls: decode, route, compute, compare in the shadow, fail on purpose."""
