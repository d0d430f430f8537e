"""The pages as HTML: templates over the view models. Pure; every text from elsewhere is escaped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from covey import __version__
from covey.report import words
from covey_dashboard.charts import criterion, share, traits
from covey_dashboard.offers import Offer
from covey_dashboard.person import Person
from covey_dashboard.view.rollouts import RolloutItem, RolloutView, ServerView

SHARED = ("answer", "phases", "criteria", "triggers", "people", "incidents", "system", "story")
"""Parts of a rollout's page that are the same for whoever looks at it."""


class Pages:
    """Renders templates. Loaded once; may be used by any number of threads."""

    def __init__(self) -> None:
        environment = Environment(
            loader=PackageLoader("covey_dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {
            "iso": lambda time: time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "moment": words.moment,
            "number": words.count,
            "text": words.clean,
            "capitalised": lambda text: text[:1].upper() + text[1:],
            "short_hash": lambda text: hashlib.sha256(text.encode()).hexdigest()[:8],
        }
        environment.globals |= {
            "version": __version__,
            "share_picture": share.draw,
            "criterion_picture": criterion.draw,
            "traits_picture": traits.draw,
        }
        self._environment = environment
        self._parts: Any = environment.get_template("parts.html.j2").module

    def page(
        self,
        template: str,
        *,
        now: datetime,
        person: Person | None = None,
        form_token: str = "",
        stream: str = "",
        here: str = "",
        notice: str = "",
        sections: Mapping[str, str] | None = None,
        **values: Any,
    ) -> str:
        """A whole page.

        Args:
            template: its name without endings.
            now: the server's time, by which scripts tell ages.
            person: who looks; None: nobody is logged in.
            form_token: of their session.
            stream: path of the events that keep the page alive; empty: it stays as it is.
            here: which entry of the navigation it is.
            notice: what has just been done.
            sections: parts that were rendered before.
            values: what the template itself needs.
        """
        return self._environment.get_template(f"{template}.html.j2").render(
            now=now,
            person=person,
            form_token=form_token,
            stream=stream,
            here=here,
            notice=notice,
            # Parts were escaped when they were rendered.
            sections={name: Markup(part) for name, part in (sections or {}).items()},  # noqa: S704
            **values,
        )

    def server_part(self, server: ServerView) -> str:
        """Whether the server answers; empty where it does."""
        return str(self._parts.server(server)).strip()

    def rollout_parts(self, view: RolloutView) -> dict[str, str]:
        """The parts of a rollout's page that are the same for whoever looks at it."""
        made = {name: str(getattr(self._parts, name)(view)) for name in SHARED if name != "answer"}
        return {"answer": str(self._parts.answer_part(view.answer)), **made}

    def button_parts(self, offers: Sequence[Offer], name: str, person: Person) -> dict[str, str]:
        """The parts that are somebody's own."""
        roles = ", ".join(sorted(person.roles)) or "no role"
        empty = "" if offers else f"There is nothing here for you to press ({person.name}: {roles})."
        return {
            # What the rollout waits for stands at the top, wherever else it belongs.
            "buttons": self._buttons([o for o in offers if o.place == "rollout" or o.is_next], name, "top", empty),
            "people-buttons": self._buttons([o for o in offers if o.place == "people"], name, "people"),
            "incident-buttons": self._buttons([o for o in offers if o.place == "incidents"], name, "incidents"),
        }

    def _buttons(self, offers: Sequence[Offer], name: str, place: str, empty: str = "") -> str:
        return str(self._parts.buttons(offers, name, place, empty))

    def list_parts(self, items: Sequence[RolloutItem]) -> dict[str, str]:
        """The list of rollouts."""
        return {"rollouts": str(self._parts.rollouts(items))}
