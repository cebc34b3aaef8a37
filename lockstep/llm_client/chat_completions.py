"""Answers of a chat model behind an OpenAI-compatible endpoint."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lockstep.errors import UserError
from lockstep.llm_client import response_cache

_AT_ONCE = 8
_RETRIES = 5


def texts(requests: Sequence[dict[str, Any]], url: str, timeout_seconds: float) -> list[str]:
    """What the endpoint answers to each request (`model`, `messages`, further fields of the API).

    Equal requests are asked once, and one whose answer is kept is not asked again.
    `timeout_seconds` is how long the endpoint may be silent at one attempt. The API key comes
    from OPENAI_API_KEY; it is written nowhere.
    """
    keys = [response_cache.key(url, request) for request in requests]
    open_ = {
        key: request
        for key, request in zip(keys, requests, strict=True)
        if not response_cache.path(key).exists()
    }
    if open_:
        _ask(open_, url, timeout_seconds)
    return [response_cache.read(key)["text"] for key in keys]


def _ask(requests: dict[str, dict[str, Any]], url: str, timeout_seconds: float) -> None:
    """Keep a response for each request; the library retries and waits as the endpoint asks."""
    import openai

    try:
        client = openai.OpenAI(
            base_url=url,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            max_retries=_RETRIES,
            timeout=timeout_seconds,
        )
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for _ in threads.map(lambda item: _keep(client, url, *item), requests.items()):
                pass
    except openai.APITimeoutError:
        raise UserError(
            f"{url}: silent for {timeout_seconds:g} s; allow more time, or run again: what was "
            "answered is kept"
        ) from None
    except openai.APIConnectionError:
        raise UserError(f"{url}: no connection; start the endpoint or correct its url") from None
    except openai.APIStatusError as error:
        passing = error.status_code == 429 or error.status_code >= 500
        remedy = "run again: what was answered is kept" if passing else "correct url, model or key"
        raise UserError(f"{url}: {_line(error.message)}; {remedy}") from None
    except (openai.OpenAIError, ValueError) as error:
        raise UserError(
            f"{url}: no answer of that API: {_line(error)}; correct url or key"
        ) from None


def _keep(client: Any, url: str, key: str, request: dict[str, Any]) -> None:
    own = {"model": request["model"], "messages": request["messages"]}
    further = {name: value for name, value in request.items() if name not in own}
    answer = client.chat.completions.create(**own, extra_body=further)
    try:
        text = answer.choices[0].message.content or ""
    except (AttributeError, TypeError, IndexError):
        text = None
    if not isinstance(text, str):
        raise UserError(f"{url}: no chat completion came back; correct url or model")
    # half a surrogate pair, which JSON can spell, could be written nowhere
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    response_cache.keep(key, {"text": text})


def _line(said: object) -> str:
    return " ".join(str(said).split())[:200]
