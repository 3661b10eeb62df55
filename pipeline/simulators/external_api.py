"""The external API as a simulator: one effect per idempotency key, faults as scripted, and the books of it all."""

import asyncio
import hashlib
import re
import time
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import ScriptInvalid
from pipeline.simulators.faults import FaultScript, FaultSource, Status, parse
from pipeline.simulators.ledger import Effect, Ledger
from pipeline.simulators.misbehaviour import EFFECT_FIRST, Connections, play

_UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_INTENDED: Final = re.compile(rb'"intended_ns":\s*(\d{1,20})')
_STATUS: Final = {
    Effect.APPLIED: (201, b'{"status":"created"}'),
    Effect.REPLAYED: (200, b'{"status":"already created"}'),
    Effect.CONFLICT: (422, b'{"error":"this idempotency key was used with another body"}'),
}


class ExternalApi:
    """The API's state, the app that serves clients, and the app that tests read and steer it by."""

    def __init__(self, script: FaultScript | None = None) -> None:
        self.ledger = Ledger()
        self.connections = Connections()
        self._faults = FaultSource(script or FaultScript())
        self.listening = asyncio.Event()
        self.silent = asyncio.Event()
        self.listen(on=True)

    def listen(self, *, on: bool) -> None:
        """Say whether connections are to be accepted or refused; `run` obeys."""
        if on:
            self.silent.clear()
            self.listening.set()
        else:
            self.listening.clear()
            self.silent.set()

    def app(self) -> ASGIApp:
        """Return the app that the worker calls."""
        return Starlette(routes=[Mount("/", app=self._serve)])

    def control_app(self) -> ASGIApp:
        """Return the app for the books and the script; it listens on a port of its own, so no fault reaches it."""
        return Starlette(
            routes=[
                Route("/ledger", self._summary),
                Route("/ledger/accounts", self._accounts),
                Route("/ledger/effects", self._effects),
                Route("/script", self._set_script, methods=["PUT"]),
                Route("/listening", self._set_listening, methods=["PUT"]),
            ]
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        if response is not None:
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """Return the answer, or None where the connection was dealt with below HTTP."""
        body = await request.body()
        key = request.headers.get("idempotency-key")
        path = request.url.path
        if key is None:
            self.ledger.keyless += request.method in _UNSAFE
            key = f"no-key {request.method} {path}"
        sha256 = hashlib.sha256(body).hexdigest()
        self.ledger.arrived(key, route=path, sha256=sha256, now=time.monotonic())
        plan = self._faults.plan(path)
        if plan.latency_s > 0:
            await asyncio.sleep(plan.latency_s)
        fault = plan.fault
        if fault is None:
            status, text = _STATUS[self._apply(key, sha256, body)]
            self.ledger.answered(key, now=time.monotonic())
            return Response(text, status, media_type="application/json")
        self.ledger.faults[_name(fault)] += 1
        if isinstance(fault, EFFECT_FIRST) or getattr(fault, "after_effect", False):
            self._apply(key, sha256, body)
        if isinstance(fault, Status):
            return self._fail(key, fault)
        line = self.connections.of(request.scope["client"])
        if line is not None:
            await play(fault, line)
        return None

    def _apply(self, key: str, sha256: str, body: bytes) -> Effect:
        effect = self.ledger.apply(key, sha256=sha256, now=time.monotonic())
        if effect is Effect.APPLIED and (found := _INTENDED.search(body, 0, 200)):
            self.ledger.took((time.time_ns() - int(found[1])) / 1e9)
        return effect

    def _fail(self, key: str, fault: Status) -> Response:
        headers = {}
        if fault.retry_after_s is not None:
            headers["retry-after"] = str(fault.retry_after_s)
            self.ledger.asked_to_wait(key, until=time.monotonic() + fault.retry_after_s)
        return Response(b'{"error":"scripted"}', fault.status, headers, media_type="application/json")

    async def _summary(self, _: Request) -> Response:
        return Response(msgspec.json.encode(self.ledger.summary()), media_type="application/json")

    async def _accounts(self, _: Request) -> Response:
        lines = b"\n".join(map(msgspec.json.encode, self.ledger.accounts()))
        return Response(lines, media_type="application/x-ndjson")

    async def _effects(self, _: Request) -> Response:
        return JSONResponse(self.ledger.effects)

    async def _set_script(self, request: Request) -> Response:
        try:
            self._faults = FaultSource(parse(await request.body()))
        except ScriptInvalid as problem:
            return JSONResponse({"error": str(problem)}, 400)
        return JSONResponse({})

    async def _set_listening(self, request: Request) -> Response:
        self.listen(on=bool(await request.json()))
        return JSONResponse({})


def _name(fault: msgspec.Struct) -> str:
    name = str(fault.__struct_config__.tag)
    if isinstance(fault, Status):
        name = f"{name}_{fault.status}"
    return f"{name}_after_effect" if getattr(fault, "after_effect", False) else name
