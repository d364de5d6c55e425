"""Run-time facts, sign-in and the routes around them, mounted on a server."""

from __future__ import annotations

from fastapi import FastAPI

from upswing.facts.database import Facts
from upswing.server import audit, keys, people, sign_in
from upswing.server.operations import add_operations
from upswing.server.state import ServerState


def add_accounts(app: FastAPI, state: ServerState, facts: Facts) -> None:
    """Mount what works on the run-time facts of a workspace: signing in, people, keys, the audit log, and what
    an operator needs (`operations`).

    Args:
        app: the application.
        state: its state; gets ``facts`` and ``gate``.
        facts: open as long as the application runs.
    """
    state.facts, state.gate = facts, sign_in.SignIn(facts)
    for module in (sign_in, people, keys, audit):
        app.include_router(module.router())
    add_operations(app, state, facts)
