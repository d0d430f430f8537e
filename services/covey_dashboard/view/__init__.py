"""What the pages show: pure functions from a rollout, its history and the time to plain values."""
