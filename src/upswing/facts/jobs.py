"""Jobs that come round: when each is due, when it last ran, what went wrong. Their functions are in the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import RowMapping, select

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.core.units import Duration
from upswing.facts.clock import now
from upswing.facts.tables import JOBS

if TYPE_CHECKING:
    from upswing.facts.database import Facts


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job that comes round.

    Args:
        name: its name.
        every: µs between runs.
        enabled: whether it runs by itself.
        next_at: when it is due, µs UTC.
        running_since: since when it is running, µs UTC; None = it is not.
        last_at: when it last ended, µs UTC.
        last_seconds: how long that took.
        last_error: what went wrong then.
        failures: how many times in a row.
    """

    name: str
    every: int
    enabled: bool
    next_at: int
    running_since: int | None = None
    last_at: int | None = None
    last_seconds: int | None = None
    last_error: str | None = None
    failures: int = 0


class Jobs:
    """The schedule of one workspace."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def schedule(self, name: str, every: Duration, *, first: int | None = None) -> ScheduledJob:
        """Have a job come round; one that is known keeps its times, unless `every` has changed, and runs again if it was
        put aside.

        Args:
            name: its name.
            every: time between the beginnings of two runs.
            first: when it runs first, µs UTC; now, if absent.
        """
        with self._facts.writing() as connection:
            known = connection.execute(select(JOBS).where(JOBS.c.name == name)).mappings().first()
            if known is None:
                due = now() if first is None else first
                connection.execute(
                    JOBS.insert().values(name=name, every=every.microseconds, next_at=due, enabled=True, failures=0)
                )
            elif known["every"] != every.microseconds:
                sooner = min(known["next_at"], now() + every.microseconds)
                connection.execute(
                    JOBS.update().where(JOBS.c.name == name).values(every=every.microseconds, next_at=sooner)
                )
            if known is not None and not known["enabled"]:
                connection.execute(JOBS.update().where(JOBS.c.name == name).values(enabled=True))
        return self.get(name)

    def get(self, name: str) -> ScheduledJob:
        """A job by name.

        Raises:
            UsageError: UP836 no such job.
        """
        with self._facts.reading() as connection:
            found = connection.execute(select(JOBS).where(JOBS.c.name == name)).mappings().first()
        if found is None:
            raise UsageError(text("there is no job '{name}'", name=name), code="UP836",
                             hint=did_you_mean(name, [job.name for job in self]))  # fmt: skip
        return _job(found)

    def __iter__(self) -> Iterator[ScheduledJob]:
        with self._facts.reading() as connection:
            return iter([_job(row) for row in connection.execute(select(JOBS).order_by(JOBS.c.name)).mappings()])

    def take(self, *, at: int | None = None) -> ScheduledJob | None:
        """Begin the job that has been due longest; None when none is, or when one is running.

        However many runs were missed, one makes up for them: the next is a full period after this beginning.
        """
        moment = now() if at is None else at
        with self._facts.writing(alone=JOBS) as connection:
            running = connection.execute(select(JOBS.c.name).where(JOBS.c.running_since.is_not(None)).limit(1)).first()
            due = (
                select(JOBS)
                .where(JOBS.c.enabled.is_(True), JOBS.c.next_at <= moment)
                .order_by(JOBS.c.next_at, JOBS.c.name)
            )
            found = None if running else connection.execute(due.limit(1)).mappings().first()
            if found is None:
                return None
            following = moment + found["every"]
            connection.execute(
                JOBS.update().where(JOBS.c.name == found["name"]).values(running_since=moment, next_at=following)
            )
        return self.get(str(found["name"]))

    def finish(self, name: str, *, error: str | None = None, at: int | None = None) -> None:
        """Write down that a run has ended.

        Args:
            name: of the job.
            error: what went wrong; None = nothing.
            at: µs UTC.
        """
        moment, job = now() if at is None else at, self.get(name)
        took = 0 if job.running_since is None else max(0, moment - job.running_since) // 1_000_000
        with self._facts.writing() as connection:
            connection.execute(
                JOBS.update()
                .where(JOBS.c.name == name)
                .values(
                    running_since=None, last_at=moment, last_seconds=took,
                    last_error=None if error is None else error[:1000], failures=0 if error is None else job.failures + 1,
                )
            )  # fmt: skip

    def run_soon(self, name: str) -> ScheduledJob:
        """Have a job run as soon as nothing else does."""
        self.get(name)
        with self._facts.writing() as connection:
            connection.execute(JOBS.update().where(JOBS.c.name == name).values(next_at=now()))
        return self.get(name)

    def enable(self, name: str, enabled: bool) -> ScheduledJob:
        """Have a job run by itself, or not."""
        self.get(name)
        with self._facts.writing() as connection:
            connection.execute(JOBS.update().where(JOBS.c.name == name).values(enabled=enabled))
        return self.get(name)

    def recover(self) -> list[str]:
        """At a server's start: runs that its predecessor did not finish are due again at once.

        Returns:
            Names of these jobs.
        """
        with self._facts.writing() as connection:
            lost = [
                str(n)
                for n in connection.execute(select(JOBS.c.name).where(JOBS.c.running_since.is_not(None))).scalars()
            ]
            connection.execute(
                JOBS.update().where(JOBS.c.running_since.is_not(None)).values(
                    running_since=None, next_at=now(), last_error="interrupted: the server stopped",
                    failures=JOBS.c.failures + 1,
                )
            )  # fmt: skip
        return lost


def _job(row: RowMapping) -> ScheduledJob:
    return ScheduledJob(**{name: row[name] for name in ScheduledJob.__slots__})
