"""``refresh``: what people look at is asked again, so that after new data their pages are answered from memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from upswing.core.errors import UpswingError
from upswing.server.errors import TooManyError
from upswing.server.rounds.asking import answer
from upswing.server.schedule import Run

if TYPE_CHECKING:
    from upswing.server.state import ServerState
    from upswing.server.storage import Moment

_USUAL: Final = (("lifecycle", {"period": "week"}), ("stickiness", {"period": "week"}))
"""What every overview asks."""
_SAVED: Final = ("retention", "funnel")
"""Kinds of definitions that overviews show."""
_LATELY: Final = 7 * 86400.0
_LONGEST: Final = 300.0
"""Seconds after which the rest waits until somebody asks."""


def refresh(state: ServerState, run: Run) -> None:
    """Ask again what was asked in the last week, the latest first, and then what overviews ask.

    Questions whose data and definitions have not changed cost nothing: their answers are there. Where people's questions
    are waiting, the rest is left to them.
    """
    state.storage.refresh()
    moment = state.storage.moment()
    if not moment.engine.schema().n_events:
        return
    end = time.monotonic() + _LONGEST
    for name, arguments, locale in _wanted(state, moment):
        if time.monotonic() > end:
            return
        try:
            answer(state, run, name, arguments, locale=locale)
        except TooManyError:
            return
        except UpswingError:  # said to whoever asks
            continue


def _wanted(state: ServerState, moment: Moment) -> Iterator[tuple[str, Mapping[str, object], str]]:
    for asked in state.questions.lately(_LATELY):
        yield asked.verb, asked.arguments, asked.locale
    locale = moment.project.locale
    for kind in _SAVED:
        for name in moment.definitions.by_kind.get(kind, {}):
            yield kind, {"name": name}, locale
    for name, arguments in _USUAL:
        yield name, arguments, locale
