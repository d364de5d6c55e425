"""Where rooms plug into each other: methods of agreed names on their mixins, each of which is asked.

A room that is added later (experiments, channels) joins the growth review and the backlog by having these methods; nothing
else has to know of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from upswing.core.errors import UpswingError

if TYPE_CHECKING:
    from upswing.workspace.base import OpenWorkspace

SECTION: Final = "growth_section"
"""What of the room belongs into the weekly review: no arguments, a `Result`, or None while there is nothing to show."""
CANDIDATES: Final = "growth_candidates"
"""Growth points: no arguments, a list of `metrics.candidate.Candidate`."""
NOTES: Final = "growth_notes"
"""What people said: no arguments, event or stage → tuple of `metrics.candidate.Evidence`."""
ENDED: Final = "ended_experiments"
"""Results that the next forecast learns from: no arguments, a list of `strategy.calibration.EndedExperiment`."""


def offered(workspace: OpenWorkspace, name: str) -> list[Any]:
    """What each room's own method of this name gives; a room that cannot answer yet gives nothing.

    Rooms are mixins, and several may have the method: each class is asked for its own, not only the last one.

    Args:
        workspace: which is asked.
        name: of the method.
    """
    found = []
    for room in reversed(type(workspace).__mro__):
        if name not in vars(room):
            continue
        try:
            found.append(vars(room)[name](workspace))
        except UpswingError:
            continue
    return found
