"""Keys of apps at the door: which key a request shows, and their administration."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from upswing.core.i18n import text
from upswing.core.units import Duration
from upswing.facts.database import Facts
from upswing.facts.keys import OVERLAP, Key, KeyKind
from upswing.server.audit import facts_of, record
from upswing.server.errors import NotAllowedError, NotSignedInError
from upswing.server.intake.keys import Authorise, shown_key
from upswing.server.rate_limits import KeyRates
from upswing.server.state import ServerState, needs

Number = Annotated[int, Path(ge=1, le=2**53)]


@dataclass(frozen=True, slots=True)
class AppKey:
    """A key as the routes of apps see it (`intake.keys.IntakeKey`).

    Args:
        id: number as text, or ``local``.
        origins: pages that may use it; empty or ``*`` = any.
        events_per_second: its rate; None = any.
    """

    id: str
    origins: Sequence[str] = ()
    events_per_second: float | None = None


def intake_keys(state: ServerState, facts: Facts) -> Authorise:
    """What lets events in: an intake key; or, on loopback while neither people nor intake keys are set up, no key.

    Without a key only programs and pages of this machine are let in, so that a page somebody happens to open cannot
    write events.
    """

    def authorise(request: Request) -> AppKey:
        key = _key_of(request, shown_key(request), "intake", state, facts)
        return _NO_KEY if key is None else AppKey(str(key.id), key.origins, key.per_second)

    return authorise


class FlagKeys:
    """What lets flags be read: a flag key, within its rate and from its origins.

    Args:
        state: the server's.
        facts: with the keys.
        rates: counts requests by key.
    """

    def __init__(self, state: ServerState, facts: Facts, *, rates: KeyRates | None = None) -> None:
        self._state, self._facts = state, facts
        self._rates = rates or KeyRates()

    def __call__(self, request: Request) -> AppKey:
        """The key of a request; a dependency of routes.

        Raises:
            NotSignedInError: UP816 none.
            NotAllowedError: UP817 from a page that it is not for.
            TooManyError: UP811 over its rate.
        """
        shown = shown_key(request) or str(request.path_params.get("client_key", "")) or None
        key = _key_of(request, shown, "flag", self._state, self._facts)
        if key is None:
            return _NO_KEY
        origin = request.headers.get("origin")
        if origin is not None and not key.allows_origin(origin):
            raise NotAllowedError(text("this key is not for pages of {origin}", origin=origin[:200]), code="UP817")
        self._rates.take(str(key.id), key.per_second)
        return AppKey(str(key.id), key.origins, key.per_second)


class NewKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["intake", "flag"] = Field(description=text("intake sends events, flag reads flags.").message)
    label: str = Field(min_length=1, max_length=200, description=text("Which app carries it.").message)
    origins: list[str] = Field(
        default_factory=list, max_length=100, description=text("Pages that may use it; none = any.").message
    )
    per_second: int | None = Field(
        default=None, ge=1, le=1_000_000, description=text("Events or requests per second.").message
    )


class Rotation(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(extra="forbid")

    overlap: str = Field(
        default=str(OVERLAP), max_length=40, description=text("How long the old key holds yet.").message
    )


def router() -> APIRouter:
    """``/api/v1/keys``."""
    found = APIRouter(prefix="/api/v1/keys", tags=["people"], dependencies=[Depends(needs("admin"))])

    @found.get("", summary=text("Keys of apps, without their secrets").message)
    def keys(request: Request) -> dict[str, object]:
        return {"keys": [key_as_dict(key) for key in facts_of(request).keys]}

    @found.post("", summary=text("Make a key; it is shown once").message, status_code=201)
    def new(request: Request, wanted: NewKey) -> dict[str, object]:
        keys = facts_of(request).keys
        secret, key = keys.new(wanted.kind, label=wanted.label, origins=wanted.origins, per_second=wanted.per_second)
        record(request, "keys.new", f"{key.kind} {key.prefix}", after=key_as_dict(key))
        return {**key_as_dict(key), "key": secret}

    @found.post("/{number}/rotate", summary=text("Make a key that takes over from another").message, status_code=201)
    def rotate(request: Request, number: Number, how: Rotation) -> dict[str, object]:
        overlap = Duration.parse(how.overlap, what="overlap", zero=True)
        secret, key = facts_of(request).keys.rotate(number, overlap=overlap)
        record(request, "keys.rotate", f"{key.kind} {key.prefix}", after=key_as_dict(key))
        return {**key_as_dict(key), "key": secret}

    @found.delete("/{number}", summary=text("End a key now").message)
    def revoke(request: Request, number: Number) -> dict[str, object]:
        key = facts_of(request).keys.revoke(number)
        record(request, "keys.revoke", f"{key.kind} {key.prefix}", after=key_as_dict(key))
        return key_as_dict(key)

    return found


def key_as_dict(key: Key) -> dict[str, object]:
    """A key as plain data, without its secret."""
    return {
        "id": key.id, "kind": key.kind, "prefix": key.prefix, "label": key.label, "origins": list(key.origins),
        "per_second": key.per_second, "created_at": key.created_at, "replaces": key.replaces, "ends_at": key.ends_at,
        "holds": key.holds(),
    }  # fmt: skip


_NO_KEY: Final = AppKey("local")


def _key_of(request: Request, shown: str | None, kind: KeyKind, state: ServerState, facts: Facts) -> Key | None:
    """The key that a request shows; None where none is needed yet: nobody and no such key is set up, and it comes from here.

    Raises:
        NotSignedInError: UP816 no key, or one that does not hold.
    """
    key = None if shown is None else facts.keys.find(shown, kind)
    if key is not None:
        return key
    if shown is None and state.open_to_all and not facts.keys.any(kind) and _from_here(request):
        return None
    if kind == "intake":
        raise NotSignedInError(
            text("this needs an intake key"), code="UP816", hint=text("make one: upswing keys new intake --label APP")
        )
    raise NotSignedInError(
        text("this needs a flag key"), code="UP816", hint=text("make one: upswing keys new flag --label APP")
    )


def _from_here(request: Request) -> bool:
    """Whether a request comes from a program, or from a page of this machine."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site") not in ("cross-site", "same-site")
    host = urlsplit(origin).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
