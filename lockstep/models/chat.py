"""Turn records into token ids and labels; no other module encodes conversations."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from lockstep.errors import UserError
from lockstep.models.answer_format import AnswerFormat, GeneratedAnswer
from lockstep.models.chat_template import ChatTemplate, Tools, Turn, count_equal
from lockstep.records import Message, Record

IGNORE_INDEX = -100
"""Label of tokens that the loss skips; the default of torch.nn.CrossEntropyLoss."""

_QUESTION: Message = {"role": "user", "content": "a"}
"""Prompt of an answer that is encoded alone: a template writes the same after every prompt."""


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


class ChatTokenizer:
    """A tokenizer of transformers that encodes conversations through its chat template.

    The template's own text decides: the prompt is its generation prompt, the answer is what it
    writes for the assistant's turn up to the first end token. Training, prediction and the
    preview therefore read the same tokens.
    """

    def __init__(self, pretrained: Any, declared_end_ids: Sequence[int] = ()) -> None:
        """Wrap a tokenizer; `declared_end_ids` are the end tokens of generation_config.json."""
        self.pretrained = pretrained
        """The tokenizer of transformers, for libraries that take one."""
        self.template = ChatTemplate(pretrained)
        declared = dict.fromkeys([pretrained.eos_token_id, *declared_end_ids])
        self._declared_end_ids = tuple(
            number  # a folder may declare a token that its tokenizer lacks
            for number in declared
            if number is not None and pretrained.convert_ids_to_tokens(number) is not None
        )

    @property
    def has_template(self) -> bool:
        """Whether the tokenizer has a chat template."""
        return bool(self.pretrained.chat_template)

    @property
    def pad_token_id(self) -> int:
        """The id that fills rows; an end token if the tokenizer has no padding token."""
        pad = self.pretrained.pad_token_id
        return self.end_ids[0] if pad is None else pad

    @cached_property
    def end_ids(self) -> tuple[int, ...]:
        """Ids of the tokens that end an answer; the first is written where the template has none.

        They are the tokenizer's eos_token, the end tokens of generation_config.json, and the token
        that the template writes after an answer.
        """
        ids = self._declared_end_ids
        if self.has_template:
            after = self.encode_text(self.template.answer_suffix, with_control_tokens=True)
            if not set(after) & set(ids):
                ids += tuple(token for token in after if token in self._control_tokens)[:1]
        if not ids:
            raise UserError("the tokenizer has no eos_token; set it to the token that ends a turn")
        return ids

    @cached_property
    def _control_tokens(self) -> dict[int, str]:
        """Id and text of each token that tokenizers flag as special."""
        added = self.pretrained.added_tokens_decoder
        return {number: str(token) for number, token in added.items() if token.special}

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        """A pattern for all control tokens: Gemma has thousands, too many to search one by one."""
        return re.compile("|".join(map(re.escape, self._control_tokens.values())) or "(?!)")

    @cached_property
    def _end_texts(self) -> list[str]:
        """The spellings of the end tokens, in the order of `end_ids`."""
        return [self.pretrained.convert_ids_to_tokens(number) for number in self.end_ids]

    @cached_property
    def _answer_format(self) -> AnswerFormat:
        return AnswerFormat.read(
            self.template if self.has_template else None, list(self._control_tokens.values())
        )

    def encode_text(self, text: str, with_control_tokens: bool = False) -> list[int]:
        """Return the ids of a text.

        The spelling of a control token becomes ordinary tokens, unless `with_control_tokens` says
        that a template wrote it.
        """
        encoding = self.pretrained(
            text, add_special_tokens=False, split_special_tokens=not with_control_tokens
        )
        return encoding["input_ids"]

    def render_prompt(self, messages: list[Message], tools: Tools = ()) -> str:
        """Return the text whose ids `encode_prompt` returns, for libraries that read text."""
        if not messages:
            return self.pretrained.decode(self.encode_prompt([]))
        self._refuse_control_tokens(messages)
        return self.template.render(messages, tools, generation_prompt=True)

    def encode_prompt(self, messages: list[Message], tools: Tools = ()) -> list[int]:
        """Return the ids of the conversation and of the header that opens the assistant's turn.

        An empty conversation (plain text) becomes the single token that begins a text.
        """
        if not messages:
            begin = self.pretrained.bos_token_id
            return [self.end_ids[0] if begin is None else begin]
        return self.encode_text(self.render_prompt(messages, tools), with_control_tokens=True)

    def render_answer(self, text: str) -> str:
        """Return the text whose ids `encode_answer` returns, for libraries that read text."""
        if not self.has_template:
            return text + self._end_texts[0]
        return self._render_turn([_QUESTION, {"role": "assistant", "content": text}]).answer

    def encode_answer(self, text: str) -> list[int]:
        """Return the ids that the model must generate for an answer, its end token included."""
        if not self.has_template:
            return [*self.encode_text(text), self.end_ids[0]]
        return self._encode_turn([_QUESTION, {"role": "assistant", "content": text}])[1]

    def encode_record(self, record: Record) -> tuple[list[int], list[int]]:
        """Return the ids of the prompt and of the answer, which the template writes.

        Raise UserError with the record's origin if the template does not write what it holds.
        """
        if not record.prompt:
            return self.encode_prompt([]), [*self.encode_text(record.answer), self.end_ids[0]]
        try:
            return self._encode_turn(record.messages, record.tools)
        except UserError as error:
            raise UserError(f"{record.origin}: {error.message}") from None

    def encode_example(
        self, record: Record, max_length: int, loss_on: Literal["answer", "last", "all"] = "answer"
    ) -> Example:
        """Return a record as a training example, truncated on the right to `max_length` tokens.

        The labels are the answer and its end token. They exclude what a template writes after that
        token (ChatML writes a newline), since the model never generates it. In training (`last`,
        `all`) they cover earlier turns with weight 1 as well and, for `all`, those without weight.
        """
        prompt, answer = self.encode_record(record)
        labels = [IGNORE_INDEX] * len(prompt)
        learnt = () if loss_on == "answer" else _find_learnt_turns(record, loss_on == "all")
        for start, end in self._find_earlier_answers(record, prompt, learnt):
            labels[start:end] = prompt[start:end]
        return Example((prompt + answer)[:max_length], (labels + answer)[:max_length])

    def encode_input(self, record: Record, max_length: int) -> tuple[list[int], bool]:
        """Return the input of a model with a head, and whether it was truncated to `max_length`.

        The input is the conversation without its answer. If the tokenizer has no chat template, the
        input is the texts of the turns, one per line, between the tokenizer's own special tokens.
        """
        if self.has_template:
            ids = self.encode_prompt(record.prompt, record.tools)
            return ids[:max_length], len(ids) > max_length
        text = "\n".join(message["content"] for message in record.prompt)
        ids = self.pretrained(text, split_special_tokens=True)["input_ids"]
        truncated = self.pretrained(
            text, split_special_tokens=True, truncation=True, max_length=max_length
        )
        return truncated["input_ids"], len(ids) > max_length

    def parse_answer(self, ids: list[int]) -> GeneratedAnswer:
        """Split generated ids into reasoning and answer, without the end token and what follows."""
        end = next((index for index, token in enumerate(ids) if token in self.end_ids), None)
        ids = ids[:end]
        has_control_tokens = not self._control_tokens.keys().isdisjoint(ids)
        text = self.pretrained.decode(
            ids, skip_special_tokens=not has_control_tokens, clean_up_tokenization_spaces=False
        )
        truncated = end is None
        text, reasoning = self._answer_format.split(text, truncated)
        return GeneratedAnswer(text, truncated, reasoning, len(self.encode_text(reasoning)))

    def check(self) -> None:
        """Raise UserError if training and inference could not use the chat template."""
        if self.has_template:
            self.encode_answer("b")

    def _render_turn(self, messages: list[Message], tools: Tools = ()) -> Turn:
        """Return the texts of a prompt and of the last message, which ends with an end token."""
        self._refuse_control_tokens(messages)
        turn = self.template.render_turn(messages, tools)
        ends = [
            start + len(end) for end in self._end_texts if (start := turn.answer.find(end)) >= 0
        ]
        if ends:
            return Turn(turn.prompt, turn.answer[: min(ends)])
        return Turn(turn.prompt, turn.answer + self._end_texts[0])

    def _encode_turn(
        self, messages: list[Message], tools: Tools = ()
    ) -> tuple[list[int], list[int]]:
        """Return the ids of the prompt and those that the template writes for the last message.

        The whole text is encoded at once, as a space before a word is part of the word's token. If
        a token reaches across the border, the answer is encoded alone, as a model continues it.
        """
        turn = self._render_turn(messages, tools)
        prompt = self.encode_text(turn.prompt, with_control_tokens=True)
        conversation = self.encode_text(turn.prompt + turn.answer, with_control_tokens=True)
        if conversation[: len(prompt)] == prompt:
            return prompt, conversation[len(prompt) :]
        return prompt, self.encode_text(turn.answer, with_control_tokens=True)

    def _find_earlier_answers(
        self, record: Record, prompt: list[int], turns: Iterable[int]
    ) -> Iterator[tuple[int, int]]:
        """Yield start and end in the prompt of the assistant's turns, end token included.

        A turn starts where the conversation leaves the turn's own generation prompt, and ends with
        an end token or where it leaves the rendering that ends with the turn: a template may drop
        the reasoning of earlier turns (Qwen3) or end them by another token (gpt-oss).
        """
        for number in turns:
            start = count_equal(self.encode_prompt(record.prompt[:number], record.tools), prompt)
            through = self.template.render(record.prompt[: number + 1], record.tools)
            limit = count_equal(self.encode_text(through, with_control_tokens=True), prompt)
            is_rewritten = limit <= start
            candidates = prompt[start:] if is_rewritten else prompt[start : limit + 1]
            for offset, token in enumerate(candidates, start=1):
                if token in self.end_ids:
                    yield start, start + offset
                    break
            else:
                if not is_rewritten:
                    yield start, limit

    def _refuse_control_tokens(self, messages: Sequence[Message]) -> None:
        """Raise UserError without a template, or if a turn spells a control token of the base."""
        if not self.has_template:
            raise UserError(
                "the base has no chat template; set base.chat_template to chatml, to plain or to a "
                "file, or train on plain text, classification or regression"
            )
        for message in messages:
            has_text_alone = len(message) == 2
            text = message["content"] if has_text_alone else json.dumps(message, ensure_ascii=False)
            if found := self._control_pattern.search(text):
                raise UserError(
                    f"{found[0]} is a control token of the base and stands in a {message['role']} "
                    f"turn: {message['content'][:60]!r}; remove it from the source"
                )


def _find_learnt_turns(record: Record, every_turn: bool) -> Iterator[int]:
    """Yield the indices of the assistant's earlier turns that the loss covers."""
    for number, message in enumerate(record.prompt):
        if message["role"] == "assistant" and message.get("weight", int(every_turn)) == 1:
            yield number
