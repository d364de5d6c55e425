"""What one request brought, in the one shape that all protocols are read into, as a frame of the spool.

A frame is lines of JSON: a head (aliases, clicks, rows refused, and the names of all properties by kind), then one line
per event with its properties by kind: ``s`` texts, ``n`` numbers, ``k`` whole numbers, ``b`` yes or no, ``j`` JSON. So
the kind of every value is decided once, by its JSON type, and the log's writer needs no guessing.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Final, Literal

from upswing.server.intake.clock import flaw, local_text
from upswing.server.intake.limits import Limits

Kind = Literal["s", "n", "k", "b", "j"]
KINDS: Final[tuple[Kind, ...]] = ("s", "n", "k", "b", "j")
ROLE_NAMES: Final = ("user", "time", "event", "event_id")
"""Columns of an event itself; a property with such a name is kept as ``properties.NAME``."""

_KIND_OF: Final[Mapping[type, Kind]] = {str: "s", float: "n", int: "k", bool: "b"}
_DEPTH: Final = 4
_WHOLE: Final = 2**63
_EXACT: Final = 2**53 - 1
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""An escaped NUL, which no engine keeps in a text; not a backslash that is escaped itself and a word after it."""


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def to_json(value: object) -> str:
    """A value as JSON in one line.

    Examples:
        >>> to_json({"名": [1, None]})
        '{"名":[1,null]}'
    """
    return _ENCODER.encode(value)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that is not stored but set aside.

    Args:
        index: its place in the request, from 0.
        reason: a key of `events.summary.REASONS`.
        detail: what exactly, e.g. the value.
        raw: the event as it came.
    """

    index: int
    reason: str
    detail: str
    raw: str


@dataclass(frozen=True, slots=True)
class Click:
    """A click on an advertisement, as its platform reported it.

    Args:
        platform: who reported it.
        click_id: the platform's id of it; repeated reports of one id are stored once.
        time: when, µs UTC.
        received: when it was reported, µs UTC.
        fields: what is known of it, by column of `clicks.COLUMNS`.
        parameters: all parameters as they came, unreplaced macros left out.
    """

    platform: str
    click_id: str
    time: int
    received: int
    fields: dict[str, str]
    parameters: dict[str, str]


@dataclass(slots=True)
class Delivery:
    """What one request brought: rows for the log, and what was wrong with the rest.

    Args:
        received: when it came, µs UTC.
        limits: sizes.

    Examples:
        >>> delivery = Delivery(1_795_392_000_000_000)
        >>> delivery.event(0, {}, user="u1", event="pay", at=1_795_392_000_000_000, values={"": {"amount": 5}})
        >>> delivery.accepted, delivery.refused
        (1, [])
    """

    received: int
    limits: Limits = field(default_factory=Limits)
    refused: list[Refusal] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    aliases: list[tuple[str, str, int]] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)
    _names: dict[Kind, set[str]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    _stands: dict[str, str] = field(default_factory=dict)
    _others: int = 0

    @property
    def accepted(self) -> int:
        """Messages that will be stored: events, aliases and clicks."""
        return len(self._lines) + self._others

    @property
    def events(self) -> int:
        """Events that will be stored."""
        return len(self._lines)

    def event(
        self,
        index: int,
        raw: object,
        *,
        user: object,
        event: object,
        at: int,
        values: Mapping[str, object],
        event_id: object = None,
        anonymous: object = None,
    ) -> None:
        """Take one event, or set it aside with the reason.

        Args:
            index: its place in the request.
            raw: the event as it came, kept if it is set aside.
            user: id of the user; None where only `anonymous` is known.
            event: its name.
            at: when, µs UTC.
            values: properties by prefix of their names, e.g. ``{"": {...}, "context.": {...}}``.
            event_id: the client's id of it, so that a repeat is recognised; made here if there is none.
            anonymous: id of the device; with a `user`, it is an alias of theirs from now on.
        """
        known, device = identifier(user), identifier(anonymous)
        who, named = known or device, identifier(event)
        reason, detail = self._flaw(who, named, at)
        if reason is not None:
            self.refuse(index, reason, detail, raw)
            return
        row: dict[str, object] = {"u": who, "t": at, "e": named, "i": self._event_id(event_id)}
        kinds = {kind: found for kind, found in _by_kind(values).items() if found}
        line = to_json(row | kinds)
        reason = self._too_long(kinds, line)
        if reason is not None:
            self.refuse(index, "too_long", reason, raw)
            return
        self._lines.append(line)
        for kind, found in kinds.items():
            self._names[kind].update(found)
        if known is not None and device is not None:
            self.identify(device, known, at)

    def alias(self, index: int, raw: object, *, alias: object, canonical: object, at: int) -> None:
        """Take a statement that two ids are one user, or set it aside."""
        other, user = identifier(alias), identifier(canonical)
        reason, detail = self._flaw(user, "alias", at)
        if other is None:
            reason, detail = "missing_user", ""
        if reason is not None:
            self.refuse(index, reason, detail, raw)
        elif other is not None and user is not None:
            self._others += 1
            self.identify(other, user, at)

    def click(self, click: Click) -> None:
        """Take a click."""
        self._others += 1
        self.clicks.append(click)

    def refuse(self, index: int, reason: str, detail: object, raw: object) -> None:
        """Set something aside."""
        kept = raw if isinstance(raw, str) else to_json(raw)
        self.refused.append(Refusal(index, reason, str(detail)[:500], kept[: self.limits.event_bytes]))

    def frame_lines(self) -> list[str]:
        """The events as lines of JSON."""
        return list(self._lines)

    def frame(self) -> bytes | None:
        """The delivery as the spool keeps it; None if there is nothing to keep."""
        if not (self._lines or self.aliases or self.clicks or self.refused):
            return None
        head = {
            "v": 1,
            "events": len(self._lines),
            "names": {kind: sorted(names) for kind, names in self._names.items() if names},
            "aliases": self.aliases,
            "clicks": [asdict(click) for click in self.clicks],
            "refused": [asdict(refusal) for refusal in self.refused],
        }
        written = "\n".join([to_json(head), *self._lines]).encode("utf-8", "replace")
        return _NUL.sub(rb"\1", written) if b"\\u0000" in written else written

    def identify(self, alias: str, canonical: str, at: int) -> None:
        """Note that `alias` is `canonical` from a moment on, unless this request said so already."""
        if alias != canonical and self._stands.get(alias) != canonical:
            self._stands[alias] = canonical
            self.aliases.append((alias, canonical, at))

    def _event_id(self, given: object) -> str:
        found = identifier(given)
        if found is None:
            return str(uuid.uuid4())
        return (
            found
            if len(found) <= self.limits.id_length
            else hashlib.sha256(found.encode("utf-8", "replace")).hexdigest()
        )

    def _too_long(self, kinds: Mapping[Kind, Mapping[str, object]], line: str) -> str | None:
        count = sum(map(len, kinds.values()))
        if count > self.limits.properties:
            return f"{count} properties > {self.limits.properties}"
        if len(line) * 4 <= self.limits.event_bytes or len(line.encode("utf-8", "replace")) <= self.limits.event_bytes:
            return None
        return f"> {self.limits.event_bytes} bytes"

    def _flaw(self, user: str | None, event: str | None, at: int) -> tuple[str | None, str]:
        if user is None:
            return "missing_user", ""
        if event is None:
            return "missing_event", ""
        if len(user) > self.limits.id_length or len(event) > self.limits.name_length:
            return "too_long", event[:80]
        reason = flaw(at, self.received, self.limits.ahead_seconds)
        return reason, "" if reason is None else _shown(at)


def identifier(value: object) -> str | None:
    """An id or name: text that is not blank, or a whole number; None otherwise.

    Examples:
        >>> identifier(" u1 "), identifier(7), identifier(""), identifier(True)
        ('u1', '7', None, None)
    """
    if isinstance(value, str):
        if value.isprintable() and value[:1] != " " != value[-1:]:  # nearly all
            return value or None
        return _CONTROL.sub("", value).strip() or None
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


@lru_cache(maxsize=8192)
def property_name(prefix: str, key: str) -> str:
    """The name of a property: without control characters, never empty, never a column of the event itself."""
    name = prefix + (_CONTROL.sub("", key).strip()[:255] or "_")
    return "properties." + name if name in ROLE_NAMES else name


def _by_kind(values: Mapping[str, object]) -> dict[Kind, dict[str, object]]:
    found: dict[Kind, dict[str, object]] = {"s": {}, "n": {}, "k": {}, "b": {}, "j": {}}
    for prefix, below in values.items():
        if isinstance(below, dict):
            _spread(below, prefix, found, _DEPTH)
    return found


def _spread(values: Mapping[str, object], prefix: str, found: dict[Kind, dict[str, object]], depth: int) -> None:
    """Nested fields by dotted names, each under its kind; what has no value is left out."""
    for key, value in values.items():
        kind = _KIND_OF.get(type(value))
        if kind is None:
            if value is None:
                continue
            if isinstance(value, dict) and value and depth:
                _spread(value, property_name(prefix, key) + ".", found, depth - 1)
                continue
            kind, value = "j", to_json(value)
        elif kind == "n" and not math.isfinite(value):  # type: ignore[arg-type]
            continue
        elif kind == "k" and not -_WHOLE <= value < _WHOLE:  # type: ignore[operator]
            kind, value = "s", str(value)
        name = property_name(prefix, key)
        held = found[kind]
        while name in held:  # 'a.b' beside {'a': {'b': …}}
            name += "_"
        held[name] = value


def _shown(at: int) -> str:
    try:
        return local_text(at)
    except OverflowError:
        return str(at)
