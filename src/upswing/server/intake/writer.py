"""The spool into the log: batches, each in one transaction with the place up to which the spool is taken.

Whatever happens between two statements, a batch is in the log with its place or not at all, so that after any end of the
process every acknowledged event is in the log once. A batch that the log refuses is halved until the one event that is
to blame is found; it is set aside, the rest goes in.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from upswing.core.calendar import Calendar
from upswing.core.errors import EngineError, UpswingError
from upswing.core.i18n import text
from upswing.events.importer import import_staged, insert_quarantine
from upswing.events.statements import Fragment, statement
from upswing.events.store import EventStore, engine_errors
from upswing.events.summary import ImportSummary
from upswing.server.intake.clicks import COLUMNS, TABLE
from upswing.server.intake.events import Click, Refusal, to_json
from upswing.server.intake.identities import add_identities
from upswing.server.intake.spool import Frames, Place, Spool
from upswing.server.intake.staging import MAPPING, SOURCE, Batch, stage

OpenLog = Callable[[], AbstractContextManager[EventStore]]
"""Gives the log for one transaction; while it is held, nobody else writes."""

_TABLES: Final = (
    # Beside the log's own tables; not in log_meta, whose values are part of the data's version.
    "CREATE TABLE IF NOT EXISTS intake_place (spool VARCHAR NOT NULL, segment BIGINT NOT NULL, position BIGINT NOT NULL)",
    statement("CREATE TABLE IF NOT EXISTS ad_clicks ({columns})", columns=Fragment(TABLE)),
)
_LOG: Final = logging.getLogger(__name__)
_PASSING: Final = frozenset(["UP701", "UP705"])
"""Locked, or out of disk or memory: nothing is wrong with the events, so they wait."""
_LONGEST_PAUSE: Final = 30.0
_NOWHERE: Final = Place(0, 0)
_MOST_BLAMED: Final = 1000


@dataclass(slots=True)
class Progress:
    """What the writer has done since it started.

    Args:
        batches: transactions.
        events: rows added.
        duplicates: events that the log had already.
        set_aside: events in quarantine.
        committed_at: when the last batch was committed, seconds of `time.monotonic`.
        problem: why the log takes nothing at the moment; None if it does.
    """

    batches: int = 0
    events: int = 0
    duplicates: int = 0
    set_aside: int = 0
    committed_at: float = 0.0
    problem: str | None = None


class Writer:
    """The thread that takes frames from the spool into the log.

    Args:
        spool: where frames come from.
        log: the log's file, or what gives it for one transaction.
        calendar: the workspace's.
        batch_bytes: about the most of one transaction.
        linger: seconds to wait for more after a first frame, so that few events make no transaction each.
        log_properties: how many properties the log may have.
        reserve: bytes of disk that a batch needs to begin; an engine that meets a full disk in the middle of a commit has
            to be opened anew.
    """

    def __init__(
        self,
        spool: Spool,
        log: Path | OpenLog,
        *,
        calendar: Calendar,
        batch_bytes: int = 16 << 20,
        linger: float = 2.0,
        log_properties: int = 2000,
        reserve: int = 128 << 20,
    ) -> None:
        self.spool, self.calendar, self.reserve = spool, calendar, reserve
        self.batch_bytes, self.linger, self.log_properties = batch_bytes, linger, log_properties
        self.progress = Progress()
        self._log: OpenLog = _OwnLog(log) if isinstance(log, Path) else log
        self._place: Place | None = None
        self._stop = threading.Event()
        self._taken = threading.Condition()
        self._hurry = False
        self._careful = False  # one frame at a time, after a refusal
        self._thread = threading.Thread(target=self._work, name="intake-writer", daemon=True)

    def start(self) -> None:
        """Begin to take frames."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch under way; what is left stays in the spool for the next start."""
        self._stop.set()
        self.spool.nudge()
        if self._thread.is_alive():
            self._thread.join()
        if isinstance(self._log, _OwnLog):
            self._log.close()

    def drain(self, seconds: float = 60.0) -> bool:
        """Wait until the log has everything that was acknowledged before the call.

        Returns:
            Whether it has.
        """
        wanted = self.spool.durable
        return self._waited(lambda: not self._lacks(wanted), seconds)

    def empty(self, seconds: float = 60.0) -> bool:
        """Let everything that was acknowledged into the log, and delete it from the spool's files.

        For erasing a person: afterwards only the log has what was sent before the call.

        Returns:
            Whether it is done.
        """
        self.spool.rotate()
        wanted = self.spool.durable
        return self._waited(lambda: (self._place or _NOWHERE) >= wanted, seconds)

    def _waited(self, done: Callable[[], bool], seconds: float) -> bool:
        """Whether something comes true in time, without the usual pause for more events."""
        end = time.monotonic() + seconds
        with self._taken:
            self._hurry = True
            try:
                while not done():
                    left = end - time.monotonic()
                    if left <= 0 or self._stop.is_set():
                        return False
                    self.spool.nudge()
                    self._taken.wait(min(left, 0.1))
            finally:
                self._hurry = False
        return True

    def _lacks(self, wanted: Place) -> bool:
        place = self._place
        return place is None or (place < wanted and self.spool.wait(place, 0) > 0)

    # -- the thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        pause = 0.1
        while not self._stop.is_set():
            try:
                self._turn()
                pause, self.progress.problem = 0.1, None
            except (Exception, KeyboardInterrupt) as error:  # the spool keeps the events, and the log is as it was
                self.progress.problem = str(error)
                self._place = None  # asked of the log again: a commit may be durable though it did not return
                if isinstance(self._log, _OwnLog):
                    self._log.close()  # an engine that failed for good takes no more statements
                log = _LOG.warning if isinstance(error, UpswingError) else _LOG.exception
                log("the log takes no events now, next try in %.1f s: %s", pause, error)
                self._stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _turn(self) -> None:
        place = self._place
        if place is None:
            with self._log() as store:
                place = self.spool.resume(_known_place(store, self.spool.id))
        place = self.spool.tidy(place)
        if place != self._place:
            self._reached(place)
        if not self.spool.wait(place, 0.5):
            return
        self._wait_for_more(place)
        frames = self.spool.read(place, max_bytes=1 if self._careful else self.batch_bytes)
        if not len(frames):  # damaged on disk, and nothing after it yet
            self._stop.wait(0.5)
            return
        self._take(frames)
        self._careful = False

    def _wait_for_more(self, place: Place) -> None:
        end = time.monotonic() + self.linger
        while time.monotonic() < end and not self._hurry and not self._stop.is_set():
            if self.spool.wait(place, 0) >= self.batch_bytes // 4:
                return
            time.sleep(min(0.05, self.linger))

    def _check_room(self) -> None:
        free = shutil.disk_usage(self.spool.folder).free
        if free < self.reserve:
            raise EngineError(
                text("out of disk or memory: {cause}", cause=f"{free:,} B < {self.reserve:,} B"), code="UP705"
            )

    def _take(self, frames: Frames) -> None:
        self._check_room()
        batch, end = Batch.of(frames.payloads), frames.ends[-1]
        with self._log() as store:
            try:
                self._commit(store, batch, end)
            except UpswingError as error:
                if error.code in _PASSING:
                    raise
                self._careful = True
                if _known_place(store, self.spool.id) != end:
                    self._commit(store, _without_blamed(store, batch, self.calendar, error), end)
        self.progress.committed_at = time.monotonic()
        self._reached(end)

    def _commit(self, store: EventStore, batch: Batch, end: Place) -> None:
        batch.keep_names(store.properties(), self.log_properties)

        def inside() -> None:
            _add_clicks(store, batch.clicks)
            refused = [*batch.refused]
            for (alias, canonical, at), cause in add_identities(store, batch.aliases):
                raw = to_json({"alias": alias, "canonical": canonical, "time": at})
                refused.append(Refusal(0, "alias_refused", cause, raw))
            _set_aside(store, refused)
            _note_place(store, self.spool.id, end)
            self.progress.set_aside += len(refused)

        if batch.lines or batch.refused:
            summary = _import(store, batch, self.calendar, inside)
            self.progress.events += summary.rows_added
            self.progress.duplicates += summary.rows_duplicate
        else:
            with store.transaction():
                inside()
        self.progress.batches += 1

    def _reached(self, place: Place) -> None:
        self.spool.release(place)
        with self._taken:
            self._place = place
            self._taken.notify_all()


class _OwnLog:
    """A log's file that this writer alone has open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store: EventStore | None = None
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[EventStore]:
        with self._lock:
            if self._store is None:
                self._store = EventStore.open(self._path)
            yield self._store

    def close(self) -> None:
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None


def _import(store: EventStore, batch: Batch, calendar: Calendar, inside: Callable[[], None]) -> ImportSummary:
    return import_staged(store, stage(store, batch), mapping=MAPPING, calendar=calendar, inside=inside)


def place_in(log: Path | OpenLog, spool: str) -> Place | None:
    """The place up to which a log has taken a spool; None where it knows nothing of it."""
    if isinstance(log, Path):
        if not log.exists():
            return None
        with EventStore.open(log) as store:
            return _known_place(store, spool)
    with log() as store:
        return _known_place(store, spool)


def _known_place(store: EventStore, spool: str) -> Place | None:
    with store.transaction():
        for table in _TABLES:
            store.run(table)
    found = store.rows("SELECT segment, position FROM intake_place WHERE spool = ?", [spool])
    return Place(int(str(found[0][0])), int(str(found[0][1]))) if found else None


def _note_place(store: EventStore, spool: str, place: Place) -> None:
    store.run("DELETE FROM intake_place")
    store.run("INSERT INTO intake_place VALUES (?, ?, ?)", [spool, place.segment, place.offset])


def _set_aside(store: EventStore, refused: Sequence[Refusal]) -> None:
    """Into quarantine, under the import that this transaction has just made."""
    if not refused:
        return
    import_id = store.count("SELECT max(import_id) FROM imports")
    rows = [(import_id, SOURCE, r.index + 1, r.reason, r.detail, r.raw) for r in refused]
    insert_quarantine(store, rows)
    store.run(
        "UPDATE imports SET rows_read = rows_read + $n, rows_quarantined = rows_quarantined + $n WHERE import_id = $i",
        {"n": len(rows), "i": import_id},
    )


def _add_clicks(store: EventStore, clicks: Sequence[Click]) -> None:
    """Clicks that the table does not have; of repeats the first."""
    if not clicks:
        return
    first = {(click.platform, click.click_id): click for click in reversed(clicks)}
    columns: dict[str, pa.Array] = {
        "platform": pa.array([c.platform for c in first.values()]),
        "click_id": pa.array([c.click_id for c in first.values()]),
        "time": pa.array([c.time for c in first.values()], pa.timestamp("us")),
        "received": pa.array([c.received for c in first.values()], pa.timestamp("us")),
        **{name: pa.array([c.fields.get(name) for c in first.values()], pa.string()) for name in COLUMNS},
        "parameters": pa.array([to_json(c.parameters) for c in first.values()]),
    }
    with engine_errors():
        store.connection.register("upswing_clicks", pa.table(columns))
    try:
        store.run(
            "INSERT INTO ad_clicks BY NAME SELECT * FROM upswing_clicks ANTI JOIN ad_clicks USING (platform, click_id)"
        )
    finally:
        store.connection.unregister("upswing_clicks")


class _TrialError(Exception):
    """Ends a transaction that was only to see whether it works."""


def _without_blamed(store: EventStore, batch: Batch, calendar: Calendar, error: UpswingError) -> Batch:
    """A refused batch without the events that are to blame, found by halving; they are set aside.

    Raises:
        UpswingError: the given one, if no single event is to blame.
    """
    blamed: list[int] = []
    parts = [(0, len(batch.lines))]
    while parts:
        start, stop = parts.pop()
        if start == stop or _fits(store, replace(batch, lines=batch.lines[start:stop]), calendar):
            continue
        if stop - start == 1:
            blamed.append(start)
            if len(blamed) > _MOST_BLAMED:
                raise error
        else:
            middle = (start + stop) // 2
            parts += [(middle, stop), (start, middle)]
    if not blamed:
        raise error
    left_out = set(blamed)
    return replace(
        batch,
        lines=[line for i, line in enumerate(batch.lines) if i not in left_out],
        refused=[
            *batch.refused,
            *(Refusal(i, "not_stored", str(error)[:500], batch.lines[i].decode("utf-8", "replace")) for i in blamed),
        ],
    )


def _fits(store: EventStore, batch: Batch, calendar: Calendar) -> bool:
    def stop() -> None:
        raise _TrialError

    try:
        _import(store, batch, calendar, stop)
    except _TrialError:
        return True
    except UpswingError as error:
        if error.code in _PASSING:
            raise
    return False
