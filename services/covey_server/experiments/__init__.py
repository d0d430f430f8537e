"""Experiments over gRPC: a rollout's own exposures and outcomes, tables of callers, plans."""
