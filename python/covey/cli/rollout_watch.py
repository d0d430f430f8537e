"""`covey rollout watch`: the screen live on a terminal, a line per change elsewhere, until the rollout has ended."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.connection import ExitCode, Session, plain, seconds, verb
from covey.cli.keys import Key, heard
from covey.cli.output import OutputFormat, print_text
from covey.cli.rollout_arguments import NameArgument, rollout_app
from covey.cli.rollout_look import state_exit_code
from covey.cli.rollout_view import HELP, LEAST_ROWS, Looking, fitted

if TYPE_CHECKING:
    from rich.text import Text

    from covey.cli.rollout_live import ShareHistory
    from covey.client import CallFailed
    from covey.v1.rollouts_pb2 import Rollout, WatchRolloutResponse

_INTERRUPTED = 130


@verb(rollout_app)
def watch(
    session: Session,
    name: NameArgument,
    until_holding: Annotated[
        bool,
        typer.Option("--until-holding", "--until-held", help="End too once it is HOLDING or waits, with exit code 4."),
    ] = False,
    for_: Annotated[
        str, typer.Option("--for", help="End after this time too: exit code 4 while HOLDING, 1 while on its way.")
    ] = "",
    after: Annotated[int, typer.Option(min=0, help="Tell the journal after this entry first; 0: nothing past.")] = 0,
) -> int:
    """Follow a rollout until it ends. Exit code 0 succeeded, 3 rolled back or aborted."""
    limit = seconds(for_, "--for").total_seconds() if for_ else None
    live = session.is_table and sys.stdout.isatty()
    rollout: Rollout | None = None
    try:
        with _screen(session, name) if live else _lines(session) as view:
            for message in session.client.watch_rollout(
                name, after_sequence=after, stop_after_seconds=limit, on_dropped=view.dropped
            ):
                rollout = message.rollout
                view.show(message)
                if until_holding and state_exit_code(rollout) is ExitCode.HELD:
                    break
    except KeyboardInterrupt:
        # Below the last picture, not above it: the view is closed by now.
        print("no longer watching; the rollout goes on", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    if rollout is None:
        return ExitCode.UNREACHABLE
    return _exit_code(rollout)


def _exit_code(rollout: Rollout) -> ExitCode:
    if rollout.state == type(rollout).STATE_SUCCEEDED:
        return ExitCode.OK
    return state_exit_code(rollout) or ExitCode.FAILED


class _Screen:
    """The status screen, drawn again four times a second, with the journal scrolling by above it."""

    def __init__(self, live: Any, session: Session, history: ShareHistory) -> None:
        self._live = live
        self._session = session
        self._history = history
        self._rollout: Rollout | None = None
        self._looking = Looking()
        self._rows = LEAST_ROWS
        self._kept: Any = None
        # Keys come from a thread of their own: a picture is of one way of looking.
        self._lock = threading.Lock()
        self._untold: list[Text] = []
        self.hears_keys = False

    def __rich__(self) -> Any:
        if self._rollout is None:
            return ""
        with self._lock:
            picture = self._kept or self._picture(self._rollout)
            self._kept = picture if self._looking.is_still else None
        return picture

    def show(self, message: WatchRolloutResponse) -> None:
        from covey.cli.console import text
        from covey.report.story import tell

        for event in tell(message.entries):
            self._tell(text(f"{event.time[11:]}  {event.text}", "dim"))
        self._history.hear(message.entries)
        self._rollout = message.rollout
        self._live.update(self, refresh=True)

    def dropped(self, failure: CallFailed) -> None:
        from covey.cli.console import text

        self._tell(text(f"connection lost ({failure.code.name}), trying again", "yellow"))

    def press(self, key: Key) -> None:
        """A key was pressed; from the thread that hears them."""
        if key is Key.LEAVE:
            # The thread that watches waits for the server: as Ctrl-C, this reaches it there.
            os.kill(os.getpid(), signal.SIGINT)
            return
        with self._lock:
            self._looking.press(key, self._rows)
            self._kept = None
            is_still = self._looking.is_still
        if not is_still:
            self.go_on()
        self._live.refresh()

    def go_on(self) -> None:
        """Show what there is by now, and tell what came meanwhile."""
        with self._lock:
            self._looking.is_still, self._kept = False, None
        untold, self._untold = self._untold, []
        for line in untold:
            self._live.console.print(line)

    def _tell(self, line: Text) -> None:
        if self._looking.is_still:
            self._untold.append(line)
        else:
            self._live.console.print(line)

    def _picture(self, rollout: Rollout) -> Any:
        from rich.console import Group
        from rich.segment import Segment, Segments

        from covey.cli.console import WAITING, text
        from covey.cli.rollout_screen import top, verdict_table, ways_out_table

        console, now = self._live.console, datetime.now(UTC)
        command = self._session.command
        remarks = []
        if self._looking.is_still:
            remarks.append(text(f"  still, as of {now:%H:%M:%S}Z: space goes on", WAITING))
        if self._looking.explains:
            remarks.append(text(f"  {HELP}", WAITING))
        verdicts = verdict_table(rollout)
        above, middle, below = (
            [] if part is None else console.render_lines(part, pad=False)
            for part in (
                top(rollout, now, command, self._history),
                Group("", verdicts) if verdicts else None,
                Group("", ways_out_table(rollout, command, self.hears_keys)),
            )
        )
        said = console.render_lines(Group(*remarks), pad=False) if remarks else []
        lines, unseen = fitted(above, middle, below, console.size.height - len(said), self._looking)
        self._rows = max(LEAST_ROWS, console.size.height - len(said) - len(above) - len(below) - 2)
        drawn = [Segments([*line, Segment.line()]) for line in lines]
        return Group(*drawn, *([text(f"  {unseen}", WAITING)] if unseen else []), *remarks)


class _Lines:
    """A line per change: entries but ticks, states, verdicts that turned. JSON and YAML: a document per message."""

    def __init__(self, output: OutputFormat) -> None:
        self._output = output
        self._standing = ""
        self._results: dict[str, str] = {}

    def show(self, message: WatchRolloutResponse) -> None:
        if self._output is OutputFormat.json:
            _print_now(json.dumps(plain(message), ensure_ascii=False))
        elif self._output is OutputFormat.yaml:
            import yaml

            _print_now("---\n" + yaml.safe_dump(plain(message), sort_keys=False, allow_unicode=True).rstrip())
        else:
            for line in self._changes(message):
                _print_now(line)

    def _changes(self, message: WatchRolloutResponse) -> Iterator[str]:
        from covey.report import words
        from covey.report.story import tell

        rollout = message.rollout
        time = rollout.last_tick_time if rollout.HasField("last_tick_time") else rollout.create_time
        now = words.instant(message.entries[-1].time if message.entries else time)
        # A look may follow in the same message: a state is of the entry that made it.
        made = [entry.time for entry in message.entries if not entry.HasField("tick")]
        changed = words.instant(made[-1]) if made else now
        for event in tell(message.entries):
            by = f" (by {event.actor}{': ' + event.reason if event.reason else ''})"
            yield words.clean(f"{event.time}  {event.text}{by}")
        for verdict in rollout.verdicts:
            key, result = f"{verdict.role}{verdict.statement}", words.result(verdict)
            if self._results.get(key, result) != result:
                yield words.clean(
                    f"{now}  {verdict.statement} is now {result}: {words.estimate(verdict)}, {words.counters(verdict)}"
                )
            self._results[key] = result
        state = f"{words.state(rollout.state)} {rollout.phase}{' (paused)' if rollout.paused else ''}".rstrip()
        standing = f"{state} {rollout.calendar_wait}"
        if standing != self._standing:
            share = words.share(rollout.candidate_weight_bp)
            why = f": {rollout.explanation}" if rollout.explanation else ""
            yield words.clean(f"{changed}  {state}, {share} of learners to the candidate{why}")
        self._standing = standing

    def dropped(self, failure: CallFailed) -> None:
        print(f"connection lost ({failure.code.name}), trying again", file=sys.stderr)  # noqa: T201


@contextmanager
def _screen(session: Session, name: str) -> Iterator[_Screen]:
    from rich.live import Live

    from covey.cli.console import console
    from covey.cli.rollout_live import ShareHistory

    history = ShareHistory()
    history.hear(session.client.list_entries(name, omit_ticks=True))
    with Live(console=console(), refresh_per_second=4, vertical_overflow="crop") as live:
        view = _Screen(live, session, history)
        with heard(view.press) as view.hears_keys:
            try:
                yield view
            finally:
                # The last picture is the newest.
                view.go_on()


@contextmanager
def _lines(session: Session) -> Iterator[_Lines]:
    yield _Lines(session.output)


def _print_now(text: str) -> None:
    # A log collector reads this line by line: it must not wait in a buffer.
    print_text(text)
    sys.stdout.flush()
