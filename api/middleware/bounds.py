"""Bounds of one request: its body, the time to its answer, the patience with a client that does not read."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiProblem, ClientStalled
from api.middleware.context import header
from api.state import AppState


class Bounds:
    """Answers 413 to big bodies and 503 where an answer takes too long."""

    def __init__(self, app: ASGIApp, state: AppState) -> None:
        self._app = app
        self._limits = state.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or raise ApiProblem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._check_length(scope)
        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limits.body_bytes:
                raise _too_big(self._limits.body_bytes)
            return message

        begun = False
        try:
            async with asyncio.timeout(self._limits.answer_s) as clock:

                async def sending(message: Message) -> None:
                    nonlocal begun
                    begun = True
                    clock.reschedule(asyncio.get_running_loop().time() + self._limits.write_s)
                    await send(message)
                    clock.reschedule(asyncio.get_running_loop().time() + self._limits.write_s)

                await self._app(scope, receiving, sending)
        except TimeoutError:
            if begun:
                raise ClientStalled from None
            raise ApiProblem(503, "timeout", "The answer took too long", headers={"retry-after": "1"}) from None

    def _check_length(self, scope: Scope) -> None:
        length = header(scope, b"content-length")
        if length is not None and int(length) > self._limits.body_bytes:  # h11 let only digits in
            raise _too_big(self._limits.body_bytes)


def _too_big(limit: int) -> ApiProblem:
    return ApiProblem(
        413,
        "body-too-big",
        "The request's body is too big",
        f"more than {limit} bytes",
        headers={"connection": "close"},
    )
