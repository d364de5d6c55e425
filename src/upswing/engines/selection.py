"""From a spine and one column of bits to sequences: marks by table look-up, filters by compaction of whole pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from upswing.engines.base import SequenceRequest
from upswing.engines.passes import in_range, kept_rows, look_up, require, restrict
from upswing.engines.spine import Spine
from upswing.sequences.batch import Sequences

PIECE: Final = 2**21
"""Events per piece of work; temporaries of a piece stay small."""
SPARSE: Final = 0.2
"""Below this share of marked events, dropping the others pays for itself in the kernels."""
CHUNK_BITS: Final = 15
"""Predicates per bit column; with the parity bit a column's values index a table of at most 2**16."""

Bits = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the engine said of each stored row.

    Args:
        conditions: distinct predicates; bit ``k % CHUNK_BITS`` of ``bits[k // CHUNK_BITS]`` is the answer to the k-th.
        needs: index of each mark's predicate, None = always.
        keep: index of the predicate that events must pass, None = all.
        bits: columns in stored order, shape (n_events,); None when nothing had to be asked.
        columns: further columns in stored order.
    """

    needs: tuple[int | None, ...]
    keep: int | None
    bits: tuple[Bits, ...]
    columns: tuple[NDArray[Any], ...]


def select(spine: Spine, request: SequenceRequest, answers: Answers) -> Iterator[Sequences]:
    """The request's sequences: one batch over mapped arrays when nothing is dropped, else compacted pieces."""
    work = _Selection(spine, request, answers)
    if spine.n_events == 0:
        return
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        if work.drops:
            for batch in pool.map(work.compacted, work.pieces()):
                if batch is not None:
                    yield batch
        else:
            marks = np.empty(spine.n_events, work.lut.dtype)
            list(pool.map(lambda piece: work.marks_into(marks, piece), work.pieces()))
            columns = tuple(pool.map(work.whole_column, answers.columns))
            yield Sequences(spine.users, spine.offsets, spine.times, marks, columns)


class _Selection:
    """One request against one spine."""

    def __init__(self, spine: Spine, request: SequenceRequest, answers: Answers) -> None:
        self.spine, self.request, self.answers = spine, request, answers
        self.lut = _event_table(spine.events, request)
        self.spread = _bit_tables(answers, self.lut.dtype)
        self.start, self.stop = _binding_range(spine, request)
        self.chosen = None if request.users is None else np.isin(spine.users, request.users, assume_unique=True)
        sparse = not request.unmarked and self._share_marked() < SPARSE
        self.drops = bool(
            answers.keep is not None
            or self.start is not None
            or self.stop is not None
            or self.chosen is not None
            or sparse
        )

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Ranges of users with about PIECE events each."""
        n = max(1, -(-self.spine.n_events // PIECE))
        cuts = np.searchsorted(self.spine.offsets, np.linspace(0, self.spine.n_events, n + 1)[1:-1])
        edges = np.unique(np.concatenate(([0], cuts, [self.spine.n_users])))
        return zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)

    def marks_into(self, marks: NDArray[Any], piece: tuple[int, int]) -> None:
        """Fill the marks of a piece's events."""
        lo, hi = int(self.spine.offsets[piece[0]]), int(self.spine.offsets[piece[1]])
        marks[lo:hi] = self._marks(lo, hi)

    def whole_column(self, column: NDArray[Any]) -> NDArray[Any]:
        """A column of all rows in the spine's order."""
        return column if self.spine.order is None else column[self.spine.order]

    def compacted(self, piece: tuple[int, int]) -> Sequences | None:
        """The piece without the events that the request drops; None when none is left."""
        spine, (first, last) = self.spine, piece
        if self.chosen is not None and not self.chosen[first:last].any():
            return None
        lo, hi = int(spine.offsets[first]), int(spine.offsets[last])
        marks, times = self._marks(lo, hi), spine.times[lo:hi]
        everyone = np.ones(last - first, bool)
        chosen = everyone if self.chosen is None else self.chosen[first:last]
        rows, counts = kept_rows(spine.offsets[first : last + 1] - lo, chosen, self._kept(lo, hi, marks, times))
        if not len(rows):
            return None
        present = counts > 0
        stored = rows + lo if spine.order is None else spine.order[lo:hi][rows]
        return Sequences(
            users=spine.users[first:last][present],
            offsets=np.concatenate(([0], np.cumsum(counts[present]))).astype(np.int64),
            times=times[rows],
            marks=marks[rows],
            columns=tuple(column[stored] for column in self.answers.columns),
        )

    def _marks(self, lo: int, hi: int) -> NDArray[Any]:
        marks: NDArray[Any] = np.empty(hi - lo, self.lut.dtype)
        look_up(self.spine.codes[lo:hi], self.lut, marks)
        for number, table in enumerate(self.spread):
            if table is not None:
                restrict(self._bits(number, lo, hi), table, marks)
        return marks

    def _bits(self, number: int, lo: int, hi: int) -> Bits:
        column = self.answers.bits[number]
        return column[lo:hi] if self.spine.order is None else column[self.spine.order[lo:hi]]

    def _kept(self, lo: int, hi: int, marks: NDArray[Any], times: NDArray[np.int64]) -> NDArray[np.bool_]:
        kept = np.ones(hi - lo, bool) if self.request.unmarked else marks != 0
        if self.answers.keep is not None:
            number, bit = divmod(self.answers.keep, CHUNK_BITS)
            require(self._bits(number, lo, hi), bit + 1, kept)
        if self.start is not None or self.stop is not None:
            in_range(
                times,
                -(2**63) if self.start is None else self.start,
                2**63 - 1 if self.stop is None else self.stop,
                kept,
            )
        return kept

    def _share_marked(self) -> float:
        """Upper bound of the share of marked events, from a sample of codes: predicates only lower it."""
        step = max(1, self.spine.n_events // 65_536)
        return float((self.lut[self.spine.codes[::step]] != 0).mean()) if self.spine.n_events else 1.0


def _event_table(events: Sequence[str], request: SequenceRequest) -> NDArray[Any]:
    """Marks by event code, before predicates."""
    dtype = mark_type(len(request.marks))
    table = np.zeros(max(1, len(events)), dtype)
    place = {name: code for code, name in enumerate(events)}
    for bit, mark in enumerate(request.marks):
        one = dtype.type(1 << bit)
        if mark.events is None:
            table |= one
        else:
            codes = [place[name] for name in mark.events if name in place]
            table[codes] |= one
    return table


def mark_type(count: int) -> np.dtype[Any]:
    """Smallest unsigned type with `count` bits."""
    sizes = ((8, np.uint8), (16, np.uint16), (32, np.uint32), (64, np.uint64))
    return np.dtype(next(kind for bits, kind in sizes if count <= bits))


def _bit_tables(answers: Answers, dtype: np.dtype[Any]) -> list[NDArray[Any] | None]:
    """Per bit column: the marks that survive each value of the column."""
    tables: list[NDArray[Any] | None] = []
    for number, column in enumerate(answers.bits):
        values = np.arange(1 << (8 * column.dtype.itemsize), dtype=np.uint32)
        table = np.full(len(values), np.iinfo(dtype).max, dtype)
        used = False
        for bit, need in enumerate(answers.needs):
            if need is not None and need // CHUNK_BITS == number:
                failed = (values >> (need % CHUNK_BITS + 1)) & 1 == 0
                table[failed] &= dtype.type(np.iinfo(dtype).max ^ (1 << bit))
                used = True
        tables.append(table if used else None)
    return tables


def _binding_range(spine: Spine, request: SequenceRequest) -> tuple[int | None, int | None]:
    """The request's range, without bounds that drop nothing."""
    if spine.n_events == 0:
        return None, None
    first, last = spine.first_time, spine.last_time
    start = None if request.start is None or request.start <= first else request.start
    stop = None if request.stop is None or request.stop > last else request.stop
    return start, stop
