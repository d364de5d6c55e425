"""The peers' side of the comparison, run by their own interpreter: `python peer_jobs.py JOB IN.npz OUT.npz`.

Writes what the library answers and the processor seconds of its own work, imports and conversion of data left out.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

Job = Callable[[dict[str, np.ndarray]], tuple[np.ndarray, float]]


def timed(work: Callable[[], np.ndarray], times: int) -> tuple[np.ndarray, float]:
    """Return the answer and the best processor time."""
    best, answer = np.inf, np.empty(0)
    for _ in range(times):
        started = time.process_time()
        answer = work()
        best = min(best, time.process_time() - started)
    return answer, float(best)


def tea_tasting(data: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """One comparison at a time, as its interface asks."""
    import tea_tasting as tt
    from tea_tasting.aggr import Aggregates

    n, mean, variance = data["n"], data["mean"], data["variance"]
    metric = tt.Mean("y")

    def arm(at: tuple[int, ...]) -> Aggregates:
        return Aggregates(count_=int(n[at]), mean_={"y": mean[at]}, var_={"y": variance[at]}, cov_={})

    def work() -> np.ndarray:
        p = np.empty((*n.shape[:2], n.shape[2] - 1))
        for m, s, a in np.ndindex(p.shape):
            p[m, s, a] = metric.analyze_aggregates(arm((m, s, 0)), arm((m, s, a + 1))).pvalue
        return p

    return timed(work, 3)


def gbstats(data: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """Its two-sided t test on absolute differences."""
    from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
    from gbstats.models.statistics import SampleMeanStatistic

    n, mean, variance = data["n"], data["mean"], data["variance"]
    config = FrequentistConfig(difference_type="absolute")

    def arm(at: tuple[int, ...]) -> SampleMeanStatistic:
        squares = variance[at] * (n[at] - 1) + n[at] * mean[at] ** 2
        return SampleMeanStatistic(n=int(n[at]), sum=n[at] * mean[at], sum_squares=squares)

    def work() -> np.ndarray:
        p = np.empty((*n.shape[:2], n.shape[2] - 1))
        for m, s, a in np.ndindex(p.shape):
            p[m, s, a] = TwoSidedTTest(arm((m, s, 0)), arm((m, s, a + 1)), config).compute_result().p_value
        return p

    return timed(work, 3)


def spotify(data: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """Two-sided alpha * t^2 spending boundaries."""
    from spotify_confidence.analysis.frequentist.sequential_bound_solver import bounds

    times = data["times"]
    return timed(lambda: np.asarray(bounds(times, alpha=0.05, rho=2.0, ztrun=8.0, sides=2, max_nints=1000).bounds), 3)


def lifetimes(data: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """BG/NBD by its default fit."""
    from lifetimes import BetaGeoFitter

    def work() -> np.ndarray:
        fit = BetaGeoFitter().fit(data["x"], data["t_x"], data["age"])
        return np.asarray(fit.params_[["r", "alpha", "a", "b"]])

    return timed(work, 1)


def mta(data: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """Markov credit of its analytic method, as shares."""
    import pandas as pd
    from mta import MTA

    ends = data["lengths"].cumsum()
    names = np.char.add("c", data["touches"].astype(str))
    walked = [" > ".join(names[end - size : end]) for end, size in zip(ends, data["lengths"], strict=True)]
    converted = data["converted"].astype(int)
    table = pd.DataFrame({"path": walked, "total_conversions": converted, "total_null": 1 - converted})

    def work() -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):
            model = MTA(table, allow_loops=True, add_timepoints=False).markov()
        credit = model.attribution["markov"]
        return np.array([credit[f"c{i}"] for i in range(int(data["touches"].max()) + 1)])

    return timed(work, 1)


JOBS: dict[str, Job] = {
    "tea-tasting": tea_tasting,
    "gbstats": gbstats,
    "spotify-confidence": spotify,
    "lifetimes": lifetimes,
    "mta": mta,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    job, source, target = sys.argv[1:]
    with np.load(source) as stored:
        result, seconds = JOBS[job](dict(stored))
    np.savez(target, answer=result, seconds=seconds)
