"""The first minutes: an empty workspace offers four ways to a first answer."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from starlette.responses import RedirectResponse, Response

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.web.background import Task
from upswing.web.host import Host
from upswing.web.render import render
from upswing.web.site import Demo, Pages, problem_of
from upswing.web.view import View


def mount(pages: Pages) -> None:
    """The four ways."""
    pages.get("/start", lambda view: render(view, "start.html", page=None))
    if pages.demo is not None:
        coming = Coming(pages.host, pages.demo)
        pages.post("/start/demo", lambda view: _begin(view, coming))
        pages.get("/start/demo", lambda view: _watch(view, coming), role="editor")


class Coming:
    """The demo on its way into the workspace: once at a time, however often the button is pressed.

    Args:
        host: the server's side.
        demo: makes the workspace the demo's.
    """

    def __init__(self, host: Host, demo: Demo) -> None:
        self.task: Task[bool] | None = None
        self._host = host
        self._demo = demo
        self._lock = threading.Lock()

    def begin(self) -> bool:
        """Start, unless it is under way already; gives whether this began it."""
        with self._lock:
            if self.task is not None and not self.task.over:
                return False
            self.task = Task[bool]()
            self.task.begin(self._bring, name="demo")
        return True

    def _bring(self) -> bool:
        assert self.task is not None
        with tempfile.TemporaryDirectory() as folder:
            self._demo(self._host.root, self._host.opened, self.task.tell, progress=self.task.tell, files=Path(folder))
        self._host.refresh()
        return True


def _begin(view: View, coming: Coming) -> Response:
    """Bring the simulated product in, as long as the workspace is empty."""
    if not view.empty:
        raise UsageError(
            text("the workspace has events already"),
            code="UP884",
            hint=text("make another one: upswing demo --dir DIR"),
        )
    if coming.begin():
        view.host.record(view.request, "data.demo", "")
    return RedirectResponse("/start/demo", status_code=303)


def _watch(view: View, coming: Coming) -> Response:
    """How far it is; the overview once it is there."""
    task = coming.task
    if task is None:
        return RedirectResponse("/start", status_code=303)
    problem = problem_of(task.error) if task.error is not None else None
    return render(view, "coming.html", task=task, problem=problem)
