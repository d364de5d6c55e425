"""Compiled single passes over pieces of the spine: marks by table, and which rows stay."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, nogil=True)
def look_up(codes: NDArray[Any], table: NDArray[Any], marks: NDArray[Any]) -> None:
    """``marks[i] = table[codes[i]]``."""
    for i in range(len(codes)):
        marks[i] = table[codes[i]]


@numba.njit(cache=True, nogil=True)
def restrict(bits: NDArray[Any], table: NDArray[Any], marks: NDArray[Any]) -> None:
    """``marks[i] &= table[bits[i]]``."""
    for i in range(len(bits)):
        marks[i] &= table[bits[i]]


@numba.njit(cache=True, nogil=True)
def require(bits: NDArray[Any], bit: int, kept: NDArray[np.bool_]) -> None:
    """Rows without the bit are not kept."""
    for i in range(len(bits)):
        kept[i] &= (bits[i] >> bit) & 1 == 1


@numba.njit(cache=True, nogil=True)
def in_range(times: NDArray[np.int64], start: int, stop: int, kept: NDArray[np.bool_]) -> None:
    """Rows outside [start, stop) are not kept."""
    for i in range(len(times)):
        kept[i] &= start <= times[i] < stop


@numba.njit(cache=True, nogil=True)
def kept_rows(
    offsets: NDArray[np.int64], chosen: NDArray[np.bool_], kept: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that stay, and how many of each user's.

    Args:
        offsets: of the piece's users into its rows, shape (n_users + 1,).
        chosen: users to keep, shape (n_users,).
        kept: rows to keep, shape (n_rows,).
    """
    counts = np.zeros(len(offsets) - 1, np.int64)
    rows = np.empty(len(kept) + 1, np.int64)
    at = 0
    for u in range(len(counts)):
        if chosen[u]:
            before = at
            for i in range(offsets[u], offsets[u + 1]):
                rows[at] = i  # written always and kept by moving on: no branch to guess
                at += kept[i]
            counts[u] = at - before
    return rows[:at], counts
