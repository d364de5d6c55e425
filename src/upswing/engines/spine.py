"""What does not change between questions: users, times and event codes of one version of the log, as mapped columns.

A spine is a folder ``<spine_dir>/<version>/`` of arrays that are mapped, not read::

    users    int64 (n_users,)       canonical user keys, ascending
    offsets  int64 (n_users + 1,)   events of user i are offsets[i]:offsets[i+1], by (time, stored order)
    times    int64 (n_events,)      µs UTC
    codes    uint8/16/32 (n_events,) index into `events`
    order    int32/64 (n_events,)   stored row of each event; absent when rows are stored in this very order
    parity   uint8 (n_events / 8,)  lowest bit of each stored row's own user key, to check the order of later reads

It is written beside its place and renamed, so a reader sees a whole spine or none; two builders do the work twice and
one result stays. Folders of other versions are removed; readers keep what they have mapped.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from upswing.core.private import private_folder
from upswing.engines.identity import canonical_keys
from upswing.engines.source import Intervals

Ints = NDArray[np.int64]
Chunk = tuple[Ints, Ints, NDArray[Any]]
_FORMAT: Final = 2
_STALE_SECONDS: Final = 6 * 3600
_UNFINISHED: Final = ".building-"


@dataclass(frozen=True, slots=True)
class Spine:
    """Mapped columns of one version; see the module."""

    version: str
    events: tuple[str, ...]
    users: Ints
    offsets: Ints
    times: Ints
    codes: NDArray[Any]
    order: NDArray[Any] | None
    parity: NDArray[np.uint8]
    first_time: int
    last_time: int

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.times)

    @property
    def n_users(self) -> int:
        """Number of users with events."""
        return len(self.users)


def load(folder: Path, version: str) -> Spine | None:
    """The spine of a version, or None when there is none (or not a whole one)."""
    place = folder / version
    try:
        meta = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != _FORMAT:
            return None
        arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in meta["arrays"]}
    except (OSError, ValueError, KeyError):
        return None
    return _spine(version, meta, arrays)


def build(
    folder: Path, version: str, chunks: Iterable[Chunk], *, n_rows: int, events: tuple[str, ...], intervals: Intervals
) -> Spine:
    """Write the spine of a version and map it.

    Args:
        folder: where spines of this log are kept; made if missing.
        version: of the data.
        chunks: own user keys, times in µs UTC and event codes of consecutive rows, in stored order.
        n_rows: number of rows that `chunks` will give in all.
        events: event names by code.
        intervals: who aliased ids belong to, as arrays sorted by (user_key, start).

    Raises:
        OSError: the folder cannot be written.
        ValueError: the chunks did not give `n_rows` rows.
    """
    private_folder(folder)
    work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
    try:
        arrays = _write(work, chunks, n_rows, len(events), intervals)
        first, last = _span(work) if n_rows else (0, 0)
        meta = {"format": _FORMAT, "events": list(events), "arrays": arrays, "first_time": first, "last_time": last}
        (work / "meta.json").write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")
        _publish(work, folder / version)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _tidy(folder, version)
    found = load(folder, version)
    if found is None:
        raise OSError(f"the spine {folder / version} vanished while it was being written")
    return found


def drop(folder: Path, version: str) -> None:
    """Forget the spine of a version; readers keep what they have mapped."""
    shutil.rmtree(folder / version, ignore_errors=True)


def _spine(version: str, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Spine:
    return Spine(
        version, tuple(meta["events"]), arrays["users"], arrays["offsets"], arrays["times"], arrays["codes"],
        arrays.get("order"), arrays["parity"], meta["first_time"], meta["last_time"],
    )  # fmt: skip


def _span(work: Path) -> tuple[int, int]:
    """Earliest and latest time: kept, because every question asks whether its range drops anything."""
    offsets = np.load(work / "offsets.npy", mmap_mode="r")
    times = np.load(work / "times.npy", mmap_mode="r")
    return int(times[offsets[:-1]].min()), int(times[offsets[1:] - 1].max())


def _write(work: Path, chunks: Iterable[Chunk], n_rows: int, n_names: int, intervals: Intervals) -> list[str]:
    keys, times, codes, parity = _collect(work, chunks, n_rows, n_names, intervals)
    _save(work, "parity", parity)
    names = ["users", "offsets", "times", "codes", "parity"]
    if in_order(keys, times):
        starts = np.flatnonzero(np.concatenate((np.ones(min(1, n_rows), bool), keys[1:] != keys[:-1])))
        _save(work, "users", keys[starts])
        _save(work, "offsets", np.append(starts, n_rows).astype(np.int64))
    else:
        users, offsets, order = grouped(keys, times)
        small = n_rows < 2**31
        _save(work, "users", users)
        _save(work, "offsets", offsets)
        _save(work, "order", order.astype(np.int32) if small else order)
        _save(work, "times", times[order])
        _save(work, "codes", codes[order])
        names.append("order")
    del keys, times, codes
    (work / "keys.npy").unlink()
    return names


def _collect(
    work: Path, chunks: Iterable[Chunk], n_rows: int, n_names: int, intervals: Intervals
) -> tuple[Ints, Ints, NDArray[Any], NDArray[np.uint8]]:
    keys = _mapped(work, "keys", np.dtype(np.int64), n_rows)
    times = _mapped(work, "times", np.dtype(np.int64), n_rows)
    codes = _mapped(work, "codes", np.min_scalar_type(max(1, n_names) - 1), n_rows)
    parity = np.zeros(n_rows, np.uint8)
    at = 0
    for own, moments, names in chunks:
        end = at + len(own)
        if end > n_rows:
            break
        parity[at:end] = own & 1
        keys[at:end] = canonical_keys(own, moments, intervals)
        times[at:end] = moments
        codes[at:end] = names
        at = end
    if at != n_rows:
        raise ValueError("the log changed while it was being read")
    return keys, times, codes, np.packbits(parity, bitorder="little")


def _mapped(work: Path, name: str, dtype: np.dtype[Any], size: int) -> NDArray[Any]:
    if size == 0:  # an empty file cannot be mapped
        _save(work, name, np.zeros(0, dtype))
        return np.zeros(0, dtype)
    return np.lib.format.open_memmap(work / f"{name}.npy", mode="w+", dtype=dtype, shape=(size,))


def _save(work: Path, name: str, array: NDArray[Any]) -> None:
    path = work / f"{name}.npy"
    path.unlink(missing_ok=True)  # a new file: the old one may still be mapped
    np.save(path, array)


def _publish(work: Path, place: Path) -> None:
    try:
        work.rename(place)
    except OSError:
        if load(place.parent, place.name) is None:  # a leftover, or of another format: replace it
            shutil.rmtree(place, ignore_errors=True)
            work.rename(place)


def _tidy(folder: Path, version: str) -> None:
    for other in folder.iterdir():
        try:
            stale = time.time() - other.stat().st_mtime > _STALE_SECONDS
        except OSError:
            continue
        finished = (other / "meta.json").exists() and not other.name.startswith(_UNFINISHED)
        if other.name != version and (finished or (stale and other.is_dir())):
            shutil.rmtree(other, ignore_errors=True)


def grouped(keys: Ints, times: Ints) -> tuple[Ints, Ints, Ints]:
    """Users ascending, offsets, and the stable order of rows by (user, time).

    Rows are dealt to their users in one pass where keys are dense (else sorted by key), then each user's by time.
    """
    users = _distinct(keys)
    low, high = int(users[0]), int(users[-1])
    if high - low < 4 * len(keys) + 1_000_000:
        slot = np.zeros(high - low + 1, np.int64)
        slot[users - low] = np.arange(len(users))
        offsets, order = _deal(keys, low, slot, len(users))
    else:
        order = np.argsort(keys, kind="stable")
        offsets = np.append(np.searchsorted(keys[order], users), len(keys)).astype(np.int64)
    _sort_within(offsets, times, order)
    return users, offsets, order


def _distinct(keys: Ints) -> Ints:
    changes = np.concatenate((np.ones(1, bool), keys[1:] != keys[:-1]))
    return np.unique(keys[changes])


@numba.njit(cache=True, nogil=True)
def in_order(keys: Ints, times: Ints) -> bool:
    """Whether rows ascend by (key, time)."""
    for i in range(1, len(keys)):
        if keys[i] < keys[i - 1] or (keys[i] == keys[i - 1] and times[i] < times[i - 1]):
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _deal(keys: Ints, low: int, slot: Ints, n_users: int) -> tuple[Ints, Ints]:
    offsets = np.zeros(n_users + 1, np.int64)
    for i in range(len(keys)):
        offsets[slot[keys[i] - low] + 1] += 1
    for u in range(n_users):
        offsets[u + 1] += offsets[u]
    cursor = offsets[:-1].copy()
    order = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        u = slot[keys[i] - low]
        order[cursor[u]] = i
        cursor[u] += 1
    return offsets, order


@numba.njit(cache=True, nogil=True)
def _sort_within(offsets: Ints, times: Ints, order: Ints) -> None:
    for u in range(len(offsets) - 1):
        lo, hi = offsets[u], offsets[u + 1]
        sorted_already = True
        for i in range(lo + 1, hi):
            if times[order[i]] < times[order[i - 1]]:
                sorted_already = False
                break
        if sorted_already:
            continue
        rows = order[lo:hi].copy()
        by_time = np.argsort(times[rows], kind="mergesort")
        for i in range(hi - lo):
            order[lo + i] = rows[by_time[i]]


def writable(folder: Path) -> Path:
    """The folder if spines can be kept there, else a temporary one."""
    try:
        private_folder(folder)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="upswing-spine-"))
