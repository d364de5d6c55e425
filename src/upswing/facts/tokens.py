"""Personal tokens: for programs that ask in somebody's name. Shown once, kept as a hash."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import select

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.core.units import HOUR, Duration
from upswing.facts.clock import now
from upswing.facts.people import ROLES, Person, Role, as_person
from upswing.facts.sessions import digest_of
from upswing.facts.tables import PEOPLE, TOKENS

if TYPE_CHECKING:
    from upswing.facts.database import Facts

MARK: Final = "upt_"
"""Every personal token begins so, that people and secret scanners can tell it."""
_USED_EVERY: Final = HOUR


@dataclass(frozen=True, slots=True)
class Token:
    """A personal token, without its secret.

    Args:
        id: number.
        prefix: its first characters, to tell it by.
        label: what it is for.
        role: what it may do; never more than its person.
        created_at: µs UTC.
        expires_at: µs UTC; None = never.
        used_at: last use, µs UTC, exact to the hour; None = never.
    """

    id: int
    prefix: str
    label: str
    role: Role
    created_at: int
    expires_at: int | None
    used_at: int | None


class Tokens:
    """Personal tokens of one workspace."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def new(
        self, person: Person, *, label: str, role: Role | None = None, lifetime: Duration | None = None
    ) -> tuple[str, Token]:
        """Make a token.

        Args:
            person: in whose name.
            label: what it is for.
            role: what it may do; the person's own if absent.
            lifetime: how long it holds; for ever if absent.

        Returns:
            The token, which is stored nowhere, and what is kept of it.

        Raises:
            UsageError: UP829 more than the person may.
        """
        role = role or person.role
        if role not in ROLES or not person.may(role):
            raise UsageError(text("a token of {name} cannot have the role {role}", name=person.email, role=role),
                             code="UP829")  # fmt: skip
        secret, moment = MARK + secrets.token_urlsafe(32), now()
        with self._facts.writing() as connection:
            made = connection.execute(
                TOKENS.insert()
                .values(
                    digest=digest_of(secret), prefix=secret[:10], person=person.id, label=label[:200], role=role,
                    created_at=moment, expires_at=None if lifetime is None else moment + lifetime.microseconds,
                )
                .returning(*TOKENS.c)
            ).one()  # fmt: skip
        return secret, _token(made._mapping)

    def find(self, secret: str, *, at: int | None = None) -> Person | None:
        """In whose name a token speaks, with the lesser of both roles; None when it does not hold."""
        moment = now() if at is None else at
        joined = TOKENS.join(PEOPLE, TOKENS.c.person == PEOPLE.c.id)
        columns = (*PEOPLE.c, TOKENS.c.id.label("token"), TOKENS.c.role.label("token_role"), TOKENS.c.used_at,
                   TOKENS.c.expires_at)  # fmt: skip
        wanted = (TOKENS.c.digest == digest_of(secret), PEOPLE.c.disabled.is_(False))
        with self._facts.reading() as connection:
            row = connection.execute(select(*columns).select_from(joined).where(*wanted)).first()
        if row is None or (row.expires_at is not None and row.expires_at <= moment):
            return None
        if row.used_at is None or moment - row.used_at > _USED_EVERY:
            with self._facts.writing() as connection:
                connection.execute(TOKENS.update().where(TOKENS.c.id == row.token).values(used_at=moment))
        person = as_person(row)
        role = min(person.role, cast("Role", row.token_role), key=ROLES.index)
        return Person(person.id, person.email, person.name, role, person.disabled, person.created_at)

    def of(self, person: Person) -> list[Token]:
        """Somebody's tokens, the newest first."""
        wanted = select(TOKENS).where(TOKENS.c.person == person.id).order_by(TOKENS.c.id.desc())
        with self._facts.reading() as connection:
            return [_token(row._mapping) for row in connection.execute(wanted)]

    def revoke(self, person: Person, token: int) -> None:
        """End one of somebody's tokens.

        Raises:
            UsageError: UP830 they have no such token.
        """
        with self._facts.writing() as connection:
            wanted = TOKENS.delete().where(TOKENS.c.id == token, TOKENS.c.person == person.id)
            if not connection.execute(wanted).rowcount:
                raise UsageError(text("there is no token {id} of {name}", id=token, name=person.email), code="UP830")


def _token(row: object) -> Token:
    found = cast("dict[str, object]", row)
    return Token(**{key: found[key] for key in Token.__slots__})  # type: ignore[arg-type]
