"""Check before training that the settings suit an encoder-decoder such as T5 or BART."""

from lockstep.errors import UserError
from lockstep.records import Record
from lockstep.training.train_params import SOFT_PROMPTS, TrainParams

OBJECTIVES = ("sft", "classification", "regression")
"""Objectives that train an encoder-decoder."""


def check_params(params: TrainParams) -> None:
    """Raise UserError if the objective or the way of training needs another kind of base."""
    if params.objective not in OBJECTIVES:
        raise UserError(
            f"params.yaml: train.objective: the base is an encoder-decoder, which "
            f"{params.objective} cannot train; set it to sft, or use a causal base"
        )
    if params.strategy in (*SOFT_PROMPTS, "trainable_tokens"):
        raise UserError(
            f"params.yaml: train.strategy: the base is an encoder-decoder, which {params.strategy} "
            "does not work with; set it to lora, or use a causal base"
        )
    if params.batching == "packed":
        raise UserError(
            "params.yaml: train.batching: the rows of an encoder-decoder cannot be packed; set it "
            "to length"
        )


def check_record(record: Record, params: TrainParams) -> None:
    """Raise UserError if earlier answers should be in the loss: the encoder reads them."""
    earlier_answer = any(message["role"] == "assistant" for message in record.prompt)
    if params.sft.loss_on == "all" and earlier_answer:
        raise UserError(
            f"{record.origin}: an encoder-decoder generates the last answer only; set "
            "train.sft.loss_on: last"
        )
