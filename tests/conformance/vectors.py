"""Reading the neutral vectors: events, tests of events, durations and instants (the format is in README.md)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.oracles.event import DAY, HOUR, MINUTE, SECOND, Event

FOLDER = Path(__file__).parent
UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


def load(kind: str) -> list[dict[str, Any]]:
    """Every vector of a kind: funnel, retention, lifecycle, stickiness or paths."""
    vectors: list[dict[str, Any]] = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    return vectors


def events(vector: dict[str, Any]) -> list[Event]:
    """The vector's events; the place in the list is the stored order."""
    rows = vector["events"]
    return [Event(user, instant(time), row, name, props) for row, (user, time, name, props) in enumerate(rows)]


def instant(time: float | str) -> int:
    """Microseconds since 1970 UTC, from seconds or an ISO 8601 text."""
    if isinstance(time, str):
        stamp = datetime.fromisoformat(time).astimezone(UTC)
        return int(stamp.timestamp()) * SECOND + stamp.microsecond
    return round(time * SECOND)


def duration(length: float | str) -> int:
    """Microseconds, from seconds or a text such as ``14d``, ``30m``."""
    if isinstance(length, str):
        return int(length[:-1]) * UNITS[length[-1]]
    return round(length * SECOND)


def test_of(step: dict[str, Any]) -> Callable[[Event], bool]:
    """``event``: a name or a list of names; ``where``: properties that must be equal (null: missing or null)."""
    names = step["event"] if isinstance(step["event"], list) else [step["event"]]
    where = step.get("where", {})
    return lambda e: e.name in names and all(e.props.get(k) == v for k, v in where.items())


test_of.__test__ = False  # type: ignore[attr-defined]
