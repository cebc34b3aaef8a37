"""A local server that speaks the part of OpenAI's HTTP API that a chat completion needs."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Endpoint(http.server.ThreadingHTTPServer):
    """Answers what `reply` makes of a request, after the failures it is told to begin with."""

    daemon_threads = True

    def __init__(self, reply: Callable[[dict[str, Any]], str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply = reply
        self.asked: list[dict[str, Any]] = []
        """The requests that were answered."""
        self.keys: set[str | None] = set()
        """Authorization headers that came."""
        self.failures: list[int] = []
        """Statuses of the next answers, the last one first."""
        self.retry_after = {"Retry-After-Ms": "1"}
        """Header of each answer."""
        self.answers_left: int | None = None
        """So many completions, then no more: `silent` is set and nothing comes."""
        self.silent = threading.Event()
        self.release = threading.Event()
        self.rubbish: Any = None
        """Answered in place of a completion: bytes, or what JSON is made of."""
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
            self.server.keys.add(self.headers.get("Authorization"))
            failure = self.server.failures.pop() if self.server.failures else None
            silent = self.server.answers_left == 0
            if failure is None and not silent:
                self.server.asked.append(body)
                if self.server.answers_left:
                    self.server.answers_left -= 1
        if failure is not None:
            self.answer(failure, {"error": {"message": "not now"}})
        elif silent:
            self.server.silent.set()
            self.server.release.wait(60)
            self.close_connection = True
        elif self.server.rubbish is not None:
            self.answer(200, self.server.rubbish)
        else:
            message = {"role": "assistant", "content": self.server.reply(body)}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            facts = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
            self.answer(200, {**facts, "choices": [choice]})

    def answer(self, status: int, body: Any) -> None:
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
def serving(reply: Callable[[dict[str, Any]], str]) -> Iterator[Endpoint]:
    """A server that runs until the block ends."""
    with Endpoint(reply) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.release.set()
        server.shutdown()
