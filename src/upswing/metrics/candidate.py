"""One record for a weakness that may be worth fixing, whichever room found it.

A room that knows of one (a funnel's gap, a limiting factor, a poor channel, a leaking flow) fills a `Candidate`; the
growth review sizes all of them in one unit and ranks them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from upswing.core.i18n import Text
from upswing.core.results import Caveat

Doubt = Literal["mix", "season", "maturity", "tracking", "ended", "explained", "selection"]
"""What else may explain a gap; the code of a confounder's `Caveat`. ``explained``: hardly anything is left of it among users
alike in another property. ``ended``: it is over."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that speaks for a candidate.

    Args:
        kind: counted, or told by people.
        sentence: what it says.
        n: users, answers or notes behind it.
    """

    kind: Literal["quantitative", "qualitative"]
    sentence: Text | str
    n: int


@dataclass(frozen=True, slots=True)
class Worth:
    """What one more user who passes adds to the north star, over the horizon.

    Args:
        value: expected difference between a user who passes and one who does not, in units of the north star.
        error: its standard error.
        passed: users who passed and were seen over the whole horizon.
        failed: users who did not.
    """

    value: float
    error: float
    passed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Draft:
    """The row that every hypothesis keeps: the user's state of mind, its trace in the data, the change that moves it."""

    state: Text | str
    trace: Text | str
    lever: Text | str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A weakness with what is needed to size it.

    Args:
        source: the room that found it, e.g. ``funnel``, ``retention``, ``lifecycle``, ``factor``, ``channel``.
        place: what is not passed: a step, event or flow; candidates at one place can overlap.
        who: the users concerned, as shown.
        sentence: what a growth manager would say, without the size.
        rate: share of them who pass.
        users: users behind `rate`.
        reference: share to compare with: a target's, or that of the best comparable users.
        reference_name: what it is compared with, as shown.
        reference_users: users behind `reference`; None for a target, which is exact.
        gap_lower: lower limit of `gap` at 95 %, corrected for what it was chosen from.
        gap_upper: upper limit.
        p_value: of no gap, corrected likewise; None where nothing was tested.
        per_week: users who come to the place in a week, now.
        per_week_error: its standard error.
        worth: of one more user who passes.
        draft: the row of a hypothesis.
        stage: AARRR stage or stage of the journey, empty if unknown.
        lost: keys of the users who came and did not pass, ascending; None where they are not known one by one.
        evidence: what speaks for it.
        confounders: what else may explain the gap.
        mixed: part of reference − rate that is gone between users who are alike in another property, or in week of entry.
    """

    source: str
    place: str
    who: str
    sentence: Text
    rate: float
    users: float
    reference: float
    reference_name: Text | str
    reference_users: float | None
    gap_lower: float
    gap_upper: float
    p_value: float | None
    per_week: float
    per_week_error: float
    worth: Worth
    draft: Draft
    stage: str = ""
    lost: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    evidence: tuple[Evidence, ...] = ()
    confounders: tuple[Caveat, ...] = ()
    mixed: float = 0.0

    @property
    def gap(self) -> float:
        """What there is to close: reference − rate, less what the mix of users makes of it."""
        return self.reference - self.rate - self.mixed

    def doubts(self, *codes: Doubt) -> bool:
        """Whether any of these confounders is named."""
        return any(c.code in codes for c in self.confounders)
