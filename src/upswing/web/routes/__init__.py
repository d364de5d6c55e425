"""Pages by room."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from upswing.web.routes import (
    account,
    ask,
    definitions,
    events,
    importing,
    journey,
    look,
    overview,
    patterns,
    people,
    search,
    segments,
    settings,
    share,
    start,
)

ALL: Final[tuple[ModuleType, ...]] = (
    overview, account, start, look, search, share, people, segments, events, journey, importing, definitions, settings, patterns, ask,
)  # fmt: skip
"""Each has ``mount(pages)``."""
