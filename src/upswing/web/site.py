"""The pages, mounted on the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from upswing.core.errors import UpswingError
from upswing.core.i18n import text, use_locale
from upswing.server.errors import InternalError, NotAllowedError, NotSignedInError, status_of
from upswing.server.observe import LOG
from upswing.server.state import LocalPerson, Role, ServerState
from upswing.web.host import Host
from upswing.web.packing import STATIC, Static, pack
from upswing.web.render import render_problem
from upswing.web.view import Problem, View, address

if TYPE_CHECKING:
    from upswing.workspace import Workspace

Handler = Callable[[View], Response]


class Demo(Protocol):
    """Makes an empty workspace the demo's; `upswing.demo.fill.fill` is one."""

    def __call__(
        self,
        root: Path,
        opened: Callable[[], AbstractContextManager[Workspace]],
        say: Callable[[object], object],
        /,
        *,
        progress: Callable[..., None],
        files: Path,
    ) -> object:
        """Write settings and definitions below `root`, bring events and aliases in by way of `opened`."""


class Pages:
    """Collects routes; each gets a `View` and answers on a thread of its own, in the visitor's language.

    Args:
        host: the server's side.
        demo: makes an empty workspace the demo's, where that can be had.
    """

    def __init__(self, host: Host, demo: Demo | None = None) -> None:
        self.host = host
        self.demo = demo
        host.demo = demo is not None
        self.routes: list[Route] = []

    def get(self, path: str, handler: Handler, *, role: Role = "viewer") -> None:
        """Answer GET."""
        self.routes.append(Route(path, self._endpoint(handler, role, posted=False), methods=["GET"]))

    def post(self, path: str, handler: Handler, *, role: Role = "editor") -> None:
        """Answer a posted form that carries the visitor's token."""
        self.routes.append(Route(path, self._endpoint(handler, role, posted=True), methods=["POST"]))

    def open(self, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        """Answer GET to everybody, signed in or not."""
        self.routes.append(Route(path, endpoint, methods=["GET"]))

    def _endpoint(self, handler: Handler, role: Role, *, posted: bool) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            form = await request.form() if posted else FormData()
            try:
                return await run_in_threadpool(
                    lambda: pack(request, self._answer(handler, request, form, role, posted))
                )
            finally:
                await form.close()

        return endpoint

    def _answer(self, handler: Handler, request: Request, form: FormData, role: Role, posted: bool) -> Response:
        view = View(request, self.host, LocalPerson(role="viewer"), form)
        with use_locale(view.locale):
            try:
                person = self.host.person(request)
                if person is None:
                    return RedirectResponse(address("/sign-in", {"next": _here(request)}), status_code=303)
                view.person = person
                if posted and not self.host.trusts(request, view.field("token")):
                    raise NotAllowedError(text("this form is too old; open the page again"))
                if not view.may(role):
                    raise NotAllowedError(text("this needs the role {role}", role=role))
                return handler(view)
            except NotSignedInError:
                return RedirectResponse(address("/sign-in", {"next": _here(request)}), status_code=303)
            except UpswingError as error:
                return render_problem(view, problem_of(error), status=status_of(error))
            except Exception:
                request_id: str = request.state.request_id
                LOG.exception("unexpected error", extra={"facts": {"request": request_id}})
                mistake = InternalError(request_id)
                return render_problem(view, problem_of(mistake), status=status_of(mistake))


def problem_of(error: UpswingError) -> Problem:
    """An error in the visitor's words."""
    lines = tuple(str(p) for p in error.problems) if len(error.problems) > 1 else ()
    hint = error.hint or (error.problems[0].hint if error.problems else None)
    return Problem(str(error.message), error.code, str(hint or ""), lines)


def add_pages(app: FastAPI, *, demo: Demo | None = None) -> None:
    """Mount every page on a server whose state is in ``app.state.upswing``.

    Args:
        app: made by `upswing.server.app.create_app`.
        demo: makes an empty workspace the demo's; without it the page names the command.
    """
    from upswing.web.routes import ALL

    state: ServerState = app.state.upswing
    pages = Pages(Host(state), demo)
    state.missing_page = lambda request: missing(request, pages.host)
    for module in ALL:
        module.mount(pages)
    app.router.routes.extend(pages.routes)
    app.mount("/static", Static(directory=STATIC), name="static")


def missing(request: Request, host: Host) -> Response | None:
    """The page for an address that nothing answers; None for programs and for whoever has not signed in."""
    person = host.person(request) if wants_page(request) else None
    if person is None:
        return None
    view = View(request, host, person)
    with use_locale(view.locale):
        message = str(text("There is no page at {path}", path=request.url.path[:200]))
        return render_problem(view, Problem(message, "UP802", str(text("search for it with /"))), status=404)


def wants_page(request: Request) -> bool:
    """Whether a browser asks for a page, not a program for data."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def _here(request: Request) -> str:
    """The address that was asked for, to come back to; the front page after a change."""
    if request.method != "GET":
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
