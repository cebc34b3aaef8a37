"""Paraphrases by an OpenAI-compatible endpoint, asked once for each text."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stages.errors import Refusal

_AT_ONCE = 8
_RETRIES = 5


def paraphrases(
    texts: Sequence[str], url: str, model: str, prompt: str, temperature: float, seed: int
) -> list[str]:
    """A paraphrase of each text; what was asked before is answered from .scratch/responses.

    The key of a response is a hash of the whole request, so a rerun calls nothing and gives the
    same bytes. The API key comes from OPENAI_API_KEY; it is written nowhere.
    """
    folder = Path(os.environ.get("DVC_ROOT", "."), ".scratch", "responses")
    folder.mkdir(parents=True, exist_ok=True)
    requests = [_request(text, model, prompt, temperature, seed) for text in texts]
    open_ = {_key(url, request): request for request in requests}
    missing = {key: r for key, r in open_.items() if not (folder / f"{key}.json").exists()}
    if missing:
        _ask(missing, url, folder)
    return [
        json.loads((folder / f"{_key(url, request)}.json").read_bytes())["text"].strip()
        for request in requests
    ]


def _request(text: str, model: str, prompt: str, temperature: float, seed: int) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": prompt},
            {"role": "user", "content": text},
        ],
        "temperature": temperature,
        "seed": seed,
    }


def _key(url: str, request: dict[str, Any]) -> str:
    content = json.dumps([url, request], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _ask(requests: dict[str, dict[str, Any]], url: str, folder: Path) -> None:
    """Put a response for each request into the folder; the library retries and waits."""
    import openai

    client = openai.OpenAI(
        base_url=url, api_key=os.environ.get("OPENAI_API_KEY", "none"), max_retries=_RETRIES
    )

    def ask(item: tuple[str, dict[str, Any]]) -> None:
        key, request = item
        answer = client.chat.completions.create(**request).choices[0].message.content
        partial = folder / f"{key}.partial"
        partial.write_text(json.dumps({"text": answer or ""}), encoding="utf-8")
        partial.rename(folder / f"{key}.json")

    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for _ in threads.map(ask, requests.items()):
                pass
    except openai.APIConnectionError:
        raise Refusal(f"{url}: no connection; start the endpoint or correct its url") from None
    except openai.APIStatusError as error:
        raise Refusal(
            f"{url}: {error.status_code} {error.message}; correct url, model or key"
        ) from None
