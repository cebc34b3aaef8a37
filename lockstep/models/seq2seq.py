"""Sequence-to-sequence models, such as T5 and BART: the tokens of encoder and decoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UserError, report_load_errors
from lockstep.models import heads
from lockstep.models.chat import IGNORE_INDEX, ChatTokenizer
from lockstep.records import Record


@dataclass(frozen=True, slots=True)
class Pair:
    """The tokens of a record for an encoder and a decoder."""

    source: list[int]
    """Input of the encoder: the prompt, with the tokenizer's own special tokens."""
    target: list[int]
    """Output of the decoder: the answer and the token that ends it.

    The decoder reads the target after its start token, without the last token.
    """
    truncated: bool
    """Whether the source or the target lost tokens."""


def is_seq2seq(folder: Path) -> bool:
    """Whether a folder holds an encoder-decoder that generates text, i.e. has no head."""
    from transformers import AutoConfig

    if heads.read_head(folder) is not None:
        return False
    with report_load_errors(f"{folder}: the model"):
        return bool(AutoConfig.from_pretrained(folder, local_files_only=True).is_encoder_decoder)


def encode_source(
    tokenizer: ChatTokenizer, record: Record, max_length: int
) -> tuple[list[int], bool]:
    """Return the encoder's input, and whether it was truncated to `max_length` tokens.

    It is the texts of the turns before the answer, one per line, so a prefix such as T5's
    `translate English to German:` may be the system message. A chat template, if the base has one,
    writes it instead. Without one, raise UserError if a text has a control token, or if the record
    offers functions.
    """
    if tokenizer.has_template:
        return tokenizer.encode_input(record, max_length)
    if record.tools:
        raise UserError(
            f"{record.origin}: the base has no chat template, which would write the functions that "
            "the record offers; use a base that has one, or remove the record"
        )
    ids, truncated = tokenizer.encode_input(record, max_length)
    _refuse_control_tokens(tokenizer, ids, record)
    return ids, truncated


def encode_target(tokenizer: ChatTokenizer, text: str) -> list[int]:
    """Return the ids that the decoder must generate for an answer, including the end token."""
    ids: list[int] = tokenizer.pretrained(text_target=text, split_special_tokens=True)["input_ids"]
    end = tokenizer.end_ids[0]
    return ids if ids[-1:] == [end] else [*ids, end]


def encode_pair(tokenizer: ChatTokenizer, record: Record, max_length: int) -> Pair:
    """Return source and target of a record, each truncated on the right to `max_length` tokens.

    Raise UserError if the answer is more than a text or has a control token.
    """
    if record.messages[-1].keys() & {"tool_calls", "reasoning_content"}:
        raise UserError(
            f"{record.origin}: the answer has function calls or reasoning, which no "
            "sequence-to-sequence base writes; use a causal base, or name other tasks in "
            "train.tasks"
        )
    source, source_truncated = encode_source(tokenizer, record, max_length)
    target = encode_target(tokenizer, record.answer)
    _refuse_control_tokens(tokenizer, target, record)
    truncated = source_truncated or len(target) > max_length
    return Pair(source, target[:max_length], truncated)


def shift_right(model: Any, labels: Any) -> Any:
    """Return the decoder's input for labels (rows, tokens): its start token, then all but the last.

    Labels of -100, which the loss skips, become padding.
    """
    import torch

    if hasattr(model, "prepare_decoder_input_ids_from_labels"):  # mBART starts with a language
        return model.prepare_decoder_input_ids_from_labels(labels=labels)
    start = labels.new_full((len(labels), 1), model.config.decoder_start_token_id)
    shifted = torch.cat([start, labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == IGNORE_INDEX, model.config.pad_token_id)


def _refuse_control_tokens(tokenizer: ChatTokenizer, ids: list[int], record: Record) -> None:
    """Raise UserError if ids have more control tokens than the tokenizer adds to a text.

    The vocabulary of T5 has </s> as an ordinary piece, so that its spelling in a text ends it.
    """
    pretrained = tokenizer.pretrained
    control_ids = {*pretrained.all_special_ids} - {pretrained.unk_token_id}
    own, found = (
        [token for token in part if token in control_ids]
        for part in (pretrained("")["input_ids"], ids)
    )
    if len(found) > len(own):
        tokens = ", ".join(pretrained.convert_ids_to_tokens(sorted({*found})))
        raise UserError(
            f"{record.origin}: a text contains a control token of the base ({tokens}); remove it "
            "from the source"
        )
