"""Timing side by side: the contestants take turns, and the least of several runs counts, since the machine is shared."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timed:
    seconds: float
    answer: object


def side_by_side(
    contestants: Mapping[str, Callable[[], object]], *, rounds: int = 5, warm: int = 1
) -> dict[str, Timed]:
    """Least wall time per contestant over interleaved rounds, with the answer for comparison."""
    for _ in range(warm):
        for run in contestants.values():
            run()
    best: dict[str, Timed] = {}
    for _ in range(rounds):
        for name, run in contestants.items():
            begun = time.perf_counter()
            answer = run()
            seconds = time.perf_counter() - begun
            if name not in best or seconds < best[name].seconds:
                best[name] = Timed(seconds, answer)
    return best


def peak_memory_gib() -> float:
    """Largest resident size of this process so far.

    Not `ru_maxrss` where Linux tells better: a program begins with the peak of the one that started it.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
