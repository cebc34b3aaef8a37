"""Errors that a client of the HTTP API receives, in the form of OpenAI's."""

import math
from typing import Any

from starlette.responses import JSONResponse

TYPES = {
    401: "authentication_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "timeout_error",
}
"""Values of the key `type` by HTTP status; all others are invalid_request_error."""

CLIENT_CLOSED = 499
"""Status in records of requests whose client left before the end, as nginx logs it."""


class ApiError(Exception):
    """A request that is not answered."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        parameter: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Store the HTTP status, a code in snake_case, a message, and the parameter at fault."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.parameter, self.retry_after = parameter, retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        return {
            "error": {
                "message": self.message,
                "type": TYPES.get(self.status, "invalid_request_error"),
                "param": self.parameter,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the response."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers

    def build_response(self) -> JSONResponse:
        """Return the error as a response."""
        return JSONResponse(self.body, self.status, self.headers)
