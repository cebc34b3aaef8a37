"""Pre-train a tiny language model from scratch, so that the pipeline works without a download."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from lockstep.errors import UserError
from lockstep.params import NaturalInt, PositiveFloat, PositiveInt, Section
from lockstep.progress import advance, track_progress

if TYPE_CHECKING:
    import torch

CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

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
"""ChatML template with the {% generation %} markers by which TRL and transformers find the
assistant's tokens. Tools, tool calls and reasoning have the format of Qwen's templates."""

QWEN2_SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Split pattern of Qwen2; AutoTokenizer uses it for every Qwen2 model, whatever its folder says."""


class StarterParams(Section):
    """Size and pre-training of the starter model; used if `base.source` is starter."""

    vocabulary: Annotated[int, Field(ge=256 + len(CONTROL_TOKENS), le=1_000_000)] = 2048
    """Number of tokens of the byte-level BPE, including bytes and control tokens."""
    hidden_size: PositiveInt = 128
    """Width of the model; the MLP is twice as wide."""
    layers: PositiveInt = 3
    """Number of transformer blocks."""
    heads: PositiveInt = 2
    """Number of attention heads per block."""
    context: PositiveInt = 512
    """Maximum length of an input, in tokens."""
    batch_tokens: PositiveInt = 1024
    """Number of tokens per optimizer step."""
    sequence: PositiveInt = 128
    """Length of a training sequence, in tokens; documents are packed end to end."""
    copying_steps: NaturalInt = 350
    """Number of initial optimizer steps on repeated random tokens, which teach copying."""
    steps: PositiveInt = 950
    """Number of optimizer steps on the text, after the copying steps."""
    learning_rate: PositiveFloat = 4e-2
    """Peak of a one-cycle schedule for embeddings and norms (AdamW)."""
    matrix_learning_rate: PositiveFloat = 8e-3
    """Peak of a one-cycle schedule for the matrices of the blocks (Muon)."""

    @model_validator(mode="after")
    def _check_heads(self) -> "StarterParams":
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}"
            )
        return self


def train_starter(
    text: Path, params: StarterParams, attention: str, seed: int
) -> tuple[Any, Any, float]:
    """Train a tokenizer and a model on the documents of a file.

    Return the model, the tokenizer and the final training loss in nats.
    """
    documents = read_documents(text)
    tokenizer = train_tokenizer(documents, params)
    model = build_model(tokenizer, params, attention)
    loss = pretrain(model, tokenizer, documents, params, seed)
    return model, tokenizer, loss


def read_documents(path: Path) -> list[str]:
    """Return the documents of a JSON-lines file whose rows have a `text` field."""
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")  # a text may hold U+2028
    try:
        return [json.loads(line)["text"] for line in lines]
    except (ValueError, KeyError, TypeError):
        raise UserError(f'{path}: every line must be JSON like {{"text": "…"}}') from None


def train_tokenizer(documents: list[str], params: StarterParams) -> Any:
    """Train a byte-level BPE with single digits and ChatML, wrapped for transformers.

    No token begins with a space. A word therefore has the same tokens in a sentence and in a JSON
    value, so a tiny model can copy it token by token.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    split_words = pre_tokenizers.Split(Regex(QWEN2_SPLIT_PATTERN), behavior="isolated")
    split_spaces = pre_tokenizers.Split(" ", behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split_words, split_spaces, to_bytes])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=params.vocabulary,
        special_tokens=CONTROL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(documents, trainer)
    # the pre-tokenizer of Qwen2 itself, which gives the same tokens
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split_words, to_bytes])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
        model_max_length=params.context,
    )


def build_model(tokenizer: Any, params: StarterParams, attention: str) -> Any:
    """Build a decoder of the Qwen2 architecture with random weights."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=params.hidden_size,
        intermediate_size=2 * params.hidden_size,
        num_hidden_layers=params.layers,
        num_attention_heads=params.heads,
        num_key_value_heads=params.heads,
        max_position_embeddings=params.context,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM._from_config(config, attn_implementation=attention)


def pretrain(
    model: Any, tokenizer: Any, documents: list[str], params: StarterParams, seed: int
) -> float:
    """Train the model in place and return the mean loss, in nats, of the last tenth of the steps.

    Muon (Jordan et al., 2024) reaches a given loss in half the time of AdamW, so it updates the
    matrices. The first steps are on repeated random tokens: copying needs induction heads
    (Olsson et al., 2022), which do not form on a text of this size.
    """
    import torch

    turns = [_format_turn(number, text) for number, text in enumerate(documents)]
    stream = torch.tensor(list(itertools.chain.from_iterable(tokenizer(turns)["input_ids"])))
    batches = itertools.chain(
        itertools.islice(_repeat_tokens(stream, params, seed), params.copying_steps),
        itertools.islice(_batch_text(stream, params, seed), params.steps),
    )
    optimizers, schedules = _build_optimizers(model, params)
    model.train()
    losses = []
    with track_progress("base: pre-training", params.copying_steps + params.steps, "steps"):
        for batch in batches:
            loss = model(input_ids=batch, labels=batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer_or_schedule in (*optimizers, *schedules):
                optimizer_or_schedule.step()
            model.zero_grad()
            losses.append(loss.item())
            advance(1)
    last_losses = losses[-max(1, params.steps // 10) :]
    return sum(last_losses) / len(last_losses)


def _build_optimizers(model: Any, params: StarterParams) -> tuple[list[Any], list[Any]]:
    """Return Muon for the blocks' matrices, AdamW for all else, and their one-cycle schedules."""
    import torch

    from lockstep.starter.muon import Muon

    matrices: list[Any] = []
    other_parameters: list[Any] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embed" not in name
        (matrices if is_matrix else other_parameters).append(parameter)
    optimizers = [
        Muon(matrices, lr=params.matrix_learning_rate),
        torch.optim.AdamW(
            other_parameters,
            lr=params.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
            fused=True,
        ),
    ]
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=optimizer.param_groups[0]["lr"],
            total_steps=params.copying_steps + params.steps,
            pct_start=0.05,
            cycle_momentum=False,
        )
        for optimizer in optimizers
    ]
    return optimizers, schedules


def _format_turn(number: int, text: str) -> str:
    """Return a document between turn markers, so that the model sees the markers in training."""
    return f"<|im_start|>{('user', 'assistant')[number % 2]}\n{text}<|im_end|>\n"


def _repeat_tokens(
    stream: "torch.Tensor", params: StarterParams, seed: int
) -> Iterator["torch.Tensor"]:
    """Yield endless batches (rows, 64), each row 4 to 16 random tokens of the stream, repeated."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    length, rows = 64, max(1, params.batch_tokens // 64)
    while True:
        periods = torch.randint(4, 17, (rows,), generator=generator).tolist()
        samples = [torch.randint(len(stream), (period,), generator=generator) for period in periods]
        yield torch.stack([stream[s].repeat(length // len(s) + 1)[:length] for s in samples])


def _batch_text(
    stream: "torch.Tensor", params: StarterParams, seed: int
) -> Iterator["torch.Tensor"]:
    """Yield endless batches (rows, sequence) of the token stream, in random order.

    Each epoch splits the stream into sequences from another random offset.
    """
    import torch

    rows = max(1, params.batch_tokens // params.sequence)
    if len(stream) < (rows + 1) * params.sequence:
        raise UserError("the starter's text is too short for one batch; lower starter.batch_tokens")
    generator = torch.Generator().manual_seed(seed)
    while True:
        start = int(torch.randint(params.sequence, (1,), generator=generator))
        usable = (len(stream) - start) // params.sequence * params.sequence
        sequences = stream[start : start + usable].view(-1, params.sequence)
        order = torch.randperm(len(sequences), generator=generator)
        for indices in order.split(rows):
            if len(indices) == rows:
                yield sequences[indices]
