"""What a hypothesis is worth: ICE, RICE, and the expected value per day of traffic, learned from what came out before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from upswing.spec.hypothesis import HypothesisDefinition
from upswing.stats.bayes import Prior, fit_prior, normal_prior, posterior
from upswing.stats.value_of_testing import three_point_moments, value_of_testing
from upswing.strategy.calibration import Calibration, EndedExperiment

WEEKS: Final = tuple(range(1, 9))
"""Lengths of a test that are compared, in whole weeks: shorter ones miss the days of the week."""
_FEWEST: Final = 5
"""Ended experiments from which on the next effect can be foreseen."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What is to be expected of one hypothesis. A figure is None where what it needs is not written down.

    Attributes:
        ice: impact × confidence × ease, each 1 to 10 (confidence is the probability × 10).
        rice: reach × impact × confidence ÷ cost (users per week × 1 to 10 × probability ÷ person-days).
        effect: expected relative effect, after the forecaster's record and past experiments.
        effect_sd: its standard deviation, if the lever works.
        days: length of the test that gains most per day.
        ships: probability that it ends in shipping.
        gain: expected gain over the horizon: units of the metric (or of `worth`).
        per_day: gain per day of traffic.
        net: gain less cost, where both are in money.
        needs: what is missing for `per_day`: keys of the hypothesis.
    """

    ice: float | None
    rice: float | None
    effect: float | None
    effect_sd: float | None
    days: int | None
    ships: float | None
    gain: float | None
    per_day: float | None
    net: float | None
    needs: tuple[str, ...]


def judge(
    hypothesis: HypothesisDefinition,
    *,
    calibration: Calibration,
    ended: Sequence[EndedExperiment] = (),
    baseline: float | None = None,
    better: Literal["up", "down"] = "up",
    horizon_weeks: int = 26,
    day_cost: float | None = None,
) -> Worth:
    """What one hypothesis is worth.

    The forecast's three points give a mean and a standard deviation (30-40-30 rule). The forecaster's record corrects the
    mean for bias and widens it by the errors seen; the effects of ended experiments on the same metric, if there are
    enough, are the prior that it is combined with. A test of two equal arms over 1 to 8 whole weeks ships when its
    estimate exceeds 1.96 standard errors; the length with the largest expected gain per day is chosen.

    Args:
        hypothesis: what is proposed.
        calibration: the record of its forecaster, or of everybody.
        ended: ended experiments, for the prior.
        baseline: the metric today, where the hypothesis does not say.
        better: which way of the metric is good; a fall is a gain where it is ``down``.
        horizon_weeks: weeks over which a shipped effect is counted.
        day_cost: money per person-day, for `net`.
    """
    ice = _product(hypothesis.impact, _times_ten(hypothesis.confidence), hypothesis.ease)
    reached = _product(hypothesis.reach, hypothesis.impact, hypothesis.confidence)
    rice = None if reached is None or not hypothesis.cost else reached / hypothesis.cost
    level = hypothesis.baseline if hypothesis.baseline is not None else baseline
    deviation = _deviation(hypothesis, level)
    missing = {
        "forecast": hypothesis.forecast is None, "baseline": level is None or level <= 0,
        "deviation": level is not None and level > 0 and deviation is None, "reach": hypothesis.reach is None,
    }  # fmt: skip
    needs = tuple(key for key, lacking in missing.items() if lacking)
    foreseen = _foreseen(hypothesis, level, calibration, ended)
    effect, spread = foreseen if foreseen is not None else (None, None)
    works = 1.0 if hypothesis.confidence is None else hypothesis.confidence
    expected = None if effect is None else works * effect
    if needs or effect is None or spread is None or level is None or deviation is None or hypothesis.reach is None:
        return Worth(ice, rice, expected, spread, None, None, None, None, None, needs)
    users = hypothesis.reach * np.array(WEEKS)
    noise = 2 * deviation / np.sqrt(users) / abs(level)  # two arms of users / 2 each, relative to the baseline
    value = value_of_testing(effect if better == "up" else -effect, spread, noise, works=works)
    unit = abs(level) * hypothesis.reach * horizon_weeks * (hypothesis.worth or 1.0)
    gains, days = np.asarray(value.gain) * unit, np.array(WEEKS) * 7
    best = int(np.argmax(gains / days))
    gain = float(gains[best])
    costs = (
        None if day_cost is None or hypothesis.cost is None or hypothesis.worth is None else day_cost * hypothesis.cost
    )
    return Worth(
        ice, rice, expected, spread, int(days[best]), float(np.asarray(value.ships)[best]), gain,
        float(gain / days[best]), None if costs is None else gain - costs, (),
    )  # fmt: skip


def prior_of(ended: Sequence[EndedExperiment], metric: str | None) -> Prior | None:
    """What ended experiments say about the next relative effect: on the same metric if there are enough, else on all.

    It is the predictive distribution: the spread of true effects, and how well their mean is known.
    """
    same = [e for e in ended if e.metric == metric]
    for found in (same, list(ended)):
        if len(found) >= _FEWEST:
            noise = np.array([e.se for e in found])
            learned = fit_prior([e.effect for e in found], noise)
            spread = float(learned.sds[0])
            of_mean = 1 / np.sqrt(float(np.sum(1 / (noise**2 + spread**2))))
            return normal_prior(float(learned.means[0]), float(np.hypot(spread, of_mean)))
    return None


def needed_users(hypothesis: HypothesisDefinition, baseline: float | None = None) -> int | None:
    """Users in both arms that find the likely effect four times in five at the 5 % level; None where it cannot be said."""
    from upswing.stats.power import sample_size

    level = hypothesis.baseline if hypothesis.baseline is not None else baseline
    deviation = _deviation(hypothesis, level)
    if hypothesis.forecast is None or level is None or deviation is None:
        return None
    relative = hypothesis.forecast.scale == "relative"
    effect = abs(hypothesis.forecast.likely * (level if relative else 1.0))
    if effect == 0:
        return None
    return int(np.ceil(float(sample_size(effect, deviation**2).total)))


def _foreseen(
    hypothesis: HypothesisDefinition, level: float | None, calibration: Calibration, ended: Sequence[EndedExperiment]
) -> tuple[float, float] | None:
    """Mean and standard deviation of the relative effect if the lever works."""
    forecast = hypothesis.forecast
    if forecast is None or (forecast.scale == "absolute" and not level):
        return None
    unit = 1.0 if forecast.scale == "relative" else abs(level or 1.0)
    mean, sd = three_point_moments(forecast.low / unit, forecast.likely / unit, forecast.high / unit)
    record = calibration.of(forecast.by)
    centre = float(mean) - (record.bias or 0.0)
    spread = float(np.hypot(float(sd), record.extra_sd or 0.0))
    prior = prior_of(ended, hypothesis.metric)
    if prior is None or spread == 0:
        return centre, spread
    both = posterior(centre, spread, prior=prior)
    return float(both.mean), float(both.sd)


def _deviation(hypothesis: HypothesisDefinition, level: float | None) -> float | None:
    if hypothesis.deviation is not None:
        return hypothesis.deviation
    if level is None or not 0 < level < 1:
        return None
    return float(np.sqrt(level * (1 - level)))


def _times_ten(share: float | None) -> float | None:
    return None if share is None else 10 * share


def _product(*factors: float | None) -> float | None:
    known = [f for f in factors if f is not None]
    return float(np.prod(known)) if len(known) == len(factors) else None
