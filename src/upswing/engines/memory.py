"""How much memory DuckDB may take before it spills to disk."""

from __future__ import annotations

import os
from typing import Final

_USUAL: Final = 4 << 30
"""Enough to sort 100 million events in a few runs, and little enough to stand beside other work on a laptop."""


def usual_limit() -> str:
    """4 GiB, or half of the machine's memory where that is less; ``engine.memory`` in ``upswing.yml`` overrides it."""
    try:
        half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):  # a system that does not tell
        half = _USUAL
    return f"{min(half, _USUAL) >> 20}MiB"
