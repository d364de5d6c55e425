"""Findings about the data that would make answers wrong or weak, each with its numbers and how much it matters."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from upswing.core.calendar import Calendar
from upswing.core.i18n import Text, text
from upswing.core.numbers import format_count
from upswing.core.units import DAY, HOUR
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore

Severity = Literal["high", "medium", "low"]
_ORDER: Final[dict[Severity, int]] = {"high": 0, "medium": 1, "low": 2}

_ENOUGH_PER_DAY: Final = 30  # below this many events a day, gaps and jumps are what chance does
_ENOUGH_DAYS: Final = 14
_JUMP: Final = 3.0  # times more or less than the same weekday's median
_PLACEHOLDERS: Final = ("null", "none", "undefined", "nan", "unknown", "anonymous", "0", "-1", "n/a")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know before trusting the numbers.

    Args:
        code: stable name of the kind of finding.
        severity: ``high`` answers are wrong, ``medium`` some answers may be, ``low`` good to know.
        message: what was found, with its numbers.
        rows: events concerned.
        share: `rows` as a share of all events, 0…1.
        event: the event concerned, if one.
        property: the property concerned, if one.
        examples: a few of the days or values concerned.
    """

    code: str
    severity: Severity
    message: Text
    rows: int
    share: float
    event: str | None = None
    property: str | None = None
    examples: tuple[str, ...] = ()


def check_quality(store: EventStore, calendar: Calendar, *, now: int | None = None) -> list[Finding]:
    """Look the log over; the worst findings first.

    Args:
        store: the log.
        calendar: the workspace's zone.
        now: the present, µs UTC; the clock's by default.
    """
    total = store.count("SELECT count(*) FROM events")
    if total == 0:
        return []
    present = time.time_ns() // 1000 if now is None else now
    look = _Look(store, calendar, total, present)
    checks: list[Callable[[], list[Finding]]] = [
        look.future, look.duplicates, look.midnight, look.night, look.users, look.days, look.empty_properties,
        look.heavy_users, look.quarantine,
    ]  # fmt: skip
    found = [finding for check in checks for finding in check()]
    return sorted(found, key=lambda f: (_ORDER[f.severity], -f.rows, f.code))


@dataclass(frozen=True, slots=True)
class _Look:
    store: EventStore
    calendar: Calendar
    total: int
    now: int

    def future(self) -> list[Finding]:
        """Events later than now: a wrong clock or a wrong zone; they are beyond the horizon."""
        rows = self.store.count("SELECT count(*) FROM events WHERE time > make_timestamp(?)", [self.now])
        if not rows:
            return []
        latest = self.store.count("SELECT epoch_us(max(time)) FROM events")
        message = text(
            "{n} events lie in the future, the latest at {latest}; they are after the horizon of every answer",
            n=f"{rows:,}", latest=self._iso(latest),
        )  # fmt: skip
        return [self._finding("future_times", "high", message, rows)]

    def duplicates(self) -> list[Finding]:
        """Rows equal in everything but the event id."""
        content = listed(name(p.column) for p in self.store.properties().values())
        more = Fragment(", " + content) if content else Fragment("")
        rows = self.store.count(
            statement(
                "WITH tied AS (SELECT rowid AS place FROM events QUALIFY"
                " (lag(user_key) OVER () = user_key AND lag(time) OVER () = time)"
                " OR (lead(user_key) OVER () = user_key AND lead(time) OVER () = time))"
                " SELECT sum(n - 1) FROM (SELECT count(*) AS n FROM events WHERE rowid IN (SELECT place FROM tied)"
                " GROUP BY user_key, time, event{more})",
                more=more,
            )
        )
        if not rows:
            return []
        message = text("{n} events equal another one in user, time, event and all properties", n=f"{rows:,}")
        return [self._finding("exact_duplicates", self._grade(rows, 0.01, 0.001), message, rows)]

    def midnight(self) -> list[Finding]:
        """Times without a clock: order inside a day, gaps and times to convert are then unknown."""
        offset = Fragment(str(self._offset()))
        rows = self.store.count(
            statement(
                "SELECT count(*) FROM events WHERE (epoch_us(time) + {o}) % {day} = 0", o=offset, day=literal(DAY)
            )
        )
        if rows < 0.5 * self.total:
            return []
        message = text(
            "{share} of events are at midnight sharp: the source has dates without a clock,"
            " so order and times inside a day are unknown",
            share=f"{rows / self.total:.0%}",
        )
        return [self._finding("date_only", "medium", message, rows)]

    def night(self) -> list[Finding]:
        """Most activity between 1 and 5 in the morning: the zone of the times is probably another."""
        offset = Fragment(str(self._offset()))
        hours = self.store.rows(
            statement(
                "SELECT ((epoch_us(time) + {o}) // {hour}) % 24 AS hour, count(*) FROM events"
                " WHERE (epoch_us(time) + {o}) % {day} <> 0 GROUP BY 1",  # not by its name, which may be a property's
                o=offset, hour=literal(HOUR), day=literal(DAY),
            )
        )  # fmt: skip
        by_hour = {int(str(h)): int(str(n)) for h, n in hours}
        clocked = sum(by_hour.values())
        if clocked < 24 * _ENOUGH_PER_DAY:
            return []
        night = sum(by_hour.get(h, 0) for h in range(1, 5))
        if night < 0.3 * clocked:  # four hours of a flat day are 17 %
            return []
        message = text(
            "{share} of events fall between 1 and 5 in the morning in {zone}: is the time zone right?",
            share=f"{night / clocked:.0%}", zone=self.calendar.timezone,
        )  # fmt: skip
        return [self._finding("zone_suspected", "medium", message, night)]

    def users(self) -> list[Finding]:
        """Ids that stand for nobody."""
        words = listed(literal(w) for w in _PLACEHOLDERS)
        found = self.store.rows(
            statement(
                "SELECT u.user_id, count(*) FROM users AS u JOIN events AS e USING (user_key)"
                " WHERE lower(trim(u.user_id)) IN ({words}) GROUP BY 1 ORDER BY 2 DESC",
                words=words,
            )
        )
        rows = sum(int(str(n)) for _, n in found)
        if not rows:
            return []
        ids = tuple(str(i) for i, _ in found)
        message = text("{n} events belong to ids that stand for nobody: {ids}", n=f"{rows:,}", ids=", ".join(ids))
        return [self._finding("placeholder_users", self._grade(rows, 0.01, 0.001), message, rows, examples=ids[:5])]

    def heavy_users(self) -> list[Finding]:
        """One id with a large part of everything: a robot, a test account or a default."""
        found = self.store.rows(
            "SELECT u.user_id, n FROM"
            " (SELECT user_key, count(*) AS n FROM events GROUP BY user_key ORDER BY n DESC LIMIT 1)"
            " JOIN users AS u USING (user_key)"
        )
        user, n = str(found[0][0]), int(str(found[0][1]))
        users = self.store.count("SELECT count(*) FROM users")
        if users < 100 or n < 0.05 * self.total:
            return []
        message = text(
            "one id, '{user}', has {share} of all events: a robot or a default?",
            user=user,
            share=f"{n / self.total:.0%}",
        )
        return [self._finding("heavy_user", "medium", message, n, examples=(user,))]

    def empty_properties(self) -> list[Finding]:
        """Properties that are there by name only."""
        held = self.store.properties()
        if not held:
            return []
        counts = listed(statement("count({c})", c=name(p.column)) for p in held.values())
        found = self.store.row(statement("SELECT {counts} FROM events", counts=counts))
        findings = []
        for prop, counted in zip(held.values(), found, strict=True):
            filled = int(str(counted))
            share = filled / self.total
            if share < 0.01 and self.total >= 1000:
                message = text(
                    "'{name}' is filled in {n} of {all} events only",
                    name=prop.name,
                    n=format_count(filled),
                    all=format_count(self.total),
                )
                findings.append(self._finding("mostly_empty", "low", message, self.total - filled, property=prop.name))
        return findings

    def days(self) -> list[Finding]:
        """Days without an event that comes daily, and days with far more or fewer than the same weekday usually has."""
        per_day = self._per_day()
        days = sorted({day for counts in per_day.values() for day in counts})
        if len(days) < 3:
            return []
        findings: list[Finding] = []
        first, last = days[0], days[-1]
        for event, counts in per_day.items():
            inside = {d: counts.get(d, 0) for d in range(first + 1, last)}  # both ends may be partial
            begun = min(counts)
            inside = {d: n for d, n in inside.items() if d > begun}
            if len(inside) < _ENOUGH_DAYS or statistics.median(inside.values()) < _ENOUGH_PER_DAY:
                continue
            findings += self._gaps(event, inside)
            findings += self._jumps(event, inside)
        return findings

    def quarantine(self) -> list[Finding]:
        """Rows that never came in."""
        rows = self.store.count("SELECT count(*) FROM quarantine")
        if not rows:
            return []
        message = text("{n} rows were set aside at import; they count nowhere", n=f"{rows:,}")
        return [self._finding("quarantined_rows", self._grade(rows, 0.05, 0.01), message, rows)]

    def _gaps(self, event: str, counts: dict[int, int]) -> list[Finding]:
        missing = [d for d, n in counts.items() if n == 0]
        if not missing:
            return []
        shown = tuple(self._date(d) for d in missing[:5])
        message = text(
            "'{event}' is missing on {n} days although it comes daily, e.g. {days}",
            event=event, n=len(missing), days=", ".join(shown),
        )  # fmt: skip
        return [self._finding("missing_days", "high", message, 0, event=event, examples=shown)]

    def _jumps(self, event: str, counts: dict[int, int]) -> list[Finding]:
        by_weekday: dict[int, list[int]] = defaultdict(list)
        for day, n in counts.items():
            by_weekday[day % 7].append(n)
        usual = {w: statistics.median(ns) for w, ns in by_weekday.items() if len(ns) >= 3}
        odd = [
            d
            for d, n in counts.items()
            if n and usual.get(d % 7, 0) >= _ENOUGH_PER_DAY and not 1 / _JUMP < n / usual[d % 7] < _JUMP
        ]
        if not odd:
            return []
        shown = tuple(f"{self._date(d)} ({counts[d]:,})" for d in odd[:5])
        message = text(
            "'{event}' has {n} days with {times} times more or fewer events than that weekday usually has, e.g. {days}",
            event=event, n=len(odd), times=f"{_JUMP:g}", days=", ".join(shown),
        )  # fmt: skip
        rows = sum(counts[d] for d in odd)
        return [self._finding("volume_jump", "medium", message, rows, event=event, examples=shown)]

    def _per_day(self) -> dict[str, dict[int, int]]:
        """Events per local day (days since 1970-01-01) at the zone's usual offset, enough for days that stand out."""
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for event, day, n in self.store.rows(
            statement(
                "SELECT event, (epoch_us(time) + {o}) // {day} AS day, count(*) FROM events"
                " WHERE time <= make_timestamp({now}) GROUP BY 1, 2",
                o=literal(self._offset()), day=literal(DAY), now=literal(self.now),
            )
        ):  # fmt: skip
            found[str(event)][int(str(day))] = int(str(n))
        return found

    def _offset(self) -> int:
        middle = self.store.count("SELECT epoch_us(min(time)) // 2 + epoch_us(max(time)) // 2 FROM events")
        offset = self.calendar.local(middle).utcoffset()
        return 0 if offset is None else round(offset.total_seconds()) * 1_000_000

    def _date(self, day: int) -> str:
        return self.calendar.local(day * DAY - self._offset() + DAY // 2).date().isoformat()

    def _iso(self, micros: int) -> str:
        return self.calendar.local(micros).isoformat(timespec="minutes")

    def _grade(self, rows: int, high: float, medium: float) -> Severity:
        share = rows / self.total
        return "high" if share >= high else "medium" if share >= medium else "low"

    def _finding(
        self,
        code: str,
        severity: Severity,
        message: Text,
        rows: int,
        *,
        event: str | None = None,
        property: str | None = None,  # noqa: A002 - the field's name
        examples: tuple[str, ...] = (),
    ) -> Finding:
        return Finding(code, severity, message, rows, rows / self.total, event, property, examples)
