"""Existing users: which of motivation, ability and trigger limits a behaviour, for whom, and what raising it is worth."""

from __future__ import annotations

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
from upswing.spec.behaviour import FACTORS, BehaviourDefinition, Factor
from upswing.spec.steps import EventMatch
from upswing.strategy.behaviour_model import FactorModel, Gain, fit_factors, gains_with_intervals
from upswing.strategy.behaviour_result import (
    BehaviourGroup,
    BehaviourResult,
    Calibration,
    FactorLevel,
    FactorSignal,
    PlaneCell,
)  # fmt: skip
from upswing.strategy.features import Dropped, Features, Question, ask, features, signal_questions

Moment = str | date | datetime | None
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

FEWEST: Final = 50
"""Users needed, and a tenth of them with the behaviour."""
_MOST_GROUPS: Final = 8
_BINS: Final = 5
_TOGETHER: Final = 0.6
_CAP: Final = 0.995


def behaviour(
    log: EventLog,
    definition: BehaviourDefinition,
    *,
    start: Moment = None,
    stop: Moment = None,
    users: Keys | None = None,
) -> BehaviourResult:
    """Model a behaviour as motivation × ability × trigger and say what limits whom.

    Signals are read before a moment, the behaviour is counted after it. The moment is the latest local midnight that
    leaves the whole time to count, or with `joined` a fixed time after each user's own joining. See
    `upswing.strategy.behaviour_model` for the model and what it cannot tell.

    Args:
        log: the event log.
        definition: target and signals.
        start: first moment of joining; without `joined` it has no meaning.
        stop: end of the time in which the behaviour is counted, or of joining; the last event if absent.
        users: sorted user keys to keep; None = all.

    Raises:
        UsageError: UP302 an event that never occurs, UP301 no such property, UP655 too many signals.
        DataError: UP350 nobody is an existing user then, UP352 too few users, or too few with the behaviour.
    """
    scan = Scan(log)
    look = _look(log, definition, start, stop)
    by = None
    if definition.by is not None:
        by = breakdown_by(
            scan, definition.by, look.chooses, start=look.start, stop=look.stop, limit=_MOST_GROUPS, users=users
        )
    study = _study(scan, definition, look, by, users)
    model = fit_factors(study.columns, study.owner, study.free, study.counts, good=definition.good)
    groups = _groups(by, study)
    gains = gains_with_intervals(
        model, study.columns, study.free, [g for _, g in groups], good=definition.good, seed=definition.seed
    )
    how = scan.how(
        definition=definition.model_dump(mode="json", exclude_defaults=True, exclude={"kind"}),
        window=log.window(look.start, look.stop),
        method=text(
            "Mean target events = exp(c) · M · A · T, weights of signals not below 0, Poisson quasi-likelihood with robust "
            "errors; a factor's gain is what users below its good level would do more at that level; intervals from "
            "draws of the weights"
        ),
        caveats=_caveats(definition, model, study),
    )
    return BehaviourResult(
        how=how,
        name=definition.name,
        label=definition.shown,
        target=definition.target.described,
        ahead=definition.ahead,
        by=definition.by,
        users=len(study.counts),
        mean=float(study.counts.mean()),
        signals=_signals(definition, study, model),
        whole=_group(None, groups[0][1], gains[0], study, model),
        groups=tuple(_group(n, g, s, study, model) for (n, g), s in zip(groups[1:], gains[1:], strict=True)),
        correlation=tuple(tuple(float(x) for x in row) for row in model.correlation),
        interaction=model.interaction,
        calibration=_calibration(model, study),
        plane=_plane(model, study),
        action_line=_action_line(model),
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """When users are looked at: who is chosen, the one moment of all (None: each their own), windows around it in µs."""

    chooses: EventMatch
    start: int
    stop: int
    moment: int | None
    begin: int
    middle: int
    end: int


def _look(log: EventLog, definition: BehaviourDefinition, start: Moment, stop: Moment) -> _Look:
    back, ahead = definition.back.microseconds, definition.ahead.microseconds
    if definition.joined is not None:
        lo, hi = log.resolve_range(start, stop)
        middle = definition.settled.microseconds
        return _Look(definition.joined, lo, hi, None, middle - back, middle, middle + ahead)
    first, hi = log.resolve_range(None, stop)
    moment = max(log.calendar.floor(hi - ahead, "day"), first)
    return _Look(definition.who or definition.target, moment - back, moment, moment, -back, 0, ahead)


@dataclass(frozen=True, slots=True)
class _Study:
    """Existing users: their signals as columns, what belongs to which factor, and what they did afterwards."""

    columns: Floats
    owner: NDArray[np.int64]
    kept: tuple[tuple[int, ...], ...]
    free: Floats
    counts: Floats
    group: NDArray[np.int64]
    waiting: int
    dropped: tuple[Dropped, ...]


def _study(
    scan: Scan, definition: BehaviourDefinition, look: _Look, by: Breakdown | None, users: Keys | None
) -> _Study:
    sides = [getattr(definition, factor) for factor in FACTORS]
    parts = [signal_questions(side, look.begin, look.middle) for side in sides]
    questions = [Question(definition.target, look.middle, look.end, "count"), *(q for p in parts for q in p)]
    rows = ask(scan, questions, start=look.chooses, lo=look.start, hi=look.stop, moment=look.moment, by=by, users=users)
    if rows is None or len(rows.users) == 0:
        raise DataError(
            text("nobody has '{event}' in the range", event=look.chooses.described),
            code="UP350",
            hint=text("choose another start, or a longer range"),
        )
    over = rows.moments + look.end <= (scan.log.schema.horizon or 0) + 1
    counts = rows.values[over, 0]
    acted = int((counts > 0).sum())
    if len(counts) < FEWEST or acted < FEWEST // 10:
        raise DataError(
            text("{n} users with a known outcome, {reached} of whom reached it, are too few to fit anything",
                 n=f"{len(counts):,}", reached=f"{acted:,}"),
            code="UP352",
            hint=text("at least {n} users, {k} with and {k} without the outcome", n=FEWEST, k=FEWEST // 10),
        )  # fmt: skip
    counts = np.minimum(counts, np.quantile(counts[counts > 0], _CAP))
    made: list[Features] = []
    at = 1
    for side, part in zip(sides, parts, strict=True):
        made.append(features(side, rows.values[over, at : at + len(part)]))
        at += len(part)
    return _Study(
        columns=np.column_stack([m.columns for m in made]),
        owner=np.concatenate([np.full(len(m.kept), f, np.int64) for f, m in enumerate(made)]),
        kept=tuple(m.kept for m in made),
        free=np.column_stack([m.reached for m in made]),
        counts=counts,
        group=rows.group[over],
        waiting=int((~over).sum()),
        dropped=tuple(d for m in made for d in m.dropped),
    )


def _groups(by: Breakdown | None, study: _Study) -> list[tuple[str, Flags]]:
    """Everybody first, then each group with users."""
    groups = [("", np.ones(len(study.counts), np.bool_))]
    if by is not None:
        codes = np.where(study.group < 0, len(by.groups) - 1, study.group)
        groups += [(name, codes == code) for code, name in enumerate(by.groups) if (codes == code).any()]
    return groups


def _group(name: str | None, here: Flags, gains: tuple[Gain, ...], study: _Study, model: FactorModel) -> BehaviourGroup:
    limiting = model.limiting()[here]
    levels = np.exp(model.levels[here])
    n = int(here.sum())
    factors = tuple(
        FactorLevel(
            factor=factor,
            level=float(np.exp(model.levels[here, f].mean())),
            median=float(np.median(levels[:, f])),
            below=float((model.levels[here, f] < model.good[f] - 1e-9).mean()),
            limits=float((limiting == f).mean()),
            gain=gains[f],
        )
        for f, factor in enumerate(FACTORS)
    )
    return BehaviourGroup(name, n, float(study.counts[here].mean()), factors)


def _signals(definition: BehaviourDefinition, study: _Study, model: FactorModel) -> tuple[FactorSignal, ...]:
    names: list[tuple[Factor, str]] = []
    for factor, kept in zip(FACTORS, study.kept, strict=True):
        names += [(factor, getattr(definition, factor)[i].shown) for i in kept]
    covariance = model.fit.covariance
    assert covariance is not None
    errors = np.sqrt(np.diag(covariance))[1 : 1 + len(names)]
    return tuple(
        FactorSignal(factor, name, float(w), max(0.0, float(w - 1.96 * e)), float(w + 1.96 * e))
        for (factor, name), w, e in zip(names, model.fit.weights, errors, strict=True)
    )


def _calibration(model: FactorModel, study: _Study) -> tuple[Calibration, ...]:
    """Expected against seen, by tenths of the expected number."""
    tenth = np.searchsorted(np.unique(np.quantile(model.mean, np.linspace(0, 1, 11)[1:-1])), model.mean, side="right")
    return tuple(
        Calibration(
            int((tenth == t).sum()), float(model.mean[tenth == t].mean()), float(study.counts[tenth == t].mean())
        )
        for t in np.unique(tenth)
    )


def _plane(model: FactorModel, study: _Study) -> tuple[PlaneCell, ...]:
    """Users by ability and motivation, those with a trigger above the middle apart from the others."""
    bins = []
    for f in (0, 1):
        edges = np.unique(np.quantile(model.levels[:, f], np.linspace(0, 1, _BINS + 1)[1:-1]))
        bins.append(np.searchsorted(edges, model.levels[:, f], side="right"))
    triggered = model.levels[:, 2] > 0
    code = (bins[0] * 10 + bins[1]) * 2 + triggered
    found = []
    for c in np.unique(code):
        here = code == c
        motivation, ability = (float(np.exp(model.levels[here, f].mean())) for f in (0, 1))
        acted = float((study.counts[here] > 0).mean())
        found.append(
            PlaneCell(ability, motivation, int(here.sum()), acted, float(study.counts[here].mean()), bool(c % 2))
        )
    return tuple(found)


def _action_line(model: FactorModel) -> tuple[tuple[float, float], ...]:
    """Ability and motivation at which a well triggered user does what the mean user does: exp(c) · M · A · T = mean."""
    level = model.mean / np.exp(model.levels.sum(axis=1))
    needed = float(model.mean.mean()) / (float(np.exp(np.log(level).mean())) * float(np.exp(model.good[2])))
    low, high = np.quantile(model.levels[:, 1], [0.02, 0.98])
    ability = np.exp(np.linspace(float(low), float(high), 25))
    if ability[-1] - ability[0] < 1e-9:
        return ()
    return tuple((float(a), float(needed / a)) for a in ability)


def _caveats(definition: BehaviourDefinition, model: FactorModel, study: _Study) -> list[Caveat]:
    notes = [
        Caveat("observed", text("levels are read from behaviour: a gain is what users at a good level do more, not what "
                                "moving users there would cause; test it")),
    ]  # fmt: skip
    notes.append(
        Caveat("triggers_before", text("triggers, messages received among them, are those of the {back} before; what is "
                                       "received while the behaviour is counted is not in the model, since whoever is more "
                                       "active may be sent more", back=definition.back))
    )  # fmt: skip
    notes += [
        Caveat("signal_dropped", text("signal {name} left out: it {reason}", name=d.name, reason=d.reason))
        for d in study.dropped
    ]
    target = set(definition.target.events or ())
    for factor in FACTORS[:2]:
        for signal in getattr(definition, factor):
            if target & set(signal.events or ()):
                notes.append(
                    Caveat("own_history", text("signal {name} is the target's own past: it holds the effect of all three "
                                               "factors and leaves little to the others", name=signal.shown))
                )  # fmt: skip
    if study.waiting:
        notes.append(
            Caveat("waiting", text("{n} users left out: their outcome window is not over yet", n=f"{study.waiting:,}"))
        )
    for f, told in enumerate(model.told):
        if not told:
            notes.append(
                Caveat("factor_untold", text("no signal of {factor} tells anything: its gain is not known, and not zero",
                                             factor=FACTORS[f]))
            )  # fmt: skip
    for a, b in ((0, 1), (0, 2), (1, 2)):
        r = float(model.correlation[a, b])
        if abs(r) > _TOGETHER:
            message = text("{a} and {b} go together (correlation {r}): which of them limits cannot be told apart",
                           a=FACTORS[a], b=FACTORS[b], r=f"{r:.2f}")  # fmt: skip
            notes.append(Caveat("together", message))
    if model.interaction < 0.01:
        notes.append(
            Caveat("not_multiplicative", text("the factors do not simply multiply (p = {p}): gains of users far from the "
                                              "average are rough", p=f"{model.interaction:.2g}"))
        )  # fmt: skip
    if model.fit.status != "ok":
        notes.append(Caveat("not_converged", text("the fit did not settle")))
    return notes
