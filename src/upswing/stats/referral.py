"""How far users bring users: K-factor, cycle time, and the branching that follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, Numbers, floats, fraction, plain
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, UNBOUNDED, InvalidInput, ShapeMismatch


@dataclass(frozen=True, slots=True)
class KFactor:
    """New users one user brings.

    Attributes:
        estimate: mean over users, those who brought nobody included.
        standard_error: from the spread between users, which is far wider than Poisson.
        lower: lower limit, at least 0.
        upper: upper limit.
        amplification: users one acquired user becomes in the end, 1 / (1 - K); infinite for K of 1 or more.
        amplification_lower: at the lower limit of K.
        amplification_upper: at the upper limit of K; infinite when that reaches 1.
        confidence: nominal coverage.
        users: users asked about.
        method: "k_factor".
        status: "ok", "unbounded" (K may be 1 or more: the amplification has no upper limit) or "not_enough_data".
    """

    estimate: float
    standard_error: float
    lower: float
    upper: float
    amplification: float
    amplification_lower: float
    amplification_upper: float
    confidence: float
    users: int
    method: str
    status: str


def k_factor(brought: ArrayLike, *, confidence: float = 0.95) -> KFactor:
    """Estimate K from the new users each user brought.

    Users must have been watched for the whole time in which they may invite; younger ones would pull K down.

    Args:
        brought: new users per user, zeros included, shape (n_users,).
        confidence: nominal coverage.

    Raises:
        InvalidInput: negative or fractional counts.

    Examples:
        >>> result = k_factor([0, 0, 0, 1, 0, 2, 0, 0, 1, 0] * 30)
        >>> round(result.estimate, 2), round(result.amplification, 2)
        (0.4, 1.67)
    """
    fraction("confidence", confidence)
    counts = floats("brought", brought, at_least=0)
    if counts.ndim != 1:
        raise ShapeMismatch(f"brought has shape {counts.shape}, it must have shape (n_users,)")
    if (counts != np.floor(counts)).any():
        raise InvalidInput("brought must be whole numbers of new users")
    n = counts.size
    if n < 2 or not counts.any():
        nan, k = np.nan, 0.0 if n else np.nan
        # Nobody brought anybody: K may still be up to 3 in n (exact Poisson limit).
        upper = float(-np.log((1 - confidence) / 2) / n) if n else nan
        return KFactor(k, nan, k, upper, nan, nan, nan, confidence, n, "k_factor", NOT_ENOUGH_DATA)
    mean = float(counts.mean())
    error = float(counts.std(ddof=1) / np.sqrt(n))
    # On the log scale: counts of invitations are skewed, and K cannot be negative.
    reach = float(distributions.t.ppf((1 + confidence) / 2, n - 1)) * error / mean
    lower, upper = mean * float(np.exp(-reach)), mean * float(np.exp(reach))
    status = OK if upper < 1 else UNBOUNDED
    return KFactor(
        mean, error, lower, upper,
        _amplify(mean), _amplify(lower), _amplify(upper), confidence, n, "k_factor", status,
    )  # fmt: skip


def k_from_funnel(invites_per_user: ArrayLike, conversion: ArrayLike) -> Numbers:
    """Return K = invitations per user x share of invitations that become users.

    Examples:
        >>> k_from_funnel(5.0, 0.1)
        0.5
    """
    rate = floats("conversion", conversion, at_least=0)
    if (rate > 1).any():
        raise InvalidInput("conversion is above 1", hint="write 0.1 for 10 %")
    return plain(floats("invites_per_user", invites_per_user, at_least=0) * rate)


def users_over_time(start: float, *, k: float, cycle: float, time: ArrayLike) -> Numbers:
    """Return all users after `time`, everybody inviting once per cycle and nobody leaving.

    Args:
        start: users at the beginning.
        k: new users each brings.
        cycle: time from joining to the friends' joining, same unit as `time`.
        time: when.

    References:
        Skok and Reiss, as in kevinlawler.com "Viral growth": U(t) = U0 (K^(t/p + 1) - 1) / (K - 1).

    Examples:
        >>> users_over_time(10, k=2, cycle=1, time=[0, 1, 2, 3, 4, 5])
        array([ 10.,  30.,  70., 150., 310., 630.])
    """
    if not (cycle > 0 and k >= 0 and start >= 0):
        raise InvalidInput("cycle must be above 0, k and start at least 0")
    generations = floats("time", time, at_least=0) / cycle + 1
    if abs(k - 1) < 1e-9:
        return plain(start * generations)
    return plain(start * (k**generations - 1) / (k - 1))


def extinction_probability(offspring: ArrayLike) -> float:
    """Return the probability that one user's chain of invitations dies out.

    Args:
        offspring: probability (or count of users) of bringing 0, 1, 2, … new users, shape (n,).

    Returns:
        The smallest root of f(s) = s of the generating function; 1 when K is 1 or less (unless everybody brings
        exactly one).

    References:
        Harris (1963), The Theory of Branching Processes, theorem I.6.1.

    Examples:
        >>> round(extinction_probability([0.25, 0.25, 0.5]), 6)
        0.5
    """
    weight = floats("offspring", offspring, at_least=0)
    if weight.ndim != 1 or not weight.sum() > 0:
        raise ShapeMismatch("offspring must be a list of probabilities that are not all 0")
    p = weight / weight.sum()
    if p[0] == 0:
        return 0.0
    if p @ np.arange(p.size) <= 1:
        return 1.0

    def gap(s: float) -> float:
        return float(np.polyval(p[::-1], s) - s)

    # f(s) - s is convex, above 0 at 0 and 0 at 1: past its lowest point only the root at 1 is left.
    lowest = optimize.minimize_scalar(gap, bounds=(0.0, 1.0), method="bounded").x
    return float(optimize.brentq(gap, 0.0, float(lowest)))


def cascade_sizes(offspring: ArrayLike, *, size: int) -> FloatArray:
    """Return the probability that a chain ends with exactly 1, 2, … `size` users, the first included.

    References:
        Dwass (1969), J. Applied Probability 6: P(total = n) = P(n users bring n - 1 in all) / n.

    Examples:
        >>> cascade_sizes([0.5, 0.5], size=3)
        array([0.5  , 0.25 , 0.125])
    """
    weight = floats("offspring", offspring, at_least=0)
    if weight.ndim != 1 or not weight.sum() > 0 or size < 1:
        raise ShapeMismatch("offspring must be a list of probabilities that are not all 0, size at least 1")
    p = weight / weight.sum()
    result, power = np.zeros(size), np.ones(1)
    for n in range(1, size + 1):
        power = np.convolve(power, p)[:size]
        result[n - 1] = (power[n - 1] if power.size >= n else 0.0) / n
    return result


def effective_cac(cost: ArrayLike, acquired: ArrayLike, *, k: ArrayLike, reward: float = 0.0) -> Numbers:
    """Return the cost per user once the users they bring are counted.

    Args:
        cost: money spent to acquire.
        acquired: users acquired with it.
        k: new users each brings; NaN comes back for 1 or more, where no such number exists.
        reward: money paid per user brought.

    Examples:
        >>> effective_cac(1000.0, 100.0, k=0.5)
        5.0
    """
    rate, bought = floats("k", k, at_least=0), floats("acquired", acquired, at_least=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_user = floats("cost", cost, at_least=0) / bought
        value = per_user * (1 - rate) + reward * rate
    return plain(np.where((rate < 1) & (bought > 0), value, np.nan))


def _amplify(k: float) -> float:
    return 1 / (1 - k) if k < 1 else np.inf
