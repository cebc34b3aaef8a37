"""A local server with the chat-completion part of OpenAI's HTTP API."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Endpoint(http.server.ThreadingHTTPServer):
    """Reply to each request with `reply(request)`, after the failures in `failures`."""

    daemon_threads = True

    def __init__(self, reply: Callable[[dict[str, Any]], str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply = reply
        self.requests: list[dict[str, Any]] = []
        """Requests that received a reply."""
        self.authorizations: set[str | None] = set()
        """Authorization headers of all requests."""
        self.failures: list[int] = []
        """HTTP statuses of the next responses; the last one is used first."""
        self.retry_after = {"Retry-After-Ms": "1"}
        """Retry-After header of each response."""
        self.replies_left: int | None = None
        """Number of further replies, after which requests wait without one; None means no limit."""
        self.silent = threading.Event()
        """Set when a request waits without a reply."""
        self.release = threading.Event()
        """Set to end the waiting of requests without a reply."""
        self.malformed: Any = None
        """Body that is sent in place of a completion: bytes, or a value to send as JSON."""
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions"
        with self.server.lock:
            self.server.authorizations.add(self.headers.get("Authorization"))
            failure = self.server.failures.pop() if self.server.failures else None
            silent = self.server.replies_left == 0
            if failure is None and not silent:
                self.server.requests.append(body)
                if self.server.replies_left:
                    self.server.replies_left -= 1
        if failure is not None:
            self.respond(failure, {"error": {"message": "not now"}})
        elif silent:
            self.server.silent.set()
            self.server.release.wait(60)
            self.close_connection = True
        elif self.server.malformed is not None:
            self.respond(200, self.server.malformed)
        else:
            message = {"role": "assistant", "content": self.server.reply(body)}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            completion = {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
            }
            self.respond(200, {**completion, "choices": [choice]})

    def respond(self, status: int, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in self.server.retry_after.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def run_endpoint(reply: Callable[[dict[str, Any]], str]) -> Iterator[Endpoint]:
    """Run a server until the block ends."""
    with Endpoint(reply) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.release.set()
        server.shutdown()
