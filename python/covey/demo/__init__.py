"""The demonstration: real processes, real traffic, one rollout from start to end (`covey demo`)."""
