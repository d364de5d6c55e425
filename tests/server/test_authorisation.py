"""Every route of the application names who may ask it, and holds to it: anonymous, viewer, editor, administrator."""

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from tests.server.serving import Served, served
from upswing.core.errors import UsageError
from upswing.server.access import ANYBODY, FLAGS, IN_THE_ROUTE, INTAKE, LOCAL
from upswing.server.settings import ServerSettings
from upswing.server.state import ROLES
from upswing.workspace.remote import ASK

LOCALLY = (*LOCAL, ASK)


@dataclass(frozen=True)
class Door:
    path: str
    method: str
    role: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def address(self) -> str:
        return re.sub(r"\{[^}]*\}", "1", self.path)


def doors(app: Any) -> list[Door]:
    return sorted(set(_doors(app.routes, ())), key=str)


def _doors(routes: Iterable[Any], outer: tuple[Any, ...]) -> Iterator[Door]:
    for route in routes:
        if hasattr(route, "original_router"):  # a router that FastAPI includes as it is
            context = route.include_context
            inner = [d.dependency for d in getattr(context, "dependencies", None) or ()]
            yield from _doors(route.original_router.routes, (*outer, *inner))
        elif isinstance(route, APIRoute):
            calls = [*outer, *(d.call for d in route.dependant.dependencies)]
            yield from (Door(route.path, m, _strictest(calls)) for m in route.methods or ())
        elif isinstance(route, Mount):
            yield Door(route.path, "GET", None)
        elif isinstance(route, Route):
            role = inspect.getclosurevars(route.endpoint).nonlocals.get("role") if _is_closure(route.endpoint) else None
            yield from (Door(route.path, m, role) for m in (route.methods or {"GET"}) - {"HEAD"})
        else:
            raise AssertionError(f"a route of unknown kind: {route!r}")


def _strictest(calls: Iterable[Any]) -> str | None:
    found = [inspect.getclosurevars(call).nonlocals.get("role") for call in calls if _is_closure(call)]
    return max((role for role in found if role in ROLES), key=ROLES.index, default=None)


def _is_closure(call: Any) -> bool:
    return inspect.isfunction(call) and call.__closure__ is not None


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("doors") / "w", pages=True) as found:
        yield found


@pytest.fixture(scope="module")
def people(site: Served) -> dict[str, httpx.Client]:
    """By session: forms of pages need its token."""
    return {"anonymous": site.client(), **{role: site.signed_in(f"{role}@example.com") for role in ROLES}}


def test_every_route_says_who_may_ask(site: Served) -> None:
    found = doors(site.app)
    assert len(found) > 40  # the search itself works
    silent = [
        str(door) for door in found
        if door.role is None and door.path not in ANYBODY and door.path not in INTAKE and door.path not in IN_THE_ROUTE
        and not door.path.startswith((*FLAGS, *LOCALLY))
    ]  # fmt: skip
    assert silent == []


def test_the_list_of_exceptions_is_about_routes_that_are_there(site: Served) -> None:
    paths = {door.path for door in doors(site.app)}
    assert [path for path in (*ANYBODY, *INTAKE, *IN_THE_ROUTE) if path not in paths and path != "/sign-in"] == []
    assert [door for door in doors(site.app) if door.path in ANYBODY and door.method != "POST" and door.role] == [
        Door("/api/v1/session", "DELETE", "viewer")
    ]


def test_changes_need_more_than_looking(site: Served) -> None:
    """What a viewer may send: their own session and tokens, and questions that are too long for an address."""
    changing = [d for d in doors(site.app) if d.method not in ("GET", "OPTIONS") and d.role == "viewer"]
    own = ("/api/v1/session", "/api/v1/tokens", "/api/v1/jobs", "/-/look", "/-/asked/", "/account/")
    questions = [d for d in changing if d.path.startswith("/api/v1/") and d.method == "POST"]
    assert [str(d) for d in changing if not d.path.startswith(own) and d not in questions] == []


def test_administration_is_for_administrators(site: Served) -> None:
    for door in doors(site.app):
        if re.match(r"/api/v1/(people|keys|audit|secrets|backup|erasure|scheduled)", door.path):
            assert door.role == "admin", door


def test_each_role_gets_what_it_may_and_no_more(site: Served, people: dict[str, httpx.Client]) -> None:
    for door in doors(site.app):
        role = door.role or IN_THE_ROUTE.get(door.path)
        if role is None:
            continue
        for who, client in people.items():
            allowed = who in ROLES and ROLES.index(who) >= ROLES.index(role)  # type: ignore[arg-type]
            if allowed and (door.method == "DELETE" or door.path.endswith("/rotate")):
                continue  # that these work is shown elsewhere
            form = door.method == "POST" and not door.path.startswith("/api/")
            body = {"data": {"token": client.headers.get("X-CSRF-Token", "")}} if form else {"json": {}}
            body = {} if door.method == "GET" else body
            answer = client.request(door.method, door.address, follow_redirects=False, **body)
            assert _let_in(answer) == allowed, f"{door} as {who}: {answer.status_code} {answer.text[:200]}"


def test_intake_and_local_doors_are_shut_to_the_signed_in(site: Served, people: dict[str, httpx.Client]) -> None:
    """A role opens neither: a stolen session cannot write events, and events' keys read nothing."""
    flag, _ = site.facts.keys.new("flag", label="web")
    intake, _ = site.facts.keys.new("intake", label="app")
    for door in doors(site.app):
        if door.path in INTAKE and door.method != "OPTIONS":
            for client in people.values():
                answer = client.request(
                    door.method, door.address.replace("/1", "/track"), json={"event": "x", "userId": "u"}
                )
                assert answer.status_code in (401, 404), door
        if door.path.startswith(LOCALLY):
            for client in people.values():
                assert client.request(door.method, door.address, json={}).status_code in (403, 404), door
    for secret in (flag, intake):
        client = site.client()
        client.headers["Authorization"] = f"Bearer {secret}"
        assert client.get("/api/v1/me").status_code == 401
        assert client.get("/api/v1/events").status_code == 401


def _let_in(answer: httpx.Response) -> bool:
    to_sign_in = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
    return answer.status_code not in (401, 403) and not to_sign_in


def test_under_a_foreign_name_nobody_is_let_in_without_signing_in(tmp_path: Path) -> None:
    """A proxy brings strangers to the loopback; so it is also when the last person is removed from a running server."""
    behind = ServerSettings(request_log=False, hosts=("growth.example.com",))
    with pytest.raises(UsageError) as refused, served(tmp_path / "empty", people=False, settings=behind):
        pass
    assert refused.value.code == "UP650"
    with served(tmp_path / "w", settings=behind) as site:
        for email in ("viewer", "editor", "admin"):
            site.facts.people.remove(f"{email}@example.com")
        stranger = site.client()
        stranger.headers["Host"] = "growth.example.com"
        wanted = {"email": "evil@example.com", "role": "admin", "password": "correct horse battery"}
        assert stranger.post("/api/v1/people", json=wanted).status_code == 401
        assert stranger.get("/api/v1/people").status_code == 401
        assert list(site.facts.people) == []
