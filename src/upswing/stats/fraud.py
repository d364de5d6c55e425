"""Signs of ad fraud in times and counts: what share of installs came too soon, and which sources stand out.

Evidence, not a verdict: every number says how unlike the rest a source is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, floats
from upswing.stats.errors import NOT_ENOUGH_DATA, NOT_IDENTIFIED, OK, InvalidInput, ShapeMismatch

MIN_INSTALLS = 50
HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class ClickToInstall:
    """Times from click to install as a mixture of three kinds.

    Attributes:
        genuine: share that follows a log-normal delay.
        hijacked: share bunched within `hijack_limit` seconds (a click injected while the install was under way).
        flooded: share spread evenly over the attribution window (clicks sent for users who install anyway).
        median_delay: of the genuine installs, in seconds.
        within_hour: share of all installs within an hour of the click.
        within_day: share of all installs within a day.
        suspicion: probability of not being genuine, per install; shape (n_installs,).
        log_likelihood: of the mixture.
        installs: number.
        method: "click_to_install_mixture".
        status: "ok", "not_enough_data" (fewer than 50 installs) or "not_identified" (the delays do not spread).
    """

    genuine: float
    hijacked: float
    flooded: float
    median_delay: float
    within_hour: float
    within_day: float
    suspicion: FloatArray
    log_likelihood: float
    installs: int
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class OutlierScores:
    """How far each source stands from the others.

    Attributes:
        z: robust deviations per source and measure, on the logit scale for shares; shape (n_sources, n_measures).
        score: Mahalanobis-like distance: root of the sum of squares of what is beyond 2 deviations.
        method: "robust_z".
        status: per source "ok" or "not_enough_data" (too few events).
    """

    z: FloatArray
    score: FloatArray
    method: str
    status: np.ndarray[tuple[int], np.dtype[np.str_]]


def click_to_install(
    seconds: ArrayLike, *, window: float = 7 * DAY, hijack_limit: float = 10.0, iterations: int = 500
) -> ClickToInstall:
    """Split delays from click to install into genuine, hijacked and flooded shares, by EM.

    Args:
        seconds: delay per install, shape (n_installs,), at least 0 and at most `window`.
        window: attribution window in seconds.
        hijack_limit: longest delay of a hijacked install, in seconds.
        iterations: of EM, at most.

    Raises:
        InvalidInput: delays outside the window.

    References:
        Rules of thumb behind the shapes: AppsFlyer glossary, click to install time (75 % within an hour, 94 % within
        a day; a glut at 3-10 s marks hijacking, a flat tail flooding). EM: Dempster, Laird, Rubin (1977).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> good = rng.lognormal(6.5, 1.0, 800)
        >>> result = click_to_install(np.concatenate([good, rng.uniform(0, 604800, 200)]))
        >>> round(result.flooded, 1), round(result.genuine, 1)
        (0.2, 0.8)
    """
    delay = floats("seconds", seconds, at_least=0)
    if delay.ndim != 1:
        raise ShapeMismatch(f"seconds has shape {delay.shape}, it must have shape (n_installs,)")
    if (delay > window).any() or not 0 < hijack_limit < window:
        raise InvalidInput("a delay is longer than the window, or hijack_limit is not within it")
    n = delay.size
    nan, unknown = np.nan, np.full(n, np.nan)
    hour, day = (float((delay <= limit).mean()) if n else nan for limit in (HOUR, DAY))
    log_delay = np.log(np.maximum(delay, 0.5))
    if n < MIN_INSTALLS or np.ptp(log_delay) == 0:
        status = NOT_ENOUGH_DATA if n < MIN_INSTALLS else NOT_IDENTIFIED
        return ClickToInstall(nan, nan, nan, nan, hour, day, unknown, nan, n, "click_to_install_mixture", status)
    fixed = np.stack([(delay <= hijack_limit) / hijack_limit, np.full(n, 1 / window)])
    share = np.array([0.8, 0.1, 0.1])
    middle, width = float(np.median(log_delay)), max(float(log_delay.std()) / 2, 0.3)
    previous = -np.inf
    for _ in range(iterations):
        density = np.vstack([np.exp(-0.5 * ((log_delay - middle) / width) ** 2) / width, fixed])
        density[0] /= np.sqrt(2 * np.pi) * np.maximum(delay, 0.5)
        joint = share[:, None] * density
        total = joint.sum(axis=0)
        likelihood = float(np.log(total).sum())
        belongs = joint / total
        if likelihood - previous < 1e-8 * n:
            break
        previous = likelihood
        share = belongs.mean(axis=1)
        weight = belongs[0] / max(belongs[0].sum(), 1e-300)
        middle = float(weight @ log_delay)
        # Narrower than a factor of 1.2 would let the genuine part chase single values.
        width = max(float(np.sqrt(weight @ (log_delay - middle) ** 2)), 0.2)
    return ClickToInstall(
        float(share[0]), float(share[1]), float(share[2]), float(np.exp(middle)), hour, day,
        1 - belongs[0], likelihood, n, "click_to_install_mixture", OK,
    )  # fmt: skip


def source_outliers(events: ArrayLike, bases: ArrayLike, *, min_events: float = 30) -> OutlierScores:
    """Compare the shares of many sources (publishers, sub-channels) with the middle of them all.

    Each share is put on the logit scale; its distance from the median source is divided by what sources usually
    differ by and by its own sampling error together, so that small sources do not stand out by chance.

    Args:
        events: counts, shape (n_sources, n_measures): for example installs within 10 s, night-time installs.
        bases: what they are counts out of, same shape.
        min_events: smallest base for a source to be scored.

    Raises:
        InvalidInput: negative counts, events above bases. ShapeMismatch: shapes differ.

    Examples:
        >>> result = source_outliers([[10], [12], [9], [11], [90]], [[100], [100], [100], [100], [100]])
        >>> result.score.argmax().item()
        4
    """
    count, base = floats("events", events, at_least=0), floats("bases", bases, at_least=0)
    if count.ndim != 2 or count.shape != base.shape:
        raise ShapeMismatch(f"events {count.shape} and bases {base.shape} must have one shape (n_sources, n_measures)")
    if (count > base).any():
        raise InvalidInput("a source has more events than its base")
    logit = np.log((count + 0.5) / (base - count + 0.5))
    own = 1 / (count + 0.5) + 1 / (base - count + 0.5)
    enough = (base >= min_events).all(axis=1)
    z = np.full(count.shape, np.nan)
    if enough.sum() >= 3:
        centre = np.median(logit[enough], axis=0)
        usual = distributions.median_abs_deviation(logit[enough], axis=0, scale="normal") ** 2
        between = np.maximum(usual - np.median(own[enough], axis=0), 0.0)
        z[enough] = (logit[enough] - centre) / np.sqrt(between + own[enough])
    beyond = np.maximum(np.abs(z) - 2, 0)
    score = np.sqrt((beyond**2).sum(axis=1))
    return OutlierScores(z, score, "robust_z", np.where(np.isnan(score), NOT_ENOUGH_DATA, OK))
