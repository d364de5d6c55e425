"""Do the growth models give simulated truth back, and do their intervals hold it as often as they say?

    python bench/statistics/growth_recovery.py [--runs 500] [--customers 1000]

Writes docs/statistics/growth-recovery.md and growth-recovery.svg. Deterministic by seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from growth_intervals import INTERVALS

from upswing.stats import clv
from upswing.stats._optimise import ModelFit
from upswing.stats.retention_curves import BetaDiscreteWeibull, fit_beta_discrete_weibull, fit_shifted_beta_geometric

mpl.use("Agg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "statistics"
AGE = 40.0
Simulation = Callable[[np.random.Generator, int], ModelFit]


def buyers(rng: np.random.Generator, n: int, leaving: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Purchases one after another for all customers at once, until nobody buys any more within the age."""
    rate = rng.gamma(0.6, size=n) / 5
    coin = rng.beta(0.8, 2.5, n) if leaving != "pareto_nbd" else np.zeros(n)
    gone = rng.exponential(1, n) / (rng.gamma(0.8, size=n) / 10) if leaving == "pareto_nbd" else np.full(n, np.inf)
    if leaving == "mbg_nbd":
        gone = np.where(rng.random(n) < coin, 0.0, gone)
    x, t_x, now = np.zeros(n), np.zeros(n), np.zeros(n)
    active = np.ones(n, dtype=bool)
    while active.any():
        now = now + rng.exponential(1, n) / rate
        active &= (now <= AGE) & (now <= gone)
        x += active
        t_x = np.where(active, now, t_x)
        gone = np.where(active & (rng.random(n) < coin), now, gone)
    return x, t_x, np.full(n, AGE)


def gamma_gamma(rng: np.random.Generator, n: int) -> ModelFit:
    x = rng.integers(1, 9, n)
    return clv.fit_gamma_gamma(x, rng.gamma(6 * x) / (x * rng.gamma(4, 1 / 15, n)))


def bg_bb(rng: np.random.Generator, n: int) -> ModelFit:
    p, lasts = rng.beta(1.2, 0.8, n), rng.geometric(rng.beta(0.7, 2.8, n)) - 1
    chances = np.arange(1, 7)
    bought = (rng.random((n, 6)) < p[:, None]) & (chances <= lasts[:, None])
    return clv.fit_bg_bb(bought.sum(1), (bought * chances).max(1), np.full(n, 6))


def cohort(rng: np.random.Generator, n: int, c: float) -> np.ndarray:
    chance = -np.diff(BetaDiscreteWeibull(0.9, 2.0, c).survival(np.arange(10)))
    left = rng.multinomial(n, np.append(chance, 1 - chance.sum()))
    return n - np.concatenate([[0], left.cumsum()[:-1]])


def ahead(model: object) -> float:
    return float(model.expected(AGE))  # type: ignore[attr-defined]


MODELS: dict[str, tuple[Simulation, tuple[float, ...], str, Callable[..., float]]] = {
    # name: simulate and fit, true parameters, what is asked of the model, how
    "BG/NBD": (
        lambda rng, n: clv.fit_bg_nbd(*buyers(rng, n, "bg_nbd")), (0.6, 5, 0.8, 2.5), "purchases in 40", ahead,
    ),
    "MBG/NBD": (
        lambda rng, n: clv.fit_mbg_nbd(*buyers(rng, n, "mbg_nbd")), (0.6, 5, 0.8, 2.5), "purchases in 40", ahead,
    ),
    "Pareto/NBD": (
        lambda rng, n: clv.fit_pareto_nbd(*buyers(rng, n, "pareto_nbd")), (0.6, 5, 0.8, 10), "purchases in 40", ahead,
    ),
    "BG/BB": (bg_bb, (1.2, 0.8, 0.7, 2.8), "purchases in 10", lambda model: float(model.expected(10))),
    "Gamma-Gamma": (gamma_gamma, (6, 4, 15), "mean spend", lambda model: float(model.mean_spend())),
    "sBG": (
        lambda rng, n: fit_shifted_beta_geometric(cohort(rng, n, 1.0)), (0.9, 2.0), "survival at 15",
        lambda model: float(model.survival(15)),
    ),
    "beta-discrete-Weibull": (
        lambda rng, n: fit_beta_discrete_weibull(cohort(rng, n, 1.3)), (0.9, 2.0, 1.3), "survival at 15",
        lambda model: float(model.survival(15)),
    ),
}  # fmt: skip


def recover(runs: int, customers: int) -> tuple[list[str], dict[str, float]]:
    rows, coverage = [], {}
    for name, (simulate, truth, question, ask) in MODELS.items():
        started = time.perf_counter()
        fits = [simulate(np.random.default_rng([11, run]), customers) for run in range(runs)]
        known = [fit for fit in fits if fit.status == "ok"]
        estimates = np.stack([fit.estimates for fit in known])
        inside = np.stack([(fit.lower <= truth) & (truth <= fit.upper) for fit in known])
        values = dict(zip(known[0].names, zip(truth, estimates.T, inside.T, strict=True), strict=True))
        answer = ask(type(known[0].model)(*truth))
        told = [fit.interval(ask, rng=run) for run, fit in enumerate(known)]
        values[question] = (
            answer,
            np.array([one.estimate for one in told]),
            np.array([one.lower <= answer <= one.upper for one in told]),
        )
        for label, (true, found, hits) in values.items():
            coverage[f"{name}: {label}"] = float(hits.mean())
            median = float(np.median(found))
            rows.append(
                f"| {name} | {label} | {true:.4g} | {median:.4g} | {median / true - 1:+.1%} | {hits.mean():.3f} "
                f"| {len(known)} / {runs} |"
            )
        sys.stderr.write(f"{name}: {time.perf_counter() - started:.0f} s\n")
    return rows, coverage


def intervals(runs: int) -> tuple[list[str], dict[str, float]]:
    rows, coverage = [], {}
    for model, simulate in INTERVALS.items():
        started = time.perf_counter()
        found: dict[str, list[tuple[float, float, float, float]]] = {}
        for run in range(runs):
            for label, numbers in simulate(np.random.default_rng([17, run])).items():
                found.setdefault(label, []).append(numbers)
        for label, numbers in found.items():
            estimate, lower, upper, truth = np.array(numbers).T
            known = np.isfinite(estimate)
            hits = ((lower <= truth) & (truth <= upper))[known]
            if "within 3 points" not in label:  # no interval is claimed there
                coverage[f"{model}: {label}"] = float(hits.mean())
            bias = float(np.median((estimate / truth)[known])) - 1
            rows.append(f"| {model} | {label} | {bias:+.1%} | {hits.mean():.3f} | {known.sum()} / {known.size} |")
        sys.stderr.write(f"{model}: {time.perf_counter() - started:.0f} s\n")
    return rows, coverage


def plot(coverage: dict[str, float], runs: int, out: Path) -> None:
    figure, axis = plt.subplots(figsize=(8, 0.24 * len(coverage) + 1.2))
    error = 1.96 * np.sqrt(0.95 * 0.05 / runs)
    axis.axvspan(0.95 - error, 0.95 + error, color="0.9", label="binomial 95 % band")
    axis.axvline(0.95, color="0.5", linewidth=1)
    axis.plot(list(coverage.values()), range(len(coverage)), "o", color="#1f5fa8", markersize=4)
    axis.set_yticks(range(len(coverage)), list(coverage), fontsize=7)
    axis.invert_yaxis()
    axis.set_xlim(min(0.88, *coverage.values()) - 0.01, 1.005)
    axis.set_xlabel("share of 95 % intervals that hold the truth")
    axis.legend(loc="lower left", fontsize=7)
    figure.tight_layout()
    mpl.rcParams["svg.hashsalt"] = "growth"
    figure.savefig(out / "growth-recovery.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    rows, coverage = recover(options.runs, options.customers)
    more_rows, more = intervals(options.runs)
    coverage |= more
    plot(coverage, options.runs, options.out)
    band = 1.96 * np.sqrt(0.95 * 0.05 / options.runs)
    outside = [name for name, cover in coverage.items() if abs(cover - 0.95) > band]
    text = f"""# Growth models: do they give simulated truth back?

{options.runs} simulated data sets per row. Intervals at 95 %; with {options.runs} runs a coverage of 0.95 is known to about
±{band:.3f}, and of {len(coverage)} rows about {0.05 * len(coverage):.0f} lie outside that by chance. Here
{len(outside)} do{" (" + "; ".join(outside) + ")" if outside else ""}.

Reproduce: `python bench/statistics/growth_recovery.py --runs {options.runs} --customers {options.customers}`

## Models with parameters

{options.customers} customers each. Parameters by maximum likelihood with limits of the profile likelihood; what is asked of the
model with limits from draws of the parameters (Laplace). Fits that say "not_identified" count in the last column only.

| model | number | truth | median estimate | median error | coverage | identified |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

## Everything else

What is simulated: `bench/statistics/growth_intervals.py`.

| model | number | median error | coverage | known |
|---|---|---|---|---|
{chr(10).join(more_rows)}

![coverage](growth-recovery.svg)
"""
    (options.out / "growth-recovery.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
