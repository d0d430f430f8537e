"""Studies of whole datasets: who comes back, how learners move, study groups. Each in a process of its own.

They run one at a time, and so do searches for constants, beside them. Neighbours of one learner are quick, and are
answered in the server itself, from memory.
"""
