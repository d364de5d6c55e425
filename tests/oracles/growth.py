"""Slow and obvious twin of a growth point's size: user by user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """One user who came to the place: whether of the weak group, whether passed, and what they added in the horizon."""

    weak: bool
    passed: bool
    added: float


def gain(people: Sequence[Person], *, per_week: float, closed: float) -> float:
    """What a week would gain if the weak group closed a share of its gap to the others."""
    weak = [p for p in people if p.weak]
    others = [p for p in people if not p.weak]
    gap = sum(p.passed for p in others) / len(others) - sum(p.passed for p in weak) / len(weak)
    passed = [p.added for p in weak if p.passed]
    failed = [p.added for p in weak if not p.passed]
    worth = sum(passed) / len(passed) - sum(failed) / len(failed)
    return closed * gap * per_week * worth


def own_share(lost: Sequence[set[int]]) -> list[float]:
    """Of each ranked point at one place, the share of its lost users that no point before it lost."""
    seen: set[int] = set()
    found = []
    for mine in lost:
        found.append(len(mine - seen) / len(mine) if mine else 1.0)
        seen |= mine
    return found
