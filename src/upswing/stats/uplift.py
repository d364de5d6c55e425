"""Who reacts to the treatment: learners of the effect, and honest tests whether they learned anything.

Needs randomised data. Judge a model on users it has not seen; refuse to personalise when the interval of RATE
covers 0, and keep an exploration slice so that the next model can be judged too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, IntArray, Seed, fraction, generator, one_of, vector
from upswing.stats.crossfit import Predictor, Regressor, folds, matrix, ridge
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, InvalidInput

Weighting: TypeAlias = Literal["autoc", "qini"]
Learner: TypeAlias = Literal["t", "x", "dr"]


@dataclass(frozen=True, slots=True)
class GainCurve:
    """Incremental outcome when the best-ranked users are treated first.

    Attributes:
        users: users treated, shape (n_points,), from 0 on; tied scores are one step.
        gain: incremental outcomes up to there, shape (n_points,).
        area: normalised area: 0 for a random, 1 for a perfect ranking; NaN where no ranking could be better.
        lower: lower percentile limit of the area; NaN without resamples.
        upper: upper one.
        confidence: nominal coverage of that interval.
        method: "qini" or "uplift".
        status: "ok" or "not_enough_data" (nobody in one of the arms: gain and area are NaN).
    """

    users: FloatArray
    gain: FloatArray
    area: float
    lower: float
    upper: float
    confidence: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class Rate:
    """Rank-weighted average treatment effect: how much better the ranking is than chance.

    Attributes:
        estimate: RATE; 0 when the ranking says nothing.
        se: standard error (half-sample bootstrap).
        lower: lower limit.
        upper: upper limit.
        p_value: two-sided, of "the ranking says nothing".
        share: shares of users treated at which the curve was read, shape (n_points,).
        toc: targeting operator characteristic: mean effect among the best-ranked share, less the mean effect.
        confidence: nominal coverage.
        method: "autoc" or "qini".
        status: "ok" or "not_enough_data".
    """

    estimate: float
    se: float
    lower: float
    upper: float
    p_value: float
    share: FloatArray
    toc: FloatArray
    confidence: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class UpliftBins:
    """Observed effect by predicted uplift, best bin first.

    Attributes:
        predicted: mean score in each bin, shape (n_bins,).
        observed: treatment mean less control mean; NaN where an arm is empty.
        se: standard error.
        lower: lower limit.
        upper: upper limit.
        n: users.
        confidence: nominal coverage.
        method: "difference_of_means".
    """

    predicted: FloatArray
    observed: FloatArray
    se: FloatArray
    lower: FloatArray
    upper: FloatArray
    n: IntArray
    confidence: float
    method: str


def estimate_uplift(
    features: ArrayLike,
    outcome: ArrayLike,
    treated: ArrayLike,
    *,
    learner: Learner = "dr",
    regressor: Regressor | None = None,
    propensity: float | None = None,
    k: int = 5,
    rng: Seed = 0,
) -> FloatArray:
    """Predict each user's uplift by models that have not seen the user.

    Args:
        features: known before exposure, shape (n, n_features).
        outcome: shape (n,).
        treated: 1 or 0, shape (n,), randomised.
        learner: "t": two outcome models; "x": imputed effects, good for unequal arms; "dr": regression on doubly
            robust scores, the default.
        regressor: any learner (see `crossfit.Regressor`); ridge regression by default.
        propensity: share treated by design; by default the observed one.
        k: folds.
        rng: seed or generator.

    Returns:
        Out-of-fold predicted effect, shape (n,).

    References:
        Künzel, Sekhon, Bickel, Yu (2019), PNAS 116:4156-4165 (T, X); Kennedy (2023), EJS 17:3008-3049 (DR).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x, w = rng.normal(size=(2000, 1)), rng.integers(0, 2, 2000)
        >>> y = x[:, 0] * w + rng.normal(size=2000)
        >>> predicted = estimate_uplift(x, y, w)
        >>> bool(np.corrcoef(predicted, x[:, 0])[0, 1] > 0.95)
        True
    """
    one_of("learner", learner, ("t", "x", "dr"))
    table = matrix("features", features)
    y, w = _outcome_and_arm(outcome, treated, table.shape[0])
    model = regressor or ridge()
    share = float(w.mean()) if propensity is None else fraction("propensity", propensity)
    random = generator(rng)
    number = folds(y.size, k, random)
    result = np.empty(y.size)
    for fold in range(k):
        held, kept = number == fold, number != fold
        for arm in (w[kept], 1 - w[kept]):
            if arm.sum() < 2:
                raise InvalidInput("a fold has fewer than 2 users in one arm", hint="use fewer folds")
        result[held] = _fit_uplift(learner, table[kept], y[kept], w[kept], share, model, random)(table[held])
    return result


def doubly_robust_scores(
    features: ArrayLike, outcome: ArrayLike, treated: ArrayLike, *, regressor: Regressor | None = None,
    propensity: float | None = None, k: int = 5, rng: Seed = 0,
) -> FloatArray:  # fmt: skip
    """Return cross-fitted AIPW scores: unbiased, noisy measurements of each user's effect; their mean is the ATE.

    References:
        Robins, Rotnitzky, Zhao (1994); Athey, Wager (2021), Econometrica 89:133-161, formula 9.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x, w = rng.normal(size=(4000, 2)), rng.integers(0, 2, 4000)
        >>> scores = doubly_robust_scores(x, x[:, 0] + 2.0 * w, w, propensity=0.5)
        >>> round(float(scores.mean()), 2)
        2.0
    """
    table = matrix("features", features)
    y, w = _outcome_and_arm(outcome, treated, table.shape[0])
    model = regressor or ridge()
    share = float(w.mean()) if propensity is None else fraction("propensity", propensity)
    number = folds(y.size, k, rng)
    scores = np.empty(y.size)
    for fold in range(k):
        held, kept = number == fold, number != fold
        one = model(table[kept & (w == 1)], y[kept & (w == 1)])(table[held])
        zero = model(table[kept & (w == 0)], y[kept & (w == 0)])(table[held])
        scores[held] = _aipw(y[held], w[held], one, zero, share)
    return scores


def gain_curve(
    outcome: ArrayLike,
    score: ArrayLike,
    treated: ArrayLike,
    *,
    method: Literal["qini", "uplift"] = "qini",
    resamples: int = 0,
    confidence: float = 0.95,
    rng: Seed = 0,
) -> GainCurve:
    """Return the Qini or uplift curve and its normalised area.

    Args:
        outcome: 0 or 1, shape (n,).
        score: predicted uplift, shape (n,); higher is treated first.
        treated: 1 or 0, shape (n,).
        method: "qini": extra responders among the treated, control rescaled to their number; "uplift": difference of
            response rates times users.
        resamples: bootstrap resamples of users for the interval of the area; 0 for none.
        confidence: nominal coverage of that interval.
        rng: seed or generator.

    Raises:
        InvalidInput: outcome other than 0 and 1.

    References:
        Radcliffe (2007), Direct Marketing Analytics Journal 1:14-21; Devriendt, Guns, Verbeke (2020), arXiv
        2002.05897, for the best possible curve.

    Examples:
        >>> gain_curve([1, 0], [0.1, 0.3], [0, 1], method="uplift").area
        1.0
    """
    one_of("method", method, ("qini", "uplift"))
    tail = (1 - fraction("confidence", confidence)) / 2
    y, w = _outcome_and_arm(outcome, treated, None)
    s = vector("score", score, size=y.size)
    if y.size == 0 or not np.isin(y, (0.0, 1.0)).all():
        raise InvalidInput("outcome must be 0 or 1 for at least one user", hint="use rate() for other outcomes")
    users, gain = _curve(y, s, w, method)
    lower = upper = np.nan
    if not 0 < w.sum() < w.size:
        gap = np.full(gain.shape, np.nan)
        return GainCurve(users, gap, np.nan, np.nan, np.nan, confidence, method, NOT_ENOUGH_DATA)
    if resamples:
        random = generator(rng)
        drawn = [random.integers(0, y.size, y.size) for _ in range(resamples)]
        areas = np.array([_area(y[d], s[d], w[d], method) for d in drawn])
        lower, upper = (float(limit) for limit in np.nanquantile(areas, [tail, 1 - tail]))
    return GainCurve(users, gain, _area(y, s, w, method), lower, upper, confidence, method, OK)


def rate(
    score: ArrayLike, effect_scores: ArrayLike, *, weighting: Weighting = "autoc", confidence: float = 0.95,
    resamples: int = 500, rng: Seed = 0,
) -> Rate:  # fmt: skip
    """Test whether a ranking finds those who react most.

    Args:
        score: priority of each user, from a model fitted on other users, shape (n,).
        effect_scores: unbiased measurements of each user's effect: `doubly_robust_scores`, or in a plain experiment
            (treated / p - (1 - treated) / (1 - p)) × outcome.
        weighting: "autoc" looks at the very best users, "qini" at all of them.
        confidence: nominal coverage.
        resamples: half-sample bootstrap draws for the standard error.
        rng: seed or generator.

    References:
        Yadlowsky, Fleming, Shah, Brunskill, Wager (2021), arXiv 2111.07966: definition 1, formulas 2.5-2.6,
        half-sample bootstrap of section 3.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> effect = rng.normal(size=2000)
        >>> found = rate(effect, effect + rng.normal(0, 3, 2000), resamples=200)
        >>> found.lower > 0
        True
    """
    one_of("weighting", weighting, ("autoc", "qini"))
    tail = (1 - fraction("confidence", confidence)) / 2
    gamma = vector("effect_scores", effect_scores)
    s = vector("score", score, size=gamma.size)
    n = gamma.size
    if n < 20:
        nothing = np.full(0, np.nan)
        return Rate(*(np.nan,) * 5, nothing, nothing, confidence, weighting, NOT_ENOUGH_DATA)
    estimate, toc = _rate(s, gamma, weighting)
    random = generator(rng)
    half = n // 2
    draws = np.array(
        [_rate(s[p], gamma[p], weighting)[0] for p in (random.permutation(n)[:half] for _ in range(resamples))]
    )
    # half-samples without replacement have the variance of the full sample
    se = float(draws.std(ddof=1)) * float(np.sqrt(half / (n - half)))
    reach = float(distributions.norm.isf(tail)) * se
    p_value = float(2 * distributions.norm.sf(abs(estimate) / se)) if se > 0 else np.nan
    return Rate(
        estimate, se, estimate - reach, estimate + reach, p_value, np.arange(1, n + 1) / n, toc, confidence,
        weighting, OK,
    )  # fmt: skip


def uplift_bins(
    outcome: ArrayLike, score: ArrayLike, treated: ArrayLike, *, bins: int = 10, confidence: float = 0.95
) -> UpliftBins:
    """Return the observed effect by decile of predicted uplift: the calibration of a model.

    Args:
        outcome: shape (n,).
        score: predicted uplift, shape (n,).
        treated: 1 or 0, shape (n,).
        bins: number of bins of equal size.
        confidence: nominal coverage of the Welch-type normal intervals.

    Examples:
        >>> result = uplift_bins([1.0, 0.0, 1.0, 1.0], [0.9, 0.8, 0.1, 0.2], [1, 0, 1, 0], bins=2)
        >>> result.observed
        array([1., 0.])
    """
    y, w = _outcome_and_arm(outcome, treated, None)
    s = vector("score", score, size=y.size)
    if bins < 1 or bins > max(y.size, 1):
        raise InvalidInput(f"{bins} bins for {y.size} users")
    number = np.empty(y.size, dtype=np.int64)
    number[np.argsort(-s, kind="stable")] = np.arange(y.size) * bins // max(y.size, 1)
    predicted, observed, se = np.full(bins, np.nan), np.full(bins, np.nan), np.full(bins, np.nan)
    for i in range(bins):
        inside = number == i
        one, zero = y[inside & (w == 1)], y[inside & (w == 0)]
        predicted[i] = s[inside].mean()
        if one.size and zero.size:
            observed[i] = one.mean() - zero.mean()
        if one.size > 1 and zero.size > 1:
            se[i] = np.sqrt(one.var(ddof=1) / one.size + zero.var(ddof=1) / zero.size)
    reach = distributions.norm.isf((1 - fraction("confidence", confidence)) / 2) * se
    return UpliftBins(
        predicted, observed, se, observed - reach, observed + reach, np.bincount(number, minlength=bins), confidence,
        "difference_of_means",
    )  # fmt: skip


def _outcome_and_arm(outcome: ArrayLike, treated: ArrayLike, size: int | None) -> tuple[FloatArray, FloatArray]:
    y = vector("outcome", outcome, size=size)
    w = vector("treated", treated, size=y.size)
    if not np.isin(w, (0.0, 1.0)).all():
        raise InvalidInput("treated must be 0 or 1")
    return y, w


def _aipw(y: FloatArray, w: FloatArray, one: FloatArray, zero: FloatArray, share: float) -> FloatArray:
    return np.asarray(one - zero + w * (y - one) / share - (1 - w) * (y - zero) / (1 - share))


def _fit_uplift(
    learner: Learner, x: FloatArray, y: FloatArray, w: FloatArray, share: float, model: Regressor,
    rng: np.random.Generator,
) -> Predictor:  # fmt: skip
    on, off = w == 1, w == 0
    if learner == "dr":
        scores = np.empty(y.size)
        number = folds(y.size, 2, rng)
        for fold in range(2):
            held, kept = number == fold, number != fold
            one, zero = model(x[kept & on], y[kept & on])(x[held]), model(x[kept & off], y[kept & off])(x[held])
            scores[held] = _aipw(y[held], w[held], one, zero, share)
        return model(x, scores)
    one_model, zero_model = model(x[on], y[on]), model(x[off], y[off])
    if learner == "t":
        return lambda new: one_model(new) - zero_model(new)
    from_treated = model(x[on], y[on] - zero_model(x[on]))
    from_control = model(x[off], one_model(x[off]) - y[off])
    return lambda new: share * from_control(new) + (1 - share) * from_treated(new)


def _curve(y: FloatArray, s: FloatArray, w: FloatArray, method: str) -> tuple[FloatArray, FloatArray]:
    order = np.argsort(-s, kind="stable")
    last = np.append(np.nonzero(np.diff(s[order]))[0], s.size - 1)
    users = (last + 1).astype(np.float64)
    treated = np.cumsum(w[order])[last]
    control = users - treated
    hits_t, hits_c = np.cumsum((w * y)[order])[last], np.cumsum(((1 - w) * y)[order])[last]
    with np.errstate(divide="ignore", invalid="ignore"):
        if method == "qini":
            gain = hits_t - np.where(control > 0, hits_c * treated / control, 0.0)
        else:
            rate_t = np.where(treated > 0, hits_t / treated, 0.0)
            rate_c = np.where(control > 0, hits_c / control, 0.0)
            gain = (rate_t - rate_c) * users
    return np.r_[0.0, users], np.r_[0.0, gain]


def _area(y: FloatArray, s: FloatArray, w: FloatArray, method: str) -> float:
    """Return the area above the diagonal as a share of what the best order would have."""
    if method == "qini":
        # treated responders first, control responders last
        ideal = y * w - y * (1 - w)
    else:
        # users whose treatment was right come first; ties by whichever group of the others is smaller
        control_responders, treated_others = ((y == 1) & (w == 0)).sum(), ((y == 0) & (w == 1)).sum()
        ideal = 2.0 * (y == w) + (y if control_responders > treated_others else w)
    users, gain = _curve(y, s, w, method)
    best_users, best = _curve(y, ideal, w, method)
    chance = users[-1] * gain[-1] / 2
    scale = float(np.trapezoid(best, best_users)) - chance
    return float((np.trapezoid(gain, users) - chance) / scale) if scale > 1e-12 else np.nan


def _rate(s: FloatArray, gamma: FloatArray, weighting: str) -> tuple[float, FloatArray]:
    order = np.argsort(-s, kind="stable")
    ranked = gamma[order]
    # users of one score cannot be told apart: each gets the mean of the tie
    starts = np.r_[0, np.nonzero(np.diff(s[order]))[0] + 1]
    sizes = np.diff(np.r_[starts, s.size])
    ranked = np.repeat(np.add.reduceat(ranked, starts) / sizes, sizes)
    count = np.arange(1, s.size + 1)
    toc = np.cumsum(ranked) / count - ranked.mean()
    weight = np.ones(s.size) if weighting == "autoc" else count / s.size
    return float((weight * toc).mean()), toc
