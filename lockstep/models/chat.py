"""Record -> token ids and labels; the only user of a chat template."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.errors import UserError
from lockstep.records import Message, Record

Tools = Sequence[dict[str, Any]]
"""Functions that the assistant may call, as in `Record.tools`."""

IGNORE_INDEX = -100
"""The label that the loss skips, as in torch.nn.CrossEntropyLoss."""


@dataclass(frozen=True, slots=True)
class Example:
    """A rendered conversation: two lists of equal length, (tokens,)."""

    input_ids: list[int]
    labels: list[int]

    @property
    def answer_tokens(self) -> int:
        """How many tokens the loss sees."""
        return sum(label != IGNORE_INDEX for label in self.labels)


def encode_prompt(tokenizer: Any, messages: list[Message], tools: Tools = ()) -> list[int]:
    """The ids of the conversation so far and of the header that opens the assistant's turn.

    Of no conversation, as plain text has none, the one token that begins a text.
    """
    if not messages:
        begin = tokenizer.bos_token_id
        return [tokenizer.eos_token_id if begin is None else begin]
    return _render(tokenizer, messages, tools, add_generation_prompt=True)


def render_prompt(tokenizer: Any, messages: list[Message], tools: Tools = ()) -> str:
    """What `encode_prompt` encodes, for tools that take text."""
    if not messages:
        return tokenizer.decode(encode_prompt(tokenizer, messages))
    return tokenizer.apply_chat_template(
        messages, tools=[*tools] or None, tokenize=False, add_generation_prompt=True
    )


def render_answer(tokenizer: Any, text: str) -> str:
    """What `encode_answer` encodes, for tools that take text."""
    return text + tokenizer.eos_token


def encode_answer(tokenizer: Any, text: str) -> list[int]:
    """The ids of an answer as the model must write it: its text, then the end of turn."""
    return [*encode_text(tokenizer, text), get_end_of_turn_id(tokenizer)]


def encode_example(
    tokenizer: Any, record: Record, max_length: int, every_turn: bool = False
) -> Example:
    """Prompt and answer as training sees them, cut on the right to `max_length` tokens.

    The labels are the answer and its end-of-turn token, nothing else: what a template puts
    after that token (ChatML's newline) is never generated, so it is never trained. With
    `every_turn` the assistant's earlier turns are learnt as well.
    """
    prompt = encode_prompt(tokenizer, record.prompt, record.tools)
    answer = encode_last_turn(tokenizer, record, prompt)
    labels = [IGNORE_INDEX] * len(prompt)
    for start, end in _earlier_answers(tokenizer, record, prompt) if every_turn else ():
        labels[start:end] = prompt[start:end]
    return Example((prompt + answer)[:max_length], (labels + answer)[:max_length])


def encode_input(tokenizer: Any, record: Record, max_length: int) -> tuple[list[int], bool]:
    """What a model that answers by a number reads, and whether it was cut to `max_length` tokens.

    The conversation without its answer; an encoder without a chat template gets the texts of
    its turns, a line each, between its own marks.
    """
    if tokenizer.chat_template:
        ids = encode_prompt(tokenizer, record.prompt, record.tools)
        return ids[:max_length], len(ids) > max_length
    text = "\n".join(message["content"] for message in record.prompt)
    whole = tokenizer(text, split_special_tokens=True)["input_ids"]
    cut = tokenizer(text, split_special_tokens=True, truncation=True, max_length=max_length)
    return cut["input_ids"], len(whole) > max_length


def _earlier_answers(
    tokenizer: Any, record: Record, prompt: list[int]
) -> Iterator[tuple[int, int]]:
    """Where in the prompt the assistant's earlier turns stand, with their ends of turn."""
    for place, message in enumerate(record.prompt):
        if message["role"] != "assistant":
            continue
        before = encode_prompt(tokenizer, record.prompt[:place], record.tools)
        start = len(before)
        if prompt[:start] != before or get_end_of_turn_id(tokenizer) not in prompt[start:]:
            raise UserError(
                f"{record.origin}: the base's chat template writes an earlier answer otherwise "
                "than it was asked for; set train.sft.loss_on: last"
            )
        yield start, prompt.index(get_end_of_turn_id(tokenizer), start) + 1


def encode_last_turn(tokenizer: Any, record: Record, prompt: list[int]) -> list[int]:
    """The ids of the answer; how a tool call or a train of thought is written the template says."""
    last = record.messages[-1]
    if not last.keys() & {"tool_calls", "reasoning_content"}:
        return encode_answer(tokenizer, last["content"])
    whole = _render(tokenizer, record.messages, record.tools)
    rest = whole[len(prompt) :]
    if whole[: len(prompt)] != prompt or get_end_of_turn_id(tokenizer) not in rest:
        raise UserError(
            f"{record.origin}: the base's chat template does not write this answer behind its "
            "own prompt; take a base whose template knows tools, or leave the row out"
        )
    return rest[: rest.index(get_end_of_turn_id(tokenizer)) + 1]


def get_end_of_turn_id(tokenizer: Any) -> int:
    """The id of the token that ends the assistant's turn."""
    return tokenizer.eos_token_id


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Plain text, in which a control token's spelling stays text."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def decode_answer(tokenizer: Any, ids: list[int]) -> str:
    """The text of generated ids up to the end of turn, without control tokens."""
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def check_tokenizer(tokenizer: Any) -> None:
    """Refuse a tokenizer that training and inference could not share: by name.

    The template must not depend on the date, and what it writes for a whole conversation
    must begin with what it writes for the prompt and go on with `encode_answer`.
    """
    if not tokenizer.chat_template:
        return  # an encoder needs none; who renders a conversation is told
    if "strftime_now" in tokenizer.chat_template:
        raise UserError("the chat template writes today's date; remove strftime_now from it")
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer names no eos_token; set the end-of-turn token in its config")
    prompt = [{"role": "user", "content": "a"}]
    whole = _render(tokenizer, [*prompt, {"role": "assistant", "content": "b"}])
    ours = encode_prompt(tokenizer, prompt) + encode_answer(tokenizer, "b")
    if whole[: len(ours)] != ours:
        raise UserError(
            "the chat template does not continue its own generation prompt with the answer "
            "and eos_token; make eos_token the token that ends the assistant's turn"
        )


def _render(
    tokenizer: Any, messages: list[Message], tools: Tools = (), **options: Any
) -> list[int]:
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise UserError(
            "the base has no chat template; add chat_template.jinja to its folder, or take "
            "train.objective classification or regression and suites to match"
        )
    for message in messages:
        said = message["content"] if len(message) == 2 else json.dumps(message, ensure_ascii=False)
        for token in tokenizer.all_special_tokens:
            if token in said:
                raise UserError(
                    f"{token} is a control token of the base and stands in a {message['role']} "
                    f"turn: {message['content'][:60]!r}; take it out of the source"
                )
    try:
        rendered = tokenizer.apply_chat_template(
            messages, tools=[*tools] or None, tokenize=True, return_dict=True, **options
        )
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise UserError(f"the base's chat template refuses {roles}: {error}") from None
    return rendered["input_ids"]
