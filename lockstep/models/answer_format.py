"""Split a generated answer into its reasoning and its text, by the marks of the chat template."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.models.chat_template import ChatTemplate

_CALL_MARK = re.compile("tool|python", re.IGNORECASE)
"""Part of the name of a control token that marks tool calls, such as [TOOL_CALLS]."""


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """A generated answer."""

    text: str
    """The answer without reasoning, headers and control tokens; marks of tool calls stay."""
    truncated: bool
    """Whether the answer reached `max_new_tokens` before the model ended its turn."""
    reasoning: str = ""
    """Text that the model wrote before its answer, by the marks of its template."""
    reasoning_tokens: int = 0
    """Number of tokens of `reasoning`."""


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """Text that a template writes around the parts of an answer."""

    prefix: str = ""
    """Text before an answer without reasoning, such as a header or an empty reasoning block."""
    suffix: str = ""
    """Text after an answer and before its end token, without control tokens."""
    has_reasoning: bool = False
    """Whether the template writes reasoning before the answer."""
    opening: str = ""
    """Text before the reasoning; empty if the generation prompt ends with it."""
    closing: str = ""
    """Text or control token that ends the reasoning."""
    header: str = ""
    """Text between the end of the reasoning and `prefix`."""
    removed_tokens: tuple[str, ...] = ()
    """Control tokens that are no part of an answer."""

    @classmethod
    def read(cls, template: ChatTemplate | None, control_tokens: Sequence[str]) -> "AnswerFormat":
        """Read the format of answers from a template; None stands for a model of plain text."""
        if template is None:
            return cls(removed_tokens=tuple(control_tokens))
        prefix, suffix = template.answer_prefix, template.answer_suffix
        marks = template.reasoning_marks
        opening, between = marks or ("", "")
        starts = [token for token in control_tokens if between.startswith(token)]
        closing = max(starts, key=len, default=between)
        return cls(
            prefix,
            _remove_tokens(suffix, control_tokens).strip(),
            marks is not None,
            opening,
            closing,
            between.removeprefix(closing).strip().removesuffix(prefix.strip()).strip(),
            tuple(
                token
                for token in control_tokens
                if token in prefix + suffix
                or not (token in template.call_text or _CALL_MARK.search(token))
            ),
        )

    def split(self, text: str, truncated: bool) -> tuple[str, str]:
        """Split a decoded answer without its end token into its text and its reasoning.

        An answer that is truncated within its reasoning has no text.
        """
        text, reasoning = self._split_reasoning(text, truncated)
        if self.prefix and text.startswith(self.prefix):
            text = text.removeprefix(self.prefix)
        elif self.prefix.strip() and text.lstrip().startswith(self.prefix.strip()):
            text = text.lstrip().removeprefix(self.prefix.strip()).lstrip()
        text = _remove_tokens(text, self.removed_tokens)
        if self.suffix and text.rstrip().endswith(self.suffix):
            text = text.rstrip().removesuffix(self.suffix)
        return text, _remove_tokens(reasoning, self.removed_tokens)

    def _split_reasoning(self, text: str, truncated: bool) -> tuple[str, str]:
        """Return the text after the reasoning, and the reasoning."""
        if not self.has_reasoning:
            return text, ""
        reasoning, closed, answer = text.partition(self.closing)
        reasoning = reasoning.strip()
        if closed:
            answer = answer.lstrip().removeprefix(self.header).lstrip()
            return answer, reasoning.removeprefix(self.opening).strip()
        if not (reasoning.startswith(self.opening) if self.opening else truncated):
            return text, ""
        return "", reasoning.removeprefix(self.opening).strip()


def _remove_tokens(text: str, tokens: Sequence[str]) -> str:
    """Return a text without some control tokens."""
    for token in tokens:
        text = text.replace(token, "")
    return text
