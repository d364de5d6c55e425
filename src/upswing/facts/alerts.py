"""What is to be told and to whom: an outbox, so that nothing is told twice and nothing is lost at a restart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import RowMapping, select

from upswing.facts.clock import now
from upswing.facts.tables import ALERTS

if TYPE_CHECKING:
    from upswing.facts.database import Facts

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to tell to one channel.

    Args:
        id: number.
        channel: name of the channel.
        key: what it is about, e.g. ``guardrail:refund_rate``.
        period: the time that it is about, e.g. ``2026-11-23``; one key is told once per period.
        title: one line.
        body: the rest, plain text.
        severity: ``critical`` is told in quiet hours too.
        created_at: µs UTC.
        due_at: when it is tried next, µs UTC.
        sent_at: when it was told, µs UTC; None = not yet.
        attempts: how many times it was tried.
        last_error: what went wrong last.
        given_up: whether it is not tried any more.
    """

    id: int
    channel: str
    key: str
    period: str
    title: str
    body: str
    severity: Severity
    created_at: int
    due_at: int
    sent_at: int | None = None
    attempts: int = 0
    last_error: str | None = None
    given_up: bool = False


class Alerts:
    """The outbox of one workspace."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def add(
        self, channels: Iterable[str], *, key: str, period: str, title: str, body: str = "",
        severity: Severity = "warning", due_at: int | None = None,
    ) -> int:  # fmt: skip
        """Put something into the outbox, once per channel, key and period.

        Args:
            channels: names of channels.
            key: what it is about.
            period: the time that it is about.
            title: one line.
            body: the rest.
            severity: how bad.
            due_at: not before this, µs UTC.

        Returns:
            For how many channels it is new.
        """
        moment, added = now(), 0
        same = {"key": key[:300], "period": period[:60]}
        with self._facts.writing(alone=ALERTS) as connection:
            for channel in channels:
                wanted = (ALERTS.c.channel == channel, ALERTS.c.key == same["key"], ALERTS.c.period == same["period"])
                if connection.execute(select(ALERTS.c.id).where(*wanted)).first() is None:
                    connection.execute(
                        ALERTS.insert().values(
                            channel=channel, **same, title=title[:400], body=body, severity=severity,
                            created_at=moment, due_at=moment if due_at is None else due_at, attempts=0, given_up=False,
                        )
                    )  # fmt: skip
                    added += 1
        return added

    def due(self, *, at: int | None = None, limit: int = 100) -> list[Alert]:
        """What is to be tried now, the oldest first."""
        moment = now() if at is None else at
        wanted = select(ALERTS).where(
            ALERTS.c.sent_at.is_(None), ALERTS.c.given_up.is_(False), ALERTS.c.due_at <= moment
        )
        with self._facts.reading() as connection:
            rows = connection.execute(wanted.order_by(ALERTS.c.due_at, ALERTS.c.id).limit(limit)).mappings()
            return [_alert(row) for row in rows]

    def recent(self, *, limit: int = 100) -> list[Alert]:
        """The latest, told or not."""
        with self._facts.reading() as connection:
            rows = connection.execute(select(ALERTS).order_by(ALERTS.c.id.desc()).limit(limit)).mappings()
            return [_alert(row) for row in rows]

    def sent(self, alert: Alert, *, at: int | None = None) -> None:
        """Write down that it was told."""
        self._update(alert, sent_at=now() if at is None else at, attempts=alert.attempts + 1, last_error=None)

    def failed(self, alert: Alert, error: str, *, try_at: int | None) -> None:
        """Write down that it could not be told.

        Args:
            alert: which.
            error: what went wrong.
            try_at: when to try again, µs UTC; None = no more.
        """
        due = alert.due_at if try_at is None else try_at
        self._update(alert, attempts=alert.attempts + 1, last_error=error[:500], due_at=due, given_up=try_at is None)

    def postpone(self, alert: Alert, until: int) -> None:
        """Have it wait, e.g. for the end of quiet hours."""
        self._update(alert, due_at=until)

    def forget_before(self, moment: int) -> int:
        """Forget what was told, or given up, before a moment; how many."""
        done = ALERTS.c.sent_at.is_not(None) | ALERTS.c.given_up.is_(True)
        with self._facts.writing() as connection:
            return connection.execute(ALERTS.delete().where(done, ALERTS.c.created_at < moment)).rowcount

    def _update(self, alert: Alert, **values: object) -> None:
        with self._facts.writing() as connection:
            connection.execute(ALERTS.update().where(ALERTS.c.id == alert.id).values(**values))


def _alert(row: RowMapping) -> Alert:
    return Alert(**{name: row[name] for name in Alert.__slots__})
