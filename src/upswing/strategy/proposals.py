"""Signals proposed from the data: events that go with the outcome, or against it, on half of the users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.spec.signals import Signal
from upswing.stats.association import associate

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST: Final = 6
"""Signals proposed for each side."""
_LEVEL: Final = 0.05
_RARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Proposal:
    """Signals of desire and of friction, most telling first."""

    desire: tuple[Signal, ...]
    friction: tuple[Signal, ...]


def propose(names: tuple[str, ...], seen: Flags, outcome: Flags) -> Proposal:
    """Sort events by whether users who have them reach the outcome more often or less often.

    The sign is all that the data can tell. Whether an event that goes with success is desire, or one that goes with
    failure is friction, is for a person to judge: success may as well cause the event.

    Args:
        names: events.
        seen: whether each user had each event, shape (n_users, n_events); of users who are not used afterwards.
        outcome: shape (n_users,).
    """
    both, only = seen[outcome].sum(axis=0), seen[~outcome].sum(axis=0)
    found = associate(both, only, outcome.sum() - both, (~outcome).sum() - only)
    share = seen.mean(axis=0) if len(seen) else np.zeros(len(names))
    p_value, phi = np.atleast_1d(found.p_adjusted), np.atleast_1d(found.phi)
    told = (np.nan_to_num(p_value, nan=1.0) <= _LEVEL) & (share >= _RARE) & (share <= 1 - _RARE)
    order = [int(i) for i in np.argsort(-np.abs(np.nan_to_num(phi)), kind="stable") if told[i]]
    up = [Signal(event=names[i]) for i in order if phi[i] > 0][:MOST]
    down = [Signal(event=names[i]) for i in order if phi[i] < 0][:MOST]
    return Proposal(tuple(up), tuple(down))
