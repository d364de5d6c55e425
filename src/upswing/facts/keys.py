"""Keys that apps carry: intake keys may only send events, flag keys may only read flags.

They are no secrets in the sense of passwords: whoever has the app has its key. So they open nothing else, and each has
limits of its own.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from sqlalchemy import RowMapping, select

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.core.units import DAY, Duration
from upswing.facts.clock import now
from upswing.facts.sessions import digest_of
from upswing.facts.tables import KEYS

if TYPE_CHECKING:
    from upswing.facts.database import Facts

KeyKind = Literal["intake", "flag"]
KEY_KINDS: Final[tuple[KeyKind, ...]] = ("intake", "flag")
MARKS: Final[dict[KeyKind, str]] = {"intake": "upi_", "flag": "upf_"}
"""How keys of each kind begin, so that people and secret scanners can tell them."""

OVERLAP: Final = Duration(7 * DAY)
"""How long the old key holds beside the new one after a rotation, unless told otherwise."""
PER_SECOND: Final[dict[KeyKind, int]] = {"intake": 20_000, "flag": 500}
"""What a key may use per second, unless told otherwise: events of an intake key, requests of a flag key."""
_FRESH_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Key:
    """A key, without its secret.

    Args:
        id: number.
        kind: what it opens.
        prefix: its first characters, to tell it by.
        label: which app carries it.
        origins: pages that may use it in a browser, as ``https://app.example.com``; empty or ``*`` = any page.
        per_second: events (intake) or requests (flag) per second, in the long run.
        created_at: µs UTC.
        replaces: number of the key it took over from.
        ends_at: when it stops or stopped to hold, µs UTC; None = not foreseen.
    """

    id: int
    kind: KeyKind
    prefix: str
    label: str
    origins: tuple[str, ...]
    per_second: int
    created_at: int
    replaces: int | None = None
    ends_at: int | None = None

    def holds(self, *, at: int | None = None) -> bool:
        """Whether it opens anything at a moment."""
        return self.ends_at is None or (now() if at is None else at) < self.ends_at

    def allows_origin(self, origin: str) -> bool:
        """Whether a page of this origin may use it.

        Examples:
            >>> key = Key(1, "flag", "upf_ab", "web", ("https://a.example",), 10, 0)
            >>> key.allows_origin("https://a.example"), key.allows_origin("https://a.example.evil.test")
            (True, False)
        """
        return not self.origins or "*" in self.origins or origin.lower() in self.origins


class Keys:
    """Keys of one workspace. Those that hold are kept in memory: they are looked up at every request."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._lock = threading.Lock()
        self._held: dict[str, Key] = {}
        self._read_at = float("-inf")

    def new(
        self, kind: KeyKind, *, label: str, origins: Sequence[str] = (), per_second: int | None = None
    ) -> tuple[str, Key]:
        """Make a key.

        Args:
            kind: ``intake`` sends events, ``flag`` reads flags.
            label: which app carries it.
            origins: pages that may use it in a browser; none given = any page.
            per_second: events (intake) or requests (flag) per second, in the long run.

        Returns:
            The key, which is stored nowhere, and what is kept of it.

        Raises:
            UsageError: UP831 no such kind, UP832 an origin that is not one, UP833 no rate.
        """
        if kind not in KEY_KINDS:
            raise UsageError(text("there is no kind of key '{kind}'", kind=kind), code="UP831",
                             hint=did_you_mean(kind, KEY_KINDS))  # fmt: skip
        per_second = PER_SECOND[kind] if per_second is None else per_second
        if not 1 <= per_second <= 1_000_000:
            raise UsageError(text("a key needs a rate between 1 and 1,000,000 per second"), code="UP833")
        return self._insert(kind, label, [checked_origin(o) for o in origins], per_second, None, ends_old_at=None)

    def rotate(self, number: int, *, overlap: Duration = OVERLAP) -> tuple[str, Key]:
        """Make a key that takes over from another, which holds for `overlap` yet: time to release apps.

        Raises:
            UsageError: UP834 no such key, or one that no longer holds.
        """
        old = self.get(number)
        if not old.holds():
            raise UsageError(text("the key {id} does not hold any more", id=number), code="UP834")
        return self._insert(
            old.kind, old.label, old.origins, old.per_second, old, ends_old_at=now() + overlap.microseconds
        )

    def revoke(self, number: int) -> Key:
        """End a key now.

        Raises:
            UsageError: UP834 no such key.
        """
        self.get(number)
        with self._facts.writing() as connection:
            connection.execute(KEYS.update().where(KEYS.c.id == number).values(ends_at=now()))
        self._forget()
        return self.get(number)

    def get(self, number: int) -> Key:
        """A key by its number.

        Raises:
            UsageError: UP834 no such key.
        """
        with self._facts.reading() as connection:
            found = connection.execute(select(KEYS).where(KEYS.c.id == number)).mappings().first()
        if found is None:
            raise UsageError(text("there is no key {id}", id=number), code="UP834")
        return _key(found)

    def __iter__(self) -> Iterator[Key]:
        with self._facts.reading() as connection:
            found = connection.execute(select(KEYS).order_by(KEYS.c.id)).mappings().all()
        return iter([_key(row) for row in found])

    def find(self, secret: str, kind: KeyKind) -> Key | None:
        """The key of a secret, if it is of this kind and holds. Changes made elsewhere are seen after 2 s."""
        with self._lock:
            self._read()
            found = self._held.get(digest_of(secret))
        return found if found is not None and found.kind == kind and found.holds() else None

    def any(self, kind: KeyKind) -> bool:
        """Whether there is a key of this kind that holds."""
        with self._lock:
            self._read()
            return any(key.kind == kind and key.holds() for key in self._held.values())

    def _read(self) -> None:
        if time.monotonic() - self._read_at > _FRESH_SECONDS:
            self._held = self._holding()
            self._read_at = time.monotonic()

    def _holding(self) -> dict[str, Key]:
        with self._facts.reading() as connection:
            found = connection.execute(select(KEYS)).mappings().all()
        return {row["digest"]: key for row in found if (key := _key(row)).holds()}

    def _forget(self) -> None:
        with self._lock:
            self._read_at = float("-inf")

    def _insert(
        self, kind: KeyKind, label: str, origins: Sequence[str], per_second: int, old: Key | None, *,
        ends_old_at: int | None,
    ) -> tuple[str, Key]:  # fmt: skip
        secret = MARKS[kind] + secrets.token_urlsafe(24)
        with self._facts.writing() as connection:
            made = connection.execute(
                KEYS.insert()
                .values(
                    digest=digest_of(secret), prefix=secret[:10], kind=kind, label=label[:200],
                    origins=json.dumps(list(origins)), per_second=per_second, created_at=now(),
                    replaces=None if old is None else old.id,
                )
                .returning(*KEYS.c)
            ).mappings().one()  # fmt: skip
            if old is not None:
                connection.execute(KEYS.update().where(KEYS.c.id == old.id).values(ends_at=ends_old_at))
        self._forget()
        return secret, _key(made)


def checked_origin(written: str) -> str:
    """An origin as browsers send it, or ``*``.

    Raises:
        UsageError: UP832 it is not one.

    Examples:
        >>> checked_origin("https://App.example.com/")
        'https://app.example.com'
    """
    if written.strip() == "*":
        return "*"
    parts = urlsplit(written.strip().lower())
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/") or parts.query:
        raise UsageError(
            text("'{origin}' is not an origin", origin=written), code="UP832",
            hint=text("write https://app.example.com, without a path"),
        )  # fmt: skip
    return f"{parts.scheme}://{parts.netloc}"


def _key(row: RowMapping) -> Key:
    values: dict[str, Any] = {name: row[name] for name in Key.__slots__}
    return Key(**{**values, "origins": tuple(json.loads(values["origins"]))})
