"""What can go wrong between a client and the server, each with its HTTP status; and the status of every other error."""

from __future__ import annotations

from typing import ClassVar, Final

from upswing.core.errors import DataError, DefinitionError, EngineError, UpswingError, UsageError
from upswing.core.i18n import Text, text


class ServerError(UpswingError):
    """A request that the server does not answer. `status` is the HTTP status; `headers` go with the answer."""

    status: ClassVar[int] = 500
    default_code = "UP800"

    def __init__(
        self,
        message: Text | str,
        *,
        code: str | None = None,
        hint: Text | str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.headers = headers or {}


class BadRequestError(ServerError):
    """A request that cannot be read."""

    status = 400
    default_code = "UP801"


class NotSignedInError(ServerError):
    """Nobody has said who is asking."""

    status = 401
    default_code = "UP805"


class NotAllowedError(ServerError):
    """Who is asking may not do this, or not from there."""

    status = 403
    default_code = "UP806"


class NotFoundError(ServerError):
    """Nothing at this address."""

    status = 404
    default_code = "UP802"


class MethodNotAllowedError(ServerError):
    """The address answers other methods."""

    status = 405
    default_code = "UP803"


class TooSlowError(ServerError):
    """The request took too long to arrive."""

    status = 408
    default_code = "UP875"


class ConflictError(ServerError):
    """What is there now does not allow it."""

    status = 409
    default_code = "UP809"


class TooLargeError(ServerError):
    """More than the server takes in one request."""

    status = 413
    default_code = "UP804"


class TooManyError(ServerError):
    """More requests than the server answers now; `retry_after` says when to come again.

    Args:
        retry_after: seconds.
    """

    status = 429
    default_code = "UP807"

    def __init__(
        self, message: Text | str, *, retry_after: float = 1, code: str | None = None, hint: Text | str | None = None
    ) -> None:
        seconds = str(max(1, round(retry_after)))
        super().__init__(message, code=code, hint=hint, headers={"Retry-After": seconds})


class UnavailableError(ServerError):
    """The server cannot answer now: it is starting or stopping."""

    status = 503
    default_code = "UP808"


class InternalError(ServerError):
    """A mistake of the server's own; `request_id` finds it in the log."""

    status = 500
    default_code = "UP800"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            text("the server made a mistake and could not answer"),
            hint=text("the server's log has the cause under request id {id}", id=request_id),
        )


_MISSING: Final = frozenset({"UP201", "UP602", "UP644"})
"""Codes that say that something asked for by its name is not there."""


def status_of(error: UpswingError) -> int:
    """The HTTP status of an error, by its family.

    Examples:
        >>> status_of(UsageError("no")), status_of(DataError("no")), status_of(EngineError("no"))
        (422, 422, 503)
        >>> status_of(NotFoundError("nothing there"))
        404
    """
    if isinstance(error, ServerError):
        return error.status
    if error.code in _MISSING:
        return 404
    if isinstance(error, UsageError | DefinitionError | DataError):
        return 422
    if isinstance(error, EngineError):
        return 503
    return 500


def no_such_address(path: str) -> NotFoundError:
    """The error for an address that nothing answers."""
    return NotFoundError(
        text("nothing is at '{path}'", path=path), hint=text("the addresses are listed in /api/v1/openapi.json")
    )


def no_such_method(method: str, allowed: str) -> MethodNotAllowedError:
    """The error for an address that answers other methods."""
    return MethodNotAllowedError(
        text("{method} is not answered here", method=method),
        hint=text("use {methods}", methods=allowed) if allowed else None,
        headers={"Allow": allowed} if allowed else None,
    )
