"""神策 (Sensors Analytics): ``/sa`` as its SDKs send it: form or query, Base64, gzip, one message or a list.

Source: the data format of 神策's SDKs ("数据格式", manual.sensorsdata.cn) and ``SensorsAnalyticsSDK`` on PyPI.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from upswing.core.i18n import text
from upswing.server.bodies import read_json, unpack
from upswing.server.intake.clock import corrected, read_moment
from upswing.server.intake.events import Delivery, identifier
from upswing.server.intake.refusals import too_many, unreadable

LOGIN: Final = "$identity_login_id"
_IGNORED: Final = ("item_set", "item_delete", "item_update", "profile_unset", "track_id_unbind")
_PROFILES: Final = ("profile_set", "profile_set_once", "profile_increment", "profile_append", "profile_delete")
_EVENTS: Final = ("track", "track_signup", "track_id_bind")


def read_form(written: bytes) -> dict[str, str]:
    """A form or query string; of a repeated field the first counts.

    Raises:
        BadRequestError: UP801.
    """
    try:
        found = parse_qs(written.decode("ascii"), keep_blank_values=True, max_num_fields=50)
    except ValueError as error:
        raise unreadable(text("{reason}", reason=error)) from None
    return {key: values[0] for key, values in found.items()}


def read_messages(form: Mapping[str, str], limit: int) -> list[object]:
    """The messages of a form.

    Args:
        form: its fields: ``data`` or ``data_list``, and ``gzip``.
        limit: most bytes, unpacked.

    Raises:
        BadRequestError: UP801 not Base64, not JSON, encrypted; UP804 too large.

    Examples:
        >>> read_messages({"data": "eyJ0eXBlIjoidHJhY2sifQ=="}, 1000)
        [{'type': 'track'}]
    """
    single, several = form.get("data"), form.get("data_list")
    written = single or several
    if not written:
        raise unreadable(text("neither 'data' nor 'data_list' is there"))
    packing = form.get("gzip", "0").strip() or "0"
    if packing not in ("0", "1"):
        raise unreadable(text("gzip={packing} is an unknown packing, or encrypted", packing=packing[:10]))
    try:
        packed = base64.b64decode(written.replace(" ", "+").replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise unreadable(text("{reason}", reason=error)) from None
    found = read_json(unpack(packed, "gzip" if packed[:2] == b"\x1f\x8b" else "identity", limit=limit))
    return found if isinstance(found, list) else [found]


def take_messages(messages: list[object], delivery: Delivery) -> None:
    """Messages of any type: tracks, sign-ups, profiles; items are ignored, and said to be.

    Raises:
        BadRequestError: UP801 more messages than the limit.
    """
    if len(messages) > delivery.limits.events:
        raise too_many(delivery.limits.events)
    for index, message in enumerate(messages):
        if isinstance(message, dict):
            _take(index, message, delivery)
        else:
            delivery.refuse(index, "malformed_event", "not a JSON object", message)


def _take(index: int, message: Mapping[str, object], delivery: Delivery) -> None:
    kind = message.get("type")
    if kind in _IGNORED:
        delivery.ignored.append(str(kind))
        return
    if kind not in _EVENTS and kind not in _PROFILES:
        delivery.refuse(index, "malformed_event", f"type: {kind}", message)
        return
    written = message.get("time")
    original = None if written is None else read_moment(written)
    if written is not None and original is None:
        delivery.refuse(index, "bad_time", written, message)
        return
    flushed = message.get("_flush_time")
    at = corrected(original, None if flushed is None else read_moment(flushed), delivery.received)
    tracked = kind in _EVENTS
    before = delivery.events
    delivery.event(
        index,
        message,
        user=message.get("distinct_id"),
        event=message.get("event") if tracked else kind,
        event_id=_event_id(message),
        at=at,
        values={"" if tracked else "traits.": message.get("properties")},
    )
    if delivery.events > before:
        _identify(message, delivery, at)


def _event_id(message: Mapping[str, object]) -> str | None:
    """Repeats have the same ``_track_id``, user, event and time; the number alone has 32 bits and repeats by chance."""
    track = identifier(message.get("_track_id"))
    if track is None:
        return None
    return ":".join([track, *(str(message.get(key, "")) for key in ("distinct_id", "event", "time"))])


def _identify(message: Mapping[str, object], delivery: Delivery, at: int) -> None:
    """Who is whom: a sign-up's original id, the anonymous id beside a login, and bound identities."""
    user = identifier(message.get("distinct_id"))
    assert user is not None
    others: list[str | None] = []
    if message.get("type") == "track_signup":
        others.append(identifier(message.get("original_id")))
    login = identifier(message.get("login_id"))
    if login is not None and login == user:
        others.append(identifier(message.get("anonymous_id")))
    identities = message.get("identities")
    if isinstance(identities, dict) and (message.get("type") == "track_id_bind" or LOGIN in identities):
        others += [_identity(key, value) for key, value in identities.items()]
    for other in dict.fromkeys(others):
        if other is not None and other != user:
            delivery.identify(other, user, at)


def _identity(key: str, value: object) -> str | None:
    """An identity as the user id that events of it alone have."""
    found = identifier(value)
    if found is None or key in (LOGIN, "$identity_anonymous_id", "$identity_cookie_id"):
        return found
    return f"{key}+{found}"
