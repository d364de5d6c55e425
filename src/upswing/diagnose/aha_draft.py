"""The experiment that would show whether an aha behaviour is a cause: a draft, with the users it needs."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from scipy import stats as distributions

from upswing.core.i18n import Text, text
from upswing.core.numbers import format_count, format_rate
from upswing.core.results import show
from upswing.core.units import Duration
from upswing.diagnose.aha_search import Finding
from upswing.stats.power import proportion_variance, sample_size

_Z95: Final = 1.959964
UPTAKE: Final = (0.05, 0.1, 0.2)
"""Share of the users without the behaviour whom a nudge may bring to it: 10, 50 and 90 % points; the draft says so."""
_GRID: Final = 40
"""Points of each unknown at which the forecast is worked out."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A draft.

    Attributes:
        name: id of the hypothesis.
        state: what users lack.
        trace: what shows it, with its numbers.
        lever: what to change.
        effect: likely gain in the outcome rate of everybody in the treated arm, in share points: as often exceeded as
            not.
        low: exceeded nine times in ten.
        high: exceeded once in ten.
        base_rate: outcome rate of everybody now.
        users: users needed in both arms together to see `effect`, for 80 % power at 95 % confidence.
    """

    name: str
    state: Text
    trace: Text
    lever: Text
    effect: float
    low: float
    high: float
    base_rate: float
    users: int

    @property
    def yaml(self) -> str:
        """The draft as a definition file, in the language in force."""
        body = {
            "kind": "hypothesis", "name": self.name, "state": str(self.state), "trace": str(self.trace),
            "lever": str(self.lever), "baseline": round(self.base_rate, 5),
            "forecast": {
                "low": round(self.low, 5), "likely": round(self.effect, 5), "high": round(self.high, 5),
                "scale": "absolute", "source": "growth_point",
            },
        }  # fmt: skip
        notes = (
            text("A correlation until an experiment is over: {n} users in two equal arms, 80 % power at 95 %.",
                 n=format_count(self.users)),
            text("The forecast assumes that a nudge brings {share} of the others to it ({low} to {high}), and that anything "
                 "from none to all of the difference is cause.",
                 share=format_rate(UPTAKE[1], digits=0), low=format_rate(UPTAKE[0], digits=0),
                 high=format_rate(UPTAKE[2], digits=0)),
        )  # fmt: skip
        out = io.StringIO()
        out.writelines(f"# {note}\n" for note in notes)
        writer = YAML()
        writer.width = 110
        writer.allow_unicode = True
        writer.dump(body, out)
        return out.getvalue()


def experiment(found: Finding, *, behaviour: str, count: int, window: Duration, outcome: str) -> Experiment | None:
    """Draft the experiment for a confirmed finding; None when its effect is too near to nothing to plan for.

    Nobody can be assigned a behaviour, only a nudge towards it. The arm gains ``difference × cause × uptake × share
    without``, of which only the last is known: the difference has its standard error, the uptake lies between 5 and 20 %
    eight times in ten (log-normal around 10 %), and of the share that is cause nothing is known (uniform from 0 to 1).

    Args:
        found: the finding.
        behaviour: its name.
        count: times.
        window: within so long.
        outcome: name of the outcome.
    """
    without = 1 - found.shown / found.users
    base = found.rate_with * (1 - without) + found.rate_without * without
    se = (found.adjusted.upper - found.adjusted.lower) / (2 * _Z95)
    low, likely, high = (float(x) * without for x in _nudged(found.adjusted.estimate, se))
    if not 0 < likely < 1 - base:
        return None
    need = sample_size(likely, proportion_variance(base), treatment_variance=proportion_variance(base + likely))
    words = {"behaviour": behaviour, "count": count, "window": window}
    return Experiment(
        name=_name(behaviour, count),
        state=text("New users have not felt the value yet."),
        trace=text(
            "{without} do not reach {count} × {behaviour} within {window}. Of those who do, {rate} reach {outcome}, of the "
            "others {other}; within like users the difference is {difference}.",
            without=format_rate(without, digits=0), rate=format_rate(found.rate_with), outcome=outcome,
            other=format_rate(found.rate_without), difference=show(found.adjusted.estimate, "difference"), **words,
        ),
        lever=text("Bring new users to {count} × {behaviour} within {window}.", **words),
        effect=likely, low=low, high=high, base_rate=base, users=math.ceil(float(need.total)),
    )  # fmt: skip


def _nudged(difference: float, se: float) -> NDArray[np.float64]:
    """10, 50 and 90 % points of ``difference × cause × uptake``, over a grid of equally likely values of each."""
    even = (np.arange(_GRID) + 0.5) / _GRID
    low, likely, high = np.log(UPTAKE)
    spread = (high - low) / (2 * distributions.norm.ppf(0.9))
    uptake = np.exp(likely + spread * distributions.norm.ppf(even))
    moved = difference + se * distributions.norm.ppf(even)
    gains = moved[:, None, None] * even[None, :, None] * uptake[None, None, :]
    return np.asarray(np.quantile(gains, (0.1, 0.5, 0.9)), np.float64)


def _name(behaviour: str, count: int) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in behaviour.lower())
    return f"aha_{plain.strip('_') or 'behaviour'}_{count}"
