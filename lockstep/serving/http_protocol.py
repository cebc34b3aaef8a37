"""The HTTP protocol of uvicorn with a limit on the time in which headers arrive."""

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def build_protocol(seconds: float) -> type[H11Protocol]:
    """Return a protocol that closes a connection whose headers take longer than `seconds`.

    uvicorn bounds the silence after a response, but not that before a request. The protocol also
    sends small packets at once; asyncio does so only for sockets that name their protocol.
    """

    class TimedProtocol(H11Protocol):
        """Close connections that send no whole header in time."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._timer = self.loop.call_later(seconds, self._close_if_waiting)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            is_waiting = self.conn.their_state is h11.IDLE
            if not is_waiting:
                self._cancel()
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self._close_if_waiting)

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def _cancel(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _close_if_waiting(self) -> None:
            self._timer = None
            if self.conn.their_state is h11.IDLE:
                self.transport.close()

    return TimedProtocol
