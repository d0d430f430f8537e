"""A rollout over regions: one plan, a rollout per region, waves, a gate over all of them.

Nothing central decides about a region: its own server, journal and controller hold, gate and roll back. What is here
says which region begins when, and adds up what all of them counted. Pure, but for `regions` (the calls) and
`coordinator` (the loop around them).
"""
