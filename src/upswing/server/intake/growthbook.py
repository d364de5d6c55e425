"""GrowthBook's tracking plug-ins: a JSON list, sent as text so that browsers ask no permission first.

The two plug-ins name the same things differently (JavaScript ``Experiment Viewed`` with ``experimentId``, Python
``$$experiment_viewed`` with ``experiment_id``); they are stored under one name, with one spelling of the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from upswing.core.i18n import text
from upswing.server.bodies import read_json
from upswing.server.errors import BadRequestError
from upswing.server.intake.events import Delivery
from upswing.server.intake.refusals import too_many, unreadable

EVENTS: Final = {
    "$$experiment_viewed": "Experiment Viewed",
    "$$feature_evaluated": "Feature Evaluated",
}
"""One name for one event."""
KEYS: Final = {
    "experimentId": "experiment_id", "variationId": "variation_id", "variationKey": "variation_key",
    "hashAttribute": "hash_attribute", "hashValue": "hash_value", "hashUsed": "hash_used",
    "inExperiment": "in_experiment", "feature": "feature_key", "value": "feature_value", "ruleId": "rule_id",
}  # fmt: skip
"""One spelling for the keys of these two events."""
_TEXT: Final = frozenset(["variation_id", "variation_key", "hash_value", "feature_value"])
_TOP: Final = (
    "page_id", "session_id", "sdk_language", "sdk_version", "url", "page_title",
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
)  # fmt: skip


def take_events(body: object, delivery: Delivery) -> None:
    """A list of events, or one.

    They carry no time, so they happened on receipt.

    Raises:
        BadRequestError: UP801 it is neither a list nor an object.
    """
    found = [body] if isinstance(body, dict) else body
    if not isinstance(found, list):
        raise unreadable(text("it is not a JSON list"))
    if len(found) > delivery.limits.events:
        raise too_many(delivery.limits.events)
    for index, event in enumerate(found):
        if isinstance(event, dict):
            _take(index, event, delivery)
        else:
            delivery.refuse(index, "malformed_event", "not a JSON object", event)


def _take(index: int, event: Mapping[str, object], delivery: Delivery) -> None:
    name = event.get("event_name")
    named = EVENTS.get(name, name) if isinstance(name, str) else name
    own = _object(event.get("properties_json"))
    if named in EVENTS.values():
        own = {KEYS.get(key, key): value for key, value in own.items()}
        own = {key: _as_text(value) if key in _TEXT else value for key, value in own.items()}
    top = {key: event[key] for key in _TOP if event.get(key) not in (None, "")}
    delivery.event(
        index,
        event,
        user=event.get("user_id"),
        anonymous=event.get("device_id"),
        event=named,
        at=delivery.received,
        values={"": {**top, **own}, "context.": _object(event.get("context_json"))},
    )


def _object(value: object) -> dict[str, object]:
    """An object, or one written as text."""
    if isinstance(value, str):
        try:
            value = read_json(value.encode())
        except (BadRequestError, UnicodeEncodeError):
            return {}
    return value if isinstance(value, dict) else {}


def _as_text(value: object) -> object:
    """A variation or value as text whatever its type, so that one column holds them all."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value
