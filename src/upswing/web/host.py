"""What the pages need of the server they are part of: answers, the workspace, who is looking, facts of run time."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from upswing.core.results import Result
from upswing.server.audit import record
from upswing.server.state import ROLES, Person, Role, ServerState, current_person
from upswing.verbs import verb

if TYPE_CHECKING:
    from upswing.events.store import EventStore
    from upswing.facts.database import Facts
    from upswing.server.questions import Job
    from upswing.workspace import Workspace

Arguments = Mapping[str, object]
_MARKS: Final = 1000


class StillAskedError(Exception):
    """An answer takes longer than a page waits; it is computed on, under the mark it was asked with."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something that happened on a day, marked on every chart over time."""

    day: date
    text: str
    by: str = ""
    id: int = 0


class Host:
    """The server's side of the pages.

    Args:
        state: the server's state.
    """

    demo: bool
    """Whether the demo can be brought in."""

    def __init__(self, state: ServerState) -> None:
        self.state = state
        self.demo = False
        self._marked: dict[str, tuple[tuple[str, dict[str, object]], Job]] = {}
        self._secret = secrets.token_urlsafe(24)

    @property
    def root(self) -> Path:
        """Folder of the workspace."""
        return self.state.root

    def person(self, request: Request) -> Person | None:
        """Who asks; None when they have to sign in first."""
        return current_person(request)

    def token(self, request: Request) -> str:
        """The secret that every form of this visitor carries."""
        session = getattr(request.state, "csrf", "")
        return str(session or self._secret)

    def trusts(self, request: Request, token: str) -> bool:
        """Whether a form comes from a page of ours."""
        return hmac.compare_digest(token.encode(), self.token(request).encode())

    def ask(self, verb_name: str, arguments: Arguments, *, mark: str = "", patience: float | None = None) -> Result:
        """The answer of a verb; from memory where neither data nor definitions have changed.

        Args:
            verb_name: what is asked.
            arguments: of the workspace's method.
            mark: under which `job` finds it while it is computed; the same question under the same mark goes on waiting for
                the computation that is under way.
            patience: seconds to wait; until it is there if absent.

        Raises:
            CancelledError: UP861 it was given up.
            StillAskedError: it takes longer than that, and goes on.
        """
        asked = (verb_name, dict(arguments))
        known, job = self._marked.get(mark, (None, None))
        if job is None or known != asked:
            job = self.state.questions.ask(verb(verb_name), arguments)
        self._remember(mark, asked, job)
        if not wait([job.future], patience).done:
            raise StillAskedError
        self._marked.pop(mark, None)
        return job.future.result()

    def known(self, verb_name: str, arguments: Arguments) -> Result | None:
        """The answer of a verb where somebody has asked for it already, or None: nothing is computed."""
        return self.state.questions.known(verb(verb_name), arguments)

    def _remember(self, mark: str, asked: tuple[str, dict[str, object]], job: Job) -> None:
        if not mark:
            return
        self._marked[mark] = (asked, job)
        while len(self._marked) > _MARKS:  # whoever went away while waiting
            self._marked.pop(next(iter(self._marked)), None)

    def job(self, mark: str) -> Job | None:
        """The question that is computed under a mark."""
        return self._marked.get(mark, (None, None))[1]

    @contextmanager
    def opened(self) -> Iterator[Workspace]:
        """The workspace as it is now."""
        with self.state.storage.question() as workspace:
            yield workspace

    @contextmanager
    def writing(self) -> Iterator[EventStore]:
        """The event log, for one writer at a time; questions asked afterwards see what was written."""
        with self.state.storage.writing() as store:
            yield store
        self.state.storage.refresh()

    def refresh(self) -> None:
        """Let the next question see everything that is written."""
        self.state.storage.refresh()

    @property
    def facts(self) -> Facts | None:
        """People, keys, notes and the audit, where the server keeps them."""
        from upswing.facts.database import Facts

        found = self.state.facts
        return found if isinstance(found, Facts) else None

    def annotations(self) -> Sequence[Annotation]:
        """Every note, by day."""
        if self.facts is None:
            return ()
        notes = self.facts.annotations.between(date(1900, 1, 1), date(2200, 1, 1))
        return tuple(Annotation(date.fromisoformat(n.day), n.body, n.who, n.id) for n in notes)

    def record(self, request: Request, what: str, target: str, *, before: object = None, after: object = None) -> None:
        """Write a change into the audit, where there is one.

        Args:
            request: as it came.
            what: e.g. ``keys.rotate``.
            target: to what, by name; never a user's id.
            before: what it was, as plain data; only its hash is kept.
            after: what it is now.
        """
        if self.facts is not None:
            record(request, what, target, before=before, after=after)


def may(person: Person, role: Role) -> bool:
    """Whether somebody may do what `role` may."""
    return ROLES.index(person.role) >= ROLES.index(role)
