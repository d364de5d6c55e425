"""One request as the pages see it: who, in which language and look, about which range and segment."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request

from upswing.core.calendar import Calendar
from upswing.core.errors import UpswingError, UsageError, did_you_mean
from upswing.core.i18n import Text, current_locale, normalise_locale, text
from upswing.core.numbers import format_date
from upswing.core.results import Result
from upswing.engines.base import LogSchema
from upswing.server.headers import language_of
from upswing.server.state import Person, Role
from upswing.spec.definitions import Definitions
from upswing.web.host import Host, may

THEMES: Final = ("auto", "light", "dark")
DENSITIES: Final = ("comfortable", "compact")
SHARED: Final = ("from", "to", "compare", "segment")
"""Keys of the address that every page shares: links in the navigation carry them on."""

PATIENCE: Final = 0.7
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Preset:
    """A range that is often asked for."""

    name: Text
    query: dict[str, str]


@dataclass(slots=True)
class Problem:
    """What could not be answered, for the page."""

    message: str
    code: str
    hint: str = ""
    lines: tuple[str, ...] = ()


@dataclass
class View:
    """One request.

    Args:
        request: as it came.
        host: the server.
        person: who asks.
        form: fields of a posted form.
        begun: when it came, by the monotonic clock.
    """

    request: Request
    host: Host
    person: Person
    form: FormData = field(default_factory=FormData)
    begun: float = field(default_factory=time.monotonic)

    @cached_property
    def locale(self) -> str:
        """The language asked for in the address, else chosen before, else the browser's."""
        asked = self.request.query_params.get("lang") or self.request.cookies.get("upswing_lang")
        return normalise_locale(asked) if asked else language_of(self.request.headers)

    @property
    def theme(self) -> str:
        """``auto`` follows the system."""
        return self._choice("theme", THEMES)

    @property
    def density(self) -> str:
        """How much air rows have."""
        return self._choice("density", DENSITIES)

    @property
    def path(self) -> str:
        """The page's address without its query."""
        return self.request.url.path

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """Key and value of the address, empty ones left out; what only concerns the look is not part of the question."""
        return [(k, v.strip()) for k, v in self.request.query_params.multi_items() if v.strip() and k not in LOOK]

    def get(self, key: str, default: str = "") -> str:
        """One value of the address."""
        return next((v for k, v in self.query if k == key), default)

    def all(self, key: str) -> list[str]:
        """All values of a key."""
        return [v for k, v in self.query if k == key]

    def field(self, key: str, default: str = "") -> str:
        """One field of the posted form."""
        value = self.form.get(key)
        return value.strip() if isinstance(value, str) else default

    def number(self, key: str) -> int:
        """One field of the posted form that is a number of something.

        Raises:
            UsageError: UP651 it is none.
        """
        written = self.field(key)
        if not (written.isascii() and written.isdigit() and len(written) < 16):
            raise UsageError(text("{name}: '{value}' is not a number", name=key, value=written[:100]), code="UP651")
        return int(written)

    def choice(self, key: str, allowed: Collection[str]) -> str:
        """One field of the posted form that is one of several words.

        Raises:
            UsageError: UP651 it is none of them.
        """
        written = self.field(key)
        if written not in allowed:
            raise UsageError(
                text("'{value}' is not a choice for {name}", value=written[:100], name=key), code="UP651",
                hint=did_you_mean(written[:100], allowed),
            )  # fmt: skip
        return written

    def may(self, role: Role) -> bool:
        """Whether the visitor may do what `role` may."""
        return may(self.person, role)

    @cached_property
    def token(self) -> str:
        """Goes into every form that changes something."""
        return self.host.token(self.request)

    @cached_property
    def shared(self) -> dict[str, str]:
        """Range, comparison and segment."""
        return {key: self.get(key) for key in SHARED if self.get(key)}

    def to(self, path: str, **changes: object) -> str:
        """Address of another page about the same range and segment."""
        return address(path, {**self.shared, **{k.rstrip("_"): v for k, v in changes.items()}})

    @cached_property
    def mark(self) -> str:
        """What the questions of this page are called, to ask how far they are and to give them up."""
        given = self.request.headers.get("x-ask", "")
        return given if 0 < len(given) <= 64 else secrets.token_urlsafe(16)

    @property
    def patience(self) -> float | None:
        """Seconds that a page waits for an answer before it shows that it is waited for; a part of a page waits on."""
        if "hx-request" in self.request.headers:
            return None
        return max(0.0, PATIENCE - (time.monotonic() - self.begun))

    def ask(self, verb_name: str, arguments: Mapping[str, object]) -> Result:
        """The answer of a verb, waited for as long as this page waits.

        Raises:
            StillAskedError: it takes longer; the page is to come back for it under `mark`.
        """
        return self.host.ask(verb_name, arguments, mark=self.mark, patience=self.patience)

    def again(self, **changes: object) -> str:
        """This page's address with other values; None or an empty value removes a key."""
        given = {k.rstrip("_"): v for k, v in changes.items()}
        kept = [(k, v) for k, v in self.query if k not in given]
        return address(self.path, [*kept, *_pairs(given)])

    @cached_property
    def schema(self) -> LogSchema | None:
        """What the log holds; None when it cannot be read."""
        try:
            with self.host.opened() as workspace:
                return workspace.log.schema
        except UpswingError:
            return None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to ask about yet."""
        return self.schema is None or self.schema.n_events == 0

    @cached_property
    def definitions(self) -> Definitions:
        """All definitions."""
        with self.host.opened() as workspace:
            return workspace.definitions

    @cached_property
    def segments(self) -> list[str]:
        """Names of saved segments."""
        return sorted(self.definitions.by_kind.get("segment", {}))

    @cached_property
    def calendar(self) -> Calendar:
        """The workspace's clock."""
        with self.host.opened() as workspace:
            return workspace.project.calendar

    @cached_property
    def last_day(self) -> date | None:
        """The local day of the last event."""
        if self.schema is None or self.schema.horizon is None:
            return None
        return self.calendar.local(self.schema.horizon).date()

    def moment(self, micros: int) -> str:
        """A moment of the facts, µs UTC, in the workspace's zone and the visitor's language."""
        return format_date(self.calendar.local(micros).replace(microsecond=0), locale=current_locale())

    def presets(self) -> list[Preset]:
        """Ranges that end with the last event."""
        if self.last_day is None:
            return []
        stop = self.last_day + timedelta(days=1)
        found = [Preset(text("All time"), {})]
        for days, name in ((7, text("Last 7 days")), (28, text("Last 28 days")), (84, text("Last 12 weeks"))):
            start = stop - timedelta(days=days)
            found.append(Preset(name, {"from": start.isoformat(), "to": stop.isoformat()}))
        return found

    def _choice(self, key: str, allowed: Sequence[str]) -> str:
        given = self.request.query_params.get(key) or self.request.cookies.get(f"upswing_{key}", "")
        return given if given in allowed else allowed[0]


LOOK: Final = frozenset({"lang", "theme", "density"})


def address(path: str, query: Mapping[str, object] | Query) -> str:
    """A path with its query.

    Examples:
        >>> address("/funnel", {"step": ["view", "pay[amount > 50]"], "by": None})
        '/funnel?step=view&step=pay%5Bamount+%3E+50%5D'
    """
    pairs = _pairs(query) if isinstance(query, Mapping) else list(query)
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _pairs(query: Mapping[str, object]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in query.items():
        values = value if isinstance(value, list | tuple) else [value]
        found += [(key, str(v)) for v in values if v not in (None, "", False)]
    return found
