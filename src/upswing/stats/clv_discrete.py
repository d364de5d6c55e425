"""Customers with a fixed number of chances to buy: BG/BB (yearly donations, monthly boxes, events).

A customer is seen through `x` purchases, `t_x` the number of the last chance taken (0 if none) and `n` chances so far.
While alive each chance is taken with a probability that is Beta(alpha, beta) over customers; before each chance the
customer may leave, with a probability that is Beta(gamma, delta).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, psi

from upswing.stats._arrays import FloatArray, Numbers, floats, fraction, plain, together
from upswing.stats._optimise import ModelFit, fit_positive, unfitted
from upswing.stats.errors import InvalidInput, ShapeMismatch

NAMES = ("alpha", "beta", "gamma", "delta")


@dataclass(frozen=True, slots=True)
class BgBb:
    """The BG/BB model at given parameters.

    Attributes:
        alpha: first parameter of the chance to buy.
        beta: second parameter of the chance to buy.
        gamma: first parameter of the chance to leave.
        delta: second parameter of the chance to leave.

    References:
        Fader, Hardie, Shang (2010), Marketing Science 29: Customer-Base Analysis in a Discrete-Time Noncontractual
        Setting.

    Examples:
        >>> model = BgBb(1.20352, 0.74973, 0.65678, 2.78380)
        >>> round(model.expected(10), 4)
        3.1798
    """

    alpha: float
    beta: float
    gamma: float
    delta: float

    def alive(self, x: ArrayLike, t_x: ArrayLike, n: ArrayLike) -> Numbers:
        """Return the probability that each customer is still there for chance n + 1 (eq. 11)."""
        count, last, chances = _customers(x, t_x, n)
        return plain(
            np.exp(self._taken(count, chances) + self._stays(chances + 1) - self._log_like(count, last, chances))
        )

    def expected(self, n: ArrayLike) -> Numbers:
        """Return the expected purchases of a new customer in `n` chances (eq. 8)."""
        chances = floats("n", n, at_least=0)
        share = self.alpha / (self.alpha + self.beta)
        return plain(share * self._stays_total(np.zeros_like(chances), chances))

    def expected_of_customer(self, more: ArrayLike, *, x: ArrayLike, t_x: ArrayLike, n: ArrayLike) -> Numbers:
        """Return the expected purchases in the next `more` chances, given what was seen of the customer (eq. 13)."""
        count, last, chances = _customers(x, t_x, n)
        log_like = self._log_like(count, last, chances)
        taken = betaln(self.alpha + count + 1, self.beta + chances - count) - betaln(self.alpha, self.beta)
        return plain(np.exp(taken - log_like) * self._stays_total(chances, floats("more", more, at_least=0)))

    def _log_like(self, x: FloatArray, last: FloatArray, n: FloatArray) -> FloatArray:
        point = np.array([self.alpha, self.beta, self.gamma, self.delta])
        return _terms(point, x.ravel(), last.ravel(), n.ravel())[0].reshape(x.shape)

    def _taken(self, x: FloatArray, n: FloatArray) -> FloatArray:
        return np.asarray(betaln(self.alpha + x, self.beta + n - x) - betaln(self.alpha, self.beta))

    def _stays(self, n: FloatArray) -> FloatArray:
        # a share: at extreme parameters (a draw far out) the difference of two logs can come out above 0
        return np.asarray(np.minimum(betaln(self.gamma, self.delta + n) - betaln(self.gamma, self.delta), 0.0))

    def _stays_total(self, n: FloatArray, more: FloatArray) -> FloatArray:
        # The closed form of this sum divides by gamma - 1; added up term by term it holds at gamma = 1 too.
        n, more = np.broadcast_arrays(n, more)
        steps = np.arange(1, int(more.max(initial=0)) + 1)
        each = np.exp(self._stays(n[..., None] + steps))
        return np.asarray((each * (steps <= more[..., None])).sum(axis=-1))


def fit_bg_bb(
    x: ArrayLike, t_x: ArrayLike, n: ArrayLike, *, weights: ArrayLike | None = None, confidence: float = 0.95
) -> ModelFit[BgBb]:
    """Fit BG/BB by maximum likelihood.

    Args:
        x: purchases per customer, shape (n_rows,).
        t_x: number of the last chance taken, 0 where x is 0.
        n: chances so far.
        weights: how many customers each row stands for; one each if missing.
        confidence: nominal coverage of the parameters' intervals.

    Raises:
        InvalidInput: fractions, or numbers that cannot be (x above t_x, t_x above n).
        ShapeMismatch: different lengths.

    References:
        Fader, Hardie, Shang (2010), eq. (3) and (6).

    Examples:
        >>> fit = fit_bg_bb([0, 1, 2, 0], [0, 1, 2, 0], [3, 3, 3, 3], weights=[0, 0, 0, 0])
        >>> fit.status
        'not_enough_data'
    """
    fraction("confidence", confidence)
    count, last, chances = (np.atleast_1d(column) for column in _customers(x, t_x, n))
    weight = np.ones(count.size) if weights is None else floats("weights", weights, at_least=0)
    if weight.shape != count.shape:
        raise ShapeMismatch(f"weights has shape {weight.shape}, it must have shape {count.shape}")
    total = float(weight.sum())
    if not (count @ weight > 0):
        return unfitted(BgBb, NAMES, n=total, confidence=confidence, method="bg_bb")
    rows, slot = np.unique(np.column_stack([count, last, chances]), axis=0, return_inverse=True)
    folded = np.bincount(slot.ravel(), weights=weight)

    def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
        each, slopes = _terms(point, *rows.T)
        return float(each @ folded), slopes @ folded

    starts = [[1.0, 1.0, 0.7, 3.0], [0.5, 1.5, 1.0, 5.0]]
    return fit_positive(log_likelihood, BgBb, NAMES, starts=starts, n=total, confidence=confidence, method="bg_bb")


def _terms(point: FloatArray, x: FloatArray, last: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log-likelihood per row, and its gradient, shape (4, n_rows): a sum over the moments of leaving."""
    alpha, beta, gamma, delta = point
    base = betaln(alpha, beta) + betaln(gamma, delta)
    idle = n - last
    steps = np.arange(int(idle.max(initial=0)) + 1)
    dead = steps < idle[:, None]  # left before chance last + step + 1
    alive = steps == idle[:, None]  # the column after the last moment of leaving holds "never left"
    failures = last[:, None] - x[:, None] + steps
    leaving = np.where(dead, 1.0, 0.0)
    stayed = last[:, None] + steps
    logs = betaln(alpha + x[:, None], beta + failures) + betaln(gamma + leaving, delta + stayed) - base
    logs = np.where(dead | alive, logs, -np.inf)
    top = logs.max(axis=1, keepdims=True)
    weight = np.exp(logs - top)
    total = weight.sum(axis=1)
    share = weight / total[:, None]
    buying = psi(alpha + beta) - psi(alpha + beta + x[:, None] + failures)
    staying = psi(gamma + delta) - psi(gamma + delta + leaving + stayed)
    slopes = np.stack(
        [
            (share * (buying + psi(alpha + x[:, None]) - psi(alpha))).sum(axis=1),
            (share * (buying + psi(beta + failures) - psi(beta))).sum(axis=1),
            (share * (staying + psi(gamma + leaving) - psi(gamma))).sum(axis=1),
            (share * (staying + psi(delta + stayed) - psi(delta))).sum(axis=1),
        ]
    )
    return np.log(total) + top[:, 0], slopes


def _customers(x: ArrayLike, t_x: ArrayLike, n: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    named = {name: floats(name, value, at_least=0, finite=True) for name, value in (("x", x), ("t_x", t_x), ("n", n))}
    count, last, chances = together(**named)
    if any((column != np.floor(column)).any() for column in (count, last, chances)):
        raise InvalidInput("x, t_x and n must be whole numbers: they count chances")
    if (last > chances).any() or (count > last).any() or ((count == 0) != (last == 0)).any():
        raise InvalidInput("x must be at most t_x, t_x at most n, and t_x 0 exactly where x is 0")
    return count, last, chances
