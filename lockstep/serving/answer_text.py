"""Turn the tokens of an answer into text as predict does, also while it is generated."""

import re
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from lockstep.metrics import tool_calls
from lockstep.metrics.accepted_calls import Call
from lockstep.models.answer_format import AnswerFormat
from lockstep.models.chat import ChatTokenizer
from lockstep.serving.engines.engine_protocol import Engine, Generation, Part

FinishReason = Literal["stop", "length", "tool_calls"]

_INCOMPLETE = "\ufffd"
"""Character that stands for the bytes of an incomplete one."""


class _ControlTokens:
    """The spellings of a model's control tokens, of which some models have thousands."""

    def __init__(self, names: Sequence[str]) -> None:
        self.pattern = re.compile("|".join(map(re.escape, names)) or "(?!)")
        self.longest = max(map(len, names), default=0)
        self._beginnings = frozenset(
            name[:length] for name in names for length in range(1, len(name))
        )

    def count_begun(self, text: str) -> int:
        """Return the length of the beginning of a spelling with which a text ends."""
        lengths = range(min(self.longest - 1, len(text)), 0, -1)
        return next((n for n in lengths if text[-n:] in self._beginnings), 0)


@lru_cache(maxsize=16)
def _read_format(tokenizer: ChatTokenizer) -> tuple[AnswerFormat, _ControlTokens]:
    """Return the format of answers and the control tokens."""
    added = tokenizer.pretrained.added_tokens_decoder.values()
    names = [str(token) for token in added if token.special]
    answer_format = AnswerFormat.read(tokenizer.template if tokenizer.has_template else None, names)
    return answer_format, _ControlTokens(names)


class _GrowingText:
    """The text of a growing list of tokens; a token costs the same however long the text is.

    The last tokens are decoded with those before them, since a character may have several tokens
    and the first token of a text may lose its space (the method of vLLM and of tokenizers).
    """

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer, self._window, self._decoded = tokenizer, list[int](), 0
        _, self._control_tokens = _read_format(tokenizer)
        self.text = ""
        """Text up to the last token that ends a character, control tokens included."""
        self.has_control_tokens = False

    def add(self, tokens: Sequence[int]) -> None:
        """Append tokens."""
        self._window += tokens
        before = self._decode(self._window[: self._decoded])
        text = self._decode(self._window)
        if text.endswith(_INCOMPLETE):
            return
        new = text[len(before) :]
        self._window = self._window[self._decoded :]
        self._decoded = len(self._window)
        self.text += new
        start = max(0, len(self.text) - len(new) - self._control_tokens.longest)
        if not self.has_control_tokens:
            self.has_control_tokens = (
                self._control_tokens.pattern.search(self.text, start) is not None
            )

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.pretrained.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )


class AnswerText:
    """The text of one answer, which grows with its tokens up to an end token or a stop sequence."""

    def __init__(
        self, tokenizer: ChatTokenizer, stops: Sequence[str] = (), functions: Collection[str] = ()
    ) -> None:
        """Begin an answer that also ends before any text in `stops`, and may call `functions`."""
        self.tokenizer, self.stops, self.functions = tokenizer, stops, functions
        self.calls: list[Call] = []
        """Calls of functions in the finished answer; they are no part of its text."""
        self.written = ""
        """The finished answer with its calls as the model wrote them."""
        self.reasoning = ""
        """Text of the finished answer that the model wrote before it."""
        self.ids: list[int] = []
        self.text = ""
        """Text that is certain and was returned."""
        self.is_complete = False
        """Whether an end token or a stop sequence has ended the answer."""
        self.count = 0
        """Number of generated tokens."""
        self._growing = _GrowingText(tokenizer)
        self._format, self._control_tokens = _read_format(tokenizer)
        self._plain_format = replace(self._format, removed_tokens=())
        marks = tool_calls.MARKS if functions else ()
        self._withheld = max(map(len, (self._format.suffix, *stops, *marks)))

    @property
    def finish_reason(self) -> FinishReason:
        """The way in which the answer ended."""
        if self.calls:
            return "tool_calls"
        return "stop" if self.is_complete else "length"

    def add(self, part: Part) -> str:
        """Add tokens, and return the text that has become certain."""
        tokens = part.tokens
        if part.count is not None and part.count > self.count + len(tokens) and part.text:
            tokens = self.tokenizer.encode_text(part.text)  # those of a character in several tokens
        self.count = self.count + len(part.tokens) if part.count is None else part.count
        self.ids += tokens
        self.is_complete = any(token in self.tokenizer.end_ids for token in tokens)
        if self.is_complete:
            return ""
        self._growing.add(tokens)
        text = self._cut(self._split())
        if self.is_complete:
            return ""
        if self._format.opening and self._format.opening.startswith(text.strip()):
            return ""
        withheld = max(self._withheld, self._control_tokens.count_begun(text))
        end = max(0, len(text) - withheld)
        return self._return(text[: min(end, self._find_calls(text))])

    def finish(self) -> str:
        """Return the rest of the text, and set `calls`."""
        parsed = self.tokenizer.parse_answer(self.ids)
        self.reasoning = parsed.reasoning
        self.written = text = self._cut(parsed.text)
        calls = tool_calls.parse_calls(text) if self.functions else None
        if calls and all(name in self.functions for name, _ in calls):
            self.calls, text = calls, text[: self._find_calls(text)]
        return self._return(text, is_last=True)

    def _find_calls(self, text: str) -> int:
        """Return the place from which a text may hold calls."""
        return tool_calls.find_calls(text) if self.functions else len(text)

    def _split(self) -> str:
        """Return the text that is certain, without reasoning and control tokens."""
        has_control_tokens = self._growing.has_control_tokens
        answer_format = self._format if has_control_tokens else self._plain_format
        return answer_format.split(self._growing.text, truncated=True)[0]

    def _cut(self, text: str) -> str:
        """Return the text before the first stop sequence."""
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_complete = True
            return text[: min(places)]
        return text

    def _return(self, text: str, is_last: bool = False) -> str:
        """Return what a text has beyond the text that was returned before."""
        if not is_last:
            text = text.rstrip(_INCOMPLETE)
        if not text.startswith(self.text):
            return ""
        new = text[len(self.text) :]
        self.text = text
        return new


async def generate_text(
    engine: Engine, generation: Generation, answer: AnswerText
) -> AsyncGenerator[str, None]:
    """Yield the text of an answer as it is generated, up to a token that ends it.

    An engine also stops at tokens that it takes for end tokens by their names; the answer is
    continued after them, as predict does.
    """
    stopped_early = True
    while stopped_early and not answer.is_complete and answer.count < generation.max_tokens:
        rest = replace(
            generation,
            prompt=generation.prompt + answer.ids,
            max_tokens=generation.max_tokens - answer.count,
        )
        before, stopped_early = answer.count, False
        async with aclosing(engine.generate(rest)) as parts:
            async for part in parts:
                if part.count is not None:
                    part = replace(part, count=before + part.count)
                stopped_early = part.is_end
                if text := answer.add(part):
                    yield text
                if answer.is_complete:
                    break
    if text := answer.finish():
        yield text
