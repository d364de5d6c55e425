"""Who is told what, when: each alert once per channel, key and period; again later when a channel fails; not at night."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from time import monotonic
from typing import Final

from upswing.core.calendar import Calendar
from upswing.core.environment import with_environment
from upswing.core.errors import UpswingError, UsageError, did_you_mean
from upswing.core.i18n import Text, text, use_locale
from upswing.core.units import HOUR, MINUTE
from upswing.facts.alerts import Alert, Severity
from upswing.facts.clock import now
from upswing.facts.database import Facts
from upswing.facts.secrets import Secret
from upswing.server.notify.channels import Message, send
from upswing.server.outgoing import Outgoing
from upswing.spec.operations import Channel, QuietHours
from upswing.spec.project import WorkspaceSpec

PAUSES: Final = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR)
"""Time to the next try after each failure; after the last one it is given up."""
_TURN: Final = 60.0
_LOG: Final = logging.getLogger(__name__)
_STORED = re.compile(r"secret:([A-Za-z0-9_.-]{1,100})")


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of one turn.

    Args:
        sent: told.
        failed: to be tried again.
        given_up: failed for the last time, or their channel is gone.
        waiting: until quiet hours end.
    """

    sent: int = 0
    failed: int = 0
    given_up: int = 0
    waiting: int = 0


class Lines:
    """Which channels are talking now: one that does not come to an end is left alone, and holds up no other."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    def take(self, channel: str) -> bool:
        """Begin to talk; whether nobody else does."""
        with self._lock:
            free = channel not in self._taken
            self._taken.add(channel)
            return free

    def give_back(self, channel: str) -> None:
        """The talk is over."""
        with self._lock:
            self._taken.discard(channel)


class Notifier:
    """The channels of a workspace.

    Args:
        facts: with the outbox and the secrets.
        project: what ``upswing.yml`` says.
        outgoing: sends to addresses that people wrote.
        lines: shared by all that deliver for one server; of its own if absent.
    """

    def __init__(
        self, facts: Facts, project: WorkspaceSpec, outgoing: Outgoing | None = None, *, lines: Lines | None = None
    ) -> None:
        self._facts, self._project = facts, project
        self._outgoing, self._lines = outgoing or Outgoing(), lines or Lines()
        self.channels: dict[str, Channel] = {channel.name: channel for channel in project.notify.channels}

    def tell(
        self, key: str, *, period: str, title: Text | str, body: Text | str = "", severity: Severity = "warning",
        channels: Iterable[str] | None = None,
    ) -> int:  # fmt: skip
        """Put an alert into the outbox; `deliver` sends it.

        Args:
            key: what it is about; one key is told once per period.
            period: the time that it is about, e.g. a date.
            title: one line, in the workspace's language.
            body: the rest.
            severity: ``critical`` does not wait for the end of quiet hours.
            channels: names; all, if absent.

        Returns:
            For how many channels it is new.

        Raises:
            UsageError: UP847 no such channel.
        """
        names = list(self.channels) if channels is None else [self._channel(name).name for name in channels]
        with use_locale(self._project.locale):
            return self._facts.alerts.add(
                names, key=key, period=period, title=str(title), body=str(body), severity=severity
            )

    def deliver(
        self, *, at: int | None = None, check: Callable[[], object] | None = None, seconds: float = _TURN
    ) -> Delivered:
        """Send what is due, on all channels side by side.

        Args:
            at: this moment, µs UTC.
            check: called while others talk; it raises when they are to stop.
            seconds: a channel that takes longer is left behind, and goes on with what is due when it has come to an end.
        """
        moment = now() if at is None else at
        due: dict[str, list[Alert]] = {}
        for alert in self._facts.alerts.due(at=moment):
            due.setdefault(alert.channel, []).append(alert)
        outcomes: list[str] = []
        over = threading.Event()

        def talk(channel: str) -> None:
            try:
                for alert in due[channel]:
                    if over.is_set():
                        return
                    outcomes.append(self._deliver_one(alert, moment))
            except Exception:  # the server has closed its facts meanwhile, or their database is away: they stay due
                _LOG.exception("channel %s was given up for this turn", channel)
            finally:
                self._lines.give_back(channel)

        talks = [
            threading.Thread(target=copy_context().run, args=(talk, channel), name=f"notify-{channel}", daemon=True)
            for channel in due
            if self._lines.take(channel)
        ]
        for one in talks:
            one.start()
        end = monotonic() + seconds
        try:
            while any(one.is_alive() for one in talks) and monotonic() < end:
                if check is not None:
                    check()
                next(one for one in talks if one.is_alive() or one is talks[-1]).join(0.1)
        finally:
            over.set()
        done = list(outcomes)
        return Delivered(**{name: done.count(name) for name in Delivered.__slots__})

    def test(self, name: str | None = None) -> dict[str, UpswingError | None]:
        """Send a trial message at once, past outbox and quiet hours.

        Args:
            name: of a channel; all, if absent.

        Returns:
            What went wrong on each; None = nothing.

        Raises:
            UsageError: UP847 no such channel, or none at all.
        """
        chosen = list(self.channels.values()) if name is None else [self._channel(name)]
        if not chosen:
            raise self._no_channel(name or "")
        with use_locale(self._project.locale):
            message = self._message(
                "test", "", str(text("This is a test from Upswing")), str(text("Alerts of this workspace come here.")),
                "info",
            )  # fmt: skip
        return {channel.name: self._attempt(channel, message) for channel in chosen}

    def _deliver_one(self, alert: Alert, moment: int) -> str:
        alerts, channel = self._facts.alerts, self.channels.get(alert.channel)
        if channel is None:
            alerts.failed(alert, "the channel is gone", try_at=None)
            return "given_up"
        until = quiet_until(self._project.notify.quiet, self._project.calendar, moment)
        if until is not None and alert.severity != "critical":
            alerts.postpone(alert, until)
            return "waiting"
        error = self._attempt(channel, self._message(alert.key, alert.period, alert.title, alert.body, alert.severity))
        if error is None:
            alerts.sent(alert, at=moment)
            return "sent"
        last = alert.attempts >= len(PAUSES)
        alerts.failed(alert, str(error.message), try_at=None if last else moment + PAUSES[alert.attempts])
        return "given_up" if last else "failed"

    def _attempt(self, channel: Channel, message: Message) -> UpswingError | None:
        try:
            send(channel, message, reveal=self._reveal, outgoing=self._outgoing)
        except UpswingError as error:
            return error
        return None

    def _message(self, key: str, period: str, title: str, body: str, severity: Severity) -> Message:
        return Message(title, body, severity, key, period, self._project.project)

    def _reveal(self, value: str) -> Secret:
        stored = _STORED.fullmatch(value)
        if stored is not None:
            return self._facts.secrets.get(stored[1])
        return Secret(with_environment(value, what="notify"))

    def _channel(self, name: str) -> Channel:
        if name not in self.channels:
            raise self._no_channel(name)
        return self.channels[name]

    def _no_channel(self, name: str) -> UsageError:
        if not self.channels:
            hint: Text | None = text("write them under notify: channels: in upswing.yml")
        else:
            hint = did_you_mean(name, self.channels)
        return UsageError(text("there is no channel '{name}'", name=name), code="UP847", hint=hint)


def quiet_until(quiet: QuietHours | None, calendar: Calendar, moment: int) -> int | None:
    """When the quiet hours end that a moment is in; None when it is in none.

    Args:
        quiet: hours of the day; an end before the beginning is on the next day.
        calendar: with the zone.
        moment: µs UTC.

    Examples:
        >>> calendar = Calendar("Asia/Shanghai")
        >>> until = quiet_until(QuietHours(begin="22:00", end="08:00"), calendar, calendar.instant("2026-11-23T23:30"))
        >>> calendar.local(until).isoformat()
        '2026-11-24T08:00:00+08:00'
    """
    if quiet is None or quiet.begin == quiet.end:
        return None
    local, begin, end = calendar.local(moment), time.fromisoformat(quiet.begin), time.fromisoformat(quiet.end)
    for days in (-1, 0):
        day = local.date() + timedelta(days=days)
        starts = calendar.instant(datetime.combine(day, begin))  # noqa: DTZ - naive is the workspace's zone
        stops = calendar.instant(datetime.combine(day + timedelta(days=begin > end), end))
        if starts <= moment < stops:
            return stops
    return None
