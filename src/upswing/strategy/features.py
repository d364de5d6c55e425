"""Signals as columns: asked of the log in one pass, put on one scale, without those that cannot tell anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import add
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.core.units import SECOND
from upswing.diagnose.breakdown import Breakdown
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import Number, SequenceRequest
from upswing.sequences.signals import ANY, COUNT, LARGEST, SUM, TIME, SignalKernel, SignalRows
from upswing.spec.signals import Measure, Signal
from upswing.spec.steps import EventMatch

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MEASURES: Final[dict[Measure, int]] = {"any": ANY, "count": COUNT, "sum": SUM, "largest": LARGEST, "time": TIME}
_MOST_QUESTIONS: Final = 63
_SAME: Final = 0.999
_CAP: Final = 0.995
_FEWEST: Final = 20
"""A signal says nothing when fewer users than this could leave it."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question about each user: what is measured, between which instants around the user's moment (µs)."""

    match: EventMatch
    lower: int
    upper: int
    measure: Measure = "any"
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A signal that was left out, and why."""

    name: str
    reason: Text


@dataclass(frozen=True, slots=True)
class Features:
    """Signals on one scale: mean 0, spread 1, more of the factor is more; 0 where a signal says nothing.

    Attributes:
        kept: index of the signal of each column.
        columns: shape (n_users, n_kept).
        reached: flags of having come where a signal can be left, on the same scale, shape (n_users, n_flags); they are
            accounted for and belong to no score.
        dropped: signals left out.
    """

    kept: tuple[int, ...]
    columns: Floats
    reached: Floats
    dropped: tuple[Dropped, ...]


def ask(
    scan: Scan, questions: Sequence[Question], *, start: EventMatch, lo: int, hi: int, moment: int | None = None,
    by: Breakdown | None = None, users: Keys | None = None,
) -> SignalRows | None:  # fmt: skip
    """Ask all questions of all users in one pass.

    Args:
        scan: where it is run and noted.
        questions: at most 63.
        start: the event that chooses users, and whose first occurrence is their moment unless `moment` is given.
        lo: first instant of `start`, µs UTC.
        hi: end of that range, exclusive.
        moment: the same moment for all.
        by: groups by the value last known at the moment.
        users: sorted user keys; None = all.

    Raises:
        UsageError: UP655 too many questions, UP646 the property of a sum is no number.
    """
    if len(questions) > _MOST_QUESTIONS:
        raise UsageError(
            text("{n} signals are too many", n=len(questions)),
            code="UP655",
            hint=text("at most {n}", n=_MOST_QUESTIONS),
        )
    numbers = list(dict.fromkeys(q.of for q in questions if q.of is not None))
    for name in numbers:
        column = scan.log.schema.properties.get(name)
        if column is not None and column.type not in ("number", "integer"):
            raise UsageError(
                text("'{name}' cannot be summed: it holds {type}", name=name, type=column.type), code="UP646"
            )
    kernel = SignalKernel(
        measures=np.array([MEASURES[q.measure] for q in questions], np.int64),
        lower=np.array([q.lower for q in questions], np.int64),
        upper=np.array([q.upper for q in questions], np.int64),
        numbers=np.array([-1 if q.of is None else numbers.index(q.of) for q in questions], np.int64),
        start=lo,
        stop=hi,
        moment=moment,
        grouped=by is not None,
    )
    request = SequenceRequest(
        marks=(scan.log.mark(start), *(scan.log.mark(q.match) for q in questions)),
        columns=(*(Number(scan.log.column(n)) for n in numbers), *([] if by is None else [by.category])),
        users=users,
        unmarked=by is not None,
    )
    return scan.run(kernel, request, add)


def signal_questions(signals: Sequence[Signal], lower: int, upper: int) -> list[Question]:
    """The questions of signals: the signal itself and, where it has one, its place."""
    found = [Question(s, lower, upper, s.measure, s.of) for s in signals]
    return found + [Question(s.place, lower, upper) for s in signals if s.place is not None]


def features(signals: Sequence[Signal], values: Floats) -> Features:
    """Put the answers to `signal_questions` on one scale.

    Args:
        signals: in the order of the questions.
        values: answers, signals first, then places.
    """
    places = iter(range(len(signals), values.shape[1]))
    kept: list[int] = []
    columns: list[Floats] = []
    reached: list[Floats] = []
    dropped: list[Dropped] = []
    for i, signal in enumerate(signals):
        there: Flags = values[:, next(places)] > 0 if signal.place is not None else np.ones(len(values), np.bool_)
        there = there & ~np.isnan(values[:, i])
        column = _scaled(values[:, i], there, signal)
        if column is None:
            dropped.append(Dropped(signal.shown, text("never varies among users who could leave it")))
            continue
        twin = next((k for k, c in zip(kept, columns, strict=True) if _alike(c, column)), None)
        if twin is not None:
            dropped.append(Dropped(signal.shown, text("says the same as {other}", other=signals[twin].shown)))
            continue
        kept.append(i)
        columns.append(column)
        flag = _standard(there.astype(np.float64))
        if flag is not None and not any(_alike(f, flag) for f in [*reached, *columns]):
            reached.append(flag)
    n = len(values)
    return Features(tuple(kept), _stacked(columns, n), _stacked(reached, n), tuple(dropped))


def _scaled(values: Floats, there: Flags, signal: Signal) -> Floats | None:
    """A signal's column; None where it does not vary."""
    if int(there.sum()) < _FEWEST:
        return None
    known = values[there]
    if signal.measure == "time":
        known = known / SECOND
    if signal.measure != "any":
        known = np.log1p(np.maximum(known, 0.0))
        known = np.minimum(known, np.quantile(known, _CAP))
    spread = float(known.std())
    if not spread > 0:
        return None
    column = np.zeros(len(values))
    column[there] = (known - known.mean()) / spread
    return -column if signal.sign == "less" else column


def _standard(column: Floats) -> Floats | None:
    spread = float(column.std())
    return (column - column.mean()) / spread if spread > 0 else None


def _alike(a: Floats, b: Floats) -> bool:
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return scale > 0 and abs(float(a @ b)) / scale > _SAME


def _stacked(columns: Sequence[Floats], n: int) -> Floats:
    return np.column_stack(columns) if columns else np.zeros((n, 0))
