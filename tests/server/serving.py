"""A served workspace with people, over a real socket of this machine, for tests of what they may do."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from tests.server.workspaces import QUIET, serving
from upswing.facts import passwords
from upswing.facts.database import Facts
from upswing.server.accounts import add_accounts
from upswing.server.rate_limits import Guessing
from upswing.server.settings import ServerSettings
from upswing.web.site import add_pages
from upswing.workspace import Workspace

PASSWORD = "correct horse battery"


@dataclass
class Served:
    """An application, its facts and where it listens."""

    app: FastAPI
    facts: Facts
    root: Path
    url: str
    clients: ExitStack = field(default_factory=ExitStack)

    def client(self) -> httpx.Client:
        """A browser or program that nobody has signed in with."""
        return self.clients.enter_context(httpx.Client(base_url=self.url, timeout=30))

    def begin_anew(self) -> None:
        """As at the start: nobody kept out, nothing counted against anybody."""
        self.app.state.upswing.gate.guessing = Guessing()
        for person in self.facts.people:
            if person.disabled:
                self.facts.people.change(person.email, disabled=False)

    def signed_in(self, email: str) -> httpx.Client:
        """A browser in which somebody has signed in; it sends the session's token with everything."""
        client = self.client()
        answer = client.post("/api/v1/session", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return client

    def with_token(self, email: str) -> httpx.Client:
        """A program with somebody's personal token."""
        secret, _ = self.facts.tokens.new(self.facts.people.get(email), label="test")
        client = self.client()
        client.headers["Authorization"] = f"Bearer {secret}"
        return client


@contextmanager
def served(
    root: Path, *, people: bool = True, pages: bool = False, settings: ServerSettings = QUIET
) -> Iterator[Served]:
    """Serve a workspace, made if it is not there, with one person of each role, ``viewer@example.com`` and so on."""
    if not (root / "upswing.yml").exists():
        Workspace.create(root).close()
    with pytest.MonkeyPatch.context() as patch:
        cheap_passwords(patch)
        if people:
            with Facts.open(root) as facts:
                for role in ("viewer", "editor", "admin"):
                    facts.people.add(f"{role}@example.com", role=role, password=PASSWORD)  # type: ignore[arg-type]
        with serving(root, settings, add=[_complete, *([add_pages] if pages else [])]) as client:
            app: FastAPI = client.app  # type: ignore[attr-defined]
            found = Served(app, app.state.upswing.facts, root, str(client.base_url))
            with found.clients:
                yield found


def _complete(app: FastAPI) -> None:
    state = app.state.upswing
    if state.gate is None:
        add_accounts(app, state, state.facts)


def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real costs take a tenth of a second per password."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    passwords._nobody.cache_clear()
