"""Turn records into token ids and labels; no other module uses the chat template."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.errors import UserError
from lockstep.records import Message, Record

Tools = Sequence[dict[str, Any]]
"""Functions that the assistant may call, in the form of `Record.tools`."""

IGNORE_INDEX = -100
"""Label of tokens that the loss skips; the default of torch.nn.CrossEntropyLoss."""


@dataclass(frozen=True, slots=True)
class Example:
    """A tokenized conversation: two lists of equal length, (tokens,)."""

    input_ids: list[int]
    labels: list[int]
    """The input id of each token that the loss covers, IGNORE_INDEX for all others."""

    @property
    def answer_tokens(self) -> int:
        """Number of tokens that the loss covers."""
        return sum(label != IGNORE_INDEX for label in self.labels)


def encode_prompt(tokenizer: Any, messages: list[Message], tools: Tools = ()) -> list[int]:
    """Return the ids of the conversation and of the header that opens the assistant's turn.

    An empty conversation (plain text) becomes the single token that begins a text.
    """
    if not messages:
        begin = tokenizer.bos_token_id
        return [tokenizer.eos_token_id if begin is None else begin]
    return _apply_template(tokenizer, messages, tools, add_generation_prompt=True)


def render_prompt(tokenizer: Any, messages: list[Message], tools: Tools = ()) -> str:
    """Return the text whose ids `encode_prompt` returns, for libraries that read text."""
    if not messages:
        return tokenizer.decode(encode_prompt(tokenizer, messages))
    return tokenizer.apply_chat_template(
        messages, tools=[*tools] or None, tokenize=False, add_generation_prompt=True
    )


def render_answer(tokenizer: Any, text: str) -> str:
    """Return the text whose ids `encode_answer` returns, for libraries that read text."""
    return text + tokenizer.eos_token


def encode_answer(tokenizer: Any, text: str) -> list[int]:
    """Return the ids that the model must generate for an answer: its text and the end of turn."""
    return [*encode_text(tokenizer, text), get_end_of_turn_id(tokenizer)]


def encode_example(
    tokenizer: Any, record: Record, max_length: int, every_turn: bool = False
) -> Example:
    """Return a record as a training example, truncated on the right to `max_length` tokens.

    The labels are the answer and its end-of-turn token. They exclude what a template writes
    after that token (ChatML writes a newline), since the model never generates it. With
    `every_turn` the labels cover the assistant's earlier turns as well.
    """
    prompt = encode_prompt(tokenizer, record.prompt, record.tools)
    answer = encode_last_turn(tokenizer, record, prompt)
    labels = [IGNORE_INDEX] * len(prompt)
    for start, end in _find_earlier_answers(tokenizer, record, prompt) if every_turn else ():
        labels[start:end] = prompt[start:end]
    return Example((prompt + answer)[:max_length], (labels + answer)[:max_length])


def encode_input(tokenizer: Any, record: Record, max_length: int) -> tuple[list[int], bool]:
    """Return the input of a model with a head, and whether it was truncated to `max_length`.

    The input is the conversation without its answer. If the tokenizer has no chat template, the
    input is the texts of the turns, one per line, between the tokenizer's own special tokens.
    """
    if tokenizer.chat_template:
        ids = encode_prompt(tokenizer, record.prompt, record.tools)
        return ids[:max_length], len(ids) > max_length
    text = "\n".join(message["content"] for message in record.prompt)
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    truncated = tokenizer(text, split_special_tokens=True, truncation=True, max_length=max_length)
    return truncated["input_ids"], len(ids) > max_length


def _find_earlier_answers(
    tokenizer: Any, record: Record, prompt: list[int]
) -> Iterator[tuple[int, int]]:
    """Yield start and end of each earlier assistant turn in the prompt, end of turn included."""
    end_of_turn = get_end_of_turn_id(tokenizer)
    for number, message in enumerate(record.prompt):
        if message["role"] != "assistant":
            continue
        before = encode_prompt(tokenizer, record.prompt[:number], record.tools)
        start = len(before)
        if prompt[:start] != before or end_of_turn not in prompt[start:]:
            raise UserError(
                f"{record.origin}: the base's chat template changes an earlier answer when the "
                "conversation goes on; set train.sft.loss_on: last"
            )
        yield start, prompt.index(end_of_turn, start) + 1


def encode_last_turn(tokenizer: Any, record: Record, prompt: list[int]) -> list[int]:
    """Return the ids of the answer; the template writes tool calls and reasoning."""
    last = record.messages[-1]
    if not last.keys() & {"tool_calls", "reasoning_content"}:
        return encode_answer(tokenizer, last["content"])
    conversation = _apply_template(tokenizer, record.messages, record.tools)
    answer = conversation[len(prompt) :]
    end_of_turn = get_end_of_turn_id(tokenizer)
    if conversation[: len(prompt)] != prompt or end_of_turn not in answer:
        raise UserError(
            f"{record.origin}: the base's chat template does not continue its own prompt with "
            "this answer; use a base whose template supports tools, or remove the row"
        )
    return answer[: answer.index(end_of_turn) + 1]


def get_end_of_turn_id(tokenizer: Any) -> int:
    """Return the id of the token that ends the assistant's turn."""
    return tokenizer.eos_token_id


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of plain text; a control token spelled in it becomes ordinary tokens."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def decode_answer(tokenizer: Any, ids: list[int]) -> str:
    """Return the text of generated ids without control tokens."""
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def check_tokenizer(tokenizer: Any) -> None:
    """Raise UserError if training and inference could not use the same chat template.

    The template must not depend on the date. Its text for a whole conversation must begin with
    its text for the prompt and continue with the ids of `encode_answer`.
    """
    if not tokenizer.chat_template:
        return  # an encoder needs no template; _apply_template refuses to render without one
    if "strftime_now" in tokenizer.chat_template:
        raise UserError("the chat template writes today's date; remove strftime_now from it")
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has no eos_token; set it to the token that ends a turn")
    prompt = [{"role": "user", "content": "a"}]
    conversation = _apply_template(tokenizer, [*prompt, {"role": "assistant", "content": "b"}])
    expected = encode_prompt(tokenizer, prompt) + encode_answer(tokenizer, "b")
    if conversation[: len(expected)] != expected:
        raise UserError(
            "the chat template does not continue its own generation prompt with the answer "
            "and eos_token; set eos_token to the token that ends the assistant's turn"
        )


def _apply_template(
    tokenizer: Any, messages: list[Message], tools: Tools = (), **options: Any
) -> list[int]:
    """Return the ids that the template writes; raise UserError if it refuses the messages."""
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise UserError(
            "the base has no chat template; add chat_template.jinja to its folder, or set "
            "train.objective to classification or regression and choose suites to match"
        )
    _refuse_control_tokens(tokenizer, messages)
    try:
        encoding = tokenizer.apply_chat_template(
            messages, tools=[*tools] or None, tokenize=True, return_dict=True, **options
        )
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise UserError(f"the base's chat template refuses {roles}: {error}") from None
    return encoding["input_ids"]


def _refuse_control_tokens(tokenizer: Any, messages: list[Message]) -> None:
    """Raise UserError if a turn contains the spelling of a control token of the base."""
    for message in messages:
        has_text_alone = len(message) == 2
        text = message["content"] if has_text_alone else json.dumps(message, ensure_ascii=False)
        for token in tokenizer.all_special_tokens:
            if token in text:
                raise UserError(
                    f"{token} is a control token of the base and stands in a {message['role']} "
                    f"turn: {message['content'][:60]!r}; remove it from the source"
                )
