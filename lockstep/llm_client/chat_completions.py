"""A client of OpenAI-compatible chat-completion endpoints that caches every reply."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lockstep.errors import UserError
from lockstep.llm_client import response_cache
from lockstep.progress import track_progress

_PARALLEL_REQUESTS = 8
_RETRIES = 5


def request_replies(
    requests: Sequence[dict[str, Any]], url: str, timeout_seconds: float
) -> list[str]:
    """Return the endpoint's reply to each request (`model`, `messages`, other fields of the API).

    Equal requests are sent once, and a request with a cached reply is not sent. An attempt fails
    after `timeout_seconds` without data from the endpoint. The API key is read from
    OPENAI_API_KEY and is written nowhere. Raise UserError if the endpoint does not answer.
    """
    keys = [response_cache.make_key(url, request) for request in requests]
    uncached = {
        key: request
        for key, request in zip(keys, requests, strict=True)
        if not response_cache.is_cached(key)
    }
    if uncached:
        _send_all(uncached, url, timeout_seconds)
    return [response_cache.read_response(key)["text"] for key in keys]


def _send_all(requests: dict[str, dict[str, Any]], url: str, timeout_seconds: float) -> None:
    """Send the requests and cache their replies; the openai library retries and backs off."""
    import openai

    try:
        client = openai.OpenAI(
            base_url=url,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            max_retries=_RETRIES,
            timeout=timeout_seconds,
        )
        with (
            track_progress(url, len(requests), "replies") as progress,
            ThreadPoolExecutor(_PARALLEL_REQUESTS) as threads,
        ):
            sent = threads.map(lambda item: _send_request(client, url, *item), requests.items())
            for number, _ in enumerate(sent, start=1):
                progress.move_to(number)
    except openai.APITimeoutError:
        raise UserError(
            f"{url}: no data for {timeout_seconds:g} s; allow more time, or run again: "
            "all replies so far are cached"
        ) from None
    except openai.APIConnectionError:
        raise UserError(f"{url}: no connection; start the endpoint or correct its url") from None
    except openai.APIStatusError as error:
        is_temporary = error.status_code == 429 or error.status_code >= 500
        remedy = (
            "run again: all replies so far are cached"
            if is_temporary
            else "correct url, model or key"
        )
        raise UserError(f"{url}: {_shorten(error.message)}; {remedy}") from None
    except (openai.OpenAIError, ValueError) as error:
        raise UserError(
            f"{url}: not a reply of the OpenAI API: {_shorten(error)}; correct url or key"
        ) from None


def _send_request(client: Any, url: str, key: str, request: dict[str, Any]) -> None:
    """Send one request and cache its reply under the key."""
    arguments = {"model": request["model"], "messages": request["messages"]}
    other_fields = {name: value for name, value in request.items() if name not in arguments}
    completion = client.chat.completions.create(**arguments, extra_body=other_fields)
    try:
        text = completion.choices[0].message.content or ""
    except (AttributeError, TypeError, IndexError):
        text = None
    if not isinstance(text, str):
        raise UserError(f"{url}: the reply is no chat completion; correct url or model")
    # JSON can spell a single surrogate, which UTF-8 cannot encode
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    response_cache.write_response(key, {"text": text})


def _shorten(message: object) -> str:
    """Return the first 200 characters of a message on one line."""
    return " ".join(str(message).split())[:200]
