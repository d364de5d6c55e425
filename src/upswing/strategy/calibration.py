"""Forecasts against results: how well each forecaster, and each kind of source, has foreseen effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from upswing.spec.hypothesis import Forecast, HypothesisDefinition, Outcome
from upswing.stats.proportions import wilson_interval
from upswing.stats.value_of_testing import three_point_moments

NOMINAL: Final = 0.8
"""Share of results that should lie between the low and the high point of a forecast."""
_FEWEST: Final = 5
"""Decided hypotheses from which on a forecaster's own record is used."""


@dataclass(frozen=True, slots=True)
class EndedExperiment:
    """What an ended experiment found: the place where the experiments room plugs in.

    Args:
        name: of the experiment or hypothesis.
        metric: what it moved.
        effect: estimated relative effect.
        se: its standard error.
        forecast: what had been expected, if anything was.
    """

    name: str
    metric: str | None
    effect: float
    se: float
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """How a group of forecasts compares with results, in relative effects.

    Attributes:
        who: forecaster or source; "" is everybody.
        n: decided forecasts.
        inside: results between the low and the high point.
        inside_lower: Wilson limits of the share inside.
        inside_upper: likewise.
        bias: mean of forecast less result, shrunk towards 0 by its own noise; positive = too hopeful. None below five
            results: too few to tell.
        extra_sd: spread of the errors beyond what forecasts and standard errors explain; None as with `bias`.
        sign: share of results with the forecast's sign.
    """

    who: str
    n: int
    inside: int
    inside_lower: float | None
    inside_upper: float | None
    bias: float | None
    extra_sd: float | None
    sign: float | None

    @property
    def share_inside(self) -> float | None:
        """Share of results between the low and the high point; 0.8 is right."""
        return self.inside / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Records by forecaster and by source, and of everybody."""

    everybody: Record
    people: Mapping[str, Record] = field(default_factory=dict)
    sources: Mapping[str, Record] = field(default_factory=dict)

    def of(self, forecaster: str | None) -> Record:
        """The record to correct a forecast by: the forecaster's own when it is long enough, else everybody's, else
        none."""
        for found in (self.people.get(forecaster or ""), self.everybody):
            if found is not None and found.n >= _FEWEST:
                return found
        return Record("", 0, 0, None, None, None, None, None)


def calibrate(hypotheses: Sequence[HypothesisDefinition], ended: Sequence[EndedExperiment] = ()) -> Calibration:
    """Compare every forecast that has a result with it.

    Args:
        hypotheses: the backlog; those with an outcome count.
        ended: further ended experiments with forecasts.
    """
    made = [
        _Pair.of(h.forecast, _unit_of(h), _relative(h.outcome.effect, h), _relative(h.outcome.se, h))
        for h in hypotheses
        if h.forecast is not None and h.outcome is not None and _unit(h) is not None
    ]
    made += [_Pair.of(e.forecast, 1.0, e.effect, e.se) for e in ended if e.forecast is not None]
    people = sorted({p.by for p in made if p.by})
    sources = sorted({p.source for p in made})
    return Calibration(
        everybody=_record("", made),
        people={who: _record(who, [p for p in made if p.by == who]) for who in people},
        sources={source: _record(source, [p for p in made if p.source == source]) for source in sources},
    )


def ended_of(hypotheses: Sequence[HypothesisDefinition]) -> list[EndedExperiment]:
    """The backlog's own results as ended experiments, in relative effects."""
    return [
        EndedExperiment(h.name, h.metric, _relative(outcome.effect, h), _relative(outcome.se, h), h.forecast)
        for h, outcome in ((h, h.outcome) for h in hypotheses)
        if isinstance(outcome, Outcome) and _unit(h) is not None
    ]


@dataclass(frozen=True, slots=True)
class _Pair:
    by: str
    source: str
    low: float
    high: float
    mean: float
    sd: float
    effect: float
    se: float

    @classmethod
    def of(cls, forecast: Forecast, unit: float, effect: float, se: float) -> _Pair:
        scale = 1.0 if forecast.scale == "relative" else unit
        low, likely, high = (x / scale for x in (forecast.low, forecast.likely, forecast.high))
        mean, sd = three_point_moments(low, likely, high)
        return cls(forecast.by or "", forecast.source, low, high, float(mean), float(sd), effect, se)


def _record(who: str, pairs: Sequence[_Pair]) -> Record:
    n = len(pairs)
    if n == 0:
        return Record(who, 0, 0, None, None, None, None, None)
    errors = np.array([p.mean - p.effect for p in pairs])
    bias = _shrunk(float(errors.mean()), float(errors.var(ddof=1)) / n) if n >= _FEWEST else None
    explained = np.array([p.sd**2 + p.se**2 for p in pairs])
    beyond = float(np.mean((errors - errors.mean()) ** 2) * n / max(1, n - 1) - explained.mean())
    inside = sum(p.low <= p.effect <= p.high for p in pairs)
    limits = wilson_interval(inside, n)
    signed = [p for p in pairs if p.mean != 0]
    return Record(
        who, n, inside, float(limits.lower), float(limits.upper), bias,
        float(np.sqrt(max(0.0, beyond))) if n >= _FEWEST else None,
        float(np.mean([p.mean * p.effect > 0 for p in signed])) if signed else None,
    )  # fmt: skip


def _shrunk(mean: float, variance: float) -> float:
    """The positive-part James–Stein estimate: a bias that could be chance is mostly not corrected for."""
    return mean * max(0.0, 1 - variance / mean**2) if mean else 0.0


def _unit(hypothesis: HypothesisDefinition) -> float | None:
    """What an effect is divided by to be relative; None where an absolute effect has no baseline."""
    scale = hypothesis.forecast.scale if hypothesis.forecast is not None else "relative"
    if scale == "relative":
        return 1.0
    return abs(hypothesis.baseline) if hypothesis.baseline else None


def _unit_of(hypothesis: HypothesisDefinition) -> float:
    return _unit(hypothesis) or 1.0


def _relative(value: float, hypothesis: HypothesisDefinition) -> float:
    return value / _unit_of(hypothesis)
