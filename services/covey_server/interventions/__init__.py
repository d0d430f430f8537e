"""Interventions: what playbooks ask for, written down once, and whether it helps."""
