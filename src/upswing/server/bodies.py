"""Bodies of requests, read with a bound on what comes over the wire and on what it unpacks to."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request

from upswing.core.i18n import text
from upswing.server.errors import BadRequestError, TooLargeError, TooSlowError

MOST_TIMES_LARGER: Final = 1000
"""Zlib cannot pack better than about 1 : 1030; a higher ratio than this over a large body is a bomb."""
_STEP: Final = 1 << 16
_CONSTANTS: Final = frozenset(["NaN", "Infinity", "-Infinity"])


async def read_body(
    request: Request,
    *,
    limit: int,
    unpacked: int | None = None,
    seconds: float | None = None,
    grow: Callable[[int], object] | None = None,
) -> bytes:
    """The body of a request, unpacked if it says it is packed.

    Args:
        request: as it came; its body must not have been read.
        limit: most bytes over the wire; what is declared is refused before anything is read.
        unpacked: most bytes after unpacking; 8 times `limit` if absent.
        seconds: how long the whole body may take; any time if absent.
        grow: told of bytes as they are held; it may refuse.

    Raises:
        TooSlowError: UP875 it took longer.
        TooLargeError: UP804 more than that.
        BadRequestError: UP801 a packing that is not known or broken.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise too_large(limit)
                if grow is not None:
                    grow(len(part))
                parts.append(part)
    except TimeoutError:
        raise too_slow(seconds) from None
    except ClientDisconnect:  # nobody is there to read the answer
        raise BadRequestError(text("the client went away before the body was there")) from None
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    body = unpack(b"".join(parts), packing, limit=8 * limit if unpacked is None else unpacked)
    if grow is not None:
        grow(max(0, len(body) - size))
    return body


def unpack(body: bytes, packing: str, *, limit: int) -> bytes:
    """Unpack a body, stopping as soon as it grows beyond `limit`.

    Args:
        body: as it came.
        packing: value of Content-Encoding: ``gzip``, ``deflate`` or ``identity``.
        limit: most bytes that come out; never more are held.

    Raises:
        TooLargeError: UP804 it grows beyond `limit`.
        BadRequestError: UP801 a packing that is not known, a broken or an unfinished one.

    Examples:
        >>> import gzip
        >>> unpack(gzip.compress(b"events"), "gzip", limit=100)
        b'events'
    """
    if packing in ("", "identity"):
        if len(body) > limit:
            raise too_large(limit)
        return body
    if packing not in ("gzip", "x-gzip", "deflate"):
        raise BadRequestError(
            text("content-encoding '{packing}' is not known", packing=packing),
            hint=text("send gzip, deflate or no encoding"),
        )
    return _inflate(body, _window(body, packing), limit)


def read_json(body: bytes) -> object:
    """A body as JSON.

    Raises:
        BadRequestError: UP801 it is not UTF-8 or not JSON.
    """
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise BadRequestError(text("the body is not JSON: {reason}", reason=text("it is nested too deeply"))) from None
    except UnicodeDecodeError as error:
        why = text("byte {n} is not UTF-8: {byte}", n=f"{error.start:,}", byte=f"0x{body[error.start]:02x}")
        raise BadRequestError(text("the body is not JSON: {reason}", reason=why)) from None
    except json.JSONDecodeError as error:
        raise BadRequestError(text("the body is not JSON: {reason}", reason=str(error)[:200])) from None
    except ValueError as error:
        number = str(error)
        named = text("'{name}' is no JSON number", name=number)
        why = named if number in _CONSTANTS else text("a number has too many digits")  # thousands: Python refuses them
        raise BadRequestError(text("the body is not JSON: {reason}", reason=why)) from None


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _window(body: bytes, packing: str) -> int:
    """What zlib expects: gzip's header, or zlib's own, which some clients leave out of deflate."""
    if packing != "deflate":
        return 16 + zlib.MAX_WBITS
    wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    made = bytearray()
    rest = body
    while rest:  # gzip allows several members one after the other
        unpacker = zlib.decompressobj(window)
        try:
            while not unpacker.eof:
                before = len(rest)
                piece = unpacker.decompress(rest, _STEP)
                rest = unpacker.unconsumed_tail or (b"" if not unpacker.eof else rest)
                made += piece
                if len(made) > limit:
                    raise too_large(limit)
                if not piece and not unpacker.eof and (not rest or len(rest) == before):
                    raise BadRequestError(text("the packed body ends too early"))
        except zlib.error as error:
            raise BadRequestError(text("the body cannot be unpacked: {reason}", reason=str(error)[:200])) from None
        rest = unpacker.unused_data if window > zlib.MAX_WBITS else b""
    return bytes(made)


def too_large(limit: int) -> TooLargeError:
    """The error for more than `limit` bytes."""
    return TooLargeError(
        text("the body is larger than {n} bytes", n=f"{limit:,}"), hint=text("send it in several parts")
    )


def too_slow(seconds: float | None) -> TooSlowError:
    """The error for a body that did not come in time; the connection ends with it."""
    return TooSlowError(
        text("the body did not come within {n} s", n=f"{seconds or 0:g}"), code="UP875", headers={"Connection": "close"}
    )
