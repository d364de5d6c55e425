"""Work that takes longer than a page: done on a thread of its own, while the page tells how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from upswing.core.errors import UpswingError
from upswing.core.i18n import text

T = TypeVar("T")


@dataclass(slots=True)
class Task(Generic[T]):
    """A piece of work under way, or done.

    Args:
        phase: what is done now, in the language of whoever began it.
        fraction: share of this phase that is over.
        rate: rows per second, where known.
        outcome: what came of it; None until it is done.
        error: why nothing came of it.
    """

    phase: str = ""
    fraction: float = 0.0
    rate: float | None = None
    outcome: T | None = None
    error: UpswingError | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Whether there is an outcome, or an error."""
        return self.outcome is not None or self.error is not None

    def tell(self, phase: object, fraction: float = 0.0, rate: float | None = None) -> None:
        """Say how far it is."""
        self.phase, self.fraction, self.rate = str(phase), fraction, rate

    def begin(self, work: Callable[[], T], *, name: str) -> None:
        """Start the work; `outcome` or `error` is set when it ends.

        Args:
            work: gives the outcome, which is not None.
            name: of the thread.
        """
        context = copy_context()  # the language goes along
        threading.Thread(target=context.run, args=(self._run, work), name=name, daemon=True).start()

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self.outcome = work()
        except UpswingError as error:
            self.error = error
        except Exception as error:
            self.error = UpswingError(text("it could not be done: {cause}", cause=str(error)[:300]))
