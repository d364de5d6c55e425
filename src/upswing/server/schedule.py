"""Jobs that come round: a registry of named functions, and the thread that runs them by the schedule in the facts.

One job at a time. What was missed while no server ran is made up for by one run; a run that a stopped server left behind
is due again at the next start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request

from upswing.core.errors import UpswingError
from upswing.core.i18n import text
from upswing.core.units import Duration
from upswing.facts.database import Facts
from upswing.facts.jobs import ScheduledJob
from upswing.server.audit import facts_of, record
from upswing.server.state import needs

_LOG: Final = logging.getLogger(__name__)
_STOP_SECONDS: Final = 20.0
_LOOK_EVERY: Final = 5.0
"""Seconds between two looks at the schedule."""
Name = Annotated[str, Path(max_length=100)]


class Cancelled(Exception):  # noqa: N818 - the end of a run, not a mistake
    """Raised by `Run.check` when the run is to end."""


@dataclass(slots=True)
class Run:
    """A run under way; long jobs call `check` between their steps.

    Args:
        name: of the job.
    """

    name: str
    _stop: threading.Event

    def check(self) -> None:
        """End the run here if it was cancelled or the server stops.

        Raises:
            Cancelled: it is to end.
        """
        if self._stop.is_set():
            raise Cancelled


Work = Callable[[Run], None]


class Schedule:
    """The jobs of a server.

    Args:
        facts: with the schedule.

    Examples:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> with Facts.open(pathlib.Path(folder.name)) as facts:
        ...     schedule = Schedule(facts)
        ...     schedule.add("refresh", Duration.parse("1h"), lambda run: print("refreshing"))
        ...     schedule.run_due()
        ...     schedule.run_due()
        refreshing
        True
        False
        >>> folder.cleanup()
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._work: dict[str, Work] = {}
        self._lock = threading.Lock()
        self._running: tuple[str, threading.Event] | None = None
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name="schedule", daemon=True)

    def add(self, name: str, every: Duration, work: Work, *, first: int | None = None) -> None:
        """Have a function come round.

        Args:
            name: of the job; the same at every start, for its times are kept under it.
            every: time between the beginnings of two runs.
            work: what runs; an exception is a failure, written down with its words.
            first: when it runs first, µs UTC; at once, if absent. Only for a job that is new.
        """
        self._work[name] = work
        self._facts.jobs.schedule(name, every, first=first)

    def leave_out(self, name: str) -> None:
        """Have a function not come round any more, if it did with an earlier server."""
        if any(job.name == name for job in self._facts.jobs):
            self._facts.jobs.enable(name, False)

    def start(self) -> None:
        """Make up for what an earlier server left behind, and begin to look."""
        for name in self._facts.jobs.recover():
            _LOG.warning("job %s was interrupted and runs again", name)
        self._thread.start()

    def stop(self) -> None:
        """Ask the run under way to end, and wait for it a while: one that hears nothing ends with the process."""
        self._closing.set()
        with self._lock:
            if self._running is not None:
                self._running[1].set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def run_soon(self, name: str) -> ScheduledJob:
        """Have a job run as soon as nothing else does.

        Raises:
            UsageError: UP836 no such job.
        """
        job = self._facts.jobs.run_soon(name)
        self._wake.set()
        return job

    def cancel(self, name: str) -> bool:
        """Ask a run to end; whether it was under way."""
        with self._lock:
            if self._running is None or self._running[0] != name:
                return False
            self._running[1].set()
            return True

    def run_due(self, *, at: int | None = None) -> bool:
        """Run the job that has been due longest, if there is one; whether there was.

        Args:
            at: this moment, µs UTC.
        """
        job = self._facts.jobs.take(at=at)
        if job is None:
            return False
        stop = threading.Event()
        with self._lock:
            self._running = (job.name, stop)
            if self._closing.is_set():
                stop.set()
        error: str | None = "it ended without a result"
        try:
            error = self._run(job.name, Run(job.name, stop))
        finally:
            with self._lock:
                self._running = None
            self._facts.jobs.finish(job.name, error=error, at=at)
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._work)

    def _run(self, name: str, run: Run) -> str | None:
        """What went wrong; None = nothing."""
        work = self._work.get(name)
        if work is None:
            self._facts.jobs.enable(name, False)  # of a part that this server does not have
            return "this server has no such job"
        try:
            run.check()
            work(run)
        except Cancelled:
            return "cancelled"
        except UpswingError as error:
            _LOG.warning("job %s failed: %s", name, error)
            return str(error)
        except Exception as error:
            _LOG.exception("job %s failed", name)
            return type(error).__name__
        return None

    def _keep_looking(self) -> None:
        while not self._closing.is_set():
            try:
                if self.run_due():
                    continue
            except Exception:  # a database that is away for a moment does not end the schedule
                _LOG.exception("the schedule cannot be read")
            self._wake.wait(_LOOK_EVERY)
            self._wake.clear()


def router(schedule: Schedule) -> APIRouter:
    """``/api/v1/scheduled-jobs``."""
    found = APIRouter(prefix="/api/v1/scheduled-jobs", tags=["operations"], dependencies=[Depends(needs("admin"))])

    @found.get("", summary=text("Jobs that come round").message)
    def listed(request: Request) -> dict[str, object]:
        return {"jobs": [job_as_dict(job) for job in facts_of(request).jobs]}

    @found.post("/{name}/run", summary=text("Run a job as soon as nothing else does").message, status_code=202)
    def run(request: Request, name: Name) -> dict[str, object]:
        job = schedule.run_soon(name)
        record(request, "jobs.run", name)
        return job_as_dict(job)

    @found.post("/{name}/cancel", summary=text("Ask a run under way to end").message)
    def cancel(request: Request, name: Name) -> dict[str, object]:
        facts_of(request).jobs.get(name)
        cancelled = schedule.cancel(name)
        record(request, "jobs.cancel", name)
        return {"cancelled": cancelled}

    return found


def job_as_dict(job: ScheduledJob) -> dict[str, object]:
    """A job as plain data."""
    return {name: getattr(job, name) for name in ScheduledJob.__slots__}
