"""The addresses that apps send events to, as their own clients spell them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from upswing.core.i18n import text
from upswing.events.summary import REASONS
from upswing.server.bodies import read_body, read_json
from upswing.server.errors import NotFoundError, ServerError
from upswing.server.intake import clicks, growthbook, plain, segment, sensors
from upswing.server.intake.events import Delivery
from upswing.server.intake.keys import Authorise, IntakeKey, check_origin, cross_origin, preflight, shown_key
from upswing.server.intake.limits import Room
from upswing.server.intake.service import Intake

Handler = Callable[[Request], Awaitable[Response]]
_IN_LOOP: Final = 64 << 10
"""Bodies up to this size are read on the event loop; larger ones on a thread, so that other requests go on."""
_SHOWN: Final = 100
_PIXEL: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


def router(intake: Intake, authorise: Authorise) -> APIRouter:
    """All addresses of the intake.

    Args:
        intake: where events go.
        authorise: gives the key that a request shows, or raises; it may be awaitable.
    """
    doors = _Doors(intake, authorise)
    found = APIRouter(tags=["intake"])

    def add(path: str, handler: Handler, methods: list[str], summary: str) -> None:
        found.add_api_route(path, doors.guarded(handler), methods=methods, summary=summary, response_class=Response,
                            response_model=None, name=f"intake {path} {methods[0]}")  # fmt: skip

    add("/v1/events", doors.plain, ["POST"], "Plain JSON events: one, a list, or one per line")
    for path in ("/v1/batch", "/v1/b", "/v1/import"):
        add(path, doors.segment_batch, ["POST"], "Segment: a batch of messages")
    add("/v1/{call}", doors.segment_call, ["POST"], "Segment: track, identify, page, screen, group or alias")
    add("/v1/projects/{key}/settings", doors.segment_settings, ["GET"], "Segment: where mobile clients send events")
    for method in ("POST", "GET"):
        add("/sa", doors.sensors, [method], "神策 Sensors Analytics")
    add("/sa.gif", doors.sensors, ["GET"], "神策 Sensors Analytics, asked for as an image")
    add("/track", doors.growthbook, ["POST"], "GrowthBook: tracking plug-ins")
    add("/click/{platform}", doors.click, ["GET"], "Click monitoring: a click that an advertising platform reports")
    for path in ("/v1/{call}", "/v1/projects/{key}/settings", "/sa", "/track", "/click/{platform}"):
        found.add_api_route(path, _preflight, methods=["OPTIONS"], include_in_schema=False)
    return found


async def _preflight(request: Request) -> Response:
    return Response(status_code=204, headers=preflight(request))


class _Doors:
    """One method per protocol; each reads a request into a delivery, stores it and says what became of it."""

    def __init__(self, intake: Intake, authorise: Authorise) -> None:
        self.intake, self.authorise, self.limits = intake, authorise, intake.limits
        self._reader: CapacityLimiter | None = None

    def guarded(self, handler: Handler) -> Handler:
        """A handler whose every answer can be read by pages of other origins."""

        @wraps(handler)
        async def answer(request: Request) -> Response:
            try:
                found = await handler(request)
            except ServerError as error:
                self.intake.counts.turned_away += 1
                error.headers.update(cross_origin(request))
                raise
            found.headers.update(cross_origin(request))
            return found

        return answer

    async def off_loop(self, size: int, work: Callable[[], object]) -> object:
        """Read a body: a small one here, a large one on a thread, one at a time, since threads share one processor."""
        if size <= _IN_LOOP:
            return work()
        if self._reader is None:
            self._reader = CapacityLimiter(1)
        return await to_thread.run_sync(work, limiter=self._reader)

    async def plain(self, request: Request) -> Response:
        key = await self.key(request)
        limit = self.limits.body_bytes
        with self.intake.in_flight.body() as room:
            body = await self.body(request, room, limit)
            delivery = self.intake.delivery()
            zone = self.intake.calendar.zone
            await self.off_loop(len(body), lambda: plain.take_events(body, delivery, zone=zone))
            return await self.store(delivery, key)

    async def segment_batch(self, request: Request) -> Response:
        past = request.url.path.endswith("/import")

        def take(body: object, delivery: Delivery) -> None:
            segment.take_batch(body, delivery, past=past)

        return await self._segment(request, self.limits.batch_bytes, take)

    async def segment_call(self, request: Request) -> Response:
        call = str(request.path_params["call"])
        if call not in segment.CALLS:
            raise NotFoundError(text("'{call}' is no call of this protocol", call=call[:80]))

        def take(body: object, delivery: Delivery) -> None:
            segment.take_call(body, call, delivery)

        return await self._segment(request, self.limits.event_bytes, take)

    async def segment_settings(self, request: Request) -> Response:
        """What Segment's mobile clients ask for first; without it they send to Segment, whatever host they are told."""
        request.state.body_key = request.path_params["key"]
        await self.key(request)
        host = request.headers.get("host", "")
        sent_to = {"apiKey": request.path_params["key"], "apiHost": f"{host}/v1"}
        return _json({"integrations": {"Segment.io": sent_to}, "plan": {"track": {"__default": {"enabled": True}}}})

    async def _segment(self, request: Request, limit: int, take: Callable[[object, Delivery], None]) -> Response:
        shown = shown_key(request) is not None
        key = await self.key(request) if shown else None  # a browser's key is in the body
        memory = self.intake.in_flight if shown else self.intake.strangers
        with memory.body() as room:
            body = await self.body(request, room, limit)
            found = await self.off_loop(len(body), lambda: read_json(body))
            if key is None:
                request.state.body_key = _written_key(found)
                key = await self.key(request)
            delivery = self.intake.delivery()
            await self.off_loop(len(body), lambda: take(found, delivery))
            return await self.store(delivery, key)

    async def sensors(self, request: Request) -> Response:
        key = await self.key(request)
        limit = self.limits.body_bytes
        with self.intake.in_flight.body() as room:
            body = await self.body(request, room, 2 * limit)
            delivery = self.intake.delivery()
            query = request.scope["query_string"]

            def take() -> None:
                start = body.lstrip()[:1]
                if start in (b"{", b"["):
                    found = read_json(body)
                    messages = found if isinstance(found, list) else [found]
                else:
                    messages = sensors.read_messages(sensors.read_form(body or query), limit)
                sensors.take_messages(messages, delivery)

            await self.off_loop(len(body), take)
            answer = await self.store(delivery, key)
        wants_image = request.method == "GET" and "image/" in request.headers.get("accept", "")
        if wants_image or request.url.path.endswith(".gif"):
            return Response(_PIXEL, media_type="image/gif")
        return answer

    async def growthbook(self, request: Request) -> Response:
        key = await self.key(request)
        limit = self.limits.body_bytes
        with self.intake.in_flight.body() as room:
            body = await self.body(request, room, limit)
            delivery = self.intake.delivery()
            await self.off_loop(len(body), lambda: growthbook.take_events(read_json(body), delivery))
            return await self.store(delivery, key)

    async def click(self, request: Request) -> Response:
        key = await self.key(request)
        delivery = self.intake.delivery()
        clicks.take_click(str(request.path_params["platform"]), request.query_params, delivery)
        await self.store(delivery, key)
        return _json({"ret": 0, "code": 0, "msg": ""})  # what Tencent and Ocean Engine read as received

    async def body(self, request: Request, room: Room, limit: int) -> bytes:
        """A request's body, counted as it comes."""
        return await read_body(
            request, limit=limit, unpacked=limit, seconds=self.limits.body_seconds, grow=room.grow
        )  # fmt: skip

    async def key(self, request: Request) -> IntakeKey:
        """The key that a request shows, for pages of its origin."""
        found = self.authorise(request)
        key = await found if inspect.isawaitable(found) else found
        check_origin(request, key)
        return key

    async def store(self, delivery: Delivery, key: IntakeKey) -> Response:
        """Make a delivery durable, then say how much of it is good."""
        self.intake.rates.take(key.id, key.events_per_second, delivery.accepted + len(delivery.refused))
        await self.intake.store(delivery)
        return _json(_account(delivery))


def _account(delivery: Delivery) -> dict[str, object]:
    """What became of a delivery; ``success`` is what Segment's clients look for, ``status`` GrowthBook's."""
    found: dict[str, object] = {"success": True, "status": 200, "accepted": delivery.accepted}
    if delivery.refused:
        found["set_aside"] = len(delivery.refused)
        found["reasons"] = [
            {"index": r.index, "reason": r.reason, "message": str(REASONS[r.reason]), "detail": r.detail}
            for r in delivery.refused[:_SHOWN]
        ]
    if delivery.ignored:
        found["ignored"] = {kind: delivery.ignored.count(kind) for kind in sorted(set(delivery.ignored))}
    return found


def _written_key(body: object) -> str | None:
    found = body.get("writeKey") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None


def _json(body: object) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), media_type="application/json")
