"""The gateway: the routes of the HTTP API, the page, and what guards them."""

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lockstep.serving.abtest_routing import keep_model
from lockstep.serving.answering import Answerer, ChooseVariant
from lockstep.serving.api.api_errors import ApiError
from lockstep.serving.api.http_protocol import check_headers
from lockstep.serving.api_keys import ApiKeys
from lockstep.serving.drift_gauges import DriftCollector
from lockstep.serving.feedback import FeedbackEndpoints
from lockstep.serving.gateway_metrics import GatewayMetrics
from lockstep.serving.logs.file_logger import FileLogger
from lockstep.serving.logs.log_folder import LogMetrics, issue_random_id, open_log
from lockstep.serving.logs.request_log import JsonLogger, RequestLogger
from lockstep.serving.logs.text_masking import TextMasker
from lockstep.serving.served_model import ServedModel
from lockstep.serving.serving_params import ServingParams

PAGE = Path(__file__).parent / "page"
PAGE_FILES = {"/": "chat.html", "/chat.js": "chat.js", "/chat.css": "chat.css"}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content policy of all responses: nothing inline, nothing from elsewhere."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::[0-9]*)?")
"""An IPv6 address in brackets or a name, and perhaps a port."""

SPARE_SECONDS = 5.0
"""Time beyond all other limits after which a response is cut off: its client does not read."""


def create_app(
    settings: ServingParams,
    models: Mapping[str, ServedModel],
    keys: ApiKeys,
    loggers: Sequence[RequestLogger] = (),
    choose_variant: ChooseVariant = keep_model,
) -> FastAPI:
    """Return the gateway before some models.

    Each logger receives the record of every request. `choose_variant` returns the route to a model
    from the model and the user of the request.
    """
    metrics = GatewayMetrics(models)
    all_loggers: list[RequestLogger] = [metrics, JsonLogger(settings.log_texts), *loggers]
    folder, masker = open_log(settings), TextMasker(settings.log_patterns)
    file_loggers = [FileLogger(folder, settings.log_share, masker)] if folder else []
    issue_id = folder.issue_id if folder else issue_random_id
    answerer = Answerer(
        settings, models, keys, [*all_loggers, *file_loggers], choose_variant, issue_id
    )
    feedback = FeedbackEndpoints(settings, keys, answerer.limits, folder, masker, all_loggers)
    if folder:
        metrics.registry.register(LogMetrics(folder))
        metrics.registry.register(DriftCollector(folder.folder))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.metrics = metrics
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_bug)
    routes: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/v1/chat/completions": answerer.chat,
        "/v1/completions": answerer.complete,
        "/v1/classify": answerer.classify,
        "/v1/feedback": feedback.receive_feedback,
        "/v1/outcome": feedback.receive_outcome,
    }
    for path, answer in routes.items():
        app.add_route(path, answer, methods=["POST"])
    _add_status_routes(app, models, keys, metrics, takes_feedback=folder is not None)
    for path, name in PAGE_FILES.items():
        app.add_route(path, _build_file_answer(PAGE / name), methods=["GET"])
    app.add_middleware(Guard, settings=settings, checks_host=not keys.hashes)
    return app


def _add_status_routes(
    app: FastAPI,
    models: Mapping[str, ServedModel],
    keys: ApiKeys,
    metrics: GatewayMetrics,
    takes_feedback: bool,
) -> None:
    """Add the routes that no model answers."""

    async def list_models(request: Request) -> Response:
        keys.authenticate(request.headers.get("authorization", ""))
        entries = [
            {"id": name, "object": "model", "created": model.created, "owned_by": "lockstep"}
            for name, model in models.items()
        ]
        return JSONResponse({"object": "list", "data": entries, "feedback": takes_feedback})

    async def show_health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def show_readiness(request: Request) -> Response:
        ready = {name: model.is_ready() for name, model in models.items()}
        return JSONResponse({"models": ready}, 200 if all(ready.values()) else 503)

    async def show_metrics(request: Request) -> Response:
        keys.authenticate(request.headers.get("authorization", ""))
        return Response(metrics.write(), media_type="text/plain; version=0.0.4")

    app.add_route("/v1/models", list_models, methods=["GET"])
    app.add_route("/healthz", show_health, methods=["GET"])
    app.add_route("/readyz", show_readiness, methods=["GET"])
    app.add_route("/metrics", show_metrics, methods=["GET"])


def _build_file_answer(file: Path) -> Callable[[Request], Awaitable[Response]]:
    async def show_file(request: Request) -> Response:
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    return show_file


async def _answer_api_error(request: Request, error: Any) -> Response:
    return error.build_response()


async def _answer_http_error(request: Request, error: Any) -> Response:
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    response = ApiError(error.status_code, code, str(error.detail)).build_response()
    response.headers.update(error.headers or {})  # such as Allow
    return response


async def _answer_bug(request: Request, error: Exception) -> Response:
    response = ApiError(500, "internal_error", "the server failed; see its log").build_response()
    response.headers.update(HEADERS)  # this answer does not pass through the Guard
    return response


class Guard:
    """Middleware that adds the security headers, checks the Host, and bounds the whole time.

    A server without keys answers only requests to a name of this machine, so that a page elsewhere
    cannot reach it through a name of its own (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, settings: ServingParams, checks_host: bool) -> None:
        """Guard an application."""
        self.app, self.checks_host = app, checks_host
        self.header_limit = 1024 * settings.header_kib
        self.seconds = (
            settings.receive_seconds
            + settings.queue_seconds
            + settings.request_seconds
            + SPARE_SECONDS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app: ASGIApp = self.app
        try:
            self._check(scope)
        except ApiError as error:
            app = response = error.build_response()
            response.headers["Connection"] = "close"
        async with asyncio.timeout(self.seconds):
            await app(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> None:
        """Raise ApiError if no request with these headers is answered."""
        check_headers(scope, self.header_limit)
        if self.checks_host and not is_loopback(_read_host(Headers(scope=scope))):
            raise ApiError(403, "wrong_host", "address this server as localhost")


def _read_host(headers: Headers) -> str:
    """Return the Host header without its port; empty if it is malformed."""
    match = _HOST.fullmatch(headers.get("host", ""))
    return match[1] or match[2] if match else ""


def is_loopback(host: str) -> bool:
    """Whether a name or an address is that of this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
