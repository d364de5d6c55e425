"""What it is worth to test an idea: the gain to expect when only a significant result ships."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from upswing.stats._arrays import FloatArray, Numbers, floats, plain, together
from upswing.stats.errors import InvalidInput

# Hurst, Brown, Swanson (2000), "Swanson's 30-40-30 rule", AAPG Bulletin 84(12): weights of P10, P50 and P90
_SWANSON = np.array([0.3, 0.4, 0.3])


@dataclass(frozen=True, slots=True)
class ValueOfTesting:
    """What to expect of a test that ships only when its estimate exceeds `critical` standard errors.

    Attributes:
        ships: probability that the test ends in shipping.
        gain: expected effect that is gained, over all outcomes, in the scale of the effect; nothing when it is not shipped.
        method: how it was computed.
    """

    ships: Numbers
    gain: Numbers
    method: str = "normal_normal"


def three_point_moments(low: ArrayLike, likely: ArrayLike, high: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of a forecast given as its 10 %, 50 % and 90 % points, by the 30-40-30 rule.

    Args:
        low: what is exceeded nine times in ten, shape (n,) or a number.
        likely: the median.
        high: what is exceeded once in ten.

    Examples:
        >>> mean, sd = three_point_moments(0.0, 0.02, 0.06)
        >>> round(float(mean), 4), round(float(sd), 4)
        (0.026, 0.0237)
    """
    points = np.stack(np.broadcast_arrays(*(np.asarray(x, float) for x in (low, likely, high))), axis=-1)
    mean = points @ _SWANSON
    return mean, np.sqrt(np.square(points - mean[..., None]) @ _SWANSON)


def value_of_testing(
    mean: ArrayLike, sd: ArrayLike, se: ArrayLike, *, works: ArrayLike = 1.0, critical: float = 1.959963984540054
) -> ValueOfTesting:
    """Expected gain of testing an idea and shipping it only when the estimate exceeds `critical` standard errors.

    The effect is 0 with probability 1 - `works`, else normal; the estimate adds normal noise. With v² = sd² + se² and
    k = `critical` · se, E[effect · 1(estimate > k)] = mean · Φ((mean - k) / v) + sd² / v · φ((k - mean) / v).

    Args:
        mean: expected effect if the idea works, shape (n,) or a number.
        sd: its standard deviation, at least 0.
        se: standard error of the test's estimate, positive.
        works: probability that the idea does anything at all.
        critical: what a result must exceed, in standard errors.

    References:
        Azevedo, Deng, Montiel Olea, Rao, Weyl (2020), "A/B testing with fat tails", Journal of Political Economy 128(12):
        the production function of testing, here with a normal prior.

    Examples:
        >>> value = value_of_testing(0.02, 0.02, 0.01)
        >>> round(value.ships, 3), round(value.gain, 4)
        (0.507, 0.0173)
        >>> value_of_testing(0.02, 0.02, 0.01, works=0.0).gain
        0.0
    """
    m, s, noise, share = together(
        mean=floats("mean", mean, nan=True),
        sd=floats("sd", sd, at_least=0, nan=True),
        se=floats("se", se, at_least=0, nan=True),
        works=floats("works", works, at_least=0, nan=True),
    )
    if (share > 1).any():
        raise InvalidInput("works is a probability, from 0 to 1")
    spread = np.sqrt(s**2 + noise**2)
    spread = np.where(spread > 0, spread, np.nan)
    z = (m - critical * noise) / spread
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    ships = share * ndtr(z) + (1 - share) * ndtr(-critical)
    return ValueOfTesting(ships=plain(ships), gain=plain(share * (m * ndtr(z) + s**2 / spread * density)))
