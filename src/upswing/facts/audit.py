"""The audit log: who changed what, when, from where. Each entry holds the hash of the one before.

So a change of an old entry shows, unless whoever made it could also write every later entry anew; keep the latest digest
elsewhere (a backup's manifest holds it) to see that too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import RowMapping, select

from upswing.facts.clock import now
from upswing.facts.tables import AUDIT

if TYPE_CHECKING:
    from upswing.facts.database import Facts

BEGINNING: Final = "0" * 64
"""What stands in the place of a digest before the first entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change.

    Args:
        id: 1, 2, 3 … without gaps.
        at: µs UTC.
        who: address of the person, ``local`` for this machine's command line, ``upswing`` for jobs.
        action: what was done, e.g. ``keys.rotate``.
        target: to what, by name; never a user's id.
        before: SHA-256 of what it was, where it was something.
        after: SHA-256 of what it is.
        address: where the request came from.
        previous: digest of the entry before.
        digest: SHA-256 of all of the above.
    """

    id: int
    at: int
    who: str
    action: str
    target: str
    before: str | None
    after: str | None
    address: str | None
    previous: str
    digest: str


class Audit:
    """The audit log of one workspace."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def record(
        self,
        who: str,
        action: str,
        target: str = "",
        *,
        before: object = None,
        after: object = None,
        address: str | None = None,
    ) -> Entry:
        """Write an entry.

        Args:
            who: address of the person, ``local`` or ``upswing``.
            action: what is done, e.g. ``definitions.save``.
            target: to what, by name.
            before: what it was, as plain data: only its hash is kept.
            after: what it is now, as plain data: only its hash is kept.
            address: where the request came from.
        """
        with self._facts.writing(alone=AUDIT) as connection:
            last = connection.execute(select(AUDIT.c.id, AUDIT.c.digest).order_by(AUDIT.c.id.desc()).limit(1)).first()
            values: dict[str, object] = {
                "id": 1 if last is None else last.id + 1, "at": now(), "who": who[:320], "action": action[:60],
                "target": target[:400], "before": _hash(before), "after": _hash(after), "address": address,
                "previous": BEGINNING if last is None else last.digest,
            }  # fmt: skip
            values["digest"] = _digest(values)
            connection.execute(AUDIT.insert().values(**values))
        return Entry(**values)  # type: ignore[arg-type]

    def entries(self, *, before: int | None = None, limit: int = 100, action: str | None = None) -> list[Entry]:
        """Entries, the newest first.

        Args:
            before: only those with a smaller number, for paging.
            limit: at most so many.
            action: only those whose action begins so.
        """
        wanted = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(AUDIT.c.id < before)
        if action is not None:
            wanted = wanted.where(AUDIT.c.action.startswith(action, autoescape=True))
        with self._facts.reading() as connection:
            return [_entry(row) for row in connection.execute(wanted).mappings()]

    def head(self) -> str:
        """Digest of the latest entry."""
        latest = self.entries(limit=1)
        return latest[0].digest if latest else BEGINNING

    def broken_at(self) -> int | None:
        """Number of the first entry that is not what was written, or that is missing; None = the chain holds."""
        previous, expected = BEGINNING, 1
        with self._facts.reading() as connection:
            for row in connection.execute(select(AUDIT).order_by(AUDIT.c.id)).mappings():
                entry = _entry(row)
                values = {name: getattr(entry, name) for name in Entry.__slots__ if name != "digest"}
                if entry.id != expected or entry.previous != previous or entry.digest != _digest(values):
                    return expected
                previous, expected = entry.digest, expected + 1
        return None


def _entry(row: RowMapping) -> Entry:
    return Entry(**{name: row[name] for name in Entry.__slots__})


def _digest(values: dict[str, object]) -> str:
    return hashlib.sha256(_canonical(values)).hexdigest()


def _hash(value: object) -> str | None:
    return None if value is None else hashlib.sha256(_canonical(value)).hexdigest()


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":")).encode()
