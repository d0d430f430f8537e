"""Events on disk: appends, segments, what a learner did."""
