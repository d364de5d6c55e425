"""New users by desire and friction: scores, quadrants, and whether the quadrants hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import DataError
from upswing.core.i18n import text
from upswing.core.results import Caveat
from upswing.diagnose.breakdown import Breakdown, breakdown_by
from upswing.diagnose.scan import Keys, Scan
from upswing.events.log import EventLog
from upswing.sequences.aha import halves
from upswing.sequences.signals import SignalRows
from upswing.spec.quadrants import QUADRANTS, QuadrantsDefinition
from upswing.spec.signals import Signal
from upswing.stats.proportions import newcombe_difference, wilson_interval
from upswing.strategy.features import Features, Question, ask, features, signal_questions
from upswing.strategy.proposals import propose
from upswing.strategy.quadrant_scores import (
    Effect,
    Scores,
    check_order,
    cross_scored,
    cut_at,
    quadrant_of,
)  # fmt: skip
from upswing.strategy.quadrants_result import (
    Cell2D,
    Quadrant,
    QuadrantGroup,
    QuadrantsResult,
    SignalWeight,
)  # fmt: skip
from upswing.strategy.signed_models import fit_logistic

Moment = str | date | datetime | None
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

FEWEST: Final = 50
"""Below so many users with a known outcome, or so few with one of its two values as a fifth of it, nothing is fitted."""
_MOST_GROUPS: Final = 8
_BINS: Final = 6


def quadrants(
    log: EventLog,
    definition: QuadrantsDefinition,
    *,
    start: Moment = None,
    stop: Moment = None,
    users: Keys | None = None,
) -> QuadrantsResult:
    """Score desire and friction of new users, cut both, and compare the four quadrants.

    Signals are looked for around the start; activation counts only after the last signal window is over, and users who
    activated before that are left out: nothing that is a consequence of activation can become its signal. A logistic
    model with signed weights gives both scores, each user's from models of other users (five folds). The quadrants'
    numbers are therefore out of sample, and so is the check whether they order activation at all.

    Args:
        log: the event log.
        definition: start, signals and outcome; without signals both sides are proposed on half of the users and judged on
            the other half.
        start: first moment at which a start counts.
        stop: end of that range, exclusive.
        users: sorted user keys to keep; None = all.

    Raises:
        UsageError: UP302 an event that never occurs, UP301 no such property, UP655 too many signals.
        DataError: UP350 nobody starts in the range, UP351 no outcome is known yet, UP352 too few users, or all alike.
    """
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    by = None
    if definition.by is not None:
        by = breakdown_by(scan, definition.by, definition.start, start=lo, stop=hi, limit=_MOST_GROUPS, users=users)
    study = _study(scan, definition, lo, hi, by, users)
    desire, friction = (features(s, v) for s, v in (study.desire, study.friction))
    scores = cross_scored(
        desire.columns, friction.columns, _flags(desire, friction), study.outcome, seed=definition.seed
    )
    cuts = (cut_at(scores.desire, definition.cut[0]), cut_at(scores.friction, definition.cut[1]))
    place = quadrant_of(scores.desire, scores.friction, cuts)
    order = check_order(place, study.outcome)
    how = scan.how(
        definition=definition.model_dump(mode="json", exclude_defaults=True, exclude={"kind"}),
        window=log.window(lo, hi),
        method=text(
            "Logistic model with weights that may not turn against their side, each user scored by models of other "
            "users; cut at the gap nearest to the asked share; effects by Mantel-Haenszel, rates with Wilson intervals"
        ),
        caveats=_caveats(study, scores, desire, friction, order.passed),
    )
    return QuadrantsResult(
        how=how,
        label=definition.shown,
        outcome=f"{definition.outcome.described} ({definition.within})",
        users=len(study.outcome),
        waiting=study.waiting,
        early=study.early,
        proposed=study.proposed,
        signals=_weights(study, desire, friction),
        cuts=cuts,
        slope=scores.slope,
        brier=scores.brier,
        area=scores.area,
        order=order,
        quadrants=tuple(_quadrant(i, place == i, study) for i in range(len(QUADRANTS))),
        groups=_groups(by, study, place),
        plane=_plane(scores, study, place),
        friction_gain=_gain(place, study),
        cards=dict(definition.cards),
        definition=definition,
    )


@dataclass(frozen=True, slots=True)
class _Study:
    """The users that are compared, with the answers about them."""

    desire: tuple[list[Signal], Floats]
    friction: tuple[list[Signal], Floats]
    outcome: Flags
    retained: Floats
    value: Floats
    group: NDArray[np.int64]
    waiting: int
    early: int
    proposed: bool


def _study(
    scan: Scan, definition: QuadrantsDefinition, lo: int, hi: int, by: Breakdown | None, users: Keys | None
) -> _Study:
    lower = -definition.before.microseconds if definition.before is not None else 0
    upper = definition.after.microseconds if definition.after is not None else 1
    within = definition.within.microseconds
    proposed = not definition.desire
    sides = (list(definition.desire), list(definition.friction))
    asked = [Signal(event=name) for name in _possible(scan, definition)] if proposed else [*sides[0], *sides[1]]
    questions = [
        Question(definition.outcome, upper, upper + within),
        Question(definition.outcome, 0, upper),
        *_shown(definition),
    ]
    first = len(questions)
    if proposed:
        questions += signal_questions(asked, lower, upper)
    else:
        questions += [q for side in sides for q in signal_questions(side, lower, upper)]
    rows = ask(scan, questions, start=definition.start, lo=lo, hi=hi, by=by, users=users)
    rows = _required(definition, rows)
    horizon = scan.log.schema.horizon or 0
    over = rows.moments + upper + within <= horizon
    early = (rows.values[:, 1] > 0) & (upper > 1)
    kept = over & ~early
    if not over.any():
        raise DataError(
            text("no outcome can be known yet: the outcome windows of all {n} users end after the last event ({last})",
                 n=f"{len(over):,}", last=scan.log.calendar.local(horizon).isoformat(timespec="minutes")),
            code="UP351",
            hint=text("wait, or ask for an earlier outcome window: now it ends {until} after the start",
                      until=definition.within),
        )  # fmt: skip
    answers = rows.values[:, first:]
    if proposed:
        learn = kept & (halves(rows.users, definition.seed) == 0)
        kept &= ~learn
        names = tuple(s.shown for s in asked)
        found = propose(names, answers[learn] > 0, rows.values[learn, 0] > 0)
        sides = (list(found.desire), list(found.friction))
        split = tuple(answers[:, [names.index(s.shown) for s in side]] for side in sides)
    else:
        size = len(signal_questions(sides[0], lower, upper))
        split = (answers[:, :size], answers[:, size:])
    outcome = rows.values[kept, 0] > 0
    _require_contrast(outcome)
    retained, value = _later(definition, rows, kept, horizon)
    return _Study(
        (sides[0], split[0][kept]), (sides[1], split[1][kept]), outcome, retained, value, rows.group[kept],
        int((~over).sum()), int((over & early).sum()), proposed,
    )  # fmt: skip


def _shown(definition: QuadrantsDefinition) -> list[Question]:
    """Questions that are only shown per quadrant: retention, then value; a question about nothing where not declared."""
    r, v = definition.retention, definition.value
    nothing = Question(definition.outcome, 0, 0)
    return [
        nothing if r is None else Question(r, r.after.microseconds, r.until.microseconds),
        nothing if v is None else Question(v, 0, v.within.microseconds, "sum", v.of),
    ]


def _possible(scan: Scan, definition: QuadrantsDefinition) -> list[str]:
    """Events that may be signals: all but the start, the outcome and what is only shown; the most frequent ones."""
    shown = [m for m in (definition.start, definition.outcome) if m is not None]
    hidden = {name for m in shown for name in m.events or ()}
    events = sorted(scan.log.schema.events.items(), key=lambda item: (-item[1], item[0]))
    return [name for name, _ in events if name not in hidden][:50]


def _required(definition: QuadrantsDefinition, rows: SignalRows | None) -> SignalRows:
    if rows is None or len(rows.users) == 0:
        raise DataError(
            text("nobody has '{event}' in the range", event=definition.start.described),
            code="UP350",
            hint=text("choose another start, or a longer range"),
        )
    return rows


def _require_contrast(outcome: Flags) -> None:
    n, reached = len(outcome), int(outcome.sum())
    if n < FEWEST or min(reached, n - reached) < FEWEST // 5:
        raise DataError(
            text("{n} users with a known outcome, {reached} of whom reached it, are too few to fit anything",
                 n=f"{n:,}", reached=f"{reached:,}"),
            code="UP352",
            hint=text("at least {n} users, {k} with and {k} without the outcome", n=FEWEST, k=FEWEST // 5),
        )  # fmt: skip


def _later(definition: QuadrantsDefinition, rows: SignalRows, kept: Flags, horizon: int) -> tuple[Floats, Floats]:
    """Retention and value of the kept users; NaN where not declared or not over."""
    found = []
    for column, until in (
        (2, None if definition.retention is None else definition.retention.until.microseconds),
        (3, None if definition.value is None else definition.value.within.microseconds),
    ):
        values = np.full(len(rows.users), np.nan)
        if until is not None:
            values = np.where(rows.moments + until <= horizon, rows.values[:, column], np.nan)
        found.append(values[kept])
    return found[0], found[1]


def _flags(desire: Features, friction: Features) -> Floats:
    return np.column_stack([desire.reached, friction.reached])


def _weights(study: _Study, desire: Features, friction: Features) -> tuple[SignalWeight, ...]:
    """Weights of a fit on everybody, for reading; scores are not made with it."""
    signed = np.column_stack([desire.columns, -friction.columns])
    fit = fit_logistic(signed, _flags(desire, friction), study.outcome.astype(np.float64))
    names = [("desire", study.desire[0][i].shown) for i in desire.kept]
    names += [("friction", study.friction[0][i].shown) for i in friction.kept]
    return tuple(SignalWeight(side, name, float(w)) for (side, name), w in zip(names, fit.weights, strict=True))


def _quadrant(index: int, here: Flags, study: _Study) -> Quadrant:
    n = int(here.sum())
    retained, value = study.retained[here], study.value[here]
    known, worth = retained[~np.isnan(retained)], value[~np.isnan(value)]
    reach = 1.96 * float(worth.std(ddof=1)) / math.sqrt(len(worth)) if len(worth) > 1 else float("nan")
    mean = float(worth.mean()) if len(worth) else float("nan")
    return Quadrant(
        name=QUADRANTS[index],
        users=n,
        share=n / len(study.outcome),
        activation=_share(int(study.outcome[here].sum()), n),
        retention=_share(int((known > 0).sum()), len(known)),
        value=Effect(mean, mean - reach, mean + reach),
    )


def _share(k: int, n: int) -> Effect:
    found = wilson_interval(k, n)
    return Effect(float(found.estimate), float(found.lower), float(found.upper))


def _groups(by: Breakdown | None, study: _Study, place: NDArray[np.int64]) -> tuple[QuadrantGroup, ...]:
    if by is None:
        return ()
    codes = np.where(study.group < 0, len(by.groups) - 1, study.group)
    found = []
    for code, name in enumerate(by.groups):
        here = codes == code
        if not here.any():
            continue
        shares = np.bincount(place[here], minlength=len(QUADRANTS)) / here.sum()
        rates = tuple(
            _share(int(study.outcome[here & (place == i)].sum()), int((here & (place == i)).sum())) for i in range(4)
        )
        found.append(QuadrantGroup(name, int(here.sum()), tuple(shares.tolist()), rates,
                                   _share(int(study.outcome[here].sum()), int(here.sum()))))  # fmt: skip
    return tuple(found)


def _plane(scores: Scores, study: _Study, place: NDArray[np.int64]) -> tuple[Cell2D, ...]:
    """Users in bins of both scores, for the picture."""
    wish, hindrance = (_binned(s) for s in (scores.desire, scores.friction))
    found = []
    for code in np.unique(wish * 100 + hindrance):
        here = wish * 100 + hindrance == code
        for index in np.unique(place[here]):
            inside = here & (place == index)
            found.append(Cell2D(float(scores.desire[inside].mean()), float(scores.friction[inside].mean()),
                                int(inside.sum()), float(study.outcome[inside].mean()), QUADRANTS[int(index)]))  # fmt: skip
    return tuple(found)


def _binned(score: Floats) -> NDArray[np.int64]:
    edges = np.unique(np.quantile(score, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.searchsorted(edges, score, side="right").astype(np.int64)


def _gain(place: NDArray[np.int64], study: _Study) -> Effect:
    """How many points activation of willing users with friction would gain if it were that of those without."""
    cells = [(int(study.outcome[place == i].sum()), int((place == i).sum())) for i in (0, 1)]
    found = newcombe_difference(*cells[0], *cells[1])
    return Effect(float(found.estimate), float(found.lower), float(found.upper))


def _caveats(study: _Study, scores: Scores, desire: Features, friction: Features, passed: bool) -> list[Caveat]:
    notes = []
    if not passed:
        notes.append(
            Caveat("order_fails", text("the quadrants do not order activation on users the model has not seen: do not act "
                                       "on them, look for other signals"))
        )  # fmt: skip
    for side in (desire, friction):
        notes += [Caveat("signal_dropped", text("signal {name} left out: it {reason}", name=d.name, reason=d.reason))
                  for d in side.dropped]  # fmt: skip
    if not desire.kept or not friction.kept:
        notes.append(Caveat("one_sided", text("one side has no signal that tells anything: it cannot be cut")))
    if study.proposed:
        notes.append(
            Caveat("proposed", text("signals proposed from the data on the other half of the users: their sign is all that "
                                    "the data can tell; judge each before it is used"))
        )  # fmt: skip
    if scores.area > 0.995:
        notes.append(
            Caveat(
                "separation",
                text("the signals tell the outcome almost perfectly: one of them is probably a part of it"),
            )
        )
    if study.waiting:
        notes.append(
            Caveat("waiting", text("{n} users left out: their outcome window is not over yet", n=f"{study.waiting:,}"))
        )
    if study.early:
        notes.append(
            Caveat(
                "early",
                text("{n} users left out: they activated while signals were still looked for", n=f"{study.early:,}"),
            )
        )
    return notes
