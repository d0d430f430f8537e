"""Experiments and trials whose numbers are in print, as small tables with their sources."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Freireich et al. (1963), "The effect of 6-mercaptopurine on the duration of steroid-induced remissions in acute
# leukemia", Blood 21; weeks of remission as in Gehan (1965) and Cox (1972). A plus is a censored time.
SIX_MP = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+"
PLACEBO = "1 1 2 2 3 4 4 5 5 8 8 8 8 11 11 12 12 15 17 22 23"

# Steering Committee of the Physicians' Health Study Research Group (1988): myocardial infarctions, physicians.
ASPIRIN, ASPIRIN_PLACEBO = (104, 11_037), (189, 11_034)

# Bickel, Hammel, O'Connell (1975), "Sex bias in graduate admissions: data from Berkeley", Science 187; the six largest
# departments as in Freedman, Pisani, Purves: (admitted, applicants) of men, then of women.
BERKELEY = {
    "A": ((512, 825), (89, 108)),
    "B": ((353, 560), (17, 25)),
    "C": ((120, 325), (202, 593)),
    "D": ((138, 417), (131, 375)),
    "E": ((53, 191), (94, 393)),
    "F": ((22, 373), (24, 341)),
}

# Colditz et al. (1994), "Efficacy of BCG vaccine in the prevention of tuberculosis", JAMA 271: cases and others among
# the vaccinated, then among controls, of 13 trials.
BCG = (
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
)  # fmt: skip

# Student (1908), "The probable error of a mean": hours of sleep gained with two soporifics (Cushny and Peebles 1905).
SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)


def remissions(text: str) -> tuple[Floats, Floats]:
    """(weeks, whether the remission ended) of a list with plus signs."""
    words = text.split()
    return (
        np.array([float(word.rstrip("+")) for word in words]),
        np.array([float(not word.endswith("+")) for word in words]),
    )


def rossi() -> dict[str, Floats]:
    """432 released prisoners over a year: Rossi, Berk, Lenihan (1980), "Money, work, and crime: experimental evidence".

    As in Allison (1995) and Fox (2002): week of the first arrest or 52, whether arrested, financial aid, covariates;
    the same rows as in lifelines.datasets.load_rossi, as the remissions above are those of load_leukemia.
    """
    with (Path(__file__).parent / "data" / "rossi.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
