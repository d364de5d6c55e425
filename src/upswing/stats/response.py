"""What a channel gives back for what is put in: carry-over, saturation, curves, and the best split of a budget.

Curves are fitted in `response_fit`. They know the range of spend they were seen on. Nothing here answers outside it unless told to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, Numbers, divide, floats, plain
from upswing.stats.errors import OK, InvalidInput, ShapeMismatch

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
    def spend_at(log_price: float) -> FloatArray:
        return np.array([_where_marginal(c, log_price, a, b) for c, a, b in zip(curves, low, high, strict=True)])

    ends = [_log_marginal(c, x) for c, a, b in zip(curves, low, high, strict=True) for x in (a, b)]
    cheap, dear = min(ends) - 1, max(ends) + 1
    if spend_at(cheap).sum() > budget > spend_at(dear).sum():
        log_price = optimize.brentq(lambda at: float(spend_at(at).sum()) - budget, cheap, dear, xtol=1e-13)
    else:
        log_price = cheap if budget >= high.sum() else dear
    spend = spend_at(float(log_price))
    # The search leaves a crumb, or more where a marginal outcome is constant; it goes where there is room.
    room = (high - spend) if spend.sum() < budget else (spend - low)
    crumb = budget - spend.sum()
    share = divide(room, np.full(room.shape, room.sum()))
    return np.clip(spend + crumb * np.nan_to_num(share), low, high), float(np.exp(log_price))


def _where_marginal(curve: ResponseCurve, log_price: float, low: float, high: float) -> float:
    """Spend at which the marginal outcome has fallen to the price, within the limits."""
    if _log_marginal(curve, high) >= log_price:
        return high
    if _log_marginal(curve, low) <= log_price:
        return low
    return float(optimize.brentq(lambda x: _log_marginal(curve, x) - log_price, low, high, xtol=1e-14, rtol=1e-14))


def _log_marginal(curve: ResponseCurve, spend: float) -> float:
    """Log of the marginal outcome, which may be 0 or infinite at the ends of a curve."""
    slope = float(curve.marginal(spend))
    return float(np.log(min(max(slope, 1e-300), 1e300)))


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
