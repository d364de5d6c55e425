"""What a running server holds, and who is asking: the two things that routes and pages read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from upswing.core.i18n import text
from upswing.server.errors import NotAllowedError, NotSignedInError
from upswing.server.settings import ServerSettings

if TYPE_CHECKING:
    from upswing.server.observe import Observations
    from upswing.server.questions import Questions
    from upswing.server.storage import Storage

Role = Literal["viewer", "editor", "admin"]
"""What somebody may do: look; also change definitions and data; also manage people, keys and the server."""

ROLES: Final[tuple[Role, ...]] = ("viewer", "editor", "admin")


class Person(Protocol):
    """Somebody who asks."""

    @property
    def name(self) -> str:
        """Shown name."""
        ...

    @property
    def role(self) -> Role:
        """What they may do."""
        ...


@dataclass(frozen=True, slots=True)
class LocalPerson:
    """Whoever uses this machine's account: the command line, or a browser while no sign-in is set up."""

    name: str = "local"
    role: Role = "admin"


class Gate(Protocol):
    """Sign-in, as the server needs it."""

    def configured(self) -> bool:
        """Whether there is anybody who could sign in."""
        ...

    def person(self, request: HTTPConnection) -> Person | None:
        """Who is asking, by session or personal token; None when nobody says."""
        ...


@dataclass(slots=True)
class ServerState:
    """Held in ``app.state.upswing``.

    Args:
        root: folder of the workspace.
        settings: how the server runs.
        storage: the workspace's events and definitions, for questions and for writing.
        questions: runs questions, shares and keeps answers.
        observations: counters and gauges for `/metrics`.
        gate: sign-in; None when the server runs without it.
        facts: run-time facts (people, keys, audit), see `upswing.facts`.
        intake: events coming in, see `upswing.server.intake`.
        local_token: what the command line of this account shows, from the workspace's lock file.
        missing_page: gives the page for an address that nothing answers, to browsers; None lets the error go out as JSON.
        ready: named checks of `/readyz`; each gives None, or why it is not ready.
        on_start: called when the server has started, in order.
        on_stop: called when it stops, in reverse order.
    """

    root: Path
    settings: ServerSettings
    storage: Storage
    questions: Questions
    observations: Observations
    gate: Gate | None = None
    facts: object | None = None
    intake: object | None = None
    local_token: str = ""
    missing_page: Callable[[Request], Response | None] | None = None
    ready: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    on_start: list[Callable[[], None]] = field(default_factory=list)
    on_stop: list[Callable[[], None]] = field(default_factory=list)

    @property
    def open_to_all(self) -> bool:
        """Whether everybody who can reach the server is its administrator: only this machine can, and nobody signs in."""
        return self.settings.reached_from is None and (self.gate is None or not self.gate.configured())


def state_of(request: HTTPConnection) -> ServerState:
    """The state of the server that answers this request."""
    state: ServerState = request.app.state.upswing
    return state


def current_person(request: HTTPConnection) -> Person | None:
    """Who is asking: this account's command line, somebody signed in, or, on loopback without sign-in, whoever asks."""
    state = state_of(request)
    if getattr(request.state, "local", False):
        return LocalPerson()
    found = state.gate.person(request) if state.gate is not None else None
    if found is None and state.open_to_all:
        return LocalPerson()
    return found


def needs(role: Role) -> Callable[[Request], Person]:
    """A dependency that lets only those through who have at least this role.

    Raises:
        NotSignedInError: UP805.
        NotAllowedError: UP806.
    """

    def check(request: Request) -> Person:
        person = current_person(request)
        if person is None:
            raise NotSignedInError(
                text("sign in to see this"), hint=text("send a personal token: Authorization: Bearer …")
            )
        if ROLES.index(person.role) < ROLES.index(role):
            raise NotAllowedError(text("this needs the role {role}", role=role))
        return person

    return check
