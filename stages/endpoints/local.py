"""Answers of a chat model in a folder, in the place of an endpoint."""

from collections.abc import Sequence
from pathlib import Path

from stages import chat, compute, models
from stages.errors import Refusal, loading
from stages.records import Message
from stages.scoring import generation


def texts(
    conversations: Sequence[list[Message]],
    folder: Path,
    attention: str,
    batch_size: int,
    max_new_tokens: int,
) -> list[str]:
    """What the model answers to each conversation, greedily decoded."""
    try:
        with loading(str(folder)):
            tokenizer = models.load_tokenizer(folder)
            model = models.load(folder, "auto", attention, compute.device())
    except Refusal as refusal:
        raise Refusal(f"{folder}: {refusal.message.removeprefix(f'{folder}: ')}") from None
    prompts = [chat.prompt_ids(tokenizer, conversation) for conversation in conversations]
    written = generation.answers(model, tokenizer, prompts, batch_size, max_new_tokens)
    return [one.text for one in written]
