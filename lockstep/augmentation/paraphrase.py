"""Paraphrases by a model that is asked for them: behind an endpoint, or here."""

from collections.abc import Sequence
from pathlib import Path

from lockstep import outputs
from lockstep.llm_client import chat_completions, local_model, response_cache
from lockstep.records import Message

_TIMEOUT_SECONDS = 600


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
    return [text.strip() for text in chat_completions.texts(requests, url, _TIMEOUT_SECONDS)]


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
    model_and_how = [outputs.hash_path(folder), attention, batch_size, max_new_tokens]
    key = response_cache.key(*model_and_how, prompt, [*texts])
    if not response_cache.path(key).exists():
        conversations = [_conversation(prompt, text) for text in texts]
        written = local_model.texts(conversations, folder, attention, batch_size, max_new_tokens)
        response_cache.keep(key, [text.strip() for text in written])
    return list(response_cache.read(key))


def _conversation(prompt: str, text: str) -> list[Message]:
    return [{"role": "system", "content": prompt}, {"role": "user", "content": text}]
