"""People who may sign in, and what they may do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from sqlalchemy import Connection, Row, func, select

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.facts import passwords
from upswing.facts.clock import now
from upswing.facts.tables import PEOPLE, SESSIONS, TOKENS

if TYPE_CHECKING:
    from upswing.facts.database import Facts

Role = Literal["viewer", "editor", "admin"]
"""What somebody may do: look; also change definitions and data; also manage people, keys and the server."""

ROLES: Final[tuple[Role, ...]] = ("viewer", "editor", "admin")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in.

    Args:
        id: number in the database.
        email: in lower case; also the name to sign in with.
        name: shown.
        role: what they may do; with a personal token, what the token may do if that is less.
        disabled: whether they are kept out.
        created_at: µs UTC.
        has_password: whether they can sign in on a page.
    """

    id: int
    email: str
    name: str
    role: Role
    disabled: bool
    created_at: int
    has_password: bool = True

    def may(self, role: Role) -> bool:
        """Whether they may do what a role may.

        Examples:
            >>> Person(1, "lin@example.com", "Lin", "editor", False, 0).may("viewer")
            True
        """
        return ROLES.index(self.role) >= ROLES.index(role)


class People:
    """The people of one workspace."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def any(self) -> bool:
        """Whether there is an administrator who could sign in; without one, the server stays on this machine."""
        with self._facts.reading() as connection:
            return _administrators(connection) > 0

    def add(self, email: str, *, role: Role = "viewer", name: str | None = None, password: str | None = None) -> Person:
        """Add somebody.

        Args:
            email: to sign in with; upper and lower case are one.
            role: what they may do.
            name: shown; the first part of `email` if absent.
            password: none = they use personal tokens only.

        Raises:
            UsageError: UP824 the address is not one; UP828 no such role; UP825 they are there already; UP823 the
                password is too easy.
        """
        email = _checked_email(email)
        _check_role(role)
        secret = None if password is None else passwords.hashed(password, email=email)
        with self._facts.writing() as connection:
            if connection.execute(select(PEOPLE.c.id).where(PEOPLE.c.email == email)).first() is not None:
                raise UsageError(text("'{email}' is there already", email=email), code="UP825")
            connection.execute(
                PEOPLE.insert().values(
                    email=email, name=name or email.partition("@")[0], role=role, password=secret, disabled=False,
                    created_at=now(),
                )
            )  # fmt: skip
            return _one(connection, email)

    def get(self, email: str) -> Person:
        """Somebody by address.

        Raises:
            UsageError: UP826 nobody has it.
        """
        with self._facts.reading() as connection:
            return _one(connection, email)

    def find(self, person: int) -> Person | None:
        """Somebody by number."""
        with self._facts.reading() as connection:
            found = connection.execute(select(PEOPLE).where(PEOPLE.c.id == person)).first()
        return None if found is None else as_person(found)

    def __iter__(self) -> Iterator[Person]:
        with self._facts.reading() as connection:
            found = connection.execute(select(PEOPLE).order_by(PEOPLE.c.email)).all()
        return iter([as_person(row) for row in found])

    def change(
        self, email: str, *, role: Role | None = None, disabled: bool | None = None, password: str | None = None
    ) -> Person:
        """Change several things about somebody at once: all of them, or none where one of them is refused.

        Args:
            email: whose address.
            role: what they may do from now on, also in sessions that are open; as it was if absent.
            disabled: whether they are kept out; a change ends their sessions. As it was if absent.
            password: a new one, which ends their sessions too; the old one if absent.

        Raises:
            UsageError: UP826 nobody has this address, UP828 no such role, UP823 the password is too easy, UP827 nobody could
                administer any more.
        """
        values: dict[str, object] = {}
        if role is not None:
            _check_role(role)
            values["role"] = role
        if disabled is not None:
            values["disabled"] = disabled
        if password is not None:
            values["password"] = passwords.hashed(password, email=_folded(email))
        return self._change(email, values) if values else self.get(email)

    def set_role(self, email: str, role: Role) -> Person:
        """Change what somebody may do; at once, also in sessions that are open.

        Raises:
            UsageError: UP828 no such role, UP826 nobody has this address, UP827 nobody could administer any more.
        """
        return self.change(email, role=role)

    def set_disabled(self, email: str, disabled: bool) -> Person:
        """Keep somebody out, or let them in again. Their sessions end.

        Raises:
            UsageError: UP826 nobody has this address, UP827 nobody could administer any more.
        """
        return self.change(email, disabled=disabled)

    def set_password(self, email: str, password: str) -> Person:
        """Give a new password; every session of theirs ends.

        Raises:
            UsageError: UP823 too easy, UP826 nobody has this address.
        """
        return self.change(email, password=password)

    def remove(self, email: str) -> Person:
        """Remove somebody, with their sessions and tokens. What they did stays in the audit log.

        Raises:
            UsageError: UP826 nobody has this address, UP827 nobody could administer any more.
        """
        with self._facts.writing(alone=PEOPLE) as connection:
            person = _one(connection, email)
            connection.execute(SESSIONS.delete().where(SESSIONS.c.person == person.id))
            connection.execute(TOKENS.delete().where(TOKENS.c.person == person.id))
            connection.execute(PEOPLE.delete().where(PEOPLE.c.id == person.id))
            _check_still_administered(connection, person)
        return person

    def verify(self, email: str, password: str) -> Person | None:
        """Who this is, or None: the answer and its time are the same for a wrong password and for unknown people."""
        with self._facts.reading() as connection:
            found = connection.execute(select(PEOPLE).where(PEOPLE.c.email == _folded(email))).first()
        right = passwords.matches(password, None if found is None else found.password)
        if found is None or not right or found.disabled:
            return None
        if passwords.outdated(found.password):
            with self._facts.writing() as connection:
                renewed = passwords.hashed(password)
                connection.execute(PEOPLE.update().where(PEOPLE.c.id == found.id).values(password=renewed))
        return as_person(found)

    def _change(self, email: str, values: dict[str, object]) -> Person:
        with self._facts.writing(alone=PEOPLE) as connection:
            before = _one(connection, email)
            connection.execute(PEOPLE.update().where(PEOPLE.c.id == before.id).values(**values))
            if values.keys() - {"role"}:
                connection.execute(SESSIONS.delete().where(SESSIONS.c.person == before.id))
            _check_still_administered(connection, before)
            return _one(connection, email)


def as_person(row: Row[tuple[object, ...]]) -> Person:
    """A row of `tables.PEOPLE`."""
    found = row._mapping
    return Person(
        id=int(found["id"]), email=found["email"], name=found["name"], role=cast("Role", found["role"]),
        disabled=bool(found["disabled"]), created_at=int(found["created_at"]),
        has_password=found["password"] is not None,
    )  # fmt: skip


def _one(connection: Connection, email: str) -> Person:
    found = connection.execute(select(PEOPLE).where(PEOPLE.c.email == _folded(email))).first()
    if found is None:
        known = [str(e) for e in connection.execute(select(PEOPLE.c.email)).scalars()]
        raise UsageError(text("nobody has the address '{email}'", email=email), code="UP826",
                         hint=did_you_mean(email, known))  # fmt: skip
    return as_person(found)


def _administrators(connection: Connection) -> int:
    wanted = (PEOPLE.c.role == "admin", PEOPLE.c.disabled.is_(False))
    return connection.execute(select(func.count()).select_from(PEOPLE).where(*wanted)).scalar_one()


def _check_still_administered(connection: Connection, before: Person) -> None:
    """The last administrator stays, unless nobody else is left: then the workspace is as without people."""
    left = connection.execute(select(func.count()).select_from(PEOPLE)).scalar_one()
    if before.role == "admin" and not before.disabled and left and not _administrators(connection):
        raise UsageError(
            text("'{email}' is the last administrator", email=before.email),
            code="UP827",
            hint=text("make somebody else an administrator first"),
        )


def _folded(email: str) -> str:
    return email.strip().lower()


def _checked_email(email: str) -> str:
    folded = _folded(email)
    name, at, domain = folded.partition("@")
    if not (name and at and domain) or len(folded) > 320 or any(c.isspace() or not c.isprintable() for c in folded):
        raise UsageError(text("'{email}' is not an e-mail address", email=email), code="UP824")
    return folded


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UsageError(text("there is no role '{role}'", role=role), code="UP828", hint=did_you_mean(role, ROLES))
