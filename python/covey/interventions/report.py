"""A folder with a report: whether playbooks help, in words and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from covey.errors import InputError
from covey.experiment import DecideBy
from covey.experiment.chances import p_words
from covey.experiment.wording import number_words
from covey.interventions import pictures
from covey.interventions.days import ArmDays, active_days, arm_days
from covey.interventions.effect import Effect, measure_active_days, measure_effect
from covey.interventions.planning import HELD_OUT, TREATED, Enrolment
from covey.interventions.playbook import Playbook
from covey.report_folder import markdown_table, write_folder

if TYPE_CHECKING:
    from covey.events import Events
    from covey.experiment.results import Comparison

_NAMES = {HELD_OUT: "held out", TREATED: "treated"}
_READINGS = {DecideBy.always_valid: "any number of looks (decides)", DecideBy.fixed: "this look alone"}
_STATES = (("told", "told"), ("waiting", "waiting"), ("given_up", "given up"), ("expired", "expired"))


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """A playbook and what came of it.

    Attributes:
        playbook: which.
        enrolled_counts: learners who were chosen, by arm.
        action_counts: its actions by state: told, waiting, given_up, expired.
        effect: who came back.
        days_effect: days with an event.
        arms: by day, of learners whose days are over.
    """

    playbook: Playbook
    enrolled_counts: Mapping[str, int]
    action_counts: Mapping[str, int]
    effect: Effect
    days_effect: Effect
    arms: tuple[ArmDays, ...]

    @property
    def comparison(self) -> Comparison:
        """Who came back, treated against held out."""
        return self.effect.result.comparisons[0]

    @property
    def days_comparison(self) -> Comparison:
        """Days with an event, treated against held out."""
        return self.days_effect.result.comparisons[0]


def measure(
    playbook: Playbook,
    enrolments: Sequence[Enrolment],
    action_counts: Mapping[str, int],
    events: Events,
    alpha: float = 0.05,
) -> Measured:
    """Measure a playbook by the events since.

    Raises:
        InputError: nobody was chosen, nobody was held out, or nobody's days are over.
    """
    if not enrolments:
        raise InputError(f"nobody was chosen under '{playbook.name}' yet", remedy="plan first")
    active, is_over = active_days(enrolments, events, playbook.outcome_days)
    counts = [int(own.sum()) if over else None for own, over in zip(active, is_over, strict=True)]
    came_back = [None if count is None else count > 0 for count in counts]
    return Measured(
        playbook,
        {arm: sum(own.arm == arm for own in enrolments) for arm in (HELD_OUT, TREATED)},
        action_counts,
        measure_effect(playbook, enrolments, came_back, alpha),
        measure_active_days(playbook, enrolments, counts, alpha),
        arm_days(enrolments, active, is_over),
    )


def write_report(found: Sequence[Measured], folder: Path, problems: Sequence[str] = ()) -> None:
    """Write report.md, effects.svg and a picture of the days of each playbook; the folder is made.

    Args:
        found: playbooks that could be measured, at least one.
        folder: where to.
        problems: why others could not, in words.

    Raises:
        OSError: the folder cannot be written.
    """
    drawn = {"effects.svg": pictures.effects(found, "Do the playbooks help?" if len(found) > 1 else "Does it help?")}
    for own in found:
        doubt = ", but INVALID: the split is not as planned" if own.effect.result.split.is_mismatch else ""
        drawn[_days_name(own)] = pictures.day_curves(own.arms, f"{own.playbook.name}: day by day{doubt}")
    write_folder(folder, markdown(found, problems), drawn)


def markdown(found: Sequence[Measured], problems: Sequence[str] = ()) -> str:
    """The text of the report; pictures are named beside it."""
    parts = ["# Whether it helps"]
    parts += [f"**{own.playbook.name}:** {headline(own)}" for own in found]
    parts += [f"**Not measured:** {problem}" for problem in problems]
    parts.append("![Effects with their intervals](effects.svg)")
    for own in found:
        parts += _playbook(own)
    parts.append(
        "Arms are compared as they were drawn, whatever reached the learners; days are of 24 hours since a learner was "
        "chosen first, and learners whose days are not over are left out. Differences are adjusted by the probability "
        "of leaving at the choice, shares in the tables and curves are not. Bands of the curves are 95 % at each "
        "single day. Days with an event are shown to understand the difference; who came back decides."
    )
    return "\n\n".join(parts) + "\n"


def headline(own: Measured) -> str:
    """The verdict in a sentence or two, the split first."""
    result, one = own.effect.result, own.comparison
    if result.split.is_mismatch:
        return f"INVALID. {_sentence(result.split.words)}"
    planned = f"Split as planned (p = {p_words(result.split.log_p)})."
    needs = ""
    if one.needed_units is not None and "needs about" not in one.why:
        needs = f" At an effect like this about {number_words(one.needed_units)} learners would decide it."
    return f"{planned} {one.verdict.value.lower().capitalize()}: {_sentence(one.why)}{needs}"


def _playbook(own: Measured) -> list[str]:
    result, one, days = own.effect.result, own.comparison, own.days_comparison
    actions = ", ".join(f"{own.action_counts.get(state, 0):,} {word}" for state, word in _STATES)
    by_arm = {arm.variant: arm for arm in (one.control, one.candidate)}
    days_by_arm = {arm.variant: arm for arm in (days.control, days.candidate)}
    rows = [
        [
            _NAMES[arm], f"{own.enrolled_counts[arm]:,}", f"{by_arm[arm].units:,}",
            _percent(by_arm[arm].value), _number(days_by_arm[arm].value),
        ]
        for arm in (HELD_OUT, TREATED)
    ]  # fmt: skip
    days_text = own.playbook.outcome_days
    return [
        f"## {own.playbook.name}",
        f"Split: {_sentence(result.split.words)}",
        *(f"**Mind:** {_sentence(warning)}" for warning in result.warnings),
        f"Action `{own.playbook.action}`, at most {own.playbook.limit_per_learner} a learner: {actions}. "
        f"{own.effect.open_count:,} learners' {days_text} days are not over.",
        markdown_table(
            ["arm", "learners", "days over", f"came back within {days_text} days", "days with an event"], rows
        ),
        *_readings(own),
        f"![Day by day]({_days_name(own)})",
    ]


def _readings(own: Measured) -> list[str]:
    if own.effect.result.split.is_mismatch or not own.comparison.readings:
        return []
    rows = []
    for kind, name in _READINGS.items():
        cells = [name]
        for one, scale, unit in ((own.comparison, 100.0, " points"), (own.days_comparison, 1.0, " days")):
            reading = one.reading(kind) if one.readings else None
            if one.effect is None or reading is None or reading.low is None or reading.high is None:
                cells.append("")
                continue
            low, high = scale * reading.low, scale * reading.high
            cells.append(f"{scale * one.effect:+.2f}{unit} ({low:+.2f} to {high:+.2f})")
        rows.append(cells)
    level = 100 * (1 - own.effect.result.alpha)
    return [markdown_table([f"{level:g} % interval for", "came back", "days with an event"], rows)]


def _days_name(own: Measured) -> str:
    return f"days-{own.playbook.name}.svg"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else number_words(value)
