"""The colours of the pictures: inks that the page resolves, light and dark, or a fixed palette where no page does."""

from __future__ import annotations

# Placeholder -> (CSS variable, colour where no page resolves it). Blue and orange are told apart by every kind of eye.
INKS = {
    "#010203": ("--ink", "#1f2933"),
    "#020304": ("--grid", "#d5dbe1"),
    "#030405": ("--candidate", "#c2500a"),
    "#040506": ("--baseline", "#1b66a8"),
    "#050607": ("--limit", "#6b7280"),
    "#060708": ("--good", "#0b7a53"),
    "#070809": ("--paper", "#ffffff"),
    "#08090a": ("--bad", "#b3261e"),
    "#090a0b": ("--third", "#7a4fa3"),
    "#0a0b0c": ("--fourth", "#8a6d00"),
}
INK, GRID, CANDIDATE, BASELINE, LIMIT, GOOD, PAPER, BAD, THIRD, FOURTH = INKS
