"""Fewer bytes on the way: static files packed once and kept for good by browsers, pages packed where that is safe."""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC: Final = Path(__file__).parent / "static"
KEPT: Final = "public, max-age=31536000, immutable"
ASKED_AGAIN: Final = "no-cache"
_PACKED: Final = frozenset({".css", ".js", ".svg", ".LICENSE", ".NOTICE"})
_RELEASE: Final = re.compile(r"^([0-9a-f]{12})/(.+)$")
_SMALL: Final = 1024
_VARY: Final = "Accept-Encoding, Sec-Fetch-Site"


def asset(name: str) -> str:
    """Address of a static file.

    What all static files hold is part of it, so browsers may keep a file for good; and since it is a folder of the path,
    what a style or a script names relative to itself is kept as well.

    Examples:
        >>> asset("app.js").endswith("/app.js")
        True
    """
    return f"/static/{release()}/{name}"


@cache
def release() -> str:
    """What tells these static files from those of any other release."""
    found = hashlib.sha256()
    for path in sorted(p for p in STATIC.rglob("*") if p.is_file()):
        found.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


class Static(StaticFiles):
    """Static files below the folder that `release` names, or without it for whoever types an address."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file; to be kept for good when it is asked for by its content, packed where the browser can unpack it."""
        asked = _RELEASE.match(Path(path).as_posix())
        name = asked[2] if asked else path
        response = await super().get_response(name, scope)
        response.headers["cache-control"] = KEPT if asked and asked[1] == release() else ASKED_AGAIN
        if Path(name).suffix in _PACKED and response.status_code == 200:
            response.headers["vary"] = "Accept-Encoding"
            if unpacks(Headers(scope=scope)):
                return _smaller(response, _packed_file(name))
        return response


def pack(request: Request, response: Response) -> Response:
    """A page, packed if it is worth it and safe.

    A page holds a secret (the token of its forms) beside words of its own address, and packing tells by its length how
    alike they are: whoever can make a browser ask for many chosen addresses and see the sizes can guess the secret
    (BREACH, Gluck, Harris and Prado 2013). Such requests come from pages of other sites, and browsers say so in
    Sec-Fetch-Site; only what our own pages, or the visitor's own hands, ask for is packed. A browser that does not say
    where a request comes from gets the page as it is.
    """
    body = bytes(getattr(response, "body", b""))  # a file that is sent piece by piece has none
    response.headers["vary"] = ", ".join(v for v in (response.headers.get("vary"), _VARY) if v)
    safe = request.headers.get("sec-fetch-site") in ("same-origin", "none")
    if not safe or not unpacks(request.headers) or len(body) < _SMALL:
        return response
    return _smaller(response, gzip.compress(body, compresslevel=5, mtime=0))


def unpacks(headers: Headers) -> bool:
    """Whether a browser takes gzip.

    Examples:
        >>> unpacks(Headers({"accept-encoding": "br, gzip"})), unpacks(Headers({"accept-encoding": "gzip;q=0"}))
        (True, False)
    """
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


@cache
def _packed_file(name: str) -> bytes:
    return gzip.compress((STATIC / name).read_bytes(), compresslevel=9, mtime=0)


def _smaller(response: Response, body: bytes) -> Response:
    kept = {k: v for k, v in response.headers.items() if k not in ("content-length", "etag")}
    if "etag" in response.headers:
        kept["etag"] = response.headers["etag"].rstrip('"') + '-gz"'
    made = Response(body, response.status_code, kept, media_type=response.headers.get("content-type"))
    made.raw_headers = [h for h in made.raw_headers if h[0] != b"content-encoding"] + [(b"content-encoding", b"gzip")]
    made.raw_headers += [h for h in response.raw_headers if h[0] == b"set-cookie"]
    return made
