"""Memory of the process: what is let go of goes back to the system, so that a server which runs for weeks stays small.

glibc gives each thread that allocates a heap of its own (up to eight per core) and, after the first large array is freed,
keeps arrays of up to 32 MiB in these heaps; between small objects that stay they cannot be returned. Two heaps, and arrays
from 4 MiB on mapped by themselves, is what `mallopt(3)` offers against it.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Final

_ARENAS: Final = (-8, 2)
_MAPPED_FROM: Final = (-3, 4 << 20)
_TRIMMED_FROM: Final = (-1, 16 << 20)
"""Parameters of mallopt: M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD (glibc's malloc.h)."""


def return_memory() -> bool:
    """Set it for this process; to be called before threads start.

    Returns:
        Whether the C library took it; others than glibc have no such settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        taken = [mallopt(*setting) for setting in (_ARENAS, _MAPPED_FROM, _TRIMMED_FROM)]
        return taken == [1, 1, 1]
    return False
