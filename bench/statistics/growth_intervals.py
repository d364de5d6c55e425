"""One simulated data set per call, for every growth number that comes with an interval.

Each function returns name to (estimate, lower, upper, truth).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from upswing.stats import attribution, referral, survival
from upswing.stats.association import associate, mantel_haenszel, overlap_effect
from upswing.stats.fraud import DAY, click_to_install
from upswing.stats.response import HillResponse, LogResponse, PowerResponse
from upswing.stats.response_fit import Shape, fit_responses
from upswing.stats.retention_curves import fit_power_law
from upswing.stats.series import seasonal_baseline

Numbers = dict[str, tuple[float, float, float, float]]


def kaplan_meier(rng: np.random.Generator) -> Numbers:
    """120 exponential lives of mean 8, watched for 10 to 25."""
    life, watch = rng.exponential(8, 120), rng.uniform(10, 25, 120)
    curve = survival.kaplan_meier(np.minimum(life, watch), life <= watch)
    found = {}
    for t in (2.0, 5.0, 10.0):
        one = curve.at(t)
        found[f"survival at {t:g}"] = (one.estimate, one.lower, one.upper, float(np.exp(-t / 8)))
    middle, mean = curve.quantile(0.5), curve.restricted_mean(10.0)
    found["median life"] = (middle.estimate, middle.lower, middle.upper, 8 * float(np.log(2)))
    found["mean life within 10"] = (mean.estimate, mean.lower, mean.upper, 8 * (1 - float(np.exp(-10 / 8))))
    return found


def competing_risks(rng: np.random.Generator) -> Numbers:
    """150 users who pay at rate 0.06 or leave at rate 0.04, watched for 10 to 25."""
    life, watch = rng.exponential(10, 150), rng.uniform(10, 25, 150)
    kind = np.where(life <= watch, np.where(rng.random(150) < 0.6, 1, 2), 0)
    one = survival.cumulative_incidence(np.minimum(life, watch), kind).at(8.0)
    return {"paid by 8": (one.estimate, one.lower, one.upper, 0.6 * (1 - float(np.exp(-0.8))))}


def power_law(rng: np.random.Generator) -> Numbers:
    """Activity 0.5 t^-0.6 seen on days 1 to 21 with 8 % noise."""
    t = np.arange(1.0, 22)
    fit = fit_power_law(t, 0.5 * t**-0.6 * np.exp(rng.normal(0, 0.08, t.size)))
    days = np.arange(1, 181.0)
    rest = float((0.5 * days**-0.6).sum())
    one = fit.lifetime(180, convention="model")
    return {"days within 180": (one.estimate, one.lower, one.upper, rest)}


def markov_credit(rng: np.random.Generator) -> Numbers:
    """4,000 walks on a chain of two channels that loses half of its users at each step."""
    chance = {"a": (0.3, 0.15), "b": (0.2, 0.25)}  # to the other channel, to conversion; the rest leave
    walked: dict[tuple[str, ...], list[int]] = {}
    start = rng.random(4000) < 0.5
    luck = rng.random((4000, 30))
    for user in range(4000):
        at, path = ("a" if start[user] else "b"), []
        for step in range(30):
            path.append(at)
            go, convert = chance[at]
            if luck[user, step] < go:
                at = "b" if at == "a" else "a"
                continue
            cell = walked.setdefault(tuple(path), [0, 0])
            cell[0] += 1
            cell[1] += int(luck[user, step] < go + convert)
            break
    paths = attribution.Paths.of(
        list(walked), users=[cell[0] for cell in walked.values()], conversions=[cell[1] for cell in walked.values()]
    )
    one = attribution.bootstrap(paths, lambda p: attribution.markov(p).attribution, replications=200, rng=rng)
    # absorption: P(a) = 0.15 + 0.3 P(b), P(b) = 0.25 + 0.2 P(a); without a only b's direct conversions are left
    p_b = (0.25 + 0.2 * 0.15) / (1 - 0.06)
    p_a = 0.15 + 0.3 * p_b
    whole = (p_a + p_b) / 2
    removal = np.array([1 - 0.5 * 0.25 / whole, 1 - 0.5 * 0.15 / whole])
    truth = 4000 * whole * removal[0] / removal.sum()
    return {"credit": (one.attribution.credit[0], one.lower[0], one.upper[0], float(truth))}


def response(shape: Shape) -> Callable[[np.random.Generator], Numbers]:
    """Six channels of 20 periods, 15 % noise, true parameters normal between channels."""

    def simulate(rng: np.random.Generator) -> Numbers:
        draw = {
            "power": lambda: PowerResponse(2.0, float(np.clip(rng.normal(0.6, 0.1), 0.05, 1.9)), (0, 1e9)),
            "log": lambda: LogResponse(40.0, float(np.exp(rng.normal(3.0, 0.4))), (0, 1e9)),
            "hill": lambda: HillResponse(90.0, float(np.exp(rng.normal(3.0, 0.3))), float(np.exp(rng.normal(0.3, 0.2))), (0, 1e9)),
        }[shape]  # fmt: skip
        truth = [draw() for _ in range(6)]
        spend = [np.exp(rng.normal(3, 0.8, 20)) for _ in truth]
        outcome = [c.response(x) * np.exp(rng.normal(0, 0.15, 20)) for c, x in zip(truth, spend, strict=True)]
        fit = fit_responses(spend, outcome, shape=shape)
        found = {
            name: (fit.estimate[0, k], fit.lower[0, k], fit.upper[0, k], getattr(truth[0], name))
            for k, name in enumerate(fit.names)
        }
        at = float(np.quantile(spend[0], 0.8))
        for what in ("response", "marginal"):
            one = fit.interval(0, lambda curve, what=what: getattr(curve, what)(at), size=400, rng=rng)
            found[what] = (one.estimate, one.lower, one.upper, getattr(truth[0], what)(at))
        return found

    return simulate


def baseline(rng: np.random.Generator) -> Numbers:
    """250 days of level, trend, week and noise; does the interval hold the last day?"""
    day = np.arange(250)
    shape = np.array([0, 5, 8, 6, 20, 60, 45])[day % 7]
    y = 200 + 0.1 * day + shape + rng.normal(0, 5, 250)
    one = seasonal_baseline(y, confidence=0.95)
    return {"a single day": (one.expected[-1], one.lower[-1], one.upper[-1], y[-1])}


def aha(rng: np.random.Generator) -> Numbers:
    """400 users; behaviour and outcome go together."""
    p = np.array([0.15, 0.1, 0.2, 0.55])
    one = associate(*rng.multinomial(400, p))
    phi = (p[0] * p[3] - p[1] * p[2]) / np.sqrt(0.25 * 0.75 * 0.35 * 0.65)
    return {
        "phi": (one.phi, one.phi_lower, one.phi_upper, float(phi)),
        "odds ratio": (one.odds_ratio, one.odds_ratio_lower, one.odds_ratio_upper, p[0] * p[3] / (p[1] * p[2])),
        "difference": (one.difference, one.difference_lower, one.difference_upper, 0.6 - 0.2 / 0.75),
        "PPV": (one.ppv, one.ppv_lower, one.ppv_upper, 0.6),
        "sensitivity": (one.sensitivity, one.sensitivity_lower, one.sensitivity_upper, 0.15 / 0.35),
    }


def strata(rng: np.random.Generator) -> Numbers:
    """Three strata with the same difference of 15 points."""
    n1, n0, base = np.array([50, 80, 40]), np.array([70, 60, 90]), np.array([0.1, 0.3, 0.5])
    hit1, hit0 = rng.binomial(n1, base + 0.15), rng.binomial(n0, base)
    one = mantel_haenszel(hit1, n1 - hit1, hit0, n0 - hit0)
    return {"difference": (one.difference, one.difference_lower, one.difference_upper, 0.15)}


def overlap(rng: np.random.Generator) -> Numbers:
    """500 users whose behaviour follows two covariates that also move the outcome."""
    x = rng.normal(size=(500, 2))
    did = rng.random(500) < 1 / (1 + np.exp(-(0.8 * x[:, 0] - 0.5 * x[:, 1] - 0.7)))
    one = overlap_effect(x @ [1.0, -2.0] + 0.5 * did + rng.normal(size=500), did, x)
    return {"effect": (one.estimate, one.lower, one.upper, 0.5)}


def invitations(rng: np.random.Generator) -> Numbers:
    """800 users of all ages; some invite many; delays gamma of mean 4."""
    age = rng.uniform(0, 25, 800)
    owner = np.repeat(np.arange(800), rng.poisson(rng.gamma(0.5, 0.6 / 0.5, 800)))
    delay = rng.gamma(2.0, 2.0, owner.size)
    seen = delay <= age[owner]
    one = referral.cycle_time(delay[seen], owner[seen], age, horizon=20.0)
    whole = referral.k_factor(rng.poisson(rng.gamma(0.5, 0.6 / 0.5, 400)))
    return {
        "K, users watched long enough": (whole.estimate, whole.lower, whole.upper, 0.6),
        "K, users of all ages": (one.k, one.k_lower, one.k_upper, 0.6),
        "cycle time": (one.mean, one.lower, one.upper, 4.0),
    }


def fraud(rng: np.random.Generator) -> Numbers:
    """2,000 installs, 15 % hijacked and 20 % flooded; no interval is given, the estimate is held against 3 points."""
    genuine = rng.lognormal(np.log(900), 1.3, 1300)
    delay = np.concatenate([genuine[genuine < 7 * DAY], rng.uniform(0, 10, 300), rng.uniform(0, 7 * DAY, 400)])
    one = click_to_install(delay)
    return {
        "hijacked, within 3 points": (one.hijacked, one.hijacked - 0.03, one.hijacked + 0.03, 0.15),
        "flooded, within 3 points": (one.flooded, one.flooded - 0.03, one.flooded + 0.03, 0.2),
    }


INTERVALS: dict[str, Callable[[np.random.Generator], Numbers]] = {
    "Kaplan-Meier": kaplan_meier,
    "Aalen-Johansen": competing_risks,
    "power-law lifetime": power_law,
    "Markov attribution, bootstrap": markov_credit,
    "power response": response("power"),
    "log response": response("log"),
    "Hill response": response("hill"),
    "weekday baseline": baseline,
    "association": aha,
    "Mantel-Haenszel": strata,
    "overlap weights": overlap,
    "referral": invitations,
    "click-to-install mixture": fraud,
}
