"""Numbers for people."""

from __future__ import annotations

import math


def number_words(value: float) -> str:
    """Three significant digits with thousands: "1,230", "0.0412", "12.3 million"."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 1e7:
        return f"{value / 1e6:,.0f} million"
    if abs(value) >= 1000:
        digits = math.floor(math.log10(abs(value))) - 2
        return f"{round(value / 10**digits) * 10**digits:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.2e}"


def signed_words(value: float) -> str:
    """The same with its sign, also where it is positive."""
    return f"{'+' if value >= 0 else '-'}{number_words(abs(value))}"
