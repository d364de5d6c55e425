"""Segment's HTTP API: ``track``, ``identify``, ``page``, ``screen``, ``group``, ``alias``, and batches of them.

Source: Segment, "HTTP Tracking API Source" and "Spec: Common Fields" (segment.com/docs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from upswing.core.i18n import text
from upswing.server.intake.clock import corrected, read_moment
from upswing.server.intake.events import Delivery
from upswing.server.intake.refusals import too_many, unreadable

CALLS: Final = {
    "track": "track", "identify": "identify", "page": "page", "screen": "screen", "group": "group", "alias": "alias",
    "t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias",
}  # fmt: skip
"""Type of message by the last part of the path; analytics.js sends the short ones."""


def take_call(body: object, call: str, delivery: Delivery) -> None:
    """One message, its type from the path.

    Raises:
        BadRequestError: UP801 it is no JSON object.
    """
    if not isinstance(body, dict):
        raise unreadable(text("it is not a JSON object"))
    _message(0, {**body, "type": CALLS[call]}, delivery, _moment(body.get("sentAt")))


def take_batch(body: object, delivery: Delivery, *, past: bool = False) -> None:
    """A batch: its ``context`` holds for every message that has none of its own.

    Args:
        body: the JSON body.
        delivery: where the messages go.
        past: of ``/v1/import``: times stand as they are written.

    Raises:
        BadRequestError: UP801 it is no JSON object, or has no list ``batch``.
    """
    if not isinstance(body, dict):
        raise unreadable(text("it is not a JSON object"))
    messages = body.get("batch")
    if not isinstance(messages, list):
        raise unreadable(text("'batch' is not a list"))
    if len(messages) > delivery.limits.events:
        raise too_many(delivery.limits.events)
    sent = None if past else _moment(body.get("sentAt"))
    shared = body.get("context")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            delivery.refuse(index, "malformed_event", "not a JSON object", message)
            continue
        if isinstance(shared, dict) and shared:
            own = message.get("context")
            message = {**message, "context": {**shared, **(own if isinstance(own, dict) else {})}}
        _message(index, message, delivery, sent)


def _message(index: int, message: Mapping[str, object], delivery: Delivery, sent: int | None) -> None:
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        delivery.refuse(index, "malformed_event", f"type: {kind}", message)
        return
    written = message.get("timestamp") or message.get("originalTimestamp")
    original = _moment(written)
    if written and original is None:
        delivery.refuse(index, "bad_time", written, message)
        return
    at = corrected(original, sent, delivery.received)
    if kind == "alias":
        delivery.alias(index, message, alias=message.get("previousId"), canonical=message.get("userId"), at=at)
        return
    delivery.event(
        index,
        message,
        user=message.get("userId"),
        anonymous=message.get("anonymousId"),
        event=message.get("event") if kind == "track" else kind,
        event_id=message.get("messageId"),
        at=at,
        values=_values(kind, message),
    )


_FIELDS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    # (key of the message, prefix of the properties)
    "track": (("properties", ""), ("context", "context.")),
    "page": (("properties", ""), ("context", "context.")),
    "screen": (("properties", ""), ("context", "context.")),
    "identify": (("traits", "traits."), ("context", "context.")),
    "group": (("traits", "traits."), ("context", "context.")),
    "alias": (),
}
_NAMED: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    # (key of the message, name of the property)
    "page": (("name", "name"), ("category", "category")),
    "screen": (("name", "name"), ("category", "category")),
    "group": (("groupId", "group_id"),),
}


def _values(kind: str, message: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {prefix: message.get(key) for key, prefix in _FIELDS[kind]}
    named = {name: message[key] for key, name in _NAMED.get(kind, ()) if message.get(key) is not None}
    if named:
        own = found.get("")
        found[""] = {**named, **own} if isinstance(own, dict) else named
    return found


def _moment(written: object) -> int | None:
    return None if written is None else read_moment(written)
