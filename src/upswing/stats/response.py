"""What a channel gives back for what is put in: carry-over, saturation, fitted curves, and the best split of a budget.

Curves know the range of spend they were seen on. Nothing here answers outside it unless told to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, Numbers, divide, floats, fraction, plain, vector
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, ZERO_VARIANCE, InvalidInput, ShapeMismatch

OUTSIDE_OBSERVED = "outside_observed"
"""Code of the refusal to answer for spend nobody has tried."""


class ResponseCurve(Protocol):
    """Anything that says what spend gives back."""

    @property
    def observed(self) -> tuple[float, float]:
        """Smallest and largest spend the curve was seen on."""
        ...

    def response(self, spend: ArrayLike) -> Numbers:
        """Return the outcome at this spend."""
        ...

    def marginal(self, spend: ArrayLike) -> Numbers:
        """Return the outcome of one more unit of spend."""
        ...


@dataclass(frozen=True, slots=True)
class PowerResponse:
    """scale * spend^exponent; concave for exponents below 1.

    Attributes:
        scale: outcome at a spend of 1.
        exponent: elasticity: per cent more outcome for one per cent more spend.
        observed: range of spend the curve was seen on.

    Examples:
        >>> PowerResponse(2.0, 0.5, (0, 100)).response(25)
        10.0
    """

    scale: float
    exponent: float
    observed: tuple[float, float]

    def response(self, spend: ArrayLike) -> Numbers:
        """Return the outcome at this spend."""
        return plain(self.scale * floats("spend", spend, at_least=0) ** self.exponent)

    def marginal(self, spend: ArrayLike) -> Numbers:
        """Return the outcome of one more unit of spend; infinite at 0 for exponents below 1."""
        x = floats("spend", spend, at_least=0)
        with np.errstate(divide="ignore"):
            return plain(self.scale * self.exponent * x ** (self.exponent - 1))


@dataclass(frozen=True, slots=True)
class LogResponse:
    """scale * ln(1 + spend / half); concave everywhere.

    Attributes:
        scale: outcome gained each time 1 + spend / half grows e-fold.
        half: spend at which the marginal outcome has halved.
        observed: range of spend the curve was seen on.
    """

    scale: float
    half: float
    observed: tuple[float, float]

    def response(self, spend: ArrayLike) -> Numbers:
        """Return the outcome at this spend."""
        return plain(self.scale * np.log1p(floats("spend", spend, at_least=0) / self.half))

    def marginal(self, spend: ArrayLike) -> Numbers:
        """Return the outcome of one more unit of spend."""
        return plain(self.scale / (self.half + floats("spend", spend, at_least=0)))


@dataclass(frozen=True, slots=True)
class HillResponse:
    """scale * Hill(spend); S-shaped for slopes above 1.

    Attributes:
        scale: outcome at full saturation.
        half: spend that gives half of it.
        slope: steepness.
        observed: range of spend the curve was seen on.

    Examples:
        >>> HillResponse(100.0, 50.0, 2.0, (0, 100)).response(50)
        50.0
    """

    scale: float
    half: float
    slope: float
    observed: tuple[float, float]

    def response(self, spend: ArrayLike) -> Numbers:
        """Return the outcome at this spend."""
        return plain(self.scale * np.asarray(hill(spend, half=self.half, slope=self.slope)))

    def marginal(self, spend: ArrayLike) -> Numbers:
        """Return the outcome of one more unit of spend."""
        x = floats("spend", spend, at_least=0)
        share = np.asarray(hill(x, half=self.half, slope=self.slope))
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = self.slope * share * (1 - share) / x
        limit = np.inf if self.slope < 1 else 1 / self.half if self.slope == 1 else 0.0
        return plain(self.scale * np.where(x > 0, inner, limit))


@dataclass(frozen=True, slots=True)
class PowerFits:
    """Power curves of several channels, fitted together.

    Attributes:
        curves: one per channel, with the pooled exponents.
        exponent: pooled exponents, shape (n_channels,).
        standard_error: of the pooled exponents.
        lower: lower limits.
        upper: upper limits.
        own_exponent: exponents of each channel on its own.
        own_error: their standard errors, widened where few points leave the noise itself uncertain.
        between: standard deviation of true exponents between channels, posterior mean.
        confidence: nominal coverage.
        method: "power_partial_pooling".
        status: per channel: "ok", "not_enough_data" (fewer than 3 points above 0) or "zero_variance" (one spend
            only); such channels have no numbers and do not count for the others.
    """

    curves: tuple[PowerResponse, ...]
    exponent: FloatArray
    standard_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    own_exponent: FloatArray
    own_error: FloatArray
    between: float
    confidence: float
    method: str
    status: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Allocation:
    """A budget split over channels.

    Attributes:
        spend: per channel, shape (n_channels,); sums to the budget exactly.
        response: outcome expected of each.
        marginal: outcome of one more unit of spend in each; equal wherever no limit binds.
        price: outcome of one more unit of budget (NaN for steps).
        total: outcome expected of all.
        method: "kkt" or "steps".
        status: "ok".
    """

    spend: FloatArray
    response: FloatArray
    marginal: FloatArray
    price: float
    total: float
    method: str
    status: str


def geometric_adstock(
    media: ArrayLike, *, decay: float, window: int | None = None, normalise: bool = True
) -> FloatArray:
    """Carry media over to later periods, a share `decay` of it each time.

    Args:
        media: shape (n_times,) or (n_times, n_channels).
        decay: share carried to the next period, in [0, 1).
        window: periods that count, the current one included; all of the past if missing.
        normalise: divide by the sum of the weights (of the window), so that steady media stay as they are.

    References:
        Jin et al. (2017), Bayesian Methods for Media Mix Modeling, eq. (1)-(2); Robyn uses all of the past and does
        not normalise.

    Examples:
        >>> geometric_adstock([100, 100, 100], decay=0.5, normalise=False)
        array([100., 150., 175.])
    """
    lags = np.arange(_length(media, window))
    if not 0 <= decay < 1:
        raise InvalidInput(f"decay is {decay:g}, it must lie in [0, 1)")
    weights = np.asarray(float(decay) ** lags, dtype=np.float64)
    total = float(weights.sum()) if window is not None else 1 / (1 - decay)
    return _carry(media, weights / total if normalise else weights)


def binomial_adstock(media: ArrayLike, *, decay: float, window: int) -> FloatArray:
    """Carry media over with weights (1 - lag / window)^(1 / decay - 1), which reach 0 at the end of the window.

    Args:
        media: shape (n_times,) or (n_times, n_channels).
        decay: in (0, 1]; larger carries further.
        window: periods that count, the current one included.

    References:
        Meridian documentation, "Media saturation and lagging", binomial decay.

    Examples:
        >>> binomial_adstock([0.0, 1.0, 0.0], decay=0.5, window=2).round(3)
        array([0.   , 0.667, 0.333])
    """
    if not 0 < decay <= 1:
        raise InvalidInput(f"decay is {decay:g}, it must lie in (0, 1]")
    weights = (1 - np.arange(_length(media, window)) / window) ** (1 / decay - 1)
    return _carry(media, weights / weights.sum())


def weibull_adstock(
    media: ArrayLike, *, shape: float, scale: float, window: int, kind: Literal["density", "survival"] = "density"
) -> FloatArray:
    """Carry media over with Weibull weights, which may peak some periods after the spend.

    Args:
        media: shape (n_times,) or (n_times, n_channels).
        shape: above 1 the effect peaks late ("density") or falls late ("survival").
        scale: typical lag, in periods.
        window: periods that count.
        kind: weights from the density at lag + 1, or from the survival function at the lag.

    References:
        Robyn, adstock_weibull (PDF and CDF); here the weights are normalised to sum to 1.

    Examples:
        >>> weibull_adstock([1.0, 0, 0, 0], shape=3, scale=2, window=4).argmax().item()
        1
    """
    if not (shape > 0 and scale > 0):
        raise InvalidInput("shape and scale must be above 0")
    lags = np.arange(_length(media, window))
    law = distributions.weibull_min(shape, scale=scale)
    weights = law.pdf(lags + 1) if kind == "density" else law.sf(lags)
    return _carry(media, weights / weights.sum())


def hill(x: ArrayLike, *, half: float, slope: float) -> Numbers:
    """Return x^slope / (half^slope + x^slope): the share of full saturation.

    Args:
        x: media, at least 0.
        half: where the share is one half.
        slope: steepness, at least 0; above 1 the curve is S-shaped.

    References:
        Jin et al. (2017), eq. (5).

    Examples:
        >>> hill([1.0, 3.0], half=1, slope=1)
        array([0.5 , 0.75])
    """
    if not (half > 0 and slope >= 0):
        raise InvalidInput("half must be above 0 and slope at least 0")
    media = floats("x", x, at_least=0)
    with np.errstate(divide="ignore", over="ignore"):
        return plain(1 / (1 + (media / half) ** -float(slope)))


def logistic_saturation(x: ArrayLike, *, rate: float) -> Numbers:
    """Return (1 - e^(-rate x)) / (1 + e^(-rate x)).

    Examples:
        >>> round(logistic_saturation(2.0, rate=0.5), 5)
        0.46212
    """
    return plain(np.tanh(rate * floats("x", x, at_least=0) / 2))


def fit_power_responses(
    spend: Sequence[ArrayLike], outcome: Sequence[ArrayLike], *, confidence: float = 0.95
) -> PowerFits:
    """Fit a power curve to each channel and let channels with little data lean on the others.

    Each exponent comes from least squares on logs; exponents of all channels are then taken as draws from a normal,
    and each is pulled to the mean as far as its own uncertainty asks for (with fewer than three channels, not at
    all). These are associations of spend with outcome: where spend followed demand, they overstate the effect, and
    only a test of spend corrects that.

    Args:
        spend: per channel, spend per period, shape (n_periods,).
        outcome: per channel, outcome credited to it per period; pairs with a zero have no logarithm and are left out.
        confidence: nominal coverage.

    Raises:
        InvalidInput: negative numbers. ShapeMismatch: lengths differ.

    References:
        Gelman, Carlin, Stern, Dunson, Vehtari, Rubin (2013), Bayesian Data Analysis, eq. (5.17) and (5.20)-(5.21).

    Examples:
        >>> x = [1.0, 2, 4, 8, 16]
        >>> fit = fit_power_responses([x, x, x], [[2.0, 2.9, 4, 5.6, 8.1], [1.0, 1.4, 2.1, 2.8, 4], [3, 4, 6, 8, 13]])
        >>> fit.exponent.round(1)
        array([0.5, 0.5, 0.5])
    """
    fraction("confidence", confidence)
    if len(spend) != len(outcome):
        raise ShapeMismatch(f"{len(spend)} channels of spend and {len(outcome)} of outcome")
    own = [_log_fit(x, y) for x, y in zip(spend, outcome, strict=True)]
    slope, error = np.array([fit[0] for fit in own]), np.array([fit[1] for fit in own])
    pooled, pooled_error, between = _pool(slope, error)
    reach = pooled_error * float(distributions.norm.ppf((1 + confidence) / 2))
    curves = tuple(
        PowerResponse(float(np.exp(fit[3] - b * fit[2])), float(b), fit[4]) for b, fit in zip(pooled, own, strict=True)
    )
    return PowerFits(
        curves, pooled, pooled_error, pooled - reach, pooled + reach, slope, error, between,
        confidence, "power_partial_pooling", tuple(fit[5] for fit in own),
    )  # fmt: skip


def allocate(
    curves: Sequence[ResponseCurve],
    budget: float,
    *,
    lower: ArrayLike,
    upper: ArrayLike,
    step: float | None = None,
    beyond_observed: bool = False,
) -> Allocation:
    """Split a budget over channels so that the expected outcome is largest.

    Without a step the curves must be concave within their limits, and the split meets the Karush-Kuhn-Tucker
    conditions: marginal outcomes are equal wherever no limit binds. With a step the best split on the grid is found
    exactly, whatever the curves' shape.

    Args:
        curves: one per channel.
        budget: spent exactly.
        lower: least spend per channel, shape (n_channels,) or a number.
        upper: most spend per channel.
        step: spend above `lower` comes in whole steps; the budget left after `lower` must be whole steps too.
        beyond_observed: allow limits outside the range of spend a curve was seen on.

    Raises:
        InvalidInput: limits that cannot hold the budget, limits outside the observed range (code
            "outside_observed"), curves that are not concave without a step.

    Examples:
        >>> curves = [PowerResponse(2.0, 0.5, (0, 100)), PowerResponse(1.0, 0.5, (0, 100))]
        >>> allocate(curves, 100, lower=0, upper=100).spend.round(6)
        array([80., 20.])
    """
    k = len(curves)
    low = np.broadcast_to(floats("lower", lower, at_least=0), (k,)).copy()
    high = np.broadcast_to(floats("upper", upper, at_least=0), (k,)).copy()
    _check_limits(curves, budget, low, high, beyond_observed)
    if step is not None:
        spend, price, method = _by_steps(curves, budget, low, high, step), np.nan, "steps"
    else:
        _check_concave(curves, low, high)
        spend, price = _by_marginals(curves, budget, low, high)
        method = "kkt"
    response = np.array([float(curve.response(x)) for curve, x in zip(curves, spend, strict=True)])
    marginal = np.array([float(curve.marginal(x)) for curve, x in zip(curves, spend, strict=True)])
    return Allocation(spend, response, marginal, price, float(response.sum()), method, OK)


def _length(media: ArrayLike, window: int | None) -> int:
    if window is not None and window < 1:
        raise InvalidInput("window must be at least 1")
    n = np.shape(media)[0] if np.ndim(media) else 0
    return n if window is None else window


def _carry(media: ArrayLike, weights: FloatArray) -> FloatArray:
    values = floats("media", media, at_least=0)
    if values.ndim not in (1, 2):
        raise ShapeMismatch(f"media has shape {values.shape}, it must be (n_times,) or (n_times, n_channels)")
    result = np.zeros_like(values)
    for lag, weight in enumerate(weights[: values.shape[0]]):
        result[lag:] += weight * values[: values.shape[0] - lag]
    return result


def _log_fit(spend: ArrayLike, outcome: ArrayLike) -> tuple[float, float, float, float, tuple[float, float], str]:
    """Slope, its error, mean log spend, mean log outcome, range of spend, status."""
    x, y = vector("spend", spend), vector("outcome", outcome)
    if x.shape != y.shape:
        raise ShapeMismatch(f"spend {x.shape} and outcome {y.shape} must have one shape")
    if (x < 0).any() or (y < 0).any():
        raise InvalidInput("spend and outcome must be at least 0")
    seen = (float(x.min(initial=np.inf)), float(x.max(initial=-np.inf)))
    keep = (x > 0) & (y > 0)
    nan = np.nan
    if keep.sum() < 3:
        return nan, nan, nan, nan, seen, NOT_ENOUGH_DATA
    u, v = np.log(x[keep]), np.log(y[keep])
    spread = float(((u - u.mean()) ** 2).sum())
    if spread <= 1e-12:
        return nan, nan, nan, nan, seen, ZERO_VARIANCE
    slope = float((u - u.mean()) @ (v - v.mean())) / spread
    residual = v - v.mean() - slope * (u - u.mean())
    df = u.size - 2
    # The variance of a t with this many degrees of freedom; below 3 it has none, and 3 stands in.
    widened = residual @ residual / df * (max(df, 3) / (max(df, 3) - 2))
    error = float(np.sqrt(widened / spread))
    return slope, error, float(u.mean()), float(v.mean()), seen, OK


def _pool(slope: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Posterior mean and standard deviation of each slope, and the mean standard deviation between slopes.

    The normal hierarchy with flat priors on the mean and on the standard deviation between, which is summed over a
    grid: taking one estimate of it instead, often 0, would make the intervals too narrow.
    """
    known = ~np.isnan(slope)
    if known.sum() < 3 or (error[known] <= 0).any():
        return slope.copy(), error.copy(), np.nan
    b, own = slope[known], error[known] ** 2
    grid = np.linspace(0, 4 * max(float(b.std()), float(np.sqrt(own.min()))), 400)[:, None]
    variance = own + grid**2
    precision = 1 / variance
    mean_variance = 1 / precision.sum(axis=1, keepdims=True)
    mean = mean_variance * (precision * b).sum(axis=1, keepdims=True)
    log_weight = np.log(mean_variance[:, 0]) / 2 - (np.log(variance) + (b - mean) ** 2 * precision).sum(axis=1) / 2
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    trust = grid**2 * precision
    centre = mean + trust * (b - mean)
    spread = trust * own + (1 - trust) ** 2 * mean_variance
    pooled, pooled_error = np.full(slope.shape, np.nan), np.full(slope.shape, np.nan)
    pooled[known] = weight @ centre
    pooled_error[known] = np.sqrt(weight @ (spread + centre**2) - pooled[known] ** 2)
    return pooled, pooled_error, float(weight @ grid[:, 0])


def _check_limits(
    curves: Sequence[ResponseCurve], budget: float, low: FloatArray, high: FloatArray, beyond: bool
) -> None:
    if not curves or (low > high).any() or np.isinf(high).any():
        raise InvalidInput("every channel needs finite limits with lower at most upper")
    slack = 1e-9 * max(abs(budget), 1.0)
    if not low.sum() - slack <= budget <= high.sum() + slack:
        raise InvalidInput(f"a budget of {budget:g} does not fit limits from {low.sum():g} to {high.sum():g}")
    for index, curve in enumerate(curves):
        first, last = curve.observed
        if not beyond and (low[index] < first or high[index] > last):
            raise InvalidInput(
                f"channel {index} was seen on spend from {first:g} to {last:g}, not on all of "
                f"{low[index]:g} to {high[index]:g}",
                code=OUTSIDE_OBSERVED,
                hint="narrow the limits, or test the new range first",
            )


def _check_concave(curves: Sequence[ResponseCurve], low: FloatArray, high: FloatArray) -> None:
    for index, curve in enumerate(curves):
        slope = np.asarray(curve.marginal(np.linspace(low[index], high[index], 200)))
        if (slope[1:] > slope[:-1] * (1 + 1e-9)).any():
            raise InvalidInput(f"channel {index} is not concave within its limits", hint="give a step")


def _by_marginals(
    curves: Sequence[ResponseCurve], budget: float, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, float]:
    def spend_at(price: float) -> FloatArray:
        return np.array([_where_marginal(c, price, a, b) for c, a, b in zip(curves, low, high, strict=True)])

    ends = [float(c.marginal(x)) for c, a, b in zip(curves, low, high, strict=True) for x in (max(a, 1e-12), b)]
    cheap, dear = np.log(max(min(ends) / 2, 1e-300)), np.log(max(min(max(ends), 1e300) * 2, 1e-299))
    for _ in range(200):
        middle = (cheap + dear) / 2
        cheap, dear = (middle, dear) if spend_at(float(np.exp(middle))).sum() > budget else (cheap, middle)
    price = float(np.exp((cheap + dear) / 2))
    spend = spend_at(price)
    # Bisection leaves a crumb; it goes where there is room.
    room = (high - spend) if spend.sum() < budget else (spend - low)
    crumb = budget - spend.sum()
    share = divide(room, np.full(room.shape, room.sum()))
    spend = np.clip(spend + crumb * np.nan_to_num(share), low, high)
    return spend, price


def _where_marginal(curve: ResponseCurve, price: float, low: float, high: float) -> float:
    """Spend at which the marginal outcome has fallen to the price, within the limits."""
    if float(curve.marginal(high)) >= price:
        return high
    if float(curve.marginal(low)) <= price:
        return low
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float(curve.marginal(middle)) > price else (low, middle)
    return (low + high) / 2


def _by_steps(
    curves: Sequence[ResponseCurve], budget: float, low: FloatArray, high: FloatArray, step: float
) -> FloatArray:
    """Best split on the grid, by dynamic programming over channels."""
    if not step > 0:
        raise InvalidInput("step must be above 0")
    steps = (budget - low.sum()) / step
    n = round(steps)
    if abs(steps - n) > 1e-6:
        raise InvalidInput(f"{budget - low.sum():g} above the lower limits is not a whole number of steps of {step:g}")
    room = np.floor((high - low) / step + 1e-9).astype(int)
    if room.sum() < n:
        raise InvalidInput("whole steps within the limits do not reach the budget")
    best = np.full(n + 1, -np.inf)
    best[0] = 0.0
    choice = np.zeros((len(curves), n + 1), dtype=np.intp)
    for index, curve in enumerate(curves):
        most = min(int(room[index]), n)
        gain = np.atleast_1d(np.asarray(curve.response(low[index] + step * np.arange(most + 1))))
        reached = np.full(n + 1, -np.inf)
        for taken in range(most + 1):
            value = np.full(n + 1, -np.inf)
            value[taken:] = best[: n + 1 - taken] + gain[taken]
            better = value > reached
            reached[better], choice[index, better] = value[better], taken
        best = reached
    spend, left = low.copy(), n
    for index in range(len(curves) - 1, -1, -1):
        taken = int(choice[index, left])
        spend[index] += step * taken
        left -= taken
    return spend
