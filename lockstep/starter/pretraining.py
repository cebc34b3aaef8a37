"""A tiny language model trained from scratch, so that the pipeline works without a hub."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from lockstep.errors import UserError
from lockstep.params import NaturalInt, PositiveFloat, PositiveInt, Section

if TYPE_CHECKING:
    import torch

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

CHATML = (
    "{% if tools %}<|im_start|>system\n"
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] + '\n\n' }}{% endif %}"
    "Tools:\n{% for tool in tools %}{{ tool['function'] | tojson + '\n' }}{% endfor %}"
    "<|im_end|>\n{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "<|im_start|>assistant\n{% generation %}"
    "{% if message['reasoning_content'] %}"
    "{{ '<think>\n' + message['reasoning_content'] + '\n</think>\n\n' }}{% endif %}"
    "{{ message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}"
    "{{ '<tool_call>\n' + call['function'] | tojson + '\n</tool_call>' }}{% endfor %}"
    "<|im_end|>{% endgeneration %}{{ '\n' }}"
    "{% elif not (tools and loop.first and message['role'] == 'system') %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML, with the markers by which TRL and transformers find the assistant's tokens; tools, calls
and trains of thought as Qwen writes them."""


QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's own splitting: AutoTokenizer puts it in place of any other in a Qwen2 model's folder."""


class StarterParams(Section):
    """The size and the pre-training of the starter model."""

    vocabulary: Annotated[int, Field(ge=256 + len(CONTROL), le=1_000_000)]
    """Tokens of the byte-level BPE, bytes and control tokens included."""
    hidden_size: PositiveInt
    """Width; the MLP is twice as wide."""
    layers: PositiveInt
    heads: PositiveInt
    context: PositiveInt
    """Longest input, in tokens."""
    batch_tokens: PositiveInt
    """Tokens of one optimizer step."""
    sequence: PositiveInt
    """Tokens of one training sequence; documents are packed end to end."""
    copying_steps: NaturalInt
    """First optimizer steps, on repeated random tokens: they teach to copy from the context."""
    steps: PositiveInt
    """Optimizer steps on the text, after those."""
    learning_rate: PositiveFloat
    """Peak of a one-cycle schedule, for embeddings and norms (AdamW)."""
    matrix_learning_rate: PositiveFloat
    """The same for the matrices of the layers (Muon)."""

    @model_validator(mode="after")
    def _whole_heads(self) -> "StarterParams":
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}"
            )
        return self


def read_documents(path: Path) -> list[str]:
    """The documents of a JSON-lines file with a `text` field."""
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")  # a text may hold U+2028
    try:
        return [json.loads(line)["text"] for line in lines]
    except (ValueError, KeyError, TypeError):
        raise UserError(f'{path}: every line must be JSON like {{"text": "…"}}') from None


def train_tokenizer(documents: list[str], size: StarterParams) -> Any:
    """A byte-level BPE with single digits and ChatML, wrapped for transformers.

    No token learns to begin with a space, so that a word is the same tokens in a sentence and in
    a JSON value: a tiny model copies where it could not translate.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(QWEN2_WORDS), behavior="isolated")
    apart = pre_tokenizers.Split(" ", behavior="isolated")
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, apart, in_bytes])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size.vocabulary,
        special_tokens=CONTROL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(documents, trainer)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, in_bytes])  # Qwen2's own, same tokens
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
        model_max_length=size.context,
    )


def build_model(tokenizer: Any, size: StarterParams, attention: str) -> Any:
    """A Qwen2-architecture decoder with random weights."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        intermediate_size=2 * size.hidden_size,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=size.context,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM._from_config(config, attn_implementation=attention)


def pretrain(
    model: Any, tokenizer: Any, documents: list[str], size: StarterParams, seed: int
) -> float:
    """Next-token training in place; returns the mean loss (nats) of the last tenth of the steps.

    Muon for the matrices (Jordan et al., 2024) came to a given loss in half of AdamW's time.
    Repeated random tokens come first because copying needs induction heads (Olsson et al.,
    2022), which text of this size does not bring forth.
    """
    import torch

    ids = tokenizer([_as_turn(number, text) for number, text in enumerate(documents)])["input_ids"]
    stream = torch.tensor(list(itertools.chain.from_iterable(ids)))
    batches = itertools.chain(
        itertools.islice(_repetitions(stream, size, seed), size.copying_steps),
        itertools.islice(_batches(stream, size, seed), size.steps),
    )
    optimizers, schedules = _optimizers(model, size)
    model.train()
    losses = []
    for batch in batches:
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in (*optimizers, *schedules):
            part.step()
        model.zero_grad()
        losses.append(loss.item())
    last = losses[-max(1, size.steps // 10) :]
    return sum(last) / len(last)


def _optimizers(model: Any, size: StarterParams) -> tuple[list[Any], list[Any]]:
    """Muon for the layers' matrices, AdamW for the rest; their one-cycle schedules."""
    import torch

    from lockstep.starter.muon import Muon

    matrices: list[Any] = []
    rest: list[Any] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embed" not in name
        (matrices if is_matrix else rest).append(parameter)
    optimizers = [
        Muon(matrices, lr=size.matrix_learning_rate),
        torch.optim.AdamW(
            rest, lr=size.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        ),
    ]
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=optimizer.param_groups[0]["lr"],
            total_steps=size.copying_steps + size.steps,
            pct_start=0.05,
            cycle_momentum=False,
        )
        for optimizer in optimizers
    ]
    return optimizers, schedules


def _as_turn(number: int, text: str) -> str:
    """A document between turn markers, so that the markers are no strangers to the model."""
    return f"<|im_start|>{('user', 'assistant')[number % 2]}\n{text}<|im_end|>\n"


def _repetitions(
    stream: "torch.Tensor", size: StarterParams, seed: int
) -> Iterator["torch.Tensor"]:
    """Endless batches (rows, 64) of 4 to 16 random tokens of the stream, over and over."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    length, rows = 64, max(1, size.batch_tokens // 64)
    while True:
        periods = torch.randint(4, 17, (rows,), generator=generator).tolist()
        places = [torch.randint(len(stream), (period,), generator=generator) for period in periods]
        yield torch.stack([stream[p].repeat(length // len(p) + 1)[:length] for p in places])


def _batches(stream: "torch.Tensor", size: StarterParams, seed: int) -> Iterator["torch.Tensor"]:
    """Endless batches (rows, sequence) of the token stream, cut anew from each epoch's offset."""
    import torch

    rows = max(1, size.batch_tokens // size.sequence)
    if len(stream) < (rows + 1) * size.sequence:
        raise UserError("the starter's text is too short for one batch; lower starter.batch_tokens")
    generator = torch.Generator().manual_seed(seed)
    while True:
        start = int(torch.randint(size.sequence, (1,), generator=generator))
        usable = (len(stream) - start) // size.sequence * size.sequence
        sequences = stream[start : start + usable].view(-1, size.sequence)
        order = torch.randperm(len(sequences), generator=generator)
        for chunk in order.split(rows):
            if len(chunk) == rows:
                yield sequences[chunk]
