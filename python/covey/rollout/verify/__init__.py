"""Simulated rollouts through the gates' own arithmetic: how often they are wrong, and how soon they are right."""
