"""Pre-train a tiny language model from scratch."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from lockstep.errors import UserError
from lockstep.params import NaturalInt, PositiveFloat, PositiveInt, Section
from lockstep.progress import advance, track_progress

if TYPE_CHECKING:
    import torch

CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

SHARPNESS = 8.0
"""Size of the initial biases by which heads look back."""

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
    """Size and pre-training of the starter model."""

    vocabulary: Annotated[int, Field(ge=256 + len(CONTROL_TOKENS), le=1_000_000)]
    """Number of tokens of the byte-level BPE, including bytes and control tokens."""
    hidden_size: PositiveInt
    """Width of the model; the MLP is twice as wide."""
    layers: PositiveInt
    """Number of transformer blocks."""
    heads: PositiveInt
    """Number of attention heads per block."""
    look_back_heads: NaturalInt
    """Number of heads of the first block that start by attending to the token 1, 2, … before."""
    context: PositiveInt
    """Maximum length of an input, in tokens."""
    batch_tokens: PositiveInt
    """Number of tokens per optimizer step."""
    sequence: PositiveInt
    """Length of a training sequence, in tokens; documents are packed end to end."""
    copying_steps: NaturalInt
    """Number of initial optimizer steps on repeated random tokens, which teach copying."""
    steps: PositiveInt
    """Number of optimizer steps on the text, after the copying steps."""
    answer_weight: PositiveFloat
    """Weight of the loss on answers (the assistant's turns after the user's), relative to other
    tokens."""
    learning_rate: PositiveFloat
    """Peak of a one-cycle schedule for embeddings and norms (AdamW)."""
    matrix_learning_rate: PositiveFloat
    """Peak of a one-cycle schedule for the matrices of the blocks (Muon)."""
    validation_documents: PositiveInt
    """Number of documents at the start of the text on which the validation loss is measured."""
    evaluation_steps: PositiveInt
    """Number of optimizer steps between two measurements of the validation loss."""

    @model_validator(mode="after")
    def _check_heads(self) -> "StarterParams":
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}"
            )
        if self.look_back_heads > self.heads:
            raise ValueError(f"look_back_heads {self.look_back_heads} must be at most {self.heads}")
        return self


@dataclass(frozen=True, slots=True)
class LogRow:
    """Losses at one optimizer step, in nats per token."""

    step: int
    """Number of optimizer steps so far, copying steps included."""
    loss: float
    """Mean training loss since the row before."""
    validation_loss: float
    """Mean loss on the validation documents."""
    answer_loss: float
    """Mean loss on the answers of the validation documents; 0 without answers."""


def train_starter(
    text: Path, params: StarterParams, attention: str, seed: int
) -> tuple[Any, Any, list[LogRow]]:
    """Train a tokenizer and a model on the documents of a file.

    Return the model, the tokenizer and the losses.
    """
    documents = read_documents(text)
    tokenizer = train_tokenizer(documents, params)
    model = build_model(tokenizer, params, attention)
    log = pretrain(model, tokenizer, documents, params, seed)
    return model, tokenizer, log


def read_documents(path: Path) -> list[list[str]]:
    """Return the turns of each document of a JSON-lines file whose rows have a list `turns`."""
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")  # a text may hold U+2028
    try:
        documents = [json.loads(line)["turns"] for line in lines]
    except (ValueError, LookupError, TypeError):
        documents = [[]]
    if all(
        isinstance(turns, list) and turns and all(isinstance(turn, str) for turn in turns)
        for turns in documents
    ):
        return documents
    raise UserError(f'{path}: every line must be JSON like {{"turns": ["…", "…"]}}')


def train_tokenizer(documents: list[list[str]], params: StarterParams) -> Any:
    """Train a byte-level BPE with the split pattern of Qwen2 and ChatML, wrapped for transformers.

    Digits are single tokens, and a word keeps the space before it.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    split_words = pre_tokenizers.Split(Regex(QWEN2_SPLIT_PATTERN), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split_words, to_bytes])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=params.vocabulary,
        special_tokens=CONTROL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(itertools.chain.from_iterable(documents), trainer)
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
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen2ForCausalLM._from_config(config, attn_implementation=attention)
    _look_back(model, params)
    return model


def _look_back(model: Any, params: StarterParams) -> None:
    """Let head h of the first block attend to the token h + 1 places before.

    An induction head of a later block copies what followed a token earlier; for that it needs the
    token before each place (Olsson et al., 2022). With this start such heads form within 250
    steps; from random weights they had not formed after 500.

    The biases alone give the rotated queries and keys the score Σ cos(θᵢ(Δ - h - 1)) at distance
    Δ, where θᵢ are the frequencies of the rotary embedding (Su et al., 2021). It peaks at h + 1.
    """
    import torch

    attention = model.model.layers[0].self_attn
    angles = model.model.rotary_emb.inv_freq
    half = len(angles)
    with torch.no_grad():
        for head in range(params.look_back_heads):
            first, second = (
                slice((2 * head + part) * half, (2 * head + part + 1) * half) for part in (0, 1)
            )
            attention.k_proj.bias[first] = SHARPNESS
            attention.q_proj.bias[first] = SHARPNESS * torch.cos((head + 1) * angles)
            attention.q_proj.bias[second] = -SHARPNESS * torch.sin((head + 1) * angles)


def pretrain(
    model: Any, tokenizer: Any, documents: list[list[str]], params: StarterParams, seed: int
) -> list[LogRow]:
    """Train the model in place and return its losses, measured every `evaluation_steps`.

    Muon (Jordan et al., 2024) reaches a given loss in half the time of AdamW, so it updates the
    matrices. The first steps are on repeated random tokens: copying needs induction heads
    (Olsson et al., 2022), which do not form on a text of this size.

    Raise UserError if the text is too short for a batch or for the validation documents.
    """
    import torch

    held_out = params.validation_documents
    validation = _encode(tokenizer, documents[:held_out])
    if validation.shape[1] < params.sequence:
        raise UserError(
            "the validation documents are shorter than one sequence; raise "
            "starter.validation_documents"
        )
    stream = _encode(tokenizer, documents[held_out:])
    batches = itertools.chain(
        itertools.islice(_repeat_tokens(stream, params, seed), params.copying_steps),
        itertools.islice(_batch_text(stream, params, seed), params.steps),
    )
    optimizers, schedules = _build_optimizers(model, params)
    log: list[LogRow] = []
    losses: list[float] = []
    last_step = params.copying_steps + params.steps
    model.train()
    with track_progress("starter", last_step, "steps"):
        for step, batch in enumerate(batches, 1):
            token_losses, is_answer = _compute_losses(model, batch)
            weights = 1 + (params.answer_weight - 1) * is_answer
            loss = (weights * token_losses).sum() / weights.sum()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer_or_schedule in (*optimizers, *schedules):
                optimizer_or_schedule.step()
            model.zero_grad()
            losses.append(loss.item())
            if step % params.evaluation_steps == 0 or step == last_step:
                held_out_losses = _measure_losses(model, validation, params)
                log.append(LogRow(step, sum(losses) / len(losses), *held_out_losses))
                losses = []
            advance(1)
    return log


def _encode(tokenizer: Any, documents: list[list[str]]) -> "torch.Tensor":
    """Return the tokens of all documents, end to end, and which belong to answers: (2, tokens)."""
    import torch

    turns = [
        (text, place % 2)  # in a dialogue the user begins
        for number, document in enumerate(documents)
        for place, text in enumerate(format_turns(number, document))
    ]
    encoded = tokenizer([text for text, _ in turns])["input_ids"]
    is_answer = [
        flag for (_, flag), tokens in zip(turns, encoded, strict=True) for _ in range(len(tokens))
    ]
    return torch.tensor([[*itertools.chain.from_iterable(encoded)], is_answer])


def _compute_losses(model: Any, batch: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return the loss of every predicted token of a batch, and 1 for those of answers, else 0.

    The batch has the shape (2, rows, sequence), as `_encode` gives it; results are flat.
    """
    import torch

    tokens, is_answer = batch
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
    )
    return losses, is_answer[:, 1:].flatten()


def _measure_losses(
    model: Any, stream: "torch.Tensor", params: StarterParams
) -> tuple[float, float]:
    """Return the mean loss on the sequences of a token stream, and that on answers alone."""
    import torch

    rows = max(1, params.batch_tokens // params.sequence)
    model.eval()
    with torch.no_grad():
        results = [
            _compute_losses(model, batch)
            for batch in _split_sequences(stream, params.sequence).split(rows, dim=1)
        ]
    model.train()
    losses, is_answer = (torch.cat(parts) for parts in zip(*results, strict=True))
    answers = losses[is_answer == 1]
    return float(losses.mean()), float(answers.mean()) if len(answers) else 0.0


def _split_sequences(stream: "torch.Tensor", length: int) -> "torch.Tensor":
    """Return a stream (2, tokens) in sequences (2, rows, length) without the rest at its end."""
    return stream[:, : stream.shape[1] // length * length].view(2, -1, length)


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


def format_turns(number: int, turns: list[str]) -> list[str]:
    """Return each turn between its markers; a single turn is the user's or the assistant's."""
    first_role = 0 if len(turns) > 1 else number % 2
    roles = itertools.islice(itertools.cycle(("user", "assistant")), first_role, None)
    return [
        f"<|im_start|>{role}\n{turn}<|im_end|>\n" for role, turn in zip(roles, turns, strict=False)
    ]


def _repeat_tokens(
    stream: "torch.Tensor", params: StarterParams, seed: int
) -> Iterator["torch.Tensor"]:
    """Yield endless batches (2, rows, 64), each row 4 to 16 random tokens of the stream, repeated.

    None of them belongs to an answer.
    """
    import torch

    tokens = stream[0]
    generator = torch.Generator().manual_seed(seed)
    length, rows = 64, max(1, params.batch_tokens // 64)
    while True:
        periods = torch.randint(4, 17, (rows,), generator=generator).tolist()
        samples = [torch.randint(len(tokens), (period,), generator=generator) for period in periods]
        batch = torch.stack([tokens[s].repeat(length // len(s) + 1)[:length] for s in samples])
        yield torch.stack([batch, torch.zeros_like(batch)])


def _batch_text(
    stream: "torch.Tensor", params: StarterParams, seed: int
) -> Iterator["torch.Tensor"]:
    """Yield endless batches (2, rows, sequence) of the token stream, in random order.

    Each epoch splits the stream into sequences from another random offset.
    """
    import torch

    rows = max(1, params.batch_tokens // params.sequence)
    if stream.shape[1] < (rows + 1) * params.sequence:
        raise UserError("the starter's text is too short for one batch; lower starter.batch_tokens")
    generator = torch.Generator().manual_seed(seed)
    while True:
        start = int(torch.randint(params.sequence, (1,), generator=generator))
        sequences = _split_sequences(stream[:, start:], params.sequence)
        order = torch.randperm(sequences.shape[1], generator=generator)
        for indices in order.split(rows):
            if len(indices) == rows:
                yield sequences[:, indices]
