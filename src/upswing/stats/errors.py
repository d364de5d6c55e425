"""What the statistics refuse, and the names of the states in which they cannot know.

Two things are kept apart. A *wrong call* (a negative count, weights that do not sum to one, a NaN where a number is
needed) raises a `StatsError`. A *state of the data* (no users yet, no variance) is an answer: the result carries
`nan` and one of the status codes below, never a silent 0 and never an exception.

```
StatsError (ValueError)
├── InvalidInput      a value outside its domain
├── ShapeMismatch     arrays that do not belong together
├── NotEnoughData     nothing at all can be built from this input (a model without a single observation)
└── NotIdentified     the data cannot tell the parameters apart
```
"""

from __future__ import annotations

from typing import ClassVar, Final

OK: Final = "ok"
NOT_ENOUGH_DATA: Final = "not_enough_data"
ZERO_VARIANCE: Final = "zero_variance"
NOT_IDENTIFIED: Final = "not_identified"
UNBOUNDED: Final = "unbounded"


class StatsError(ValueError):
    """A call that no statistic can answer.

    Attributes:
        code: short machine code, stable across releases.
        hint: what to do about it; empty when there is nothing to add.

    Examples:
        >>> error = InvalidInput("n is -3, it must be at least 0", hint="counts cannot be negative")
        >>> error.code, error.hint
        ('invalid_input', 'counts cannot be negative')
    """

    default_code: ClassVar[str] = "stats_error"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.code = code if code is not None else self.default_code
        self.hint = hint


class InvalidInput(StatsError):  # noqa: N818 - says what is wrong, reads as a state
    """A value outside its domain: a negative count, a confidence of 95 instead of 0.95, a forbidden NaN."""

    default_code = "invalid_input"


class ShapeMismatch(StatsError):  # noqa: N818 - says what is wrong, reads as a state
    """Arrays whose shapes do not belong together."""

    default_code = "shape_mismatch"


class NotEnoughData(StatsError):  # noqa: N818 - says what is wrong, reads as a state
    """Too little data to build even an empty answer, for example a model fitted on no rows."""

    default_code = NOT_ENOUGH_DATA


class NotIdentified(StatsError):  # noqa: N818 - says what is wrong, reads as a state
    """The data cannot tell the parameters apart, for example a singular design matrix."""

    default_code = NOT_IDENTIFIED
