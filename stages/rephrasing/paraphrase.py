"""Paraphrases by a model that is asked for them: behind an endpoint, or here."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stages import chat, compute, models, outputs
from stages.errors import Refusal, loading
from stages.rephrasing import responses
from stages.scoring import generation

_AT_ONCE = 8
_RETRIES = 5


def by_endpoint(
    texts: Sequence[str], url: str, model: str, prompt: str, temperature: float, seed: int
) -> list[str]:
    """A paraphrase of each text from an OpenAI-compatible endpoint, which is asked once for each.

    The API key comes from OPENAI_API_KEY; it is written nowhere.
    """
    requests = [
        {
            "model": model,
            "messages": _conversation(prompt, text),
            "temperature": temperature,
            "seed": seed,
        }
        for text in texts
    ]
    keys = [responses.key(url, request) for request in requests]
    open_ = {
        key: request
        for key, request in zip(keys, requests, strict=True)
        if not responses.path(key).exists()
    }
    if open_:
        _ask(open_, url)
    return [responses.read(key)["text"].strip() for key in keys]


def by_model(
    texts: Sequence[str],
    folder: Path,
    attention: str,
    prompt: str,
    batch_size: int,
    max_new_tokens: int,
) -> list[str]:
    """A paraphrase of each text from a chat model in a folder, greedily decoded, and kept."""
    if not texts:
        return []
    model_and_how = [outputs.digest(folder), attention, batch_size, max_new_tokens]
    key = responses.key(*model_and_how, prompt, [*texts])
    if not responses.path(key).exists():
        tokenizer, model = _loaded(folder, attention)
        prompts = [chat.prompt_ids(tokenizer, _conversation(prompt, text)) for text in texts]
        written = generation.answers(model, tokenizer, prompts, batch_size, max_new_tokens)
        responses.keep(key, [text.strip() for text in written])
    return list(responses.read(key))


def _loaded(folder: Path, attention: str) -> tuple[Any, Any]:
    try:
        with loading(str(folder)):
            tokenizer = models.load_tokenizer(folder)
            return tokenizer, models.load(folder, "auto", attention, compute.device())
    except Refusal as refusal:
        raise Refusal(f"{folder}: {refusal.message.removeprefix(f'{folder}: ')}") from None


def _conversation(prompt: str, text: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": prompt}, {"role": "user", "content": text}]


def _ask(requests: dict[str, dict[str, Any]], url: str) -> None:
    """Keep a response for each request; the library retries and waits."""
    import openai

    client = openai.OpenAI(
        base_url=url, api_key=os.environ.get("OPENAI_API_KEY", "none"), max_retries=_RETRIES
    )

    def ask(item: tuple[str, dict[str, Any]]) -> None:
        key, request = item
        answer = client.chat.completions.create(**request)
        try:
            text = answer.choices[0].message.content or ""
        except (AttributeError, TypeError, IndexError):
            raise Refusal(f"{url}: no chat completion came back; correct url or model") from None
        responses.keep(key, {"text": str(text)})

    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for _ in threads.map(ask, requests.items()):
                pass
    except openai.APIConnectionError:
        raise Refusal(f"{url}: no connection; start the endpoint or correct its url") from None
    except openai.APIStatusError as error:
        reason = " ".join(error.message.split())
        raise Refusal(f"{url}: {reason}; correct url, model or key") from None
    except (openai.OpenAIError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Refusal(f"{url}: no answer of that API: {reason}; correct url") from None
