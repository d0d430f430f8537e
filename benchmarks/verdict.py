"""What a set of rows says: which claims hold, which are missing, and the documents that show it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from claims import CLAIMS, HELD_AT, NEEDS_INSTRUCTIONS, held_floor
from harness import ROW_KEYS, Row, rounded, table

LEAST_ROUNDS = 5
"""Of a full run; a smoke run holds floors only and may do with fewer."""

Facts = Mapping[str, str]


def standing(row: Row, *, smoke: bool = False) -> str:
    """Where a row stands among its bars; a smoke run holds some claims at less, and says why."""
    held = held_floor(row["claim"], smoke=smoke)
    if row["ratio"] < held:
        return f"BELOW ITS FLOOR of {held:g}"
    if row["ratio"] < row["floor"]:
        return f"below its floor of {row['floor']:g}, held at {held:g}: {HELD_AT[row['claim']][1]}"
    if row["ratio"] < row["target"]:
        return f"{row['ratio'] / row['target']:.2f} of its target {row['target']:g}"
    if row["ratio"] < row["moonshot"]:
        return f"at its target {row['target']:g}"
    return f"at its moonshot {row['moonshot']:g}"


def below_floor(rows: Sequence[Row], *, smoke: bool = False) -> list[Row]:
    """The rows that may not stay so."""
    return [row for row in rows if row["ratio"] < held_floor(row["claim"], smoke=smoke)]


def below_target(rows: Sequence[Row]) -> list[Row]:
    """The rows with work left."""
    return [row for row in rows if row["ratio"] < row["target"]]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """As the claims are listed."""
    names = list(CLAIMS)
    return sorted(rows, key=lambda row: names.index(row["claim"]))


def with_second_look(rows: Sequence[Row], again: Sequence[Row], *, smoke: bool = False) -> list[Row]:
    """Rows below their floor are replaced by what the second, longer look saw; the others stay."""
    seen_again = {row["claim"]: row for row in again}
    low = {row["claim"] for row in below_floor(rows, smoke=smoke)}
    return [seen_again.get(row["claim"], row) if row["claim"] in low else row for row in rows]


def faults(
    rows: Sequence[Row],
    promised: Collection[str],
    instruction_sets: Collection[str],
    least_rounds: int = LEAST_ROUNDS,
) -> list[str]:
    """What is wrong with a run beside its speed: rows missing, twice, of other keys, or from too few rounds."""
    found = []
    names = [row["claim"] for row in rows]
    for claim in promised:
        needed = NEEDS_INSTRUCTIONS.get(claim)
        if claim not in names and (needed is None or needed in instruction_sets):
            found.append(f"no result for: {claim}")
    found += [f"more than one result for: {claim}" for claim in sorted({n for n in names if names.count(n) > 1})]
    for row in rows:
        if tuple(row) != ROW_KEYS:
            found.append(f"a row has other keys than promised: {row}")
        elif row["rounds"] < least_rounds:
            found.append(f"{row['rounds']} rounds, at least {least_rounds} are asked for: {row['claim']}")
    return found


def document(rows: Sequence[Row], notes: Mapping[str, Sequence[str]], machine: Facts) -> str:
    """latest.md: claims, notes of each benchmark, the machine."""
    lines = ["# Benchmarks", "", table(rows), ""]
    lines += [f"- {row['claim']}: {standing(row)}" for row in rows]
    lines += ["", "## Notes", ""]
    lines += [f"- {benchmark}: {text}" for benchmark, texts in notes.items() for text in texts]
    lines += ["", "## Machine", "", "| what | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in machine.items()]
    return "\n".join(lines) + "\n"


def readme_table(
    rows: Sequence[Row], benchmark_of: Mapping[str, str], machine: Facts, taken_again_count: int = 0
) -> str:
    """What the README shows: each claim with its ratio, its spread and the command that reproduces it."""
    again = f" {taken_again_count} taken again alone after the full run." if taken_again_count else ""
    lines = [
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory']}, {machine['instruction set']}, "
        f"{machine['compiler']}, {machine['date'][:10]}; median of the rounds' ratios, smallest and largest.{again}",
        "",
        "| claim | ratio | spread | target | rival | reproduce with |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["spread"]
        lines.append(
            f"| {row['claim']} | {rounded(row['ratio'])} | {rounded(low)} to {rounded(high)} | {row['target']:g} "
            f"| {row['rival_name']} | `make bench ONLY={benchmark_of[row['claim']]}` |"
        )
    return "\n".join(lines)
