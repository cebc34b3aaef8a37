"""Answers of a chat model in a folder, in the place of an endpoint."""

from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import UserError, report_load_errors
from lockstep.inference import generation
from lockstep.models import chat, compute, model_io
from lockstep.records import Message


def texts(
    conversations: Sequence[list[Message]],
    folder: Path,
    attention: str,
    batch_size: int,
    max_new_tokens: int,
) -> list[str]:
    """What the model answers to each conversation, greedily decoded."""
    try:
        with report_load_errors(str(folder)):
            tokenizer = model_io.load_tokenizer(folder)
            model = model_io.load_model(folder, "auto", attention, compute.select_device())
    except UserError as refusal:
        raise UserError(f"{folder}: {refusal.message.removeprefix(f'{folder}: ')}") from None
    prompts = [chat.encode_prompt(tokenizer, conversation) for conversation in conversations]
    written = generation.generate_answers(model, tokenizer, prompts, batch_size, max_new_tokens)
    return [one.text for one in written]
