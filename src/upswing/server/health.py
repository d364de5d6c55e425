"""Whether the server lives, whether it is ready, and its numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from upswing.core.errors import UpswingError
from upswing.server.observe import LOG
from upswing.server.state import current_person, needs, state_of

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """The process lives and answers."""
    return JSONResponse({"ok": True})


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """Every part can do its work; 503 otherwise. The reasons, which may name files, are for who has signed in."""
    reasons = {name: _reason(check) for name, check in state_of(request).ready.items()}
    failed = any(reason is not None for reason in reasons.values())
    if current_person(request) is None:
        reasons = {name: None if reason is None else reason.partition(" ")[0] for name, reason in reasons.items()}
    return JSONResponse({"ok": not failed, "checks": reasons}, status_code=503 if failed else 200)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Counters and gauges; for administrators unless the settings open it."""
    state = state_of(request)
    if not state.settings.metrics_open:
        needs("admin")(request)
    return Response(state.observations.text(), media_type=CONTENT_TYPE_LATEST)


def _reason(check: Callable[[], str | None]) -> str | None:
    """Why a part cannot work, its code first; an error of ours that nobody foresaw has none."""
    try:
        return check()
    except UpswingError as error:
        return str(error)
    except Exception as error:
        LOG.error("a check of readiness failed", exc_info=error)
        return "UP800"
