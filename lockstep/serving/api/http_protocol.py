"""HTTP of the gateway: uvicorn's settings, and limits on connections that uvicorn lacks."""

import asyncio
import logging
import socket
from typing import Any

import h11
import uvicorn
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from lockstep.serving.api.api_errors import ApiError
from lockstep.serving.serving_params import ServingParams

_WAITING = (h11.IDLE, h11.DONE)
"""States of this side in which it waits for a request, or for a body that nobody reads."""


def build_config(app: ASGIApp, settings: ServingParams) -> uvicorn.Config:
    """Return the settings of uvicorn for the gateway."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # no line for malformed requests
    return uvicorn.Config(
        app,
        http=build_protocol(settings.receive_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=1024 * settings.header_kib,
        timeout_keep_alive=int(max(1, settings.receive_seconds)),
        timeout_graceful_shutdown=int(max(1, settings.shutdown_seconds)),
    )


def check_headers(scope: Scope, limit: int) -> None:
    """Raise ApiError if headers are larger than `limit` bytes, or give two lengths of the body.

    h11 limits only headers that arrive in several packets. It accepts Content-Length beside
    Transfer-Encoding, of which a proxy may read the other one (request smuggling, RFC 9112, 6.3).
    """
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if size > limit:
        raise ApiError(431, "headers_too_large", f"the headers are larger than {limit} bytes")
    headers = Headers(scope=scope)
    if "content-length" in headers and "transfer-encoding" in headers:
        raise ApiError(400, "two_lengths", "send Content-Length or Transfer-Encoding, not both")


def build_protocol(seconds: float) -> type[H11Protocol]:
    """Return a protocol that closes a connection whose client stalls for `seconds`.

    uvicorn bounds the silence after a response, but neither the time in which headers arrive, nor
    that of a body after its response, nor that in which a client reads nothing. The protocol also
    sends small packets at once; asyncio does so only for sockets that name their protocol.
    """

    class TimedProtocol(H11Protocol):
        """Close connections that stall."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: for data that is not acknowledged
                milliseconds = int(1000 * seconds)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            self._start()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.our_state in _WAITING:
                self._start()
            else:
                self._cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def _start(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(seconds, self._close_if_waiting)

        def _cancel(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _close_if_waiting(self) -> None:
            self._timer = None
            if self.conn.our_state in _WAITING:
                self.transport.close()

    return TimedProtocol
