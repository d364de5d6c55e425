"""What every room may propose to work on: one record, so that proposals of different rooms can be ranked together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from upswing.core.i18n import Text


@dataclass(frozen=True, slots=True)
class Candidate:
    """A weakness or chance that a room found, as one row: state of mind · trace in the data · change that moves it.

    Args:
        source: verb that found it.
        key: id within the source, stable between runs on the same definitions.
        state: what users feel or lack.
        trace: what shows it in the data, with its numbers.
        lever: the kind of change that would move it.
        metric: what the gain is counted in, e.g. ``retained users`` or ``target actions``.
        users: users it concerns.
        gain: gain in `metric` if the weakness closed entirely for those users; the source says in `basis` what it rests on.
        lower: lower limit.
        upper: upper limit.
        basis: why the gain may not be caused by the lever (observed association, model, experiment).
        definition: what the number was computed from, JSON-ready.
    """

    source: str
    key: str
    state: Text | str
    trace: Text | str
    lever: Text | str
    metric: Text | str
    users: int
    gain: float
    lower: float
    upper: float
    basis: Text | str
    definition: Mapping[str, object] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "source": self.source,
            "key": self.key,
            "state": str(self.state),
            "trace": str(self.trace),
            "lever": str(self.lever),
            "metric": str(self.metric),
            "users": self.users,
            "gain": self.gain,
            "lower": self.lower,
            "upper": self.upper,
            "basis": str(self.basis),
            "definition": dict(self.definition),
        }
