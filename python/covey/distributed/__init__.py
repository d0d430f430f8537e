"""Discovery on an engine of several processes or machines; Ray is the one that there is (docs/engines.md).

Events of Parquet files are dealt to workers by learner, each worker computes the traits of its learners with the core
and keeps them, and a coordinator finds the cohorts over all (`covey.parts`): the bits of one process.
"""
