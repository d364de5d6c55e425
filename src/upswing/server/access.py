"""Addresses that ask for no role, each with what they ask for instead. Every other route names its role (`state.needs`).

A test walks all routes of the application: one that is neither here nor names a role fails it, and so does an entry here
without its route.
"""

from __future__ import annotations

from typing import Final

ANYBODY: Final[dict[str, str]] = {
    "/healthz": "says that the process lives, nothing else",
    "/readyz": "says which parts are ready; load balancers have no account",
    "/api/v1/openapi.json": "describes the addresses; the same for every workspace",
    "/api/v1/session": "POST is how one signs in; DELETE names its role",
    "/sign-in": "the page and form to sign in with",
    "/sign-out": "ends a session, whoever has it",
    "/static": "styles and scripts of the pages, the same for every workspace",
}
"""Address → why anybody may ask."""

INTAKE: Final = (
    "/v1/events", "/v1/batch", "/v1/b", "/v1/import", "/v1/{call}", "/sa", "/sa.gif", "/track", "/click/{platform}",
    "/v1/projects/{key}/settings",
)  # fmt: skip
"""Addresses that need an intake key (`keys.intake_keys`)."""

FLAGS: Final = ("/api/features/", "/ofrep/", "/sub/")
"""Beginnings of addresses that need a flag key (`keys.FlagKeys`)."""

LOCAL: Final = ("/api/v1/local/",)
"""Beginnings of addresses that only this account's command line reaches, by the secret in the workspace's lock file."""

IN_THE_ROUTE: Final = {"/metrics": "admin"}
"""Routes that ask for their role themselves, because a setting can open them."""
