"""Do the growth models give simulated parameters back, and do their intervals hold them as often as they say?

    python bench/statistics/growth_recovery.py [--runs 200] [--customers 3000]

Writes docs/statistics/growth-recovery.md and growth-recovery.svg. Deterministic by seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np

from upswing.stats import clv
from upswing.stats._optimise import ModelFit
from upswing.stats.retention_curves import BetaDiscreteWeibull, fit_beta_discrete_weibull, fit_shifted_beta_geometric
from upswing.stats.survival import kaplan_meier

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


MODELS: dict[str, tuple[Simulation, tuple[float, ...]]] = {
    "BG/NBD": (lambda rng, n: clv.fit_bg_nbd(*buyers(rng, n, "bg_nbd")), (0.6, 5, 0.8, 2.5)),
    "MBG/NBD": (lambda rng, n: clv.fit_mbg_nbd(*buyers(rng, n, "mbg_nbd")), (0.6, 5, 0.8, 2.5)),
    "Pareto/NBD": (lambda rng, n: clv.fit_pareto_nbd(*buyers(rng, n, "pareto_nbd")), (0.6, 5, 0.8, 10)),
    "BG/BB": (bg_bb, (1.2, 0.8, 0.7, 2.8)),
    "Gamma-Gamma": (gamma_gamma, (6, 4, 15)),
    "sBG": (lambda rng, n: fit_shifted_beta_geometric(cohort(rng, n, 1.0)), (0.9, 2.0)),
    "beta-discrete-Weibull": (lambda rng, n: fit_beta_discrete_weibull(cohort(rng, n, 1.3)), (0.9, 2.0, 1.3)),
}


def recover(runs: int, customers: int) -> tuple[list[str], dict[str, float]]:
    rows, coverage = [], {}
    for name, (simulate, truth) in MODELS.items():
        fits = [simulate(np.random.default_rng([11, run]), customers) for run in range(runs)]
        known = [fit for fit in fits if fit.status == "ok"]
        estimates = np.stack([fit.estimates for fit in known])
        inside = np.stack([(fit.lower <= truth) & (truth <= fit.upper) for fit in known])
        for index, parameter in enumerate(known[0].names):
            cover = float(inside[:, index].mean())
            coverage[f"{name} {parameter}"] = cover
            median = float(np.median(estimates[:, index]))
            rows.append(
                f"| {name} | {parameter} | {truth[index]:g} | {median:.3f} | {median / truth[index] - 1:+.1%} "
                f"| {cover:.3f} | {len(known)} / {runs} |"
            )
    return rows, coverage


def survival_coverage(runs: int) -> list[str]:
    rows = []
    for users in (30, 120, 1000):
        rng, hits = np.random.default_rng(users), np.zeros(3)
        at = np.array([2.0, 5.0, 10.0])
        for _ in range(runs):
            life, watch = rng.exponential(8, users), rng.uniform(10, 25, users)
            answer = kaplan_meier(np.minimum(life, watch), life <= watch).at(at)
            hits += (answer.lower <= np.exp(-at / 8)) & (np.exp(-at / 8) <= answer.upper)
        rows.append(f"| {users} | " + " | ".join(f"{hit:.3f}" for hit in hits / runs) + " |")
    return rows


def plot(coverage: dict[str, float], runs: int) -> None:
    figure, axis = plt.subplots(figsize=(7, 0.28 * len(coverage) + 1.2))
    error = 1.96 * np.sqrt(0.95 * 0.05 / runs)
    axis.axvspan(0.95 - error, 0.95 + error, color="0.9", label="binomial 95 % band")
    axis.axvline(0.95, color="0.5", linewidth=1)
    axis.plot(list(coverage.values()), range(len(coverage)), "o", color="#1f5fa8")
    axis.set_yticks(range(len(coverage)), list(coverage))
    axis.invert_yaxis()
    axis.set_xlim(0.85, 1.0)
    axis.set_xlabel("share of 95 % intervals that hold the true parameter")
    axis.legend(loc="lower left")
    figure.tight_layout()
    mpl.rcParams["svg.hashsalt"] = "growth"
    figure.savefig(FOLDER / "growth-recovery.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--customers", type=int, default=3000)
    options = parser.parse_args()
    rows, coverage = recover(options.runs, options.customers)
    plot(coverage, options.runs)
    text = f"""# Growth models: do they give simulated truth back?

{options.runs} simulated data sets of {options.customers} customers per model; parameters fitted by maximum likelihood,
intervals at 95 %, symmetric on the log scale. With {options.runs} runs a coverage of 0.95 is known to about
±{1.96 * np.sqrt(0.95 * 0.05 / options.runs):.3f}. Fits that say "not_identified" are counted in the last column only.

Reproduce: `python bench/statistics/growth_recovery.py --runs {options.runs} --customers {options.customers}`

| model | parameter | truth | median estimate | median error | coverage | identified |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

![coverage by parameter](growth-recovery.svg)

## Kaplan-Meier

Exponential lives of mean 8, watched for 10 to 25; coverage of the 95 % interval at three times, {5 * options.runs} runs.

| users | t = 2 | t = 5 | t = 10 |
|---|---|---|---|
{chr(10).join(survival_coverage(5 * options.runs))}
"""
    (FOLDER / "growth-recovery.md").write_text(text)


if __name__ == "__main__":
    main()
