"""Long questions: asked by POST, looked at and cancelled under ``/api/v1/jobs``."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from upswing.core.errors import UpswingError
from upswing.core.i18n import text
from upswing.core.results import Result
from upswing.server.questions import Job
from upswing.server.shapes import JOB, answers
from upswing.server.state import needs, state_of

router = APIRouter(prefix="/api/v1/jobs", tags=["Jobs"], dependencies=[Depends(needs("viewer"))])


@router.get(
    "/{job_id}", operation_id="job", summary=text("How far a question is, and its answer when it is there").message,
    response_model=None, responses=answers({200: JOB}),
)  # fmt: skip
async def look(request: Request, job_id: str) -> Response:
    """The job; with `result` when it is done, with `error` when it failed."""
    job = state_of(request).questions.job(job_id)
    body: dict[str, object] = {"ok": True, "job": job.to_dict()}
    if job.future.done():
        error = job.future.exception()
        if error is None:
            body["result"] = job.future.result().to_dict()
        elif isinstance(error, UpswingError):
            body["failure"] = error.to_dict()
    return JSONResponse(body)


@router.delete(
    "/{job_id}", operation_id="cancel_job", summary=text("Give a question up").message,
    response_model=None, responses=answers({200: JOB}),
)  # fmt: skip
async def cancel(request: Request, job_id: str) -> Response:
    """It stops, unless others wait for the same answer."""
    questions = state_of(request).questions
    job = questions.job(job_id)
    questions.cancel(job)
    return JSONResponse({"ok": True, "job": job.to_dict() | {"state": "cancelled"}})


async def answered(request: Request, job: Job) -> Result:
    """The answer, unless the asker goes away first; then the question is given up."""
    waiting = asyncio.wrap_future(job.future)
    while True:
        done, _ = await asyncio.wait({waiting}, timeout=1.0)
        if done:
            return waiting.result()
        if await request.is_disconnected():
            state_of(request).questions.cancel(job)


def accepted(job: Job) -> JSONResponse:
    """Where to look for the answer."""
    return JSONResponse(
        {"ok": True, "job": job.to_dict()}, status_code=202, headers={"Location": f"/api/v1/jobs/{job.id}"}
    )
