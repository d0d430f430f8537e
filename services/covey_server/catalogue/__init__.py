"""Variants, the stable one, cohort models."""
