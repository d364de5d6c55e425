"""The write-ahead spool: frames appended to segment files, on disk before a request is answered.

A frame is ``length (u32) · CRC-32 (u32) · payload``. One thread writes; requests that wait share one ``fdatasync`` (group
commit). Every start begins a new segment; a segment is deleted when the log has all of it. A place in the spool is
(segment, offset) under the spool's id, so that a log never takes the place of another spool for its own.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from upswing.core.errors import EngineError
from upswing.core.i18n import text
from upswing.core.private import private_folder
from upswing.server.errors import ServerError
from upswing.server.intake.refusals import busy, cannot_write, stopping

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: the log's own lock keeps a second server out
    fcntl = None  # type: ignore[assignment]

_LOG: Final = logging.getLogger(__name__)
_HEAD: Final = struct.Struct("<II")
_SUFFIX: Final = ".frames"
_ID_FILE: Final = "spool.json"
_LOCK_FILE: Final = "lock"
_MOST_FRAME: Final = 64 << 20
_FULL: Final = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG])


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the spool: everything before it is meant.

    Args:
        segment: number of the file.
        offset: bytes from its beginning.
    """

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Frames:
    """Some frames in their order.

    Args:
        payloads: what they hold.
        ends: the place after each.
    """

    payloads: tuple[bytes, ...]
    ends: tuple[Place, ...]

    def __len__(self) -> int:
        return len(self.payloads)


class Spool:
    """A folder of frames, written by one process.

    Args:
        folder: made if missing.
        max_bytes: most bytes that may wait for the log; beyond, `append` refuses.
        fsync: False only for tests of speed: a power cut may then lose what was acknowledged.
        segment_bytes: a segment is full at this size.
        reserve: bytes of the disk that are left for the log, which fares worse than a spool when the disk is full.
        taken: tells the place that the log knows of the spool with an id. The first segment that is written lies beyond
            it, also where the files are older than the log (a restored backup, a copied disk): a new frame at a place
            that the log has passed would count as taken and be lost.

    Raises:
        OSError: the folder cannot be made or read.
        EngineError: UP874 another process has it.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> spool = Spool(Path(folder.name))
        >>> spool.append(b"one").result() == spool.durable
        True
        >>> spool.read(spool.first, max_bytes=1000).payloads
        (b'one',)
        >>> spool.close(); folder.cleanup()
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = 1 << 30,
        fsync: bool = True,
        segment_bytes: int = 32 << 20,
        reserve: int = 256 << 20,
        taken: Callable[[str], Place | None] | None = None,
    ) -> None:
        self.folder, self.max_bytes, self.segment_bytes, self.reserve = folder, max_bytes, segment_bytes, reserve
        self._sync = os.fdatasync if fsync and hasattr(os, "fdatasync") else (os.fsync if fsync else _no_sync)
        private_folder(folder)
        self._held = _held(folder)
        self.id = _own_id(folder)
        numbers = _segments(folder)
        for number in numbers:  # what was cut short was never acknowledged
            _cut_torn_tail(_file(folder, number))
        self.first = Place(numbers[0] if numbers else 1, 0)
        self._sizes = {n: _file(folder, n).stat().st_size for n in numbers}
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._grown = threading.Condition(self._lock)
        self._waiting: list[tuple[bytes, Future[Place]]] = []
        self._waiting_bytes = 0
        self._speed, self._released_at = 0.0, time.monotonic()
        self._closing = False
        self._segment = numbers[-1] if numbers else 0
        self._descriptor = -1
        self.durable = Place(0, 0)
        try:
            if taken is not None and (known := taken(self.id)) is not None:
                self._segment = max(self._segment, known.segment)
            self._open_next()
        except BaseException:
            self._let_go()
            raise
        self._thread = threading.Thread(target=self._write_on, name="intake-spool", daemon=True)
        self._thread.start()

    # -- writing --------------------------------------------------------------------------------------------------

    def append(self, payload: bytes) -> Future[Place]:
        """Hand a frame over; the future is done when it is on disk, with the place after it.

        Raises:
            ServerError: UP870 the spool is full; UP808 it is closed. The future fails with UP872 when the disk does.
        """
        if not 0 < len(payload) <= _MOST_FRAME:
            raise ValueError(f"a frame of {len(payload)} bytes")
        future: Future[Place] = Future()
        size = len(payload) + _HEAD.size
        with self._lock:
            if self._closing:
                raise stopping()
            waiting = self._backlog() + self._waiting_bytes
            if waiting + size > self.max_bytes and waiting:
                raise busy(self._seconds_to_wait())
            self._waiting.append((payload, future))
            self._waiting_bytes += size
            self._wake.notify()
        return future

    def close(self) -> None:
        """Write what waits, then let go of the folder."""
        with self._lock:
            self._closing = True
            self._wake.notify_all()
            self._grown.notify_all()
        self._thread.join()
        self._let_go()

    # -- reading --------------------------------------------------------------------------------------------------

    def read(self, start: Place, *, max_bytes: int) -> Frames:
        """Durable frames from a place on, at least one if there is one, about `max_bytes` of them."""
        payloads: list[bytes] = []
        ends: list[Place] = []
        taken = 0
        for payload, end in self._frames(start):
            payloads.append(payload)
            ends.append(end)
            taken += len(payload)
            if taken >= max_bytes:
                break
        return Frames(tuple(payloads), tuple(ends))

    def wait(self, start: Place, seconds: float) -> int:
        """Wait until there is something after a place, or the time is over.

        Returns:
            Bytes after the place.
        """
        with self._lock:
            if not self._bytes_after(start) and not self._closing:
                self._grown.wait(seconds)
            return self._bytes_after(start)

    def nudge(self) -> None:
        """Wake who waits."""
        with self._lock:
            self._grown.notify_all()

    def release(self, before: Place) -> None:
        """Everything before a place is in the log: files that end there are deleted."""
        with self._lock:
            waited = self._backlog()
            self.first = max(self.first, before)
            self._note_speed(waited - self._backlog())
            done = [n for n in self._sizes if n < before.segment]
            for number in done:
                del self._sizes[number]
        for number in done:
            _file(self.folder, number).unlink(missing_ok=True)

    def rotate(self) -> None:
        """Begin a new segment, so that `release` deletes what the log has (before a person is erased)."""
        future: Future[Place] = Future()
        with self._lock:
            if self._closing:
                raise stopping()
            self._waiting.append((b"", future))
            self._wake.notify()
        future.result()

    def tidy(self, place: Place) -> Place:
        """The beginning of the current segment, if nothing is left between it and `place`; else `place`."""
        with self._lock:
            begun = Place(self._segment, 0)
            nothing_between = not any(
                size > (place.offset if number == place.segment else 0)
                for number, size in self._sizes.items()
                if place.segment <= number < self._segment
            )
            return max(place, begun) if nothing_between else place

    def resume(self, place: Place | None) -> Place:
        """Where to read on after a start, given the place that the log knows of this spool.

        Frames before it are in the log. A log without a place (a new one, or restored from a backup of another spool)
        takes all there is.
        """
        if place is None:
            return self.first
        start = max(self.first, place)
        self.release(start)
        return start

    @property
    def backlog(self) -> int:
        """Bytes that the log does not have yet."""
        with self._lock:
            return self._backlog() + self._waiting_bytes

    # -- inside ---------------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def _backlog(self) -> int:
        return self._bytes_after(self.first)

    def _bytes_after(self, start: Place) -> int:
        total = sum(
            size - (start.offset if n == start.segment else 0) for n, size in self._sizes.items() if n >= start.segment
        )
        return max(0, total)

    def _note_speed(self, released: int) -> None:
        moment = time.monotonic()
        seconds, self._released_at = max(moment - self._released_at, 1e-3), moment
        self._speed = 0.7 * self._speed + 0.3 * released / seconds

    def _seconds_to_wait(self) -> int:
        """Until the log will have taken a tenth of a full spool at its latest speed."""
        return min(60, max(1, math.ceil(self.max_bytes / 10 / max(self._speed, 1.0))))

    def _write_on(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                taken, self._waiting = self._waiting, []
            if not taken:
                return
            self._commit(taken)

    def _commit(self, taken: list[tuple[bytes, Future[Place]]]) -> None:
        """Write frames and sync once for all of them."""
        room = shutil.disk_usage(self.folder).free - self.reserve
        if room < _size(taken):
            self._refuse(taken, cannot_write(text("the disk is full but for a reserve"), full=True))
            return
        try:
            ends = self._written(taken)
        except OSError as error:
            self._abandon()
            self._refuse(taken, cannot_write(error.strerror or error, full=error.errno in _FULL))
            return
        with self._lock:
            self._waiting_bytes -= _size(taken)
            if ends:
                self.durable = ends[-1]
                self._sizes[self._segment] = self.durable.offset
            self._grown.notify_all()
        for (_, future), end in zip(taken, ends, strict=True):
            future.set_result(end)

    def _refuse(self, taken: list[tuple[bytes, Future[Place]]], refused: ServerError) -> None:
        with self._lock:
            self._waiting_bytes -= _size(taken)
        for _, future in taken:
            future.set_exception(refused)

    def _written(self, taken: list[tuple[bytes, Future[Place]]]) -> list[Place]:
        if self._descriptor < 0 or self.durable.offset >= self.segment_bytes or any(not p for p, _ in taken):
            self._open_next()
        parts: list[bytes] = []
        ends: list[Place] = []
        offset = self.durable.offset
        for payload, _ in taken:
            if payload:
                parts += (_HEAD.pack(len(payload), zlib.crc32(payload)), payload)
                offset += _HEAD.size + len(payload)
            ends.append(Place(self._segment, offset))
        _write_all(self._descriptor, b"".join(parts))
        self._sync(self._descriptor)
        return ends

    def _open_next(self) -> None:
        """Begin a segment; its name is on disk before a frame in it is acknowledged."""
        number = self._segment + 1
        descriptor = os.open(_file(self.folder, number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            _sync_folder(self.folder, self._sync)
        except OSError:
            os.close(descriptor)
            _file(self.folder, number).unlink(missing_ok=True)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        with self._lock:
            self._segment = number
            self._sizes[number] = 0
            self.durable = Place(number, 0)
            if len(self._sizes) == 1:
                self.first = max(self.first, self.durable)

    def _abandon(self) -> None:
        """After a failure what the file holds is unknown: cut it back, and go on in a new one."""
        with suppress(OSError):
            if self._descriptor >= 0:
                os.ftruncate(self._descriptor, self.durable.offset)
                os.close(self._descriptor)
        self._descriptor = -1

    def _frames(self, start: Place) -> Iterator[tuple[bytes, Place]]:
        with self._lock:
            sizes = sorted(self._sizes.items())
        for number, size in sizes:
            if number < start.segment:
                continue
            offset = start.offset if number == start.segment else 0
            if offset >= size:
                continue
            with _file(self.folder, number).open("rb") as file:
                file.seek(offset)
                while offset < size and (payload := _frame(file.read(_HEAD.size), file.read)) is not None:
                    offset += _HEAD.size + len(payload)
                    yield payload, Place(number, offset)
            if offset < size:
                _LOG.error("segment %d of the spool cannot be read after byte %d", number, offset)


def _own_id(folder: Path) -> str:
    file = folder / _ID_FILE
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps({"id": uuid.uuid4().hex}), encoding="utf-8")
        partial.replace(file)
    return str(json.loads(file.read_text(encoding="utf-8"))["id"])


def _held(folder: Path) -> int:
    """The folder's lock, kept as long as the process lives."""
    descriptor = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise EngineError(
                text("the spool '{folder}' is written by another process", folder=folder),
                code="UP874",
                hint=text("stop the other server first"),
            ) from None
    return descriptor


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:012d}{_SUFFIX}"


def _segments(folder: Path) -> list[int]:
    return sorted(int(p.stem) for p in folder.glob("*" + _SUFFIX) if p.stem.isdigit())


def _frame(head: bytes, read: Callable[[int], bytes]) -> bytes | None:
    """A frame's payload; None where there is none or it is not whole."""
    if len(head) < _HEAD.size:
        return None
    length, check = _HEAD.unpack(head)
    if not 0 < length <= _MOST_FRAME:  # zeros are what a power cut leaves of blocks that were not written
        return None
    payload = read(length)
    return payload if len(payload) == length and zlib.crc32(payload) == check else None


def _cut_torn_tail(path: Path) -> None:
    """Keep the whole frames of a file. What follows a frame that is damaged in the middle is kept beside the file."""
    good = 0
    with path.open("r+b") as file:
        while (payload := _frame(file.read(_HEAD.size), file.read)) is not None:
            good += _HEAD.size + len(payload)
        size = path.stat().st_size
        if good == size:
            return
        file.seek(good)
        length = int.from_bytes(file.read(4), "little")
        if length > 0 and good + _HEAD.size + length < size:
            file.seek(good)
            path.with_suffix(".damaged").write_bytes(file.read())
            _LOG.error("%s is damaged at byte %d; the rest is kept in %s", path, good, path.with_suffix(".damaged"))
        file.truncate(good)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path, sync: Callable[[int], None]) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def _no_sync(_: int) -> None:
    return None


def _size(taken: list[tuple[bytes, Future[Place]]]) -> int:
    return sum(len(payload) + _HEAD.size for payload, _ in taken if payload)
