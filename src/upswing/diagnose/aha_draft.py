"""The experiment that would show whether an aha behaviour is a cause: a draft, with the users it needs."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Final

from ruamel.yaml import YAML

from upswing.core.i18n import Text, text
from upswing.core.numbers import format_count, format_rate
from upswing.core.results import show
from upswing.core.units import Duration
from upswing.diagnose.aha_search import Finding
from upswing.stats.power import proportion_variance, sample_size

_Z95: Final = 1.959964
_Z80: Final = 1.281552
UPTAKE: Final = 0.1
"""Share of the users without the behaviour whom a nudge is assumed to bring to it; the draft says so."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A draft.

    Attributes:
        name: id of the hypothesis.
        state: what users lack.
        trace: what shows it, with its numbers.
        lever: what to change.
        effect: expected gain in the outcome rate of everybody in the treated arm, in share points.
        low: exceeded nine times in ten.
        high: exceeded once in ten.
        base_rate: outcome rate of everybody now.
        users: users needed in both arms together, for 80 % power at 95 % confidence.
        uptake: share of those without the behaviour whom the nudge is assumed to bring to it.
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
    uptake: float

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
            text("The forecast assumes that a nudge brings {share} of the others to it, and that all of it is cause.",
                 share=format_rate(self.uptake, digits=0)),
        )  # fmt: skip
        out = io.StringIO()
        out.writelines(f"# {note}\n" for note in notes)
        writer = YAML()
        writer.width = 110
        writer.allow_unicode = True
        writer.dump(body, out)
        return out.getvalue()


def experiment(
    found: Finding, *, behaviour: str, count: int, window: Duration, outcome: str, uptake: float = UPTAKE
) -> Experiment | None:
    """Draft the experiment for a confirmed finding; None when its effect is too near to nothing to plan for.

    Nobody can be assigned a behaviour, only a nudge towards it. If the nudge brings a share `uptake` of those without
    the behaviour to it, and the association is all cause, the arm gains ``adjusted × uptake × share without``.

    Args:
        found: the finding.
        behaviour: its name.
        count: times.
        window: within so long.
        outcome: name of the outcome.
        uptake: share of those without it whom the nudge brings to it.
    """
    without = 1 - found.shown / found.users
    base = found.rate_with * (1 - without) + found.rate_without * without
    effect = found.adjusted.estimate * uptake * without
    if not 0 < effect < 1 - base:
        return None
    need = sample_size(effect, proportion_variance(base), treatment_variance=proportion_variance(base + effect))
    spread = (found.adjusted.upper - found.adjusted.lower) / (2 * _Z95) * uptake * without
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
        effect=effect, low=effect - _Z80 * spread, high=effect + _Z80 * spread, base_rate=base,
        users=math.ceil(float(need.total)), uptake=uptake,
    )  # fmt: skip


def _name(behaviour: str, count: int) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in behaviour.lower())
    return f"aha_{plain.strip('_') or 'behaviour'}_{count}"
