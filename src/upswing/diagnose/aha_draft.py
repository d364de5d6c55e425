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

_Z95: Final = 1.959964
_Z80: Final = 1.281552
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
    without = 1 - found.shown / found.users
    spread = (found.adjusted.upper - found.adjusted.lower) / (2 * _Z95) * uptake * without
    body = {
        "kind": "hypothesis",
        "name": _name(behaviour, count),
        "state": "New users have not felt the value yet.",
        "trace": f"{without:.0%} do not reach {count} x {behaviour} within {window}. Of those who do, "
        f"{found.rate_with:.1%} reach {outcome}, of the others {found.rate_without:.1%}; "
        f"within like users the difference is {found.adjusted.estimate * 100:.1f} pp.",
        "lever": f"Bring new users to {count} x {behaviour} within {window}.",
        "baseline": round(found.rate_with * (1 - without) + found.rate_without * without, 5),
        "forecast": {
            "low": round(effect - _Z80 * spread, 5), "likely": round(effect, 5), "high": round(effect + _Z80 * spread, 5),
            "scale": "absolute", "source": "growth_point",
        },
    }  # fmt: skip
    out = io.StringIO()
    out.write(f"# A correlation until an experiment is over: {users:,} users in two equal arms, 80 % power at 95 %.\n")
    out.write(
        f"# The forecast assumes that a nudge brings {uptake:.0%} of the others to it, and that all of it is cause.\n"
    )
    writer = YAML()
    writer.width = 110
    writer.dump(body, out)
    return out.getvalue()


def _name(behaviour: str, count: int) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in behaviour.lower())
    return f"aha_{plain.strip('_') or 'behaviour'}_{count}"
