"""Read the body of an HTTP request within its limits, and check its keys."""

import asyncio
import difflib
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.serving.api.api_errors import CLIENT_CLOSED, ApiError
from lockstep.serving.serving_params import ServingParams

B = TypeVar("B", bound=BaseModel)

MAX_NAME = 128
"""Maximum number of characters of a key in a message; a client may send any."""


async def read_body(request: HttpRequest, settings: ServingParams) -> bytes:
    """Return the body; raise ApiError if it is no JSON, too large or too slow."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # a page elsewhere cannot send this type without CORS
        raise ApiError(415, "unsupported_media_type", "send Content-Type: application/json")
    limit = 1024 * settings.body_kib
    body = bytearray()
    try:
        async with asyncio.timeout(settings.receive_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    message = f"the body is larger than {settings.body_kib} KiB"
                    raise ApiError(413, "body_too_large", message)
    except ClientDisconnect:
        raise ApiError(CLIENT_CLOSED, "client_closed", "the client left") from None
    except TimeoutError:
        raise ApiError(408, "body_too_slow", "the body did not arrive in time") from None
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the object in a body; raise ApiError if its JSON is invalid or nested too deeply."""
    try:
        values = strict_json.parse(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise ApiError(400, "invalid_json", "the body is not UTF-8") from None
    except InvalidRowError as error:
        reason = error.detail or str(error)  # the detail of invalid JSON is its place
        raise ApiError(400, str(error), f"the body is not accepted as JSON: {reason}") from None
    if not isinstance(values, dict):
        raise ApiError(400, "invalid_json", "the body is no JSON object")
    return values


def check_keys(values: dict[str, Any], schema: type[B]) -> B:
    """Return the values of a body as a schema has them.

    The message of an ApiError names the key at fault, and no value: what people write is in none.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(map(str, first["loc"]))[:MAX_NAME]
        code = "unknown_parameter" if first["type"] == "extra_forbidden" else "invalid_value"
        name = str(first["loc"][0])[:MAX_NAME]
        message = first["msg"]
        if code == "unknown_parameter":
            message = f"unknown parameter{_suggest(first['loc'], schema)}"
        raise ApiError(400, code, f"{path}: {message}", name) from None


def _suggest(path: tuple[str | int, ...], schema: type[BaseModel]) -> str:
    """Return the remedy for an unknown key: the nearest one of the body, or none."""
    names = [] if path[1:] else [*schema.model_fields]
    near = difflib.get_close_matches(str(path[0])[:MAX_NAME], names, 1)
    return f"; did you mean {near[0]}?" if near else "; remove it"
