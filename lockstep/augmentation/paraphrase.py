"""Paraphrases by a chat model, behind an endpoint or on this machine."""

from collections.abc import Sequence
from pathlib import Path

from lockstep.llm_client import chat_completions, local_model
from lockstep.models.compute import ComputeParams
from lockstep.records import Message

_TIMEOUT_SECONDS = 600


def paraphrase_by_endpoint(
    texts: Sequence[str], url: str, model: str, prompt: str, temperature: float, seed: int
) -> list[str]:
    """Return a paraphrase of each text from an OpenAI-compatible endpoint.

    Equal texts are sent once, and replies are cached. The API key is read from OPENAI_API_KEY
    and is written nowhere.
    """
    requests = [
        {
            "model": model,
            "messages": messages,
            "temperature": temperature,
            "seed": seed,
        }
        for messages in _build_conversations(prompt, texts)
    ]
    replies = chat_completions.request_replies(requests, url, _TIMEOUT_SECONDS)
    return [reply.strip() for reply in replies]


def paraphrase_locally(
    texts: Sequence[str],
    folder: Path,
    compute_params: ComputeParams,
    seed: int,
    prompt: str,
    batch_size: int,
    max_new_tokens: int,
) -> list[str]:
    """Return a paraphrase of each text from the chat model in a folder, decoded greedily."""
    conversations = _build_conversations(prompt, texts)
    replies = local_model.generate_replies(
        conversations, folder, compute_params, seed, batch_size, max_new_tokens
    )
    return [reply.strip() for reply in replies]


def _build_conversations(prompt: str, texts: Sequence[str]) -> list[list[Message]]:
    return [
        [{"role": "system", "content": prompt}, {"role": "user", "content": text}] for text in texts
    ]
