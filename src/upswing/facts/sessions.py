"""Sessions of people who signed in on a page: the cookie's hash, its CSRF token, its age."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import Delete, or_, select

from upswing.core.units import DAY, HOUR, MINUTE
from upswing.facts.clock import now
from upswing.facts.people import Person, as_person
from upswing.facts.tables import PEOPLE, SESSIONS

if TYPE_CHECKING:
    from upswing.facts.database import Facts

IDLE: Final = 12 * HOUR
"""A session that nobody uses ends after this."""
ABSOLUTE: Final = 7 * DAY
"""Every session ends after this, used or not."""
_SEEN_EVERY: Final = MINUTE


@dataclass(frozen=True, slots=True)
class Session:
    """An open session.

    Args:
        person: who signed in.
        csrf: what every change must show beside the cookie.
        digest: hash of the cookie.
    """

    person: Person
    csrf: str
    digest: str


class Sessions:
    """Sessions of one workspace."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def begin(self, person: Person, *, at: int | None = None) -> tuple[str, Session]:
        """Open a session with a new id; whatever id the browser had before is worth nothing.

        Returns:
            The cookie's value, which is stored nowhere, and the session.
        """
        moment = now() if at is None else at
        cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        found = Session(person, csrf, digest_of(cookie))
        with self._facts.writing() as connection:
            connection.execute(_expired(moment))
            connection.execute(
                SESSIONS.insert().values(
                    digest=found.digest, person=person.id, csrf=csrf, created_at=moment, seen_at=moment
                )
            )
        return cookie, found

    def find(self, cookie: str, *, at: int | None = None) -> Session | None:
        """The session of a cookie, unless it has ended or its person is kept out."""
        moment = now() if at is None else at
        wanted = (SESSIONS.c.digest == digest_of(cookie), PEOPLE.c.disabled.is_(False))
        joined = SESSIONS.join(PEOPLE, SESSIONS.c.person == PEOPLE.c.id)
        columns = (*PEOPLE.c, SESSIONS.c.csrf, SESSIONS.c.seen_at, SESSIONS.c.created_at.label("began_at"))
        with self._facts.reading() as connection:
            row = connection.execute(select(*columns).select_from(joined).where(*wanted)).first()
        if row is None or moment - row.seen_at > IDLE or moment - row.began_at > ABSOLUTE:
            return None
        digest = digest_of(cookie)
        if moment - row.seen_at > _SEEN_EVERY:  # not at every request: reading need not write
            with self._facts.writing() as connection:
                connection.execute(SESSIONS.update().where(SESSIONS.c.digest == digest).values(seen_at=moment))
        return Session(as_person(row), row.csrf, digest)

    def end(self, cookie: str) -> None:
        """Close the session of a cookie."""
        with self._facts.writing() as connection:
            connection.execute(SESSIONS.delete().where(SESSIONS.c.digest == digest_of(cookie)))

    def end_all(self, person: Person) -> int:
        """Close every session of somebody; how many there were."""
        with self._facts.writing() as connection:
            return connection.execute(SESSIONS.delete().where(SESSIONS.c.person == person.id)).rowcount

    def tidy(self, *, at: int | None = None) -> int:
        """Forget sessions that have ended; how many."""
        with self._facts.writing() as connection:
            return connection.execute(_expired(now() if at is None else at)).rowcount


def digest_of(secret: str) -> str:
    """SHA-256 of a random secret, in hex. Enough for secrets of 256 random bits; passwords need argon2."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(given: str, expected: str) -> bool:
    """Compare without telling by time how much is right."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _expired(moment: int) -> Delete:
    return SESSIONS.delete().where(or_(SESSIONS.c.seen_at < moment - IDLE, SESSIONS.c.created_at < moment - ABSOLUTE))
