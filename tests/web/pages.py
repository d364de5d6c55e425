"""Addresses of every page that tests open, each with something on it."""

from __future__ import annotations

from typing import Final

FUNNEL = "/funnel?step=app_installed&step=signup_started&step=order_paid&within=7d"

PAGES: Final = (
    "/",
    "/funnel",
    f"{FUNNEL}&by=platform&trend=week&profile=mixpanel&compare=previous&from=2026-03-01&to=2026-04-01",
    "/retention",
    "/lifecycle",
    "/stickiness",
    "/paths",
    "/interval",
    "/distribution",
    "/ask/metrics",
    "/users?of=funnel&name=activation&at=2&dropped=1",
    "/segments",
    "/segments/habit",
    "/events",
    "/events/order_paid",
    "/quarantine",
    "/import",
    "/definitions",
    "/definitions/edit?file=funnels/activation.yml",
    "/definitions/new?kind=segment",
    "/settings",
    "/account",
    "/search?q=pay",
    "/start",
    "/sign-in",
    "/-/keys",
    "/-/patterns",
)
