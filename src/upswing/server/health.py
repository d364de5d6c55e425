"""Whether the server lives, whether it is ready, and its numbers for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from upswing.server.state import needs, state_of

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """The process lives and answers."""
    return JSONResponse({"ok": True})


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """Every part can do its work; 503 with the reasons otherwise."""
    reasons = {name: check() for name, check in state_of(request).ready.items()}
    failed = {name: reason for name, reason in reasons.items() if reason is not None}
    return JSONResponse({"ok": not failed, "checks": reasons}, status_code=503 if failed else 200)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Counters and gauges; for administrators unless the settings open it."""
    state = state_of(request)
    if not state.settings.metrics_open:
        needs("admin")(request)
    return Response(state.observations.text(), media_type=CONTENT_TYPE_LATEST)
