"""A workspace that a running server holds: the same verbs, answered by the server, with the same results."""

from __future__ import annotations

import functools
import http.client
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from upswing.core.errors import EngineError, UpswingError
from upswing.core.i18n import current_locale, text
from upswing.core.wire import decode, encode
from upswing.workspace.base import OpenWorkspace
from upswing.workspace.holder import Holder

if TYPE_CHECKING:
    from upswing.events.log import EventLog
    from upswing.spec.project import WorkspaceSpec

W = TypeVar("W", bound=OpenWorkspace)

ASK: Final = "/api/v1/local/"
"""Address under which a server answers methods of the workspace for its own account."""
_PATHS: Final = frozenset({"paths", "file", "out"})
"""Arguments that name files: relative ones are meant from where the asking process stands."""


def verbs_of(kind: type[OpenWorkspace]) -> dict[str, Callable[..., Any]]:
    """The methods that rooms bring to a workspace, by name: what a server may be asked for."""
    found: dict[str, Callable[..., Any]] = {}
    rooms = [k for k in kind.__mro__ if issubclass(k, OpenWorkspace) and k is not OpenWorkspace]
    for room in reversed(rooms):
        own = {name: made for name, made in vars(room).items() if inspect.isfunction(made)}
        found |= {name: made for name, made in own.items() if not name.startswith("_")}
    return found


def remote(workspace: type[W], root: Path, project: WorkspaceSpec, holder: Holder) -> W:
    """A workspace of that class whose verbs are answered by the server that holds it."""
    made: W = _remote_class(workspace)(root, project, holder)
    return made


def _remote_class(workspace: type[OpenWorkspace]) -> Any:
    def init(self: Any, root: Path, project: WorkspaceSpec, holder: Holder) -> None:
        workspace.__init__(self, root, project)
        self.holder = holder

    body: dict[str, Any] = {name: _forwarded(name, made) for name, made in verbs_of(workspace).items()}
    body |= {"__init__": init, "__doc__": __doc__, "log": property(_no_log), "close": _forget}
    return type("RemoteWorkspace", (workspace,), body)


def _no_log(_: object) -> EventLog:
    raise EngineError(
        text("a server holds the event log"),
        code="UP710",
        hint=text("ask through the workspace's verbs, or stop the server"),
    )


def _forget(self: OpenWorkspace) -> None:
    self._definitions = None


def _forwarded(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def ask(self: Any, /, *positional: Any, **named: Any) -> Any:
        bound = signature.bind(self, *positional, **named)
        given: dict[str, Any] = {}
        for key, value in list(bound.arguments.items())[1:]:
            if signature.parameters[key].kind is inspect.Parameter.VAR_KEYWORD:
                given |= value
            else:
                given[key] = value
        # how far it is and what it proposes is for whoever watches the work itself
        given = {k: _absolute(v) if k in _PATHS else v for k, v in given.items() if not callable(v)}
        answer = call(self.holder, name, given)
        self._definitions = None
        return answer

    return ask


def call(holder: Holder, method: str, arguments: Mapping[str, Any]) -> Any:
    """Ask a server for a method of its workspace.

    Raises:
        EngineError: UP711 it does not answer.
        UpswingError: whatever the method raises there.
    """
    where = urlsplit(holder.address)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 80)
    headers = {
        "Content-Type": "application/json", "X-Upswing-Local": holder.token, "Accept-Language": current_locale(),
    }  # fmt: skip
    try:
        connection.request("POST", ASK + method, json.dumps(encode(dict(arguments))), headers)
        response = connection.getresponse()
        body = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_answer(holder, error) from None
    finally:
        connection.close()
    if "value" in body:
        return decode(body["value"])
    raised = decode(body["raised"]) if "raised" in body else None
    if isinstance(raised, UpswingError):
        raise raised
    raise _no_answer(holder, body.get("error", response.status))


def _no_answer(holder: Holder, reason: object) -> EngineError:
    return EngineError(
        text("the server at {address} holds the workspace and does not answer: {reason}",
             address=holder.address, reason=reason),
        code="UP711",
        hint=text("see the server's log, or stop process {pid}", pid=holder.pid),
    )  # fmt: skip


def _absolute(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_absolute(v) for v in value]
    if isinstance(value, str | Path) and str(value) != "-":
        return str(Path.cwd() / value)
    return value
