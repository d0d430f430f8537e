"""PromQL that several rules and panels share. Everything is told apart by `job`, the one name of an installation."""

from __future__ import annotations

from covey.rollout.codes import SERVED, SHED

_SERVED = "|".join(sorted(SERVED))
_SHED = "|".join(sorted(SHED))


def answered(window: str, by: str, selector: str = "") -> str:
    """Rate of the requests that were not shed; `selector` ends in a comma where there is one."""
    return f'sum by ({by}) (rate(covey_requests_total{{{selector}code!~"{_SHED}"}}[{window}]))'


def failed_ratio(window: str, by: str = "job", selector: str = "") -> str:
    """Share of them that failed; what fails is what `error_rate` counts. NaN without requests."""
    served = f'sum by ({by}) (rate(covey_requests_total{{{selector}code=~"{_SERVED}"}}[{window}]))'
    return f"1 - {served} / {answered(window, by, selector)}"


def slow_ratio(window: str, edge: str) -> str:
    """Share of the answers that took longer than an edge of the histogram. NaN without answers."""
    within = f'sum by (job) (rate(covey_request_duration_seconds_bucket{{le="{edge}"}}[{window}]))'
    return f"1 - {within} / sum by (job) (rate(covey_request_duration_seconds_count[{window}]))"


def shed_ratio(window: str) -> str:
    """Share of the requests that were refused for overload. NaN without requests."""
    return f"1 - {answered(window, 'job')} / sum by (job) (rate(covey_requests_total[{window}]))"


def quantile(share: float, window: str, selector: str = "") -> str:
    """Duration that this share of the answers of each variant stays within, seconds."""
    buckets = f"sum by (job, variant, le) (rate(covey_request_duration_seconds_bucket{{{selector}}}[{window}]))"
    return f"histogram_quantile({share:g}, {buckets})"


def learners_of(arm: str) -> str:
    """Distinct learners of the phase that the baseline or the candidate answered first, by rollout."""
    # Every server of a shared store shows the same learners.
    learners = "sum by (job, variant) (max by (job, variant, segment) (covey_learners))"
    info = f"max by (job, rollout, {arm}) (covey_rollout_info)"
    named = f'label_replace({info}, "variant", "$1", "{arm}", "(.+)")'
    return f"sum by (job, rollout) ({learners} * on (job, variant) group_right () {named})"


WANTED_SHARE = "max by (job, rollout) (covey_rollout_weight_ratio)"
TICK_DELAY = (
    "time() - max by (job, rollout) (covey_rollout_last_tick_timestamp_seconds)"
    " - 3 * max by (job, rollout) (covey_rollout_tick_interval_seconds)"
)
UNTOLD = (
    "(time() - covey_controller_notification_oldest_timestamp_seconds)"
    " * (covey_controller_notification_oldest_timestamp_seconds > bool 0)"
)
CERTIFICATE_LEFT = "covey_certificate_not_after_timestamp_seconds - time()"


def share(series: str, selector: str, by: str, window: str) -> str:
    """Share of a counter's increase that a selector picks; 0 where nothing was ever picked."""
    everything = f"sum by ({by}) (rate({series}[{window}]))"
    return f"(sum by ({by}) (rate({series}{{{selector}}}[{window}])) or {everything} * 0) / {everything}"


PROBES_UNANSWERED = share("covey_controller_probe_total", 'result="unanswered"', "job, replica, variant", "2m")
LOOKS_FAILED = share("covey_controller_looks_total", 'result=~"unreachable|refused|failed"', "job, rollout", "5m")
