"""How long the growth models take at size: BG/NBD on a million customers, Markov attribution on a million paths.

python bench/statistics/growth_speed.py [--size 1000000]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from growth_recovery import buyers

from upswing.stats import attribution, clv


def timed(name: str, work: Callable[[], object]) -> None:
    start = time.perf_counter()
    result = work()
    sys.stdout.write(f"{name}: {time.perf_counter() - start:.2f} s ({result})\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000)
    size = parser.parse_args().size
    rng = np.random.default_rng(0)
    x, t_x, age = buyers(rng, size, "bg_nbd")
    days = np.round(t_x * 7)
    timed(f"BG/NBD, {size} customers, times to the day", lambda: clv.fit_bg_nbd(x, days, age * 7).status)
    timed(f"BG/NBD, {size} customers, exact times", lambda: clv.fit_bg_nbd(x, t_x, age).status)
    lengths = rng.geometric(0.35, size)
    touches = np.split(rng.integers(0, 20, lengths.sum()), lengths.cumsum()[:-1])
    steps = [tuple(path.tolist()) for path in touches]
    converted = rng.random(size) < 0.05
    paths = attribution.Paths.of(steps, users=np.ones(size), conversions=converted)
    timed(f"Markov, {size} paths, 20 channels", lambda: attribution.markov(paths).status)


if __name__ == "__main__":
    main()
