"""What gates remember between ticks and the formulas by which they judge (GATES sections 2 and 3).

Arrows: `formulas` (pure, vectorised, shared with the simulations that verify the gates) ← `dispersion`, `learners`,
`latency`, `triggers`, `criteria` (one kind of memory each) ← `memory` (all of them, advanced by one tick).
"""
