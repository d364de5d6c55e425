"""Exact crossing probabilities of a test statistic that is looked at more than once.

With independent increments the statistic on the score scale, B(t) = Z(t)·√t, is a Brownian motion seen at the looks'
information times. The recursion of Armitage, McPherson and Rowe (1969) carries its density from look to look on a
Gauss-Legendre grid; nothing is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import log_ndtr, logsumexp, ndtr

from upswing.stats._arrays import FloatArray, floats, vector
from upswing.stats.errors import InvalidInput, ShapeMismatch

NODES_PER_PANEL = 10
PANEL_WIDTH = 3.0
"""Width of an integration panel in standard deviations of the smaller neighbouring step; error below 1e-9."""
FAR = 8.0
"""Standard deviations beyond which a side without a boundary is cut off."""
CHUNK = 64
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(NODES_PER_PANEL)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where paths leave.

    Attributes:
        upper: probability of leaving over the upper boundary first at look k, shape (n_looks,).
        lower: probability of leaving under the lower boundary first at look k, shape (n_looks,).
        stay: probability of never leaving.
    """

    upper: FloatArray
    lower: FloatArray
    stay: float


def crossing(
    information: ArrayLike, upper: ArrayLike, *, lower: ArrayLike | None = None, drift: float = 0.0
) -> Crossing:
    """Return the probability of first crossing a boundary at each look.

    Args:
        information: information time of each look, shape (n_looks,), positive and increasing (1 = planned end).
        upper: critical z value at each look, shape (n_looks,) or a number; inf where there is none.
        lower: lower critical z values; without it no lower boundary.
        drift: expectation of B(1), that is of the z value at information 1.

    Raises:
        InvalidInput: information that does not increase, a lower boundary above the upper one.

    References:
        Armitage, McPherson, Rowe (1969), JRSS A 132:235-244; Jennison, Turnbull (2000), chapter 19.

    Examples:
        Five equal looks at z = 1.96 are a 14 % test, not a 5 % one:

        >>> looks = np.arange(1, 6) / 5
        >>> result = crossing(looks, 1.959964, lower=-1.959964)
        >>> round(float(result.upper.sum() + result.lower.sum()), 3)
        0.142
    """
    times = information_times(information)
    high = _boundary("upper", upper, times, np.inf)
    low = _boundary("lower", lower, times, -np.inf)
    if (low > high).any():
        raise InvalidInput("lower boundary lies above the upper one")
    walk = Walk(times, drift)
    above, below = np.empty(times.size), np.empty(times.size)
    for k in walk.looks():
        above[k], below[k] = walk.beyond(high[k], up=True), walk.beyond(low[k], up=False)
        walk.keep(low[k], high[k])
    return Crossing(above, below, walk.remaining)


class Walk:
    """Paths that have not left yet, advanced one look at a time.

    Use: for k in walk.looks(): read `beyond` or solve `boundary_for`, then `keep` the paths between two z values.
    """

    def __init__(self, times: FloatArray, drift: float = 0.0) -> None:
        self._times = times
        self._drift = drift
        self._look = 0
        self._points: FloatArray = np.zeros(1)
        self._mass: FloatArray = np.ones(1)

    @property
    def remaining(self) -> float:
        """Probability of being still inside."""
        return float(self._mass.sum())

    def looks(self) -> Iterator[int]:
        """Iterate over the looks; each must be closed by `keep`."""
        for k in range(self._times.size):
            self._look = k
            yield k

    def beyond(self, z: float, *, up: bool) -> float:
        """Return the probability of being inside until now and beyond z at this look."""
        if np.isinf(z):
            return float(self.remaining) if (z < 0) == up else 0.0
        return float(self._mass @ ndtr(self._standard(z) * (-1 if up else 1)))

    def boundary_for(self, probability: float, *, up: bool) -> float:
        """Return the z value beyond which this look catches the given probability; ±inf when it is 0."""
        side = 1.0 if up else -1.0
        if probability <= 0:
            return side * np.inf
        if probability >= self.remaining:
            return -side * np.inf
        with np.errstate(divide="ignore"):
            log_mass = np.log(self._mass)

        def excess(z: float) -> float:
            tail = log_ndtr(-side * self._standard(side * z))
            return float(logsumexp(log_mass + tail)) - float(np.log(probability))

        return side * float(brentq(excess, -40.0, 40.0, xtol=1e-10))

    def keep(self, lower: float, upper: float) -> None:
        """Drop the paths outside (lower, upper), both z values, and move on to the next look."""
        k, t = self._look, float(self._times[self._look])
        if k == self._times.size - 1:
            staying = 1.0 if np.isinf(lower) and np.isinf(upper) else None
            kept = self.remaining if staying else self._between(lower, upper)
            self._points, self._mass = np.zeros(1), np.array([max(kept, 0.0)])
            return
        centre, spread = self._drift * t, np.sqrt(t)
        low = max(lower * spread, centre - FAR * spread)
        high = min(upper * spread, centre + FAR * spread)
        if high <= low:
            self._points, self._mass = np.zeros(1), np.zeros(1)
            return
        step = self._step()
        finest = np.sqrt(min(step, float(self._times[k + 1]) - t))
        points, weights = _grid(low, high, finest)
        density = self._spread(points, step)
        self._points, self._mass = points, density * weights

    def _spread(self, points: FloatArray, step: float) -> FloatArray:
        """Return the density at `points` (ascending) after one step; sources out of reach of a chunk are skipped."""
        source = self._points + self._drift * step
        reach = 9.0 * np.sqrt(step)
        density = np.empty(points.size)
        for start in range(0, points.size, CHUNK):
            target = points[start : start + CHUNK]
            near = slice(*np.searchsorted(source, [target[0] - reach, target[-1] + reach]))
            distance = target[:, None] - source[None, near]
            density[start : start + CHUNK] = np.exp(-(distance**2) / (2 * step)) @ self._mass[near]
        scaled: FloatArray = density / np.sqrt(2 * np.pi * step)
        return scaled

    def _step(self) -> float:
        before = float(self._times[self._look - 1]) if self._look else 0.0
        return float(self._times[self._look]) - before

    def _standard(self, z: float) -> FloatArray:
        step = self._step()
        target = z * np.sqrt(self._times[self._look])
        return np.asarray((target - self._points - self._drift * step) / np.sqrt(step))

    def _between(self, lower: float, upper: float) -> float:
        return self.remaining - self.beyond(upper, up=True) - self.beyond(lower, up=False)


def information_times(information: ArrayLike) -> FloatArray:
    """Check that information times are positive and increasing; return them as shape (n_looks,).

    Raises:
        InvalidInput: not positive, not increasing, or two looks closer than 1e-5 of the last one.

    Examples:
        >>> information_times([0.25, 0.5, 1.0])
        array([0.25, 0.5 , 1.  ])
    """
    times = np.atleast_1d(floats("information", information))
    vector("information", times)
    steps = np.diff(times, prepend=0.0)
    if times.size == 0 or not np.isfinite(times).all() or (steps < 1e-5 * times[-1]).any():
        raise InvalidInput("information must be positive and increase from look to look", hint="merge equal looks")
    return times


def _boundary(name: str, value: ArrayLike | None, times: FloatArray, absent: float) -> FloatArray:
    if value is None:
        return np.full(times.size, absent)
    array = floats(name, value)
    if array.ndim and array.shape != times.shape:
        raise ShapeMismatch(f"{name} has shape {array.shape}, there are {times.size} looks")
    return np.broadcast_to(array, times.shape)


def _grid(low: float, high: float, finest: float) -> tuple[FloatArray, FloatArray]:
    panels = int(np.ceil((high - low) / (PANEL_WIDTH * finest)))
    edges = np.linspace(low, high, panels + 1)
    half = np.diff(edges) / 2
    points = (edges[:-1] + half)[:, None] + half[:, None] * _NODES
    return points.ravel(), (half[:, None] * _WEIGHTS).ravel()
