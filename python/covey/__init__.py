"""Behavioural cohorts from learner events."""
