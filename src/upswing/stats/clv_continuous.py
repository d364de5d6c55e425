"""Customers who buy at any time and leave without saying so: BG/NBD, MBG/NBD and Pareto/NBD.

All three see a customer through three numbers: `x` repeat purchases (the first purchase is not counted), `t_x` the
time of the last of them since the first purchase, and `age` the time since the first purchase. While alive a customer
buys at a Poisson rate that is Gamma(r, alpha) over customers. They differ in how customers leave:

- BG/NBD: after a repeat purchase, with a probability that is Beta(a, b) over customers (nobody leaves before).
- MBG/NBD: the same, and also right after the first purchase.
- Pareto/NBD: at any moment, at a rate that is Gamma(s, beta) over customers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, IntArray, Numbers, floats, fraction, plain, together
from upswing.stats._optimise import LogLikelihood, ModelFit, fit_positive, unfitted
from upswing.stats.errors import InvalidInput, ShapeMismatch

NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(48)
STRETCH = 4
"""Exponent that spreads the nodes towards the far end, where the integrand has a fractional power."""
SKETCHED = 20_000
"""Customers from whose peak the search sets out when there are many more."""
CHUNK = 5_000
"""Customers per block of the Pareto/NBD integral, so that a block stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class BgNbd:
    """The BG/NBD model at given parameters.

    Attributes:
        r: shape of the buying rate.
        alpha: rate of the buying rate, in the unit of time.
        a: first parameter of the chance to leave.
        b: second parameter of the chance to leave.

    References:
        Fader, Hardie, Lee (2005), Marketing Science 24: "Counting Your Customers" the Easy Way.

    Examples:
        >>> model = BgNbd(0.243, 4.414, 0.793, 2.426)
        >>> round(model.expected_of_customer(39, x=2, t_x=30.43, age=38.86), 3)
        1.226
    """

    r: float
    alpha: float
    a: float
    b: float

    # How many chances to leave a customer had besides those after repeat purchases.
    extra_chances: ClassVar[int] = 0

    def alive(self, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> Numbers:
        """Return the probability that each customer is still active at `age` (Fader, Hardie, Lee 2008 note, eq. 1)."""
        count, last, age_ = _customers(x, t_x, age)
        chances = count + self.extra_chances
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            odds = self.a / (self.b + chances - 1) * ((self.alpha + age_) / (self.alpha + last)) ** (self.r + count)
        return plain(np.where(chances > 0, 1 / (1 + odds), 1.0))

    def expected(self, t: ArrayLike) -> Numbers:
        """Return the expected number of repeat purchases within `t` of the first one (eq. 9)."""
        time = floats("t", t, at_least=0)
        if self.extra_chances == 0:
            return plain(self._expected_while_alive(time, 0.0, 0.0, self.b))
        stays = self.b / (self.a + self.b)
        return plain(stays * self._expected_while_alive(time, 0.0, 0.0, self.b + 1))

    def expected_of_customer(self, t: ArrayLike, *, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> Numbers:
        """Return the expected purchases in the `t` after today, given what was seen of the customer (eq. 10)."""
        count, last, age_ = _customers(x, t_x, age)
        time = floats("t", t, at_least=0)
        coming = self._expected_while_alive(time, count, age_, self.b + count + self.extra_chances)
        return plain(coming * self.alive(count, last, age_))

    def probability(self, n: ArrayLike, t: float) -> Numbers:
        """Return the probability of exactly `n` repeat purchases within `t` of the first one (eq. 8)."""
        count = floats("n", n, at_least=0)
        chances = count + self.extra_chances
        still = _beta_ratio(self.a, self.b, 0, chances)
        nbd = distributions.nbinom(self.r, self.alpha / (self.alpha + t))
        gone = np.where(chances > 0, _beta_ratio(self.a, self.b, 1, np.maximum(chances - 1, 0)), 0.0)
        return plain(still * nbd.pmf(count) + gone * np.where(count > 0, nbd.sf(count - 1), 1.0))

    def _expected_while_alive(self, t: FloatArray, count: ArrayLike, age: ArrayLike, b: ArrayLike) -> FloatArray:
        # Equation (9) after Euler's transformation of 2F1: it neither overflows for heavy buyers nor needs a > 1.
        c = self.a + np.asarray(b) - 1
        c = np.where(np.abs(c) > 1e-7, c, 1e-7)  # removable, as is a = 1 below
        z = t / (self.alpha + np.asarray(age) + t)
        gap = self.a - 1
        gap = gap if abs(gap) > 1e-6 else 1e-6
        second = c - self.r - np.asarray(count)
        series = special.hyp2f1(gap, second, c, z)
        # near z = 1 scipy gives nan or infinity where c - a - b is a whole number; the function is smooth there
        series = np.where(np.isfinite(series), series, special.hyp2f1(gap, second + 1e-7, c, z))
        power = (1 - z) ** gap * series
        return np.asarray(c / gap * (1 - power))


@dataclass(frozen=True, slots=True)
class MbgNbd(BgNbd):
    """The MBG/NBD model: as BG/NBD, and a customer may also leave right after the first purchase.

    References:
        Batislam, Denizel, Filiztekin (2007), Int. J. Res. Marketing 24; Hoppe, Wagner (2007), Marketing JRM 29.

    Examples:
        >>> MbgNbd(0.525, 6.183, 0.891, 1.614).alive(0, 0, 39) < 0.7
        True
    """

    extra_chances: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class ParetoNbd:
    """The Pareto/NBD model at given parameters.

    Attributes:
        r: shape of the buying rate.
        alpha: rate of the buying rate, in the unit of time.
        s: shape of the leaving rate.
        beta: rate of the leaving rate, in the unit of time.

    References:
        Schmittlein, Morrison, Colombo (1987), Management Science 33; formulas as in Fader, Hardie (2005), "A Note on
        Deriving the Pareto/NBD Model and Related Expressions".

    Examples:
        >>> model = ParetoNbd(0.553, 10.578, 0.606, 11.669)
        >>> round(model.alive(26, 30.86, 31), 3)
        0.998
    """

    r: float
    alpha: float
    s: float
    beta: float

    def alive(self, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> Numbers:
        """Return the probability that each customer is still active at `age` (eq. 40)."""
        count, last, age_ = _customers(x, t_x, age)
        shape = count.shape
        gone = _pareto_gone(np.array([self.r, self.alpha, self.s, self.beta]), *map(np.ravel, (count, last, age_)))[0]
        stays = -(self.r + count) * np.log(self.alpha + age_) - self.s * np.log(self.beta + age_)
        return plain(special.expit(stays - gone.reshape(shape)))

    def expected(self, t: ArrayLike) -> Numbers:
        """Return the expected number of repeat purchases within `t` of the first one (eq. 27)."""
        time = floats("t", t, at_least=0)
        return plain(self.r / self.alpha * self._active_time(time, 0.0))

    def expected_of_customer(self, t: ArrayLike, *, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> Numbers:
        """Return the expected purchases in the `t` after today, given what was seen of the customer (eq. 41)."""
        count, last, age_ = _customers(x, t_x, age)
        time = floats("t", t, at_least=0)
        rate = (self.r + count) / (self.alpha + age_)
        return plain(rate * self._active_time(time, age_) * self.alive(count, last, age_))

    def _active_time(self, t: FloatArray, age: ArrayLike) -> FloatArray:
        """Expected time still active within `t`, for those active at `age`."""
        base = self.beta + np.asarray(age)
        log_ratio = np.log1p(t / base)
        gap = self.s - 1
        return np.asarray(base * (log_ratio if gap == 0 else -np.expm1(-gap * log_ratio) / gap))


G = TypeVar("G", bound=BgNbd)


def fit_bg_nbd(
    x: ArrayLike, t_x: ArrayLike, age: ArrayLike, *, weights: ArrayLike | None = None, confidence: float = 0.95
) -> ModelFit[BgNbd]:
    """Fit BG/NBD by maximum likelihood.

    Args:
        x: repeat purchases per customer, shape (n_customers,).
        t_x: time of the last repeat purchase since the first purchase, 0 where x is 0.
        age: time since the first purchase, same unit.
        weights: how many customers each row stands for; one each if missing.
        confidence: nominal coverage of the parameters' intervals.

    Returns:
        The fit; its `model` answers `alive`, `expected`, `expected_of_customer`. "not_enough_data" when nobody
        bought twice; "not_identified" when the likelihood has no peak (for example when no customer seems to leave).

    Raises:
        InvalidInput: negative numbers, a last purchase after today, or t_x > 0 where x is 0.
        ShapeMismatch: different lengths.

    References:
        Fader, Hardie, Lee (2005), eq. (6).

    Examples:
        >>> fit = fit_bg_nbd([0, 1, 4, 2, 0], [0, 3, 30, 12, 0], [38, 38, 35, 30, 30])
        >>> fit.names
        ('r', 'alpha', 'a', 'b')
    """
    return _fit_geometric(BgNbd, "bg_nbd", x, t_x, age, weights, confidence)


def fit_mbg_nbd(
    x: ArrayLike, t_x: ArrayLike, age: ArrayLike, *, weights: ArrayLike | None = None, confidence: float = 0.95
) -> ModelFit[MbgNbd]:
    """Fit MBG/NBD by maximum likelihood; arguments and errors as in `fit_bg_nbd`.

    References:
        Batislam, Denizel, Filiztekin (2007), eq. (3).

    Examples:
        >>> fit_mbg_nbd([0, 0], [0, 0], [38, 30]).status
        'not_enough_data'
    """
    return _fit_geometric(MbgNbd, "mbg_nbd", x, t_x, age, weights, confidence)


def fit_pareto_nbd(
    x: ArrayLike, t_x: ArrayLike, age: ArrayLike, *, weights: ArrayLike | None = None, confidence: float = 0.95
) -> ModelFit[ParetoNbd]:
    """Fit Pareto/NBD by maximum likelihood; arguments and errors as in `fit_bg_nbd`.

    The likelihood's integral over the unseen moment of leaving is taken by Gauss-Legendre quadrature in a variable in
    which it is almost constant, which gives the gradient under the same integral.

    References:
        Fader, Hardie (2005), "A Note on Deriving the Pareto/NBD Model", eq. (18)-(19).

    Examples:
        >>> fit = fit_pareto_nbd([0, 1, 4, 2, 0], [0, 3, 30, 12, 0], [38, 38, 35, 30, 30])
        >>> fit.names
        ('r', 'alpha', 's', 'beta')
    """
    fraction("confidence", confidence)
    names = ("r", "alpha", "s", "beta")
    rows, weight = _distinct(x, t_x, age, weights)
    n = float(weight.sum())
    if not (rows[0] @ weight > 0):
        return unfitted(ParetoNbd, names, n=n, confidence=confidence, method="pareto_nbd")

    def over(part: IntArray | slice, their_weight: FloatArray) -> LogLikelihood:
        mine = tuple(column[part] for column in rows)

        def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
            value, slope = 0.0, np.zeros(4)
            for start in range(0, their_weight.size, CHUNK):
                block = slice(start, start + CHUNK)
                each, slopes = _pareto_terms(point, *(column[block] for column in mine))
                value += float(each @ their_weight[block])
                slope += slopes @ their_weight[block]
            return value, slope

        return log_likelihood

    scale = float(rows[2] @ weight) / n
    starts = [[0.5, scale / 3, 0.5, scale / 3], [1.0, scale, 1.5, scale]]
    return fit_positive(
        over(slice(None), weight), ParetoNbd, names, starts=starts, n=n, confidence=confidence, method="pareto_nbd",
        sketch=_sketch(over, weight),
    )  # fmt: skip


def _fit_geometric(
    build: type[G],
    method: str,
    x: ArrayLike,
    t_x: ArrayLike,
    age: ArrayLike,
    weights: ArrayLike | None,
    confidence: float,
) -> ModelFit[G]:
    fraction("confidence", confidence)
    names = ("r", "alpha", "a", "b")
    rows, weight = _distinct(x, t_x, age, weights)
    n = float(weight.sum())
    if not (rows[0] @ weight > 0):
        return unfitted(build, names, n=n, confidence=confidence, method=method)

    def over(part: IntArray | slice, mine: FloatArray) -> LogLikelihood:
        x_, last, age_ = (column[part] for column in rows)
        # Half of the terms know the count alone, of which there are few.
        counts, slot = np.unique(x_, return_inverse=True)
        times = np.bincount(slot, weights=mine)

        def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
            by_count, count_slopes = _count_terms(point, counts, extra=build.extra_chances)
            by_time, time_slopes = _time_terms(point, x_, last, age_, extra=build.extra_chances)
            return float(by_count @ times + by_time @ mine), count_slopes @ times + time_slopes @ mine

        return log_likelihood

    scale = float(rows[2] @ weight) / n
    starts = [[0.5, scale / 3, 0.8, 2.0], [1.0, scale, 1.0, 5.0]]
    return fit_positive(
        over(slice(None), weight), build, names, starts=starts, n=n, confidence=confidence, method=method,
        sketch=_sketch(over, weight),
    )  # fmt: skip


def _sketch(over: Callable[[IntArray, FloatArray], LogLikelihood], weight: FloatArray) -> LogLikelihood | None:
    """The log-likelihood of a random sample of customers, to find where the peak is; none where rows are few."""
    if weight.size <= 2 * SKETCHED:
        return None
    drawn = np.random.default_rng(0).multinomial(SKETCHED, weight / weight.sum())
    rows = np.flatnonzero(drawn)
    # blown up to the size of all, so that the search stops at the same precision
    return over(rows, np.asarray(drawn[rows] * (weight.sum() / SKETCHED), dtype=np.float64))


def _geometric_terms(
    point: FloatArray, x: FloatArray, last: FloatArray, age: FloatArray, *, extra: int
) -> tuple[FloatArray, FloatArray]:
    """Log-likelihood per row, and its gradient, shape (4, n): equation (6), `extra` chances to leave added."""
    by_count, count_slopes = _count_terms(point, x, extra=extra)
    by_time, time_slopes = _time_terms(point, x, last, age, extra=extra)
    return by_count + by_time, count_slopes + time_slopes


def _count_terms(point: FloatArray, x: FloatArray, *, extra: int) -> tuple[FloatArray, FloatArray]:
    """The part of `_geometric_terms` that knows only the number of purchases."""
    r, alpha, a, b = point
    k = x + extra
    psi = special.psi
    value = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha)
    value += special.gammaln(a + b) + special.gammaln(b + k) - special.gammaln(b) - special.gammaln(a + b + k)
    shared = psi(a + b) - psi(a + b + k)
    buying = psi(r + x) - psi(r) + np.log(alpha)
    return value, np.stack([buying, np.full(x.shape, r / alpha), shared, shared + psi(b + k) - psi(b)])


def _time_terms(
    point: FloatArray, x: FloatArray, last: FloatArray, age: FloatArray, *, extra: int
) -> tuple[FloatArray, FloatArray]:
    """The part of `_geometric_terms` that knows when: still there, or gone after the last purchase."""
    r, alpha, a, b = point
    power = r + x
    log_age, log_last = np.log(alpha + age), np.log(alpha + last)
    stays = -power * log_age
    may_leave = x + extra > 0
    tail = np.where(may_leave, b + x + extra - 1, 1.0)
    leaves = np.where(may_leave, np.log(a / tail) - power * log_last, -np.inf)
    value = np.logaddexp(stays, leaves)
    p_stays = np.exp(stays - value)
    p_leaves = np.where(may_leave, 1 - p_stays, 0.0)
    slopes = np.stack(
        [
            -p_stays * log_age - p_leaves * log_last,
            -power * (p_stays / (alpha + age) + p_leaves / (alpha + last)),
            p_leaves / a,
            -p_leaves / tail,
        ]
    )
    return value, slopes


def _pareto_terms(point: FloatArray, x: FloatArray, last: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log-likelihood per row, and its gradient, shape (4, n)."""
    r, alpha, s, beta = point
    common = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    stays = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    gone, gone_slopes = _pareto_gone(point, x, last, age)
    both = np.logaddexp(stays, gone)
    p_stays, p_gone = np.exp(stays - both), np.exp(gone - both)
    stay_slopes = np.stack([-np.log(alpha + age), -(r + x) / (alpha + age), -np.log(beta + age), -s / (beta + age)])
    slopes = p_stays * stay_slopes + p_gone * gone_slopes
    slopes[0] += special.psi(r + x) - special.psi(r) + np.log(alpha)
    slopes[1] += r / alpha
    slopes[2] += np.log(beta)
    slopes[3] += s / beta
    return common + both, slopes


def _pareto_gone(point: FloatArray, x: FloatArray, last: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log of the integral of s (alpha+u)^-(r+x) (beta+u)^-(s+1) over u in [last, age], and its gradient.

    With w = ((c+u)/(c+last))^-(r+s+x) the integrand becomes a product of two ratios near 1. The centre c makes their
    first-order terms cancel.
    """
    r, alpha, s, beta = point
    power = r + s + x
    c = ((r + x) * alpha + (s + 1) * beta) / (power + 1)
    span = np.log((c + age) / (c + last))
    low = np.exp(-power * span / STRETCH)
    half = -np.expm1(-power * span / STRETCH) / 2
    v = low[:, None] + half[:, None] * (NODES + 1)  # w = v ** STRETCH
    u = (c + last)[:, None] * np.exp(-STRETCH * np.log(v) / power[:, None])  # c + u
    to_alpha, to_beta = u + (alpha - c)[:, None], u + (beta - c)[:, None]
    log_alpha, log_beta = np.log(to_alpha), np.log(to_beta)
    log_u = np.log(u)
    density = (r + x)[:, None] * (log_u - log_alpha) + (s + 1) * (log_u - log_beta)
    highest = density.max(axis=1)
    density = np.exp(density - highest[:, None])
    density *= STRETCH * v ** (STRETCH - 1) * NODE_WEIGHTS
    total = density.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(s) + highest + np.log(half * total / power) - power * np.log(c + last)
        share = np.where(total[:, None] > 0, density / total[:, None], 0.0)
    slopes = np.stack(
        [
            -(share * log_alpha).sum(axis=1),
            -(r + x) * (share / to_alpha).sum(axis=1),
            1 / s - (share * log_beta).sum(axis=1),
            -(s + 1) * (share / to_beta).sum(axis=1),
        ]
    )
    return value, slopes


def _beta_ratio(a: float, b: float, more_a: ArrayLike, more_b: ArrayLike) -> FloatArray:
    """B(a + more_a, b + more_b) / B(a, b)."""
    return np.asarray(np.exp(special.betaln(a + np.asarray(more_a), b + np.asarray(more_b)) - special.betaln(a, b)))


def _customers(x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    named = {
        name: floats(name, value, at_least=0, finite=True) for name, value in (("x", x), ("t_x", t_x), ("age", age))
    }
    count, last, age_ = together(**named)
    if (last > age_).any():
        raise InvalidInput("t_x is after age", hint="both are measured from the first purchase, in one unit")
    if ((count == 0) & (last > 0)).any():
        raise InvalidInput("t_x is above 0 where x is 0", hint="x counts repeat purchases: leave the first one out")
    return count, last, age_


def _distinct(
    x: ArrayLike, t_x: ArrayLike, age: ArrayLike, weights: ArrayLike | None
) -> tuple[tuple[FloatArray, FloatArray, FloatArray], FloatArray]:
    """Collapse customers that look the same: dates repeat, so a million customers are far fewer rows."""
    columns = tuple(np.atleast_1d(column) for column in _customers(x, t_x, age))
    weight = np.ones(columns[0].size) if weights is None else floats("weights", weights, at_least=0)
    if weight.shape != columns[0].shape or weight.ndim != 1:
        raise ShapeMismatch(f"weights {weight.shape} and customers {columns[0].shape} must have one shape (n,)")
    if not weight.size:
        return (columns[0], columns[1], columns[2]), weight
    order = np.lexsort(columns)
    count, last, age_ = (column[order] for column in columns)
    new = np.ones(order.size, dtype=np.bool_)
    new[1:] = (np.diff(count) != 0) | (np.diff(last) != 0) | (np.diff(age_) != 0)
    first = np.flatnonzero(new)
    return (count[first], last[first], age_[first]), np.add.reduceat(weight[order], first)
