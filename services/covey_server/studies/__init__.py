"""Studies of whole datasets: who comes back, how learners move. Each in a process of its own, one at a time."""
