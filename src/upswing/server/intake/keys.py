"""Intake keys as the intake sees them: what a request shows, and what a key allows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from starlette.requests import Request

from upswing.server.intake.refusals import foreign_origin

_PARAMETERS: Final = ("key", "client_key", "write_key", "writeKey", "token")


class IntakeKey(Protocol):
    """A key that may write events."""

    @property
    def id(self) -> str:
        """Its id; never the key itself."""
        ...

    @property
    def origins(self) -> Sequence[str]:
        """Origins of the pages that may use it; empty or ``*`` = any."""
        ...

    @property
    def events_per_second(self) -> float | None:
        """Its rate; None = any."""
        ...


Authorise = Callable[[Request], "IntakeKey | Awaitable[IntakeKey]"]
"""Gives the key that a request shows (see `shown_key`); raises NotSignedInError if it is none."""


def shown_key(request: Request) -> str | None:
    """The key as a request shows it: basic authentication (Segment), bearer, ``X-API-Key``, a parameter, or the body.

    The body's key (``writeKey``, as browsers send it) is known once the body is read: the route puts it into
    ``request.state.body_key``.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return _basic(given.strip())
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    found = request.headers.get("x-api-key")
    for parameter in _PARAMETERS:
        found = found or request.query_params.get(parameter)
    if found is None:
        found = getattr(request.state, "body_key", None)
    return found


def cross_origin(request: Request) -> dict[str, str]:
    """Headers by which a page of any origin can read the answer: the key, not a cookie, is the permission."""
    found = {"cross-origin-resource-policy": "cross-origin"}
    origin = request.headers.get("origin")
    if origin is not None:
        found |= {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": "Retry-After",
            "vary": "Origin",
        }
    return found


def preflight(request: Request) -> dict[str, str]:
    """Headers that answer a browser's question before the request; it shows no key, so all is allowed to be asked."""
    return cross_origin(request) | {
        "access-control-allow-methods": "GET, POST, OPTIONS",
        "access-control-allow-headers": "Authorization, Content-Type, Content-Encoding, X-API-Key, X-Retry-Count",
        "access-control-max-age": "86400",
    }


def check_origin(request: Request, key: IntakeKey) -> None:
    """Refuse pages that the key is not for.

    Raises:
        NotAllowedError: UP873.
    """
    origin = request.headers.get("origin")
    if origin is None or not key.origins or "*" in key.origins:
        return
    if origin.lower().rstrip("/") not in {allowed.lower().rstrip("/") for allowed in key.origins}:
        raise foreign_origin(origin)


def _basic(given: str) -> str | None:
    """The user of basic authentication; Segment's clients leave the password empty."""
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[0] or None
    except (binascii.Error, ValueError):
        return None
