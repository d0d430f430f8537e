"""Outcomes and segments as people write them on a command line.

    NAME=KIND:COLUMN[;OPTION[=VALUE]]...

    revenue=mean:revenue;cuped=revenue_before;worth=1 EUR
    retained=proportion:status=active,trial
    clicks_per_session=ratio:clicks/sessions
    p90=quantile:minutes@0.9
    churn=time:days,churned=Yes;horizon=90
    value=formula:revenue / (1 - retained)

Options: cuped=COLUMN, lower (lower is better), margin=2%, minimum=1%, worth=4.5 EUR, missing=zero|drop, horizon=TIME.
"""

from __future__ import annotations

import re
from typing import Any

from covey.errors import InputError
from covey.experiment.design import Missing, Outcome, OutcomeKind, Segment
from covey.experiment.planning import PlannedOutcome

_KINDS = {kind.value: kind for kind in OutcomeKind} | {"time": OutcomeKind.time_to_event}
_EXPECTED = "NAME=KIND:COLUMN[;OPTION=VALUE], with KIND one of mean, proportion, ratio, quantile, time, formula"
_NAME = re.compile(r"[\w.\- ]{1,60}")


def parse_outcome(text: str) -> Outcome:
    """An outcome from its text.

    Raises:
        InputError: a text that is none, saying which part.
    """
    head, *options = [part.strip() for part in text.split(";")]
    name, equals, rest = head.partition("=")
    word, colon, place = rest.partition(":")
    kind = _KINDS.get(word.strip())
    if not equals or not colon or kind is None or not _NAME.fullmatch(name.strip()) or not place.strip():
        raise InputError(f"'{text}' is no outcome", expected=_EXPECTED)
    values: dict[str, Any] = {"name": name.strip(), "kind": kind, **_place(kind, place.strip(), text)}
    for option in options:
        if option:
            values |= _option(option, text)
    return Outcome(**values)


def parse_segment(text: str) -> Segment:
    """A segment: COLUMN, COLUMN:0,12,24 (cuts) or COLUMN:q4 (so many equally large parts).

    Raises:
        InputError: a text that is none.
    """
    column, colon, cuts = text.partition(":")
    if not colon:
        return Segment(column.strip())
    try:
        if re.fullmatch(r"q\d+", cuts.strip()):
            return Segment(column.strip(), quantiles=int(cuts.strip()[1:]))
        return Segment(column.strip(), cuts=tuple(float(cut) for cut in cuts.split(",")))
    except ValueError:
        raise InputError(f"'{text}' is no segment", expected="COLUMN, COLUMN:0,12,24 or COLUMN:q4") from None


def parse_planned(text: str) -> PlannedOutcome:
    """What is known of an outcome before: NAME:mean=12,sd=30,minimum=3%,rho2=0.4, or NAME:share=20%,minimum=5%.

    Raises:
        InputError: a text that is none.
    """
    name, colon, rest = text.partition(":")
    values: dict[str, float] = {}
    for part in rest.split(","):
        word, equals, value = part.partition("=")
        if not colon or not equals or word.strip() not in {"mean", "sd", "share", "minimum", "rho2"}:
            raise InputError(
                f"'{text}' is no outcome to plan", expected="NAME:mean=M,sd=S,minimum=E or NAME:share=P,..."
            )
        values[word.strip()] = _number(value.strip(), text)
    if "minimum" not in values or ("share" in values) == ("mean" in values) or ("mean" in values) != ("sd" in values):
        raise InputError(
            f"'{text}' says too little or too much", expected="mean and sd, or share; and the minimum effect"
        )
    return PlannedOutcome(
        name.strip(), values.get("mean", values.get("share", 0.0)), values.get("sd"), values["minimum"],
        values.get("rho2", 0.0),
    )  # fmt: skip


def parse_shares(text: str) -> dict[str, float]:
    """Planned shares: A=1,B=1 or A=90,B=10.

    Raises:
        InputError: a text that is none.
    """
    shares = {}
    for part in text.split(","):
        name, equals, share = part.rpartition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise InputError(f"'{text}' is no split", expected="such as control=50,treatment=50")
    return shares


def _place(kind: OutcomeKind, place: str, text: str) -> dict[str, Any]:
    if kind is OutcomeKind.ratio:
        numerator, slash, denominator = place.rpartition("/")
        if not slash:
            raise InputError(f"'{text}' has no denominator", expected="NAME=ratio:NUMERATOR/DENOMINATOR")
        return {"column": numerator.strip(), "denominator": denominator.strip()}
    if kind is OutcomeKind.quantile:
        column, at, quantile = place.rpartition("@")
        return {"column": column.strip() if at else place, "quantile": _number(quantile, text) if at else 0.5}
    if kind is OutcomeKind.time_to_event:
        duration, comma, event = place.partition(",")
        if not comma:
            raise InputError(f"'{text}' says nothing of the event", expected="NAME=time:DURATION,EVENT[=VALUE]")
        column, equals, yes = event.partition("=")
        values = {"column": duration.strip(), "event": column.strip()}
        return values | ({"yes_values": _texts(yes)} if equals else {})
    if kind is OutcomeKind.proportion:
        column, equals, yes = place.partition("=")
        return {"column": column.strip()} | ({"yes_values": _texts(yes)} if equals else {})
    return {"column": place}


def _option(option: str, text: str) -> dict[str, Any]:
    word, equals, value = (part.strip() for part in option.partition("="))
    if word == "lower" and not equals:
        return {"higher_is_better": False}
    if word == "higher" and not equals:
        return {"higher_is_better": True}
    if word == "cuped" and value:
        return {"covariate": value}
    if word in {"margin", "minimum"} and value:
        return {"margin" if word == "margin" else "minimum_effect": _number(value, text)}
    if word == "horizon" and value:
        return {"horizon": _number(value, text)}
    if word == "missing" and value in {missing.value for missing in Missing}:
        return {"missing": Missing(value)}
    if word == "worth" and value:
        amount, _, currency = value.partition(" ")
        return {"worth": _number(amount, text), "currency": currency.strip()}
    raise InputError(
        f"'{option}' in '{text}' is no option",
        expected="cuped=COLUMN, lower, margin=2%, minimum=1%, worth=4.5 EUR, missing=zero|drop, horizon=TIME",
    )


def _number(value: str, text: str) -> float:
    try:
        return float(value.rstrip("%")) / 100 if value.endswith("%") else float(value)
    except ValueError:
        raise InputError(f"'{value}' in '{text}' is no number") from None


def _texts(values: str) -> tuple[str, ...]:
    return tuple(value.strip() for value in values.split(",") if value.strip())
