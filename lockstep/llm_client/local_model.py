"""Replies of a chat model that runs on this machine, cached like those of an endpoint."""

from collections.abc import Sequence
from pathlib import Path

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.inference import generation
from lockstep.llm_client import response_cache
from lockstep.models import compute, loading, seq2seq
from lockstep.models.compute import ComputeParams
from lockstep.progress import track_progress
from lockstep.records import Message


def generate_replies(
    conversations: Sequence[list[Message]],
    folder: Path,
    compute_params: ComputeParams,
    seed: int,
    batch_size: int,
    max_new_tokens: int,
) -> list[str]:
    """Return the reply of the model in `folder` to each conversation, decoded greedily.

    All replies are cached in one file, whose key includes the model's bytes. The model is loaded
    only if that file does not exist. Raise UserError if it does not load or is no chat model.
    """
    if not conversations:
        return []
    settings = compute_params.attention, batch_size, max_new_tokens
    key = response_cache.make_key(outputs.hash_path(folder), *settings, list(conversations))
    if not response_cache.is_cached(key):
        compute.set_up_torch(compute_params, seed)
        replies = _generate(conversations, folder, *settings)
        response_cache.write_response(key, replies)
    return list(response_cache.read_response(key))


def _generate(
    conversations: Sequence[list[Message]],
    folder: Path,
    attention: str,
    batch_size: int,
    max_new_tokens: int,
) -> list[str]:
    tokenizer = loading.load_tokenizer(folder)
    if not tokenizer.has_template or seq2seq.is_seq2seq(folder):
        raise UserError(f"{folder}: not a chat model, which has a chat template; name another one")
    model = loading.load_model(folder, "auto", attention, compute.select_device())
    prompts = [tokenizer.encode_prompt(conversation) for conversation in conversations]
    with track_progress(str(folder), len(prompts), "replies"):
        replies = generation.generate_answers(model, tokenizer, prompts, batch_size, max_new_tokens)
    return [reply.text for reply in replies]
