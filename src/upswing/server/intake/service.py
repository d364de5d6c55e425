"""The intake of a server: spool, writer and limits together; what routes hand deliveries to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from upswing.core.calendar import Calendar
from upswing.core.errors import EngineError
from upswing.core.i18n import text
from upswing.server.intake.clock import now
from upswing.server.intake.events import Delivery
from upswing.server.intake.limits import InFlight, Limits, Rates
from upswing.server.intake.spool import Place, Spool
from upswing.server.intake.writer import OpenLog, Writer, place_in

_DRAIN_SECONDS: Final = 300.0


@dataclass(slots=True)
class Counts:
    """What the intake has answered since it started.

    Args:
        requests: answered with success.
        accepted: events, aliases and clicks acknowledged.
        set_aside: events refused one by one; they are in quarantine.
        turned_away: requests refused whole.
    """

    requests: int = 0
    accepted: int = 0
    set_aside: int = 0
    turned_away: int = 0


class Intake:
    """Everything between a request with events and the log.

    Args:
        spool: where events are safe.
        writer: what takes them into the log.
        calendar: the workspace's.
        limits: sizes.
    """

    def __init__(self, spool: Spool, writer: Writer, *, calendar: Calendar, limits: Limits | None = None) -> None:
        self.spool, self.writer, self.calendar = spool, writer, calendar
        self.limits = limits or Limits()
        self.in_flight = InFlight(self.limits.in_flight_bytes)
        self.strangers = InFlight(self.limits.in_flight_bytes // 4)
        self.rates = Rates()
        self.counts = Counts()

    @classmethod
    def open(
        cls,
        folder: Path,
        log: Path | OpenLog,
        *,
        calendar: Calendar,
        limits: Limits | None = None,
        spool_bytes: int = 1 << 30,
    ) -> Intake:
        """An intake over a spool folder and a log; call `start` to let events into the log.

        Args:
            folder: of the spool; on the same disk as the log, or on a safer one.
            log: the log's file, or what gives it for one transaction (``Storage.writing``).
            calendar: the workspace's.
            limits: sizes.
            spool_bytes: most bytes that may wait for the log.

        Raises:
            EngineError: UP874 another process has the spool.
        """
        sizes = limits or Limits()
        spool = Spool(folder, max_bytes=spool_bytes, taken=partial(place_in, log))
        writer = Writer(spool, log, calendar=calendar, log_properties=sizes.log_properties)
        return cls(spool, writer, calendar=calendar, limits=sizes)

    def start(self) -> None:
        """Let events into the log."""
        self.writer.start()

    def close(self) -> None:
        """Stop taking events; what the log does not have stays in the spool."""
        self.writer.stop()
        self.spool.close()

    def delivery(self) -> Delivery:
        """An empty delivery, received now."""
        return Delivery(now(), self.limits)

    async def store(self, delivery: Delivery) -> None:
        """Return when the delivery is on disk.

        Raises:
            ServerError: UP870 the spool is full, UP872 the disk is, UP808 the server is stopping.
        """
        frame = delivery.frame()
        if frame is not None:
            await asyncio.wrap_future(self.spool.append(frame))
        self.counts.requests += 1
        self.counts.accepted += delivery.accepted
        self.counts.set_aside += len(delivery.refused)

    def problem(self) -> str | None:
        """Why events do not reach the log at the moment; None if they do."""
        return self.writer.progress.problem


def empty_spool(intake: Intake) -> None:
    """Let the log take everything acknowledged so far, and delete the spool's files that held it.

    Raises:
        EngineError: UP848 the log does not take it.
    """
    intake.spool.rotate()
    begun = intake.spool.durable.segment
    if not intake.writer.drain(_DRAIN_SECONDS):
        raise EngineError(
            text("the log does not take the events that wait for it"),
            code="UP848",
            hint=intake.problem(),
        )
    intake.spool.release(Place(begun, 0))
