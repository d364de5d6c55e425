"""Addresses of every page that tests open, each with something on it.

The navigation and the kinds of definitions say what there is, so that a new page is opened without being listed here;
`test_pages.test_no_page_is_forgotten` compares them with the routes of the server.
"""

from __future__ import annotations

from typing import Final

from upswing.spec.definitions import KINDS
from upswing.web.rooms import rooms

FUNNEL = "/funnel?step=app_installed&step=signup_started&step=order_paid&within=7d"

NAVIGATION: Final = tuple(page.path for room in rooms() for page in room.pages)
"""Every page of the navigation, as it is opened from there."""

NEW_DEFINITIONS: Final = tuple(f"/definitions/new?kind={kind}" for kind in KINDS)

PAGES: Final = (
    *NAVIGATION,
    *NEW_DEFINITIONS,
    f"{FUNNEL}&by=platform&trend=week&profile=mixpanel&compare=previous&from=2026-03-01&to=2026-04-01",
    "/users?of=funnel&name=activation&at=2&dropped=1",
    "/segments/habit",
    "/events/order_paid",
    "/quarantine",
    "/definitions/edit?file=funnels/activation.yml",
    "/account",
    "/search?q=pay",
    "/start",
    "/sign-in",
    "/-/keys",
    "/-/patterns",
)
