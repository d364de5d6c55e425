"""People over HTTP: administration of people, and everybody's own tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.requests import Request
from starlette.responses import Response

from upswing.core.i18n import text
from upswing.core.units import Duration
from upswing.facts.people import Person as Member
from upswing.facts.people import Role
from upswing.facts.tokens import Token
from upswing.server.audit import facts_of, record
from upswing.server.errors import NotAllowedError
from upswing.server.sign_in import bearer
from upswing.server.state import Person, needs

Email = Annotated[str, Path(max_length=320)]
Viewer = Annotated[Person, Depends(needs("viewer"))]


class NewPerson(BaseModel):
    """Somebody to be let in."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=320, description=text("Address, to sign in with.").message)
    name: str | None = Field(default=None, max_length=200, description=text("Shown name.").message)
    role: Role = Field(default="viewer", description=text("What they may do.").message)
    password: SecretStr | None = Field(default=None, description=text("First password; none = tokens only.").message)


class Changes(BaseModel):
    """What is to be different about somebody."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = Field(default=None, description=text("What they may do.").message)
    disabled: bool | None = Field(default=None, description=text("Whether they are kept out.").message)
    password: SecretStr | None = Field(default=None, description=text("New password; their sessions end.").message)


class NewToken(BaseModel):
    """A personal token to be made."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=200, description=text("What it is for.").message)
    role: Literal["viewer", "editor", "admin"] | None = Field(
        default=None, description=text("At most your own.").message
    )
    lifetime: str | None = Field(default=None, max_length=40, description=text("How long it holds, e.g. 90d.").message)


def router() -> APIRouter:
    """``/api/v1/people`` and ``/api/v1/tokens``."""
    found = APIRouter(prefix="/api/v1", tags=["people"])
    _add_people(found)
    _add_tokens(found)
    return found


def _add_people(found: APIRouter) -> None:
    admin = [Depends(needs("admin"))]

    @found.get("/people", summary=text("Who may sign in").message, dependencies=admin)
    def people(request: Request) -> dict[str, object]:
        return {"people": [person_as_dict(person) for person in facts_of(request).people]}

    @found.post("/people", summary=text("Let somebody in").message, status_code=201, dependencies=admin)
    def add(request: Request, wanted: NewPerson) -> dict[str, object]:
        password = None if wanted.password is None else wanted.password.get_secret_value()
        person = facts_of(request).people.add(wanted.email, role=wanted.role, name=wanted.name, password=password)
        record(request, "people.add", person.email, after=person_as_dict(person))
        return person_as_dict(person)

    @found.patch(
        "/people/{email}", summary=text("Change a role or password, or keep somebody out").message, dependencies=admin
    )
    def change(request: Request, email: Email, changes: Changes) -> dict[str, object]:
        people = facts_of(request).people
        before = people.get(email)
        password = None if changes.password is None else changes.password.get_secret_value()
        person = people.change(email, role=changes.role, disabled=changes.disabled, password=password)
        record(request, "people.change", person.email, before=person_as_dict(before), after=person_as_dict(person))
        return person_as_dict(person)

    @found.delete("/people/{email}", summary=text("Remove somebody").message, status_code=204, dependencies=admin)
    def remove(request: Request, email: Email) -> Response:
        person = facts_of(request).people.remove(email)
        record(request, "people.remove", person.email, before=person_as_dict(person))
        return Response(status_code=204)


def _add_tokens(found: APIRouter) -> None:
    @found.get("/tokens", summary=text("Your personal tokens, without their secrets").message)
    def tokens(request: Request, person: Viewer) -> dict[str, object]:
        return {"tokens": [token_as_dict(token) for token in facts_of(request).tokens.of(_member(person))]}

    @found.post("/tokens", summary=text("Make a personal token; it is shown once").message, status_code=201)
    def new(request: Request, person: Viewer, wanted: NewToken) -> dict[str, object]:
        refuse_tokens(request)
        lifetime = None if wanted.lifetime is None else Duration.parse(wanted.lifetime, what="lifetime")
        made = facts_of(request).tokens.new(_member(person), label=wanted.label, role=wanted.role, lifetime=lifetime)
        record(request, "tokens.new", made[1].prefix, after=token_as_dict(made[1]))
        return {**token_as_dict(made[1]), "token": made[0]}

    @found.delete("/tokens/{number}", summary=text("End one of your personal tokens").message, status_code=204)
    def revoke(request: Request, person: Viewer, number: Annotated[int, Path(ge=1, le=2**53)]) -> Response:
        facts_of(request).tokens.revoke(_member(person), number)
        record(request, "tokens.revoke", str(number))
        return Response(status_code=204)


def refuse_tokens(request: Request) -> None:
    """Let only those make a token who are here with their password: a token that ends could make one that does not.

    Raises:
        NotAllowedError: UP806 the request shows a token.
    """
    if bearer(request) is not None:
        raise NotAllowedError(text("a token cannot make tokens"), hint=text("sign in with your password"))


def person_as_dict(person: Member) -> dict[str, object]:
    """Somebody as plain data."""
    return {name: getattr(person, name) for name in Member.__slots__}


def token_as_dict(token: Token) -> dict[str, object]:
    """A token as plain data, without its secret."""
    return {name: getattr(token, name) for name in Token.__slots__}


def _member(person: Person) -> Member:
    """Somebody with an account; whoever uses this machine without one has no tokens."""
    if not isinstance(person, Member):
        raise NotAllowedError(
            text("this needs an account"), hint=text("make one: upswing people add EMAIL --role admin")
        )
    return person
