"""What a purchase is worth, and what a customer is worth: Gamma-Gamma spend and discounted lifetime value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, psi

from upswing.stats._arrays import FloatArray, Numbers, floats, fraction, plain, together
from upswing.stats._optimise import ModelFit, fit_positive, unfitted
from upswing.stats.errors import InvalidInput, ShapeMismatch


class BuyingModel(Protocol):
    """Anything that expects a number of purchases of a customer: BgNbd, MbgNbd, ParetoNbd."""

    def expected_of_customer(self, t: ArrayLike, *, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> Numbers:
        """Return the expected purchases in the `t` after today."""
        ...


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """Spend per purchase: Gamma within a customer, and its scale Gamma over customers.

    Assumes that how much a customer spends has nothing to do with how often; `spend_frequency_correlation` looks.

    Attributes:
        p: shape of a single purchase.
        q: shape of the scale over customers.
        gamma: rate of the scale over customers, in money.

    References:
        Fader, Hardie (2013), "The Gamma-Gamma Model of Monetary Value".

    Examples:
        >>> model = GammaGamma(6.25, 3.74, 15.44)
        >>> round(model.mean_spend(), 2)
        35.22
    """

    p: float
    q: float
    gamma: float

    def mean_spend(self) -> float:
        """Return the mean spend per purchase over customers; infinite when q is 1 or less."""
        return self.p * self.gamma / (self.q - 1) if self.q > 1 else np.inf

    def spend_of_customer(self, x: ArrayLike, mean_spend: ArrayLike) -> Numbers:
        """Return the expected spend per future purchase of customers with `x` purchases of this mean (eq. 5)."""
        count, seen = together(x=floats("x", x, at_least=0), mean_spend=floats("mean_spend", mean_spend, at_least=0))
        with np.errstate(divide="ignore"):
            value = self.p * (self.gamma + count * seen) / (self.p * count + self.q - 1)
        return plain(np.where(self.p * count + self.q > 1, value, np.inf))


def fit_gamma_gamma(
    x: ArrayLike, mean_spend: ArrayLike, *, weights: ArrayLike | None = None, confidence: float = 0.95
) -> ModelFit[GammaGamma]:
    """Fit Gamma-Gamma by maximum likelihood.

    Args:
        x: purchases behind each mean, shape (n_customers,); rows with 0 are left out.
        mean_spend: mean spend per purchase, above 0, in one currency.
        weights: how many customers each row stands for; one each if missing.
        confidence: nominal coverage of the parameters' intervals.

    Raises:
        InvalidInput: negative numbers, or a spend of 0 with purchases behind it (free orders: leave them out first).
        ShapeMismatch: different lengths.

    References:
        Fader, Hardie (2013), eq. (1a).

    Examples:
        >>> fit_gamma_gamma([0, 0], [0, 0]).status
        'not_enough_data'
    """
    fraction("confidence", confidence)
    names = ("p", "q", "gamma")
    count, spend = together(
        x=floats("x", x, at_least=0, finite=True), mean_spend=floats("mean_spend", mean_spend, at_least=0, finite=True)
    )
    weight = np.ones(count.shape) if weights is None else floats("weights", weights, at_least=0)
    if weight.shape != count.shape or count.ndim != 1:
        raise ShapeMismatch(f"weights {weight.shape} and customers {count.shape} must have one shape (n,)")
    keep = (count > 0) & (weight > 0)
    count, spend, weight = count[keep], spend[keep], weight[keep]
    if (spend <= 0).any():
        raise InvalidInput("mean_spend is 0 for customers with purchases", hint="leave out free orders first")
    n = float(weight.sum())
    if np.unique(spend).size < 2:
        return unfitted(GammaGamma, names, n=n, confidence=confidence, method="gamma_gamma")

    def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
        each, slopes = _terms(point, count, spend)
        return float(each @ weight), slopes @ weight

    centre = float(spend @ weight) / n
    starts = [[2.0, 3.0, centre], [6.0, 4.0, centre / 2]]
    return fit_positive(
        log_likelihood, GammaGamma, names, starts=starts, n=n, confidence=confidence, method="gamma_gamma"
    )


def spend_frequency_correlation(x: ArrayLike, mean_spend: ArrayLike) -> float:
    """Return the correlation of frequency and mean spend among buyers, which Gamma-Gamma takes to be 0.

    NaN with fewer than three buyers or no variation.

    Examples:
        >>> round(spend_frequency_correlation([1, 2, 3, 4], [10, 9, 12, 11]), 2)
        0.6
    """
    count, spend = together(x=floats("x", x, at_least=0), mean_spend=floats("mean_spend", mean_spend, at_least=0))
    count, spend = count[count > 0], spend[count > 0]
    if count.size < 3 or np.ptp(count) == 0 or np.ptp(spend) == 0:
        return float("nan")
    return float(np.corrcoef(count, spend)[0, 1])


def lifetime_value(
    model: BuyingModel,
    spend: ArrayLike,
    *,
    x: ArrayLike,
    t_x: ArrayLike,
    age: ArrayLike,
    horizon: float,
    discount_per_unit: float,
    steps: int = 24,
    margin: float = 1.0,
) -> Numbers:
    """Return the present value of each customer's purchases within `horizon` from today.

    Purchases are expected in `steps` equal periods; each period's money is discounted to its middle.

    Args:
        model: a buying model, in its own unit of time.
        spend: expected spend per purchase of each customer, for example `GammaGamma.spend_of_customer`.
        x: repeat purchases, as the model was fitted.
        t_x: time of the last repeat purchase.
        age: time since the first purchase.
        horizon: in the model's unit of time.
        discount_per_unit: continuous discount rate per unit of time; a yearly 10 % in weeks is log(1.1) / 52.18.
        steps: number of periods.
        margin: share of spend that is earned.

    Raises:
        InvalidInput: a horizon or a number of steps that is not positive.

    References:
        Fader, Hardie, Lee (2005), J. Marketing Research 42: RFM and CLV, eq. (2), with a finite horizon.

    Examples:
        >>> from upswing.stats.clv_continuous import BgNbd
        >>> model = BgNbd(0.243, 4.414, 0.793, 2.426)
        >>> value = lifetime_value(model, 35.0, x=2, t_x=30.43, age=38.86, horizon=39, discount_per_unit=0.0)
        >>> round(value / 35.0, 3)
        1.226
    """
    if not (horizon > 0 and np.isfinite(horizon)) or steps < 1:
        raise InvalidInput("horizon must be a positive number and steps at least 1")
    edges = np.linspace(0, horizon, steps + 1)
    total = np.asarray([model.expected_of_customer(edge, x=x, t_x=t_x, age=age) for edge in edges], dtype=np.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    present = np.tensordot(np.exp(-discount_per_unit * middle), np.diff(total, axis=0), axes=1)
    return plain(margin * np.asarray(spend, dtype=np.float64) * present)


def _terms(point: FloatArray, x: FloatArray, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log-likelihood per customer, and its gradient, shape (3, n)."""
    p, q, gamma = point
    px, total = p * x, gamma + x * mean
    each = (
        gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(gamma)
        + (px - 1) * np.log(mean) + px * np.log(x) - (px + q) * np.log(total)
    )  # fmt: skip
    slopes = np.stack(
        [
            x * (psi(px + q) - psi(px) + np.log(mean) + np.log(x) - np.log(total)),
            psi(px + q) - psi(q) + np.log(gamma) - np.log(total),
            q / gamma - (px + q) / total,
        ]
    )
    return each, slopes
