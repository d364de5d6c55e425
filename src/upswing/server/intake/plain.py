"""Plain JSON: ``{"user": …, "event": …, "time": …, "id": …, "properties": {…}}``, one, a list, or one per line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from typing import Final

from upswing.server.bodies import read_json
from upswing.server.errors import BadRequestError
from upswing.server.intake.clock import corrected, read_moment
from upswing.server.intake.events import Delivery
from upswing.server.intake.refusals import too_many

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("user", "user_id", "userId", "distinct_id"),
    "anonymous": ("anonymous", "anonymous_id", "anonymousId", "device_id"),
    "event": ("event", "event_name", "eventName"),
    "time": ("time", "timestamp", "ts"),
    "id": ("id", "event_id", "eventId", "message_id", "messageId", "insert_id"),
    "sent": ("sent_at", "sentAt"),
}
"""Accepted keys by role, the documented one first."""
_ROLE_KEYS: Final = frozenset(key for keys in NAMES.values() for key in keys) | {"properties"}


def take_events(body: bytes, delivery: Delivery, *, zone: tzinfo) -> None:
    """One event, a list of events, or JSON lines.

    Of JSON lines, a bad line is set aside alone; a body that is one JSON document is read whole or not at all.

    Args:
        body: as sent, unpacked.
        delivery: where the events go.
        zone: of ISO times that carry none: the workspace's.

    Raises:
        BadRequestError: UP801.
    """
    for index, found in enumerate(_documents(body)):
        if index >= delivery.limits.events:
            raise too_many(delivery.limits.events)
        if isinstance(found, _BadLine):
            delivery.refuse(index, "invalid_json", found.cause, found.line)
        elif isinstance(found, dict):
            _take(index, found, delivery, zone)
        else:
            delivery.refuse(index, "malformed_event", "not a JSON object", found)


class _BadLine:
    """A line that is no JSON."""

    __slots__ = ("cause", "line")

    def __init__(self, line: str, cause: str) -> None:
        self.line, self.cause = line, cause


def _documents(body: bytes) -> Iterator[object]:
    start = body.lstrip(b" \t\r\n\xef\xbb\xbf")
    if start[:1] == b"[":
        found = read_json(start)
        assert isinstance(found, list)
        yield from found
        return
    lines = [line for line in start.split(b"\n") if line.strip()]
    if len(lines) <= 1 or not lines[0].rstrip().endswith(b"}"):  # one object, perhaps over several lines
        yield read_json(start)
        return
    for line in lines:
        try:
            yield read_json(line)
        except BadRequestError as error:
            yield _BadLine(line.decode("utf-8", "replace"), str(error.message))


def _take(index: int, found: Mapping[str, object], delivery: Delivery, zone: tzinfo) -> None:
    written = _first(found, "time")
    original = None if written is None else read_moment(written, zone)
    if written is not None and original is None:
        delivery.refuse(index, "bad_time", written, found)
        return
    sent = _first(found, "sent")
    at = corrected(original, None if sent is None else read_moment(sent, zone), delivery.received)
    others = {key: value for key, value in found.items() if key not in _ROLE_KEYS}
    given = found.get("properties")
    delivery.event(
        index,
        found,
        user=_first(found, "user"),
        anonymous=_first(found, "anonymous"),
        event=_first(found, "event"),
        event_id=_first(found, "id"),
        at=at,
        values={"": {**others, **given} if isinstance(given, dict) else others},
    )


def _first(found: Mapping[str, object], role: str) -> object:
    for key in NAMES[role]:
        value = found.get(key)
        if value is not None:
            return value
    return None
