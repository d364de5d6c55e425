"""The experiment that would show whether an aha behaviour is a cause: a draft, with the users it needs."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Final

from ruamel.yaml import YAML

from upswing.core.units import Duration
from upswing.diagnose.aha_search import Finding
from upswing.stats.power import proportion_variance, sample_size

UPTAKE: Final = 0.1
"""Share of the users without the behaviour whom a nudge is assumed to bring to it; the draft says so."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A draft.

    Attributes:
        effect: expected gain in the outcome rate of everybody in the treated arm, in share points.
        base_rate: outcome rate of everybody now.
        users: users needed in both arms together, for 80 % power at 95 % confidence.
        yaml: the draft as a definition file.
    """

    effect: float
    base_rate: float
    users: int
    yaml: str


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
    users = math.ceil(float(need.total))
    return Experiment(effect, base, users, _written(found, behaviour, count, window, outcome, uptake, effect, users))


def _written(
    found: Finding, behaviour: str, count: int, window: Duration, outcome: str, uptake: float, effect: float, users: int
) -> str:
    low, high = (x * uptake * (1 - found.shown / found.users) for x in (found.adjusted.lower, found.adjusted.upper))
    body = {
        "kind": "hypothesis",
        "name": f"aha_{''.join(c if c.isalnum() else '_' for c in behaviour.lower()).strip('_')}_{count}",
        "state": "New users have not felt the value yet.",
        "trace": f"{1 - found.shown / found.users:.0%} do not reach {count} x {behaviour} within {window}; of those who do, "
        f"{found.rate_with:.1%} reach {outcome}, of the others {found.rate_without:.1%}; "
        f"within like users the difference is {found.adjusted.estimate * 100:.1f} pp.",
        "lever": f"Bring new users to {count} x {behaviour} within {window}.",
        "metric": outcome,
        "forecast": {"effect": round(effect, 5), "low": round(low, 5), "high": round(high, 5), "uptake": uptake},
        "experiment": {"arms": {"control": 0.5, "treatment": 0.5}, "users": users, "power": 0.8, "confidence": 0.95},
    }
    out = io.StringIO()
    out.write("# A correlation until this experiment is over. Edit state, lever and uptake before use.\n")
    writer = YAML()
    writer.width = 110
    writer.dump(body, out)
    return out.getvalue()
