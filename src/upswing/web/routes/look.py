"""Language, theme and density: kept in the browser, never part of a shared address."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from upswing.core.i18n import LOCALES
from upswing.web.site import Pages
from upswing.web.view import DENSITIES, THEMES, View

YEAR = 365 * 86_400


def mount(pages: Pages) -> None:
    """One address, so that it works without any script."""
    pages.get("/-/look", choose)


def choose(view: View) -> Response:
    """Remember what was chosen and go back."""
    asked = dict(view.request.query_params)
    response = RedirectResponse(local_path(asked.get("next", "/")), status_code=303)
    for key, allowed in (("lang", LOCALES), ("theme", THEMES), ("density", DENSITIES)):
        if asked.get(key) in allowed:
            response.set_cookie(f"upswing_{key}", asked[key], max_age=YEAR, samesite="lax", httponly=True)
    return response


def local_path(address: str) -> str:
    """An address of this site, or its front page: nobody is sent elsewhere.

    Examples:
        >>> local_path("/funnel?step=a"), local_path("//evil.example"), local_path("https://evil.example")
        ('/funnel?step=a', '/', '/')
    """
    inside = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if inside and not any(sign < " " for sign in address) else "/"
