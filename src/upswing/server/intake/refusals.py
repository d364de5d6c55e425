"""Why a request is not taken; nothing of it is stored then, and the client keeps its events."""

from __future__ import annotations

from typing import ClassVar

from upswing.core.i18n import Text, text
from upswing.server.errors import (
    BadRequestError,
    NotAllowedError,
    ServerError,
    TooLargeError,
    TooManyError,
    UnavailableError,
)


class StorageFullError(ServerError):
    """The disk is full: 507."""

    status: ClassVar[int] = 507
    default_code = "UP872"


def unreadable(cause: Text) -> BadRequestError:
    """400: the body is not what the protocol says."""
    return BadRequestError(text("the events cannot be read: {cause}", cause=cause))


def too_many(limit: int) -> TooLargeError:
    """413: more events in one request than are taken."""
    return TooLargeError(text("more than {n} events in one request", n=f"{limit:,}"), hint=text("send fewer at a time"))


def busy(seconds: int) -> TooManyError:
    """429: the spool, or the memory for requests under way, is full."""
    return TooManyError(
        text("too many events are waiting to be stored; try again in {seconds} s", seconds=seconds),
        retry_after=seconds,
        code="UP870",
    )


def too_fast(seconds: int) -> TooManyError:
    """429: the key is over its rate."""
    return TooManyError(
        text("the key sends more events than it may; try again in {seconds} s", seconds=seconds),
        retry_after=seconds,
        code="UP871",
    )


def cannot_write(cause: object, *, full: bool) -> ServerError:
    """507 the disk is full, or 503 it cannot be written."""
    kind = StorageFullError if full else UnavailableError
    return kind(
        text("events cannot be written to disk: {cause}", cause=cause),
        code="UP872",
        hint=text("make room on the disk; what was acknowledged is safe"),
        headers={"Retry-After": "30"},
    )


def foreign_origin(origin: str) -> NotAllowedError:
    """403: the key is not for pages of this origin."""
    return NotAllowedError(
        text("the key may not be used by pages of '{origin}'", origin=origin[:200]),
        code="UP873",
        hint=text("add the origin to the key's list"),
    )


def stopping() -> UnavailableError:
    """503: the server is shutting down."""
    return UnavailableError(text("the server is stopping; send the events again"), headers={"Retry-After": "5"})
